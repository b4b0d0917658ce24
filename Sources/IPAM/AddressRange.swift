public import NetworkTypes

/// Consecutive addresses of one subnet, both ends included.
public struct AddressRange: Hashable, Sendable {
    /// The subnet; its length becomes the prefix length of the addresses handed out.
    public let subnet: IPPrefix
    /// The first address.
    public let start: IPAddress
    /// The last address.
    public let end: IPAddress
    /// The subnet's gateway, never handed out. It need not lie in the subnet.
    public let gateway: IPAddress

    /// Checks a range and fills in what is left out: gateway and start are the network's first host; the end is the
    /// address before the broadcast address for IPv4, the very last address for IPv6.
    ///
    /// Neither end, nor a gateway in the subnet, may be an address that no host can have: the network's own, the broadcast
    /// address, IPv6's address of all routers. The reference hands the ends out when they are named.
    public init(subnet: IPPrefix, start: IPAddress? = nil, end: IPAddress? = nil, gateway: IPAddress? = nil)
        throws(RangeFault)
    {
        guard subnet.length <= subnet.family.bits - 2 else { throw .tooSmall(subnet) }
        guard subnet.address == subnet.first else { throw .hostBits(subnet) }
        // At least four addresses: neither sum leaves the subnet.
        let firstHost = IPAddress(family: subnet.family, number: subnet.first.number + 1)
        let lastHost = IPAddress(
            family: subnet.family, number: subnet.last.number - (subnet.family == .ipv4 ? 1 : 0))
        if let start {
            guard subnet.contains(start) else { throw .startOutside(start, subnet) }
            // The default end counts too: a start at the broadcast address leaves nothing.
            if end.map({ $0.family == start.family && $0 < start }) ?? (start > lastHost) {
                throw .startOutside(start, subnet)
            }
        }
        if let end {
            guard subnet.contains(end), end >= start ?? firstHost else { throw .endOutside(end, subnet) }
        }
        for (key, address) in [("rangeStart", start), ("rangeEnd", end), ("gateway", gateway)] {
            guard let address, let purpose = subnet.purpose(of: address) else { continue }
            throw .noHost(key: key, address, subnet, purpose)
        }
        if let gateway, gateway.family != subnet.family { throw .otherFamily(gateway: gateway, subnet) }
        self.subnet = subnet
        self.start = start ?? firstHost
        self.end = end ?? lastHost
        self.gateway = gateway ?? firstHost
    }

    /// Whether the address lies between start and end.
    public func contains(_ address: IPAddress) -> Bool {
        address.family == start.family && start <= address && address <= end
    }

    /// Whether the ranges share an address.
    public func overlaps(_ other: AddressRange) -> Bool {
        start.family == other.start.family && start <= other.end && other.start <= end
    }

    /// The addresses as numbers.
    var numbers: ClosedRange<UInt128> { start.number...end.number }
}

extension AddressRange: CustomStringConvertible {
    /// For example "10.1.2.1-10.1.2.254".
    public var description: String { "\(start)-\(end)" }
}
