internal import JSON
internal import NetworkTypes

/// The addresses this host may hand out, as the `ipam` delegate takes them.
struct AddressPools: Equatable {
    /// Consecutive addresses of a subnet.
    struct Range: Equatable {
        var subnet: IPPrefix
        var start: IPAddress
        var end: IPAddress
        var gateway: IPAddress
    }

    /// The ranges.
    var ranges: [Range]

    /// One address comes from each set: a set for each family, whatever the number of subnets, as in Docker.
    var sets: [[Range]] {
        [AddressFamily.ipv4, .ipv6].compactMap { family in
            let set = ranges.filter { $0.subnet.family == family }
            return set.isEmpty ? nil : set
        }
    }

    /// The ranges of a host without a daemon.
    ///
    /// - Parameter share: this host's number among how many: subnets without a range of their own are cut into as many
    ///   equal parts as a power of two has. Nil gives them whole.
    init(_ subnets: [OverlayConfiguration.Subnet], share: (index: Int, count: Int)?) {
        ranges = subnets.compactMap { subnet in
            if let range = subnet.range { return Self.range(subnet, range) }
            guard let share, share.count > 1 else { return Self.range(subnet, subnet.prefix) }
            let bits = Int.bitWidth - (share.count - 1).leadingZeroBitCount
            let length = subnet.prefix.length + bits
            let family = subnet.prefix.family
            guard length <= family.bits else { return nil }
            let size: UInt128 = 1 << UInt128(family.bits - length)
            let first = IPAddress(family: family, number: subnet.prefix.first.number + size * UInt128(share.index))
            return IPPrefix(first, length: length).flatMap { Self.range(subnet, $0) }
        }
    }

    /// The ranges a daemon named.
    init(_ ranges: [Range]) { self.ranges = ranges }

    /// A part of a subnet without the subnet's own first and, for IPv4, last address. Nil when nothing is left.
    private static func range(_ subnet: OverlayConfiguration.Subnet, _ part: IPPrefix) -> Range? {
        let family = part.family
        var first = part.first.number, last = part.last.number
        if first == subnet.prefix.first.number { first += 1 }
        if family == .ipv4, last == subnet.prefix.last.number { last -= 1 }
        guard first <= last else { return nil }
        return Range(
            subnet: subnet.prefix, start: IPAddress(family: family, number: first),
            end: IPAddress(family: family, number: last), gateway: subnet.gateway)
    }

    /// Adds addresses that were asked for and that lie outside: an address of one's own choice is one's own business
    /// without a daemon, and with one it has been lent.
    mutating func include(_ requested: [IPAddress], of subnets: [OverlayConfiguration.Subnet]) {
        for address in requested {
            let isThere = ranges.contains {
                $0.start <= address && address <= $0.end && $0.subnet.family == address.family
            }
            guard !isThere, let subnet = subnets.first(where: { $0.prefix.contains(address) }) else { continue }
            ranges.append(Range(subnet: subnet.prefix, start: address, end: address, gateway: subnet.gateway))
        }
    }

    /// Leaves what also lies in ranges the runtime gives (`runtimeConfig.ipRanges`).
    mutating func restrict(to limits: [Range]) {
        ranges = ranges.flatMap { range in
            limits.compactMap { limit -> Range? in
                guard limit.start.family == range.start.family else { return nil }
                let (start, end) = (max(range.start, limit.start), min(range.end, limit.end))
                guard start <= end else { return nil }
                return Range(subnet: range.subnet, start: start, end: end, gateway: range.gateway)
            }
        }
    }

    /// `ipam.ranges`.
    var document: Value {
        .array(
            sets.map { set in
                .array(
                    set.map { range in
                        [
                            "subnet": .string("\(range.subnet)"), "rangeStart": .string("\(range.start)"),
                            "rangeEnd": .string("\(range.end)"), "gateway": .string("\(range.gateway)"),
                        ]
                    })
            })
    }

    /// Reads sets of ranges, as the runtime or the daemon gives them.
    static func decode(_ reader: Reader, subnets: [OverlayConfiguration.Subnet]) throws(DecodingError) -> [Range] {
        var ranges: [Range] = []
        for set in try reader.elements() {
            for element in try set.elements() {
                let key = try element.member("subnet")
                guard let text = try key.string(), let subnet = IPPrefix(text)?.network else {
                    throw key.error("not a network like 192.168.0.0/24")
                }
                let whole = OverlayConfiguration.Subnet(prefix: subnet, gateway: subnet.first)
                guard var range = Self.range(whole, subnet) else { throw key.error("\(subnet) is too small") }
                if let start = try element.member("rangeStart").containedAddress(subnet) { range.start = start }
                if let end = try element.member("rangeEnd").containedAddress(subnet) { range.end = end }
                guard range.start <= range.end else { throw element.error("\(range.start) is behind \(range.end)") }
                guard let network = subnets.first(where: { $0.prefix.contains(range.start) }) else {
                    throw key.error("\(subnet) is in none of the network's subnets")
                }
                range.subnet = network.prefix
                range.gateway = network.gateway
                ranges.append(range)
            }
        }
        return ranges
    }
}

extension Reader {
    fileprivate func containedAddress(_ subnet: IPPrefix) throws(DecodingError) -> IPAddress? {
        guard let text = try string(), !text.isEmpty else { return nil }
        guard let address = IPAddress(text), subnet.contains(address) else {
            throw error("\"\(text)\" is not an address of \(subnet)")
        }
        return address
    }
}
