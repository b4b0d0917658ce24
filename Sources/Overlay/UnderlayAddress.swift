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
        // Links are asked for one by one: a host has as many as it has containers.
        var onLink: Link?
        if let interface {
            onLink = try stack.link(named: interface)
            if onLink == nil { return nil }
        }
        let named = onLink
        let addresses = try stack.addresses(link: named?.index).filter { address in
            address.scope == 0 && !address.prefix.address.isLoopback && !address.isDuplicate
                && (family == nil || address.prefix.family == family)
        }
        func underlay(_ address: IPAddress, _ index: Int32) throws(NetlinkError) -> UnderlayAddress? {
            let found: Link?
            if let named { found = named } else { found = try stack.link(index: index) }
            guard let link = found else { return nil }
            return UnderlayAddress(address: address, link: link)
        }
        if let own = addresses.first(where: { candidates.contains($0.prefix.address) }) {
            return try underlay(own.prefix.address, own.link)
        }
        for family in family.map({ [$0] }) ?? [.ipv4, .ipv6] {
            var index = named?.index
            if index == nil {
                let target = candidates.first { $0.family == family }
                let route = try route(to: target, family, stack)
                index = route?.link
                if let source = route?.source, let index { return try underlay(source, index) }
            }
            if let found = addresses.first(where: { $0.link == index && $0.prefix.family == family }) {
                return try underlay(found.prefix.address, found.link)
            }
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
