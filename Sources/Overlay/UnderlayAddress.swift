public import Netlink
public import NetworkTypes

/// The address a host sends and receives VXLAN with, and the interface it is on.
public struct UnderlayAddress: Equatable, Sendable {
    /// The VTEP.
    public var address: IPAddress
    /// The interface.
    public var link: Link

    /// Describes an underlay.
    public init(address: IPAddress, link: Link) {
        self.address = address
        self.link = link
    }

    /// The largest MTU a network over this interface can have.
    public var largestMTU: UInt32 {
        let overhead = OverlaySegment.overhead(address.family)
        return link.mtu > overhead + 68 ? link.mtu - overhead : 68
    }

    /// Finds the host's VTEP.
    ///
    /// - Parameters:
    ///   - interface: the underlay's name when it is configured.
    ///   - family: the family the VTEP must have; nil prefers IPv4.
    ///   - candidates: addresses one of which may be our own, such as a list of all hosts.
    /// - Returns: our own among the candidates; else the first global address of the interface; without one, the address
    ///   we reach the first candidate with, or the default route's. Nil when the host has none.
    public static func find(
        _ stack: any NetworkStack, interface: String? = nil, family: AddressFamily? = nil, candidates: [IPAddress] = []
    ) throws(NetlinkError) -> UnderlayAddress? {
        let links = try stack.links()
        let addresses = try stack.addresses(link: nil).filter { address in
            address.scope == 0 && !address.prefix.address.isLoopback && !address.isDuplicate
                && (family == nil || address.prefix.family == family)
        }
        func named(_ index: Int32) -> Link? {
            links.first { $0.index == index && (interface == nil || $0.name == interface) }
        }
        for address in addresses where candidates.contains(address.prefix.address) {
            if let link = named(address.link) { return UnderlayAddress(address: address.prefix.address, link: link) }
        }
        func first(on index: Int32, _ family: AddressFamily) -> UnderlayAddress? {
            let found = addresses.first { $0.link == index && $0.prefix.family == family }
            guard let found, let link = named(index) else { return nil }
            return UnderlayAddress(address: found.prefix.address, link: link)
        }
        let families = family.map { [$0] } ?? [.ipv4, .ipv6]
        if let interface {
            guard let link = links.first(where: { $0.name == interface }) else { return nil }
            return families.lazy.compactMap { first(on: link.index, $0) }.first
        }
        for family in families {
            let target = candidates.first { $0.family == family }
            guard let route = try route(to: target, family, stack), let index = route.link else { continue }
            if let source = route.source, let link = named(index) {
                return UnderlayAddress(address: source, link: link)
            }
            if let found = first(on: index, family) { return found }
        }
        return nil
    }

    /// The most specific route of the main table to an address, or the default route.
    private static func route(to target: IPAddress?, _ family: AddressFamily, _ stack: any NetworkStack)
        throws(NetlinkError) -> Route?
    {
        let fitting = try stack.routes(family: family).filter { route in
            route.table == nil && route.link != nil
                && (target.map { route.destination.contains($0) } ?? (route.destination.length == 0))
        }
        return fitting.max { left, right in
            (left.destination.length, right.metric ?? 0) < (right.destination.length, left.metric ?? 0)
        }
    }
}
