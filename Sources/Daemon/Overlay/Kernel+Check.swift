internal import Netfilter
internal import Netlink
internal import Overlay

extension Kernel {
    /// In what the kernel differs from a network's plan, in words, the first of each kind. Nothing is changed.
    mutating func differences(_ plan: NetworkPlan) throws -> [String] {
        let host = try host()
        var segment = plan.segment
        if let interface = plan.interface { segment.underlay = try host.link(named: interface)?.index }
        guard let network = try OverlayNetwork.open(plan.identity, host: host, in: namespaces) else {
            return ["the network's namespace is not there"]
        }
        var differences: [String] = []
        if let difference = segment.difference(from: try ObservedSegment(network.stack)) {
            differences.append(difference)
        }
        if let index = try network.vxlanIndex() {
            let observed = try PeerEntries(network.stack, vxlan: index)
            if let difference = plan.entries.difference(from: observed, isComplete: plan.isComplete) {
                differences.append(difference)
            }
        }
        let filter = try packetFilter().difference(
            plan.identity, vni: segment.vni, port: segment.port, members: plan.members, isComplete: plan.isComplete)
        if let filter { differences.append(filter) }
        return differences
    }
}
