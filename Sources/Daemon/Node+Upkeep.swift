internal import Gossip
internal import Logging
internal import NIOCore
internal import StateMachine

extension Node {
    /// How often what must survive a restart is written, when it changed.
    private static let saveInterval = TimeAmount.seconds(1)

    /// Begins to save what must survive a restart.
    func startSaving() {
        save()
        loop.scheduleRepeatedTask(initialDelay: Self.saveInterval, delay: Self.saveInterval) { _ in
            self.assumeIsolated { $0.save() }
        }
    }

    private func save() {
        let memory = instance.memory
        guard memory != savedMemory, !isSaving else { return }
        isSaving = true
        journal.commit([JournalChange(JournalKey(.gossip), memory.journaled)], on: loop)
            .whenComplete { result in self.assumeIsolated { $0.saved(memory, result) } }
    }

    private func saved(_ memory: Instance.Memory, _ result: Result<Void, any Error>) {
        isSaving = false
        switch result {
        case .success:
            savedMemory = memory
            toldSaveFault = nil
        case .failure(let error):
            // Tried every second, said once.
            if toldSaveFault != "\(error)" { log.error("state not saved: \(error)") }
            toldSaveFault = "\(error)"
        }
    }

    /// Saves at once, before the process ends.
    func saveNow() {
        do {
            try journal.commitNow([JournalChange(JournalKey(.gossip), instance.memory.journaled)])
        } catch {
            log.error("state not saved: \(error)")
        }
    }

    func changed(_ keyRing: KeyRing) {
        let cluster = cluster
        cluster.loop.execute { cluster.assumeIsolated { $0.use(keyRing) } }
        save(keyRing)
    }

    private func save(_ keyRing: KeyRing) {
        log.info("keys changed", metadata: ["keys": "\(keyRing.keys.count)"])
        guard let keyRingFile else { return }
        // Before the answer goes out: a key that is reported as installed must survive. Probes are answered meanwhile.
        isAnsweringKeys = true
        if heldDatagrams == nil { heldDatagrams = [] }
        keySaves += 1
        files.run(on: loop) { try keyRingFile.save(keyRing) }.whenComplete { result in
            self.assumeIsolated { node in
                if case .failure(let error) = result { node.log.error("keys not saved: \(error)") }
                node.keySaves -= 1
                guard node.keySaves == 0, let held = node.heldDatagrams else { return }
                node.heldDatagrams = nil
                for (target, bytes) in held { node.sendDatagram(bytes, to: target) }
            }
        }
    }

    func report(_ notice: Notice) {
        if case .refused(let reason) = notice { refusal = reason }
        let line = notice.line
        if case .malformed(let fault, _) = notice, isWorthAWarning(fault) {
            return log.warning("\(line.text): do all nodes have the same keys and label?", metadata: line.metadata)
        }
        // Taken apart first: a closure over an enumeration of endpoints is miscompiled (16-byte integers in its context).
        let (level, text, metadata) = (line.level, line.text, line.metadata)
        log.log(level: level, "\(text)", metadata: metadata)
    }

    /// Keys that differ look like silence; said once a minute, since every packet says it again.
    private func isWorthAWarning(_ fault: WireFault) -> Bool {
        guard [.undecryptable, .notEncrypted, .wrongLabel].contains(fault) else { return false }
        let now = clock()
        if let last = warned[fault], now - last < .seconds(60) { return false }
        warned[fault] = now
        return true
    }
}

extension Notice {
    /// The notice as a line of the log.
    var line: (level: Logger.Level, text: String, metadata: Logger.Metadata) {
        func line(
            _ level: Logger.Level, _ text: String, _ details: KeyValuePairs<String, Any> = [:]
        ) -> (level: Logger.Level, text: String, metadata: Logger.Metadata) {
            var metadata: Logger.Metadata = [:]
            for (key, value) in details { metadata[key] = .string("\(value)") }
            return (level, text, metadata)
        }
        switch self {
        case .malformed(let fault, let source):
            return line(.debug, "malformed message", ["fault": fault, "from": source.map { "\($0)" } ?? "-"])
        case .suspected(let member, let accuser):
            return line(.info, "suspected", ["member": member, "by": accuser])
        case .refuted(let incarnation, let accuser):
            return line(.warning, "accused, and refuted", ["incarnation": incarnation, "by": accuser])
        case .datagramsLost(let member):
            return line(.warning, "answers over TCP but not over UDP: is UDP blocked?", ["member": member])
        case .joinedVia(let seed): return line(.info, "joined", ["via": seed])
        case .joinFailed(let pause):
            return line(.warning, "no node to join answers", ["retryInMs": pause / 1_000_000])
        case .remoteError(let text, let source): return line(.warning, "a node refused us: \(text)", ["from": source])
        case .nameConflict(let name, let known, let claimed):
            return line(.error, "two nodes have one name", ["name": name, "at": known, "and": claimed])
        case .moved(let name, let old, let new):
            return line(.info, "moved", ["member": name, "from": old, "to": new])
        case .implausible(let name): return line(.warning, "implausible message", ["about": name])
        case .incompatible(let name): return line(.warning, "incompatible protocol version", ["member": name])
        case .paused(let gap): return line(.warning, "did not run", ["forMs": gap / 1_000_000])
        case .isolated: return line(.warning, "no other member is alive")
        case .refused(let reason): return line(.info, "refused: \(reason)")
        case .queueOverflow(let count): return line(.warning, "broadcasts dropped", ["count": count])
        }
    }
}
