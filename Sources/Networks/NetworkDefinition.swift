public import NetworkTypes

/// What a network is, as `docker network create` would be told: the driver, the subnets, the options.
public struct NetworkDefinition: Equatable, Sendable {
    /// How the network is made.
    public enum Driver: String, CaseIterable, Sendable {
        /// One subnet over many hosts.
        case overlay
        /// A bridge on one host.
        case bridge
    }

    /// One subnet with what is set aside in it.
    public struct Subnet: Equatable, Sendable {
        /// The subnet, no host bits set.
        public var prefix: IPPrefix
        /// The gateway; nil leaves the choice, the first address, to the driver.
        public var gateway: IPAddress?
        /// The part of the subnet that addresses are handed out from; nil for all of it.
        public var range: IPPrefix?
        /// Addresses never handed out, by what they are for.
        public var auxiliary: [String: IPAddress]

        /// A subnet.
        public init(
            _ prefix: IPPrefix, gateway: IPAddress? = nil, range: IPPrefix? = nil,
            auxiliary: [String: IPAddress] = [:]
        ) {
            self.prefix = prefix
            self.gateway = gateway
            self.range = range
            self.auxiliary = auxiliary
        }
    }

    /// The network's name.
    public var name: String
    /// How it is made.
    public var driver: Driver
    /// The subnets; none overlaps another.
    public var subnets: [Subnet]
    /// There is no way out.
    public var isInternal: Bool
    /// Driver options, Docker's or ours, see ``DriverOptions``.
    public var options: [String: String]
    /// What a list or a daemon says beside the options, which win: MTU, VNI and UDP port of an overlay; nil for automatic.
    public var mtu: Int64?, vni: Int64?, port: Int64?
    /// Broadcasts and multicasts reach every host of an overlay; nil for the default, that they do not.
    public var multicast: Bool?
    /// The hosts that share an overlay's address blocks from the beginning, by name; empty for the daemon's choice.
    public var seeds: [String] = []

    /// A definition, not checked; see ``validate()``.
    public init(
        name: String, driver: Driver, subnets: [Subnet] = [], isInternal: Bool = false, options: [String: String] = [:]
    ) {
        self.name = name
        self.driver = driver
        self.subnets = subnets
        self.isInternal = isInternal
        self.options = options
    }

    /// Sorts gateways, ranges and auxiliary addresses into the subnets they lie in, as Docker's repeated options do.
    ///
    /// - Throws: when one lies in none, or two of a kind in the same.
    public mutating func place(gateways: [IPAddress], ranges: [IPPrefix], auxiliary: [(name: String, IPAddress)])
        throws(DefinitionFault)
    {
        func subnet(of address: IPAddress, _ what: String) throws(DefinitionFault) -> Int {
            guard let index = subnets.firstIndex(where: { $0.prefix.contains(address) }) else {
                throw DefinitionFault("\(what) \(address) is in none of the subnets")
            }
            return index
        }
        for gateway in gateways {
            let index = try subnet(of: gateway, "gateway")
            guard subnets[index].gateway == nil else {
                throw DefinitionFault("subnet \(subnets[index].prefix) has two gateways")
            }
            subnets[index].gateway = gateway
        }
        for range in ranges {
            let index = try subnet(of: range.first, "range")
            guard subnets[index].range == nil else {
                throw DefinitionFault("subnet \(subnets[index].prefix) has two ranges")
            }
            subnets[index].range = range
        }
        for (name, address) in auxiliary {
            let index = try subnet(of: address, "auxiliary address")
            guard subnets[index].auxiliary.updateValue(address, forKey: name) == nil else {
                throw DefinitionFault("two auxiliary addresses are named \(name)")
            }
        }
    }

    /// Checks that the parts fit together.
    public func validate() throws(DefinitionFault) {
        func isPlain(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        }
        guard let first = name.utf8.first, isPlain(first), name.utf8.count <= 128,
            name.utf8.allSatisfy({ isPlain($0) || [0x2D, 0x2E, 0x5F].contains($0) })
        else {
            throw DefinitionFault("name \"\(name)\": letters, digits, \"_\", \".\" and \"-\", a letter or digit first")
        }
        if subnets.isEmpty { throw DefinitionFault("a network needs a subnet") }
        for (index, subnet) in subnets.enumerated() {
            guard subnet.prefix == subnet.prefix.network else {
                throw DefinitionFault(
                    "subnet \(subnet.prefix) has host bits set; the network is \(subnet.prefix.network)")
            }
            guard subnet.prefix.length <= subnet.prefix.family.bits - 2 else {
                throw DefinitionFault("subnet \(subnet.prefix) has no room for a container beside the gateway")
            }
            if let other = subnets[..<index].first(where: { $0.prefix.overlaps(subnet.prefix) }) {
                throw DefinitionFault("subnets \(other.prefix) and \(subnet.prefix) overlap")
            }
            for address in [subnet.gateway].compactMap(\.self) + subnet.auxiliary.values {
                guard subnet.prefix.contains(address), address != subnet.prefix.first || address.family == .ipv6,
                    address != subnet.prefix.last || address.family == .ipv6
                else { throw DefinitionFault("\(address) is no host's address in \(subnet.prefix)") }
            }
            if let range = subnet.range {
                guard subnet.prefix.contains(range.first), range.length >= subnet.prefix.length else {
                    throw DefinitionFault("range \(range) is not inside \(subnet.prefix)")
                }
            }
        }
        let least = DriverOptions.smallestIPv6MTU
        if let mtu = try DriverOptions(self).mtu ?? mtu, mtu < least,
            let six = subnets.first(where: { $0.prefix.family == .ipv6 })
        {
            throw DefinitionFault("mtu \(mtu): IPv6, as in \(six.prefix), needs \(least) at least")
        }
    }
}

/// Why a definition makes no network.
public struct DefinitionFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public let description: String

    /// A fault in those words.
    public init(_ description: String) { self.description = description }
}
