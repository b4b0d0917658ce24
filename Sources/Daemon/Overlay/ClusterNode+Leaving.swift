internal import Cluster
internal import NIOCore

/// What a host that leaves gives back, while it is still a member and somebody can take it.
extension ClusterNode {
    /// How long one network may take; the allocators end it before.
    private static let givingBackLimit: UInt64 = 3_000_000_000

    /// Returns all unused loans and gives away all empty address blocks of every network.
    func giveBackBlocks() async {
        await withTaskGroup(of: Void.self) { group in
            for id in networks.keys { group.addTask { await self.giveBack(id) } }
        }
    }

    private func giveBack(_ id: NetworkID) async {
        guard let network = networks[id], network.allocator?.isDecided == true else { return }
        if let addresses = try? await reservations(network).get() {
            give(.command(.usage(addresses)), to: network)
            returnUnusedLoans(network, reserved: addresses)
        }
        _ = await ask(network, within: Self.givingBackLimit) { .leave(token: $0) }
    }
}
