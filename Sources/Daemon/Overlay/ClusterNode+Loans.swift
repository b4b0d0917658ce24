internal import Cluster
internal import NIOCore
internal import NetworkTypes
internal import Overlay

/// Addresses of other hosts' blocks that this host has borrowed: an endpoint that is withdrawn returns its own; here are those
/// that no endpoint ever had.
extension ClusterNode {
    /// Gives the borrowed addresses back that nobody here has: their ADDs failed, were killed, or asked no longer when the
    /// loan came.
    ///
    /// - Parameters:
    ///   - reserved: what the delegate's files have, read when the endpoints of now were there or on their way.
    ///   - endpoint: an ADD whose own wish for an address counts for nothing.
    func returnUnusedLoans(_ network: NetworkState, reserved: [IPAddress], except endpoint: String? = nil) {
        let unused = network.unusedLoans(except: endpoint)
        guard !unused.isEmpty else { return }
        // An ADD that an earlier run of the daemon prepared may be about to reserve one.
        guard network.isPastOldAdditions else { return awaitOldAdditions(network) }
        let reserved = Set(reserved)
        for address in unused where !reserved.contains(address) { give(.command(.returnLoan(address)), to: network) }
    }

    /// The same, reading the delegate's files first.
    func returnUnusedLoans(_ network: NetworkState, except endpoint: String) async {
        guard let reserved = try? await value(of: reservations(network)) else { return }
        returnUnusedLoans(network, reserved: reserved, except: endpoint)
    }

    /// Waits until the ADDs have ended that an earlier run of the daemon prepared, and of which only their lock tells. One that
    /// has not taken its lock yet is refused when it tells of its container: ``isOurs(_:_:_:)``.
    func awaitOldAdditions(_ network: NetworkState) {
        guard !network.isAwaitingOldAdditions else { return }
        network.isAwaitingOldAdditions = true
        let identity = network.identity
        let bound = NIOLoopBound(network, eventLoop: loop)
        kernel.run(on: loop) { try $0.passLock(identity) }.whenComplete { result in
            self.assumeIsolated { node in
                let network = bound.value
                switch result {
                case .success:
                    network.isAwaitingOldAdditions = false
                    network.isPastOldAdditions = true
                    node.gotLock(network)
                    node.finishWithdrawals(network)
                    if !network.unusedLoans().isEmpty { node.fillUsage(network) }
                case .failure(let error):
                    if case .locked(let path)? = error as? OverlayError { node.missedLock(network, path) }
                    _ = node.schedule(node.clock() + Self.lockPause) { node in
                        bound.value.isAwaitingOldAdditions = false
                        node.finishWithdrawals(bound.value)
                        if !bound.value.unusedLoans().isEmpty { node.awaitOldAdditions(bound.value) }
                    }
                }
            }
        }
    }

    /// How long until a lock that somebody holds is tried again.
    private static let lockPause: UInt64 = 50_000_000
}
