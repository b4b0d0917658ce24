public import NetworkTypes

/// What of the address space a host uses already: a network of containers must not lie there, or host and containers no
/// longer know which of the two is meant.
public struct OccupiedSubnets: Equatable, Sendable {
    /// Something that is in the way, for a message: `address 192.168.1.7/24 of eth0`.
    public struct Occupant: Hashable, Sendable, CustomStringConvertible {
        /// What it is.
        public let description: String

        /// Something in those words.
        public init(_ description: String) { self.description = description }
    }

    private struct Entry: Equatable {
        var prefix: IPPrefix
        var link: Int32
        var isAddress: Bool
    }

    private var entries: [Entry]
    private var names: [Int32: String]

    /// Nothing is in the way.
    public init() { (entries, names) = ([], [:]) }

    /// Looks at a host: the addresses and the main routing table.
    ///
    /// - Parameters:
    ///   - families: those that matter.
    ///   - except: links whose addresses and routes are the network's own.
    public init(_ host: any NetworkStack, families: Set<AddressFamily>, except: Set<Int32>) throws(NetlinkError) {
        self.init()
        for address in try host.addresses(link: nil)
        where families.contains(address.prefix.family) && !except.contains(address.link) {
            entries.append(Entry(prefix: address.prefix, link: address.link, isAddress: true))
        }
        for family in [AddressFamily.ipv4, .ipv6] where families.contains(family) {
            for route in try host.routes(family: family) where route.table == nil && route.destination.length > 0 {
                guard let link = route.link, !except.contains(link) else { continue }
                entries.append(Entry(prefix: route.destination, link: link, isAddress: false))
            }
        }
        for link in Set(entries.map(\.link)) { names[link] = try host.link(index: link)?.name }
    }

    /// What a network of that prefix would clash with; nil when it can be had.
    ///
    /// The subnet of another link's address is in the way wherever the two overlap; a route only if it leads into the network:
    /// one that is wider, as to a VPN, is narrowed by the network and goes on for the rest. The network's own address may be
    /// another link's, as flannel's VXLAN has it: no container gets it.
    public func occupant(of network: IPPrefix) -> Occupant? {
        let network = network.network
        let found = entries.first { entry in
            if entry.prefix.length == network.family.bits, entry.prefix.address == network.first { return false }
            guard entry.prefix.overlaps(network) else { return false }
            return entry.isAddress || entry.prefix.length >= network.length
        }
        guard let found else { return nil }
        let link = names[found.link] ?? "interface \(found.link)"
        return Occupant(
            found.isAddress ? "address \(found.prefix) of \(link)" : "the route to \(found.prefix) by \(link)")
    }
}
