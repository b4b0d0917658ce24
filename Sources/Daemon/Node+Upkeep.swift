internal import Gossip
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import System

extension Node {
    /// How often what must survive a restart is written, when it changed.
    private static let saveInterval = TimeAmount.seconds(5)

    /// Begins to save what must survive a restart.
    func startSaving() {
        guard stateFile != nil else { return }
        save()
        loop.scheduleRepeatedTask(initialDelay: Self.saveInterval, delay: Self.saveInterval) { _ in
            self.assumeIsolated { $0.save() }
        }
    }

    /// Saves on another thread: a slow disk must not make us look dead.
    private func save() {
        let memory = instance.memory
        guard let stateFile, memory != savedMemory, !isSaving else { return }
        isSaving = true
        NIOThreadPool.singleton.runIfActive(eventLoop: loop) { try stateFile.save(memory) }
            .whenComplete { result in self.assumeIsolated { $0.saved(memory, result) } }
    }

    private func saved(_ memory: Instance.Memory, _ result: Result<Void, any Error>) {
        isSaving = false
        switch result {
        case .success: savedMemory = memory
        case .failure(let error): log.error("state not saved: \(error)")
        }
    }

    /// Saves at once, before the process ends.
    func saveNow() {
        guard let stateFile else { return }
        do {
            try stateFile.save(instance.memory)
        } catch {
            log.error("state not saved: \(error)")
        }
    }

    func save(_ keyRing: KeyRing) {
        log.info("keys changed", metadata: ["keys": "\(keyRing.keys.count)"])
        guard let keyRingFile else { return }
        do {
            // Before the answer goes out: a key that is reported as installed must survive.
            try keyRingFile.save(keyRing)
        } catch {
            log.error("keys not saved: \(error)")
        }
    }

    func report(_ notice: Notice) {
        switch notice {
        case .malformed(let fault, let source):
            log.debug("malformed message", metadata: ["fault": "\(fault)", "from": "\(source.map { "\($0)" } ?? "-")"])
        case .suspected(let member, let accuser):
            log.info("suspected", metadata: ["member": "\(member)", "by": "\(accuser)"])
        case .refuted(let incarnation, let accuser):
            log.warning("accused, and refuted", metadata: ["incarnation": "\(incarnation)", "by": "\(accuser)"])
        case .datagramsLost(let member):
            log.warning("answers over TCP but not over UDP: is UDP blocked?", metadata: ["member": "\(member)"])
        case .joinedVia(let seed): log.info("joined", metadata: ["via": "\(seed)"])
        case .joinFailed(let pause):
            log.warning("no node to join answers", metadata: ["retryInMs": "\(pause / 1_000_000)"])
        case .remoteError(let text, let source):
            log.warning("a node refused us: \(text)", metadata: ["from": "\(source)"])
        case .nameConflict(let name, let known, let claimed):
            log.error("two nodes have one name", metadata: ["name": "\(name)", "at": "\(known)", "and": "\(claimed)"])
        case .moved(let name, let old, let new):
            log.info("moved", metadata: ["member": "\(name)", "from": "\(old)", "to": "\(new)"])
        case .implausible(let name): log.warning("implausible message", metadata: ["about": "\(name)"])
        case .incompatible(let name): log.warning("incompatible protocol version", metadata: ["member": "\(name)"])
        case .paused(let gap): log.warning("did not run", metadata: ["forMs": "\(gap / 1_000_000)"])
        case .isolated: log.warning("no other member is alive")
        case .refused(let reason):
            refusal = reason
            log.info("refused: \(reason)")
        case .queueOverflow(let count): log.warning("broadcasts dropped", metadata: ["count": "\(count)"])
        }
    }
}
