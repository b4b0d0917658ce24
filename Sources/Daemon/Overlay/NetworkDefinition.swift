internal import Cluster
internal import JSON
internal import NetworkTypes
internal import Overlay

/// A network as a plugin or an operator describes it: what all hosts must agree on, and what is this host's alone.
struct NetworkDefinition: Equatable, Sendable {
    /// What all hosts must agree on; its digest is set.
    let row: NetworkRow
    /// The interface of the underlay, on this host; nil for the one that has the VTEP's address.
    let interface: String?
    /// The VTEP address of this host; nil for the daemon's.
    let vtep: IPAddress?
    /// Where the `ipam` delegate keeps its files.
    let dataDirectory: String?

    /// Options of the row that are ours.
    enum Option {
        static let excluded = "swiftlet.exclude"
        static let seeds = "swiftlet.seeds"
        static let multicast = "swiftlet.multicast"
    }

    /// Reads a definition; `docs/overlay.md` lists its keys. Others are the plugin's, and are passed over.
    init(_ reader: Reader, identity: NetworkIdentity) throws(DecodingError) {
        var subnets: [NetworkRow.Subnet] = []
        var excluded: [IPAddress] = []
        for element in try Self.subnets(reader) { subnets.append(try Self.subnet(element, &excluded)) }
        guard !subnets.isEmpty else { throw reader.error("subnet: a network needs one at least") }
        guard subnets.count <= NetworkRow.listLimit else { throw reader.error("subnets: at most 16") }
        for (index, one) in subnets.enumerated() {
            for other in subnets[..<index] where one.prefix.overlaps(other.prefix) {
                throw reader.error("subnets: \(one.prefix) and \(other.prefix) overlap")
            }
        }
        func number(_ key: String, _ range: ClosedRange<Int64>) throws(DecodingError) -> Int64? {
            guard let number = try reader.member(key).integer() else { return nil }
            // Zero is automatic; but a VNI of zero looks like one, which VXLAN allows.
            if number == 0, key != "vni" { return nil }
            guard range.contains(number) else {
                let automatic = key == "vni" ? "; leave it out to have it derived" : " (0 is automatic)"
                throw try reader.member(key).error(
                    "must be between \(range.lowerBound) and \(range.upperBound), not \(number)\(automatic)")
            }
            return number
        }
        var options: [String: String] = [:]
        for member in try reader.member("options").object()?.members ?? [] {
            let value = Reader(member.value, path: "options.\(member.key)")
            guard let text = try value.string() else { throw value.error("expected a string") }
            options[member.key] = text
        }
        if !excluded.isEmpty {
            options[Option.excluded] = Set(excluded).sorted().map(\.description).joined(separator: ",")
        }
        let seeds = try reader.member("seeds").strings()
        if !seeds.isEmpty { options[Option.seeds] = Set(seeds).sorted().joined(separator: ",") }
        if try reader.member("multicast").bool() == true { options[Option.multicast] = "true" }
        guard options.count <= NetworkRow.listLimit else { throw reader.error("options: at most 16") }
        let vni = try number("vni", 1...0xFF_FFFF).map { UInt32(clamping: $0) } ?? identity.derivedVNI
        let mtu = try number("mtu", 576...65535).map { UInt32(clamping: $0) } ?? 0
        if mtu > 0, mtu < 1280, let six = subnets.first(where: { $0.prefix.family == .ipv6 }) {
            throw try reader.member("mtu").error("IPv6, as in \(six.prefix), needs 1280 at least, not \(mtu)")
        }
        var row = NetworkRow(
            subnets: subnets, vni: vni,
            port: try number("port", 1...65535).map { UInt16(clamping: $0) } ?? OverlaySegment.usualPort,
            mtu: mtu,
            isInternal: try reader.member("internal").bool() ?? false, options: options)
        row.digest = Array(SHA512.digest(row.encoded).prefix(32))
        guard row.encoded.count <= Record.valueLimit else {
            throw reader.error("the definition has more than \(Record.valueLimit) bytes")
        }
        self.row = row
        interface = try reader.member("interface").string()
        vtep = try Self.address(try reader.member("vtep"))
        dataDirectory = try reader.member("dataDir").string()
    }

    private static func subnets(_ reader: Reader) throws(DecodingError) -> [Reader] {
        if try reader.member("subnet").string() != nil { return [reader] }
        return try reader.member("subnets").elements()
    }

