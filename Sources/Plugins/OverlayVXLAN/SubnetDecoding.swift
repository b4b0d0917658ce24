internal import JSON
internal import NetworkTypes

/// The keys about addresses: `subnet`, `subnets`, `gateway`, `ipRange`, `exclude`.
enum SubnetDecoding {
    typealias Subnet = OverlayConfiguration.Subnet

    /// The network's subnets; each has one gateway, its first host's unless told otherwise.
    static func subnets(_ root: Reader) throws(DecodingError) -> [Subnet] {
        var places: [(subnet: Reader, gateway: Reader?, range: Reader?)] = []
        let single = try root.member("subnet"), list = try root.member("subnets")
        if try !(single.string() ?? "").isEmpty { places.append((single, nil, nil)) }
        for element in try list.elements() {
            if case .object? = element.value {
                places.append(
                    (try element.member("subnet"), try element.member("gateway"), try element.member("ipRange")))
            } else {
                places.append((element, nil, nil))
            }
        }
        guard !places.isEmpty else {
            throw single.error("missing; give the network a subnet of its own, like \"192.168.0.0/24\"")
        }
        var subnets: [Subnet] = []
        for place in places {
            let prefix = try prefix(place.subnet)
            if let other = subnets.first(where: { $0.prefix.overlaps(prefix) }) {
                throw place.subnet.error("\(prefix) overlaps with \(other.prefix) of the same network")
            }
            let first = IPAddress(family: prefix.family, number: prefix.first.number + 1)
            var subnet = Subnet(prefix: prefix, gateway: first)
            if let key = place.gateway, let address = try address(key) { try setGateway(address, key, &subnet) }
            if let key = place.range { try setRange(key, &subnet) }
            subnets.append(subnet)
        }
        try assign(root.member("gateway"), &subnets) { (key, subnet: inout Subnet) throws(DecodingError) in
            guard let address = try address(key) else { return }
            try setGateway(address, key, &subnet)
        }
        try assign(root.member("ipRange"), &subnets) { (key, subnet: inout Subnet) throws(DecodingError) in
            try setRange(key, &subnet)
        }
        return subnets
    }

    /// A text, or a list of texts, each of which is for the subnet it lies in.
    private static func assign(
        _ key: Reader, _ subnets: inout [Subnet], _ body: (Reader, inout Subnet) throws(DecodingError) -> Void
    ) throws(DecodingError) {
        let readers: [Reader]
        if case .array? = key.value { readers = try key.elements() } else { readers = [key] }
        for reader in readers {
            guard let text = try reader.string(), !text.isEmpty else { continue }
            let address = IPAddress(text) ?? IPPrefix(text)?.address
            guard let address else { throw reader.error("\"\(text)\" is neither an address nor a network") }
            guard let index = subnets.firstIndex(where: { $0.prefix.contains(address) }) else {
                throw reader.error("\(text) is in none of the network's subnets")
            }
            try body(reader, &subnets[index])
        }
    }

    private static func prefix(_ key: Reader) throws(DecodingError) -> IPPrefix {
        guard let text = try key.string() else { throw key.error("missing") }
        guard let prefix = IPPrefix(text) else { throw key.error("\"\(text)\" is not a network like 192.168.0.0/24") }
        guard prefix == prefix.network else {
            throw key.error("\(prefix) has host bits set; the network is \(prefix.network)")
        }
        let longest = prefix.family.bits - 2
        guard (prefix.family == .ipv4 ? 8...longest : 32...longest).contains(prefix.length) else {
            throw key.error(
                "\(prefix) must have a length of \(prefix.family == .ipv4 ? 8 : 32) to \(longest), to hold a gateway "
                    + "and containers")
        }
        if prefix.first.isMulticast || prefix.first.isLoopback || prefix.first.isLinkLocal {
            throw key.error("\(prefix) is not for networks of containers (loopback, link-local or multicast)")
        }
        return prefix
    }

    private static func address(_ key: Reader) throws(DecodingError) -> IPAddress? {
        guard let text = try key.string(), !text.isEmpty else { return nil }
        guard let address = IPAddress(text) else { throw key.error("\"\(text)\" is not an IP address") }
        return address
    }

    private static func setGateway(_ address: IPAddress, _ key: Reader, _ subnet: inout Subnet) throws(DecodingError) {
        guard subnet.prefix.contains(address), address != subnet.prefix.first,
            address.family == .ipv6 || address != subnet.prefix.last
        else { throw key.error("\(address) is not an address for a host in \(subnet.prefix)") }
        subnet.gateway = address
    }

    private static func setRange(_ key: Reader, _ subnet: inout Subnet) throws(DecodingError) {
        guard let text = try key.string(), !text.isEmpty else { return }
        guard let range = IPPrefix(text) else { throw key.error("\"\(text)\" is not a network like 192.168.0.64/26") }
        guard range == range.network else {
            throw key.error("\(range) has host bits set; the network is \(range.network)")
        }
        guard subnet.prefix.contains(range.first), range.length >= subnet.prefix.length else {
            throw key.error("\(range) is not a part of \(subnet.prefix)")
        }
        subnet.range = range
    }

    /// `exclude`: a list of addresses or networks, or an object of them by name (Docker's `--aux-address`).
    static func exclusions(_ key: Reader, _ subnets: [Subnet]) throws(DecodingError) -> [IPPrefix] {
        var readers: [Reader] = []
        if case .object(let object)? = key.value {
            readers = object.members.map { Reader($0.value, path: "\(key.path).\($0.key)") }
        } else {
            readers = try key.elements()
        }
        var exclusions: [IPPrefix] = []
        for reader in readers {
            guard let text = try reader.string(),
                let prefix = IPAddress(text).map(IPPrefix.init(host:)) ?? IPPrefix(text)
            else { throw reader.error("not an address or a network like 192.168.0.5 or 192.168.0.8/29") }
            guard prefix == prefix.network else {
                throw reader.error("\(prefix) has host bits set; the network is \(prefix.network)")
            }
            guard subnets.contains(where: { $0.prefix.overlaps(prefix) }) else {
                throw reader.error("\(text) is in none of the network's subnets")
            }
            exclusions.append(prefix)
        }
        return exclusions
    }
}
