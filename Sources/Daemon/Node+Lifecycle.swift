internal import CLinux
internal import Gossip
internal import Logging
internal import NIOCore
internal import NIOPosix

/// Reloading, leaving, and what the service manager is told.
extension Node {
    /// How often the service manager's status line may change.
    private static let statusInterval = TimeAmount.seconds(5)

    /// How often memory that nobody uses is given back, and how much of it may be kept.
    private static let trimInterval = TimeAmount.seconds(5)
    private static let spareMemory = 6 << 20

    /// Leaves the cluster; what this host can give back of address blocks goes first, while the others still listen to it.
    func leave() {
        guard !isLeaving else { return }
        isLeaving = true
        let cluster = cluster
        // While the others still take us for a member they hear us.
        Task {
            await cluster.giveBackBlocks()
            await cluster.sayFarewell()
            self.leaveMembership()
        }
    }

    private func leaveMembership() {
        engine.leave(self)
    }

    /// Takes over what can change while the daemon runs, all of it or nothing, and says what cannot.
    ///
    /// - Parameter read: what the files say, which were read on another thread.
    func reload(_ read: Result<(configuration: Configuration, keyRing: KeyRing?), any Error>) {
        do {
            let (new, keyRing) = try read.get()
            var wanted = tags
            wanted.configured = new.tags
            if let reason = announce(wanted) { throw StartFault(reason) }
            if let keyRing, keyRing != instance.keyRing {
                replaceKeyRing(keyRing)
                log.info("keys reloaded", metadata: ["keys": "\(keyRing.keys.count)"])
            }
            let old = configuration
            let added = new.join.filter { !old.join.contains($0) }
            configuration.tags = new.tags
            configuration.log = new.log
            configuration.join = new.join
            configuration.joinNames = new.joinNames
            AdjustableLog.set(new.log.level)
            engine.rejoin(added: added, self)
            log.info("reloaded", metadata: ["tags": "\(wanted.announced)", "log": "\(new.log)"])
            let waiting = configuration.differences(from: new)
            if !waiting.isEmpty {
                log.warning("needs a restart to take effect", metadata: ["keys": "\(waiting.joined(separator: ", "))"])
            }
        } catch {
            log.error("not reloaded: \(error)")
        }
    }

    /// Tells the service manager how many members there are, and from the loop that does the work that we live.
    func startNotifying(_ notifier: Notifier) {
        loop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: Self.statusInterval) { _ in
            self.assumeIsolated { node in
                let status = node.statusLine
                if status != node.toldStatus { notifier.status(status) }
                node.toldStatus = status
            }
        }
        // A burst of streams leaves holes among what lives on.
        loop.scheduleRepeatedTask(initialDelay: Self.trimInterval, delay: Self.trimInterval) { _ in
            NIOThreadPool.singleton.submit { _ in swiftlet_trim_memory(Self.spareMemory) }
        }
        guard let interval = notifier.watchdogInterval else { return }
        loop.scheduleRepeatedTask(initialDelay: .zero, delay: .nanoseconds(interval)) { _ in notifier.alive() }
    }

    var statusLine: String {
        if let line = engine.statusLine(self) { return line }
        let members = known
        func count(_ status: MemberStatus) -> Int { members.count { $0.status == status } }
        return "\(count(.alive)) members alive, \(count(.failed)) failed"
    }
}

extension Configuration {
    /// The nodes to join as an agent is told them.
    var peers: [String] { join.map(\.description) + joinNames.map(\.description) }

    /// The keys that differ and are read only at the start.
    func differences(from new: Configuration) -> [String] {
        let all: [(String, Bool)] = [
            ("node", node != new.node), ("bind", bind != new.bind || scope != new.scope),
            ("advertise", advertise != new.advertise), ("keyring", keyring != new.keyring),
            ("stateDir", stateDirectory != new.stateDirectory), ("socket", socket != new.socket),
            ("cluster", cluster != new.cluster), ("clusterPort", clusterPort != new.clusterPort),
            ("vtep", vtep != new.vtep), ("seeds", seeds != new.seeds), ("profile", profile != new.profile),
            ("grace", grace != new.grace),
            ("engine", engine != new.engine),
            ("serfRPC", serfRPC != new.serfRPC || serfRPCAuth != new.serfRPCAuth),
        ]
        return all.filter(\.1).map(\.0)
    }
}