    /// One subnet: a text, or an object with `subnet`, `gateway`, `ipRange` and `exclude`.
    private static func subnet(
        _ reader: Reader, _ excluded: inout [IPAddress]
    ) throws(DecodingError) -> NetworkRow.Subnet {
        let isText = if case .string? = reader.value { true } else { false }
        let place = isText ? reader : try reader.member("subnet")
        guard let text = try place.string(), let given = IPPrefix(text) else {
            throw place.error("expected a subnet like 192.168.0.0/24")
        }
        let prefix = given.network
        guard prefix == given else { throw place.error("\(text) has host bits set; the subnet is \(prefix)") }
        if isText { return NetworkRow.Subnet(prefix: prefix, gateway: usualGateway(prefix)) }
        let gateway = try address(try reader.member("gateway"))
        if let gateway, !prefix.contains(gateway) {
            throw try reader.member("gateway").error("\(gateway) is not in \(prefix)")
        }
        var range: ClosedRange<IPAddress>?
        if let text = try reader.member("ipRange").string() {
            guard let part = IPPrefix(text)?.network, part.length >= prefix.length, prefix.contains(part.first) else {
                throw try reader.member("ipRange").error("'\(text)' is not a part of \(prefix)")
            }
            range = part.first...part.last
        }
        for element in try reader.member("exclude").elements() {
            guard let out = try address(element) else { throw element.error("expected an address") }
            guard prefix.contains(out) else { throw element.error("\(out) is not in \(prefix)") }
            excluded.append(out)
        }
        return NetworkRow.Subnet(prefix: prefix, gateway: gateway ?? usualGateway(prefix), range: range)
    }

    /// The subnet's first address, as Docker chooses it; nil when there is none to spare.
    private static func usualGateway(_ prefix: IPPrefix) -> IPAddress? {
        guard prefix.length <= prefix.family.bits - 2 else { return nil }
        return IPAddress(family: prefix.family, number: prefix.first.number + 1)
    }

    private static func address(_ reader: Reader) throws(DecodingError) -> IPAddress? {
        guard let text = try reader.string() else { return nil }
        guard let address = IPAddress(text) else { throw reader.error("'\(text)' is not an address") }
        return address
    }
}

extension NetworkRow {
    /// Addresses that are never handed out.
    var excluded: [IPAddress] { list(NetworkDefinition.Option.excluded).compactMap { IPAddress($0) } }

    /// The hosts that share the blocks from the beginning; nil when the definition names none.
    var seeds: [String]? {
        let names = list(NetworkDefinition.Option.seeds)
        return names.isEmpty ? nil : names.map(String.init)
    }

    /// Whether what goes to many is sent to every member.
    var floods: Bool { options[NetworkDefinition.Option.multicast] == "true" }

    private func list(_ option: String) -> [Substring] { (options[option] ?? "").split(separator: ",") }

    /// How its subnets are cut into blocks.
    func layouts() throws(BlockLayout.Fault) -> [BlockLayout] {
        let excluded = excluded
        var layouts: [BlockLayout] = []
        for subnet in subnets {
            layouts.append(
                try BlockLayout(
                    subnet: subnet.prefix, ipRange: subnet.rangePrefix, gateway: subnet.gateway,
                    excluded: excluded.filter { subnet.prefix.contains($0) }))
        }
        return layouts
    }

    /// The gateways with their subnets' lengths, as br0 has them.
    var gateways: [IPPrefix] {
        subnets.compactMap { subnet in subnet.gateway.flatMap { IPPrefix($0, length: subnet.prefix.length) } }
    }

    /// The subnet an address is in.
    func subnetIndex(of address: IPAddress) -> Int? { subnets.firstIndex { $0.prefix.contains(address) } }
}

extension NetworkRow.Subnet {
    /// The range as the prefix that it was written as.
    var rangePrefix: IPPrefix? {
        guard let range else { return nil }
        return (prefix.length...prefix.family.bits).lazy.compactMap { IPPrefix(range.lowerBound, length: $0) }
            .first { $0.first == range.lowerBound && $0.last == range.upperBound }
    }
}

extension NetworkRow {
    /// The options as they were given, without those that are ours.
    var givenOptions: Value {
        .object(
            Object(
                options.filter { !$0.key.hasPrefix("swiftlet.") }.sorted { $0.key < $1.key }.map {
                    ($0.key, .string($0.value))
                }))
    }

    /// The definition in the form in which it is read: what another host must give for the same network.
    var definition: Value {
        let excluded = excluded
        let subnets = subnets.map { subnet in
            var object = Object([("subnet", .string("\(subnet.prefix)"))])
            if let gateway = subnet.gateway { object["gateway"] = .string("\(gateway)") }
            if let range = subnet.rangePrefix { object["ipRange"] = .string("\(range)") }
            let own = excluded.filter { subnet.prefix.contains($0) }
            if !own.isEmpty { object["exclude"] = .array(own.map { .string("\($0)") }) }
            return Value.object(object)
        }
        var object = Object([
            ("subnets", .array(subnets)), ("vni", .integer(Int64(vni))), ("port", .integer(Int64(port))),
        ])
        if mtu > 0 { object["mtu"] = .integer(Int64(mtu)) }
        if isInternal { object["internal"] = true }
        if floods { object["multicast"] = true }
        if let seeds { object["seeds"] = .array(seeds.map { .string($0) }) }
        if case .object(let given) = givenOptions, !given.members.isEmpty { object["options"] = .object(given) }
        return .object(object)
    }
}
