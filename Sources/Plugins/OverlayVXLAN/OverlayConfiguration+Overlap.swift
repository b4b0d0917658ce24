internal import JSON
internal import Netlink
internal import NetworkTypes
internal import Overlay

extension OverlayConfiguration {
    /// Refuses a subnet that the host has a route into: the host, and its containers by way of it, would no longer know which
    /// of the two is meant.
    func refuseOverlap(with host: any NetworkStack) throws {
        // Our own, of a namespace that the kernel is still taking down.
        let own = try host.link(named: HostAccess.linkName(namespace: identity.namespaceName))?.index
        for (index, subnet) in subnets.enumerated() {
            let found = try host.routes(family: subnet.prefix.family).first { route in
                route.destination.length > 0 && (own == nil || route.link != own)
                    && route.destination.overlaps(subnet.prefix)
            }
            guard let found else { continue }
            let link = try found.link.flatMap { try host.link(index: $0)?.name }
            throw DecodingError(
                path: subnets.count == 1 ? "subnet" : "subnets[\(index)]",
                reason: "\(subnet.prefix) overlaps with this host's route to \(found.destination)"
                    + (link.map { " by \($0)" } ?? "") + "; give the network another subnet on all hosts")
        }
    }
}
