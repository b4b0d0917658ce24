internal import Logging
internal import NIOCore
internal import Overlay

/// A network's lock, which plugins hold while they add and remove containers. The daemon's one kernel thread never waits for
/// it: a plugin that was stopped while it holds the lock would stop all networks.
extension ClusterNode {
    /// How long an ADD or DEL waits for those that hold the lock.
    static let lockPatience: UInt64 = 2_000_000_000
    /// How long somebody may hold the lock before that is worth a warning.
    private static let lockNoticeTime: UInt64 = 1_000_000_000

    /// Does work on the kernel that takes a network's lock; again and again, while somebody else has it, for some time and as
    /// long as it is wanted.
    ///
    /// - Throws: ``OverlayError/locked(_:)`` when the time is over.
    func locking<Value: Sendable>(
        _ network: NetworkState, patience: UInt64 = ClusterNode.lockPatience, while isWanted: () -> Bool = { true },
        _ body: @escaping @Sendable (inout any OverlayKernel) throws -> Value
    ) async throws -> Value {
        let asked = clock()
        var pause: Int64 = 2
        while true {
            do {
                let value = try await self.value(of: kernel.run(on: loop, body))
                gotLock(network)
                return value
            } catch let error as OverlayError {
                guard case .locked(let path) = error else {
                    gotLock(network)
                    throw error
                }
                missedLock(network, path)
                guard clock() - asked < patience, isWanted() else { throw error }
            }
            try await value(of: loop.scheduleTask(in: .milliseconds(pause)) {}.futureResult)
            pause = min(2 * pause, 50)
        }
    }

    /// The lock was had, or was not needed.
    func gotLock(_ network: NetworkState) {
        guard !network.isAwaitingOldAdditions else { return }
        if !network.lockHolder.isEmpty {
            log.info("the network's lock is free again", metadata: ["network": "\(network.identity.name)"])
        }
        network.lockWanted = nil
        network.lockHolder = ""
    }

    /// Somebody else has the lock: said once when that lasts.
    func missedLock(_ network: NetworkState, _ path: String) {
        let since = network.lockWanted ?? clock()
        network.lockWanted = since
        guard network.lockHolder.isEmpty, clock() - since >= Self.lockNoticeTime else { return }
        let holders = LockHolders.describe(path)
        network.lockHolder = holders.isEmpty ? "unknown" : holders.joined(separator: ", ")
        log.warning(
            "the network's lock is held; the network is not changed until it is free, others are served",
            metadata: [
                "network": "\(network.identity.name)", "holder": "\(network.lockHolder)", "lock": "\(path)",
            ])
    }
}
