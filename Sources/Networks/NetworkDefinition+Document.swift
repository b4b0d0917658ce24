public import JSON
internal import NetworkTypes

extension NetworkDefinition {
    /// The definition as the daemon's control socket takes it, and as `overlay-vxlan` has it in its configuration:
    /// `subnets` (each `subnet`, `gateway`, `ipRange`, `exclude`), `internal`, `mtu`, `vni`, `port`, `multicast`,
    /// `options`. What is as it is without saying is not said.
    ///
    /// - Throws: for options that mean nothing to the driver.
    public func document() throws(DefinitionFault) -> Object {
        let understood = try DriverOptions(self)
        var document = Object([("subnets", .array(subnets.map(\.document)))])
        if isInternal { document["internal"] = true }
        document["mtu"] = understood.mtu.map { .integer($0) }
        document["vni"] = understood.vni.map { .integer($0) }
        document["port"] = understood.port.map { .integer($0) }
        document["multicast"] = understood.multicast.map { .bool($0) }
        if !options.isEmpty {
            document["options"] = .object(
                Object(options.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        }
        return document
    }

    /// Reads an overlay's definition; what is not said by `options` is taken over into them.
    ///
    /// - Throws: ``JSON/DecodingError`` with the place.
    public init(name: String, overlay root: Reader) throws(JSON.DecodingError) {
        self.init(name: name, driver: .overlay)
        for element in try root.member("subnets").elements() { subnets.append(try Subnet(element)) }
        let single = try root.member("subnet")
        if subnets.isEmpty, single.isPresent { subnets = [try Subnet(root)] }
        isInternal = try root.member("internal").bool() ?? false
        for member in try root.member("options").object()?.members ?? [] {
            let place = Reader(member.value, path: "options.\(member.key)")
            options[member.key] = try place.string() ?? ""
        }
        let docker = ["mtu": "com.docker.network.driver.mtu", "vni": "com.docker.network.driver.overlay.vxlanid_list"]
        for key in ["mtu", "vni", "port"] where options[key] == nil && options[docker[key] ?? ""] == nil {
            if let number = try root.member(key).integer(), number != 0 { options[key] = String(number) }
        }
        if options["multicast"] == nil, let flag = try root.member("multicast").bool() {
            options["multicast"] = flag ? "true" : "false"
        }
        try readNames(root.member("exclude"))
    }

    /// Reads what the daemon shows of an overlay that any host has announced (`GET /v1/networks/NAME`).
    ///
    /// The options are those given when it was created, so what they mean need not be read from elsewhere.
    /// - Throws: ``JSON/DecodingError`` with the place.
    public init(inspected root: Reader) throws(JSON.DecodingError) {
        self.init(name: try root.member("Name").string() ?? "", driver: .overlay)
        isInternal = try root.member("Internal").bool() ?? false
        for config in try root.member("IPAM").member("Config").elements() {
            let place = try config.member("Subnet")
            guard let text = try place.string(), let prefix = IPPrefix(text) else {
                throw place.error("expected a subnet")
            }
            var subnet = Subnet(prefix, gateway: try config.member("Gateway").string().flatMap { IPAddress($0) })
            if let range = try config.member("IPRange").string() { subnet.range = Self.range(range) }
            for member in try config.member("AuxiliaryAddresses").object()?.members ?? [] {
                let place = Reader(member.value, path: "AuxiliaryAddresses.\(member.key)")
                guard let address = try place.string().flatMap({ IPAddress($0) }) else {
                    throw place.error("expected an address")
                }
                subnet.auxiliary[member.key] = address
            }
            subnets.append(subnet)
        }
        for member in try root.member("Options").object()?.members ?? []
        where !member.key.utf8.starts(with: "swiftlet.".utf8) {
            options[member.key] = try Reader(member.value, path: "Options.\(member.key)").string() ?? ""
        }
    }

    /// A range as a prefix, or as its first and last address.
    private static func range(_ text: String) -> IPPrefix? {
        if let prefix = IPPrefix(text) { return prefix }
        let ends = text.utf8.split(separator: UInt8(ascii: "-")).compactMap { IPAddress(String(Substring($0))) }
        guard ends.count == 2 else { return nil }
        return (0...ends[0].family.bits).lazy.compactMap { IPPrefix(ends[0], length: $0) }
            .first { $0.first == ends[0] && $0.last == ends[1] }
    }

    /// `exclude` of the whole network: the auxiliary addresses by name.
    private mutating func readNames(_ root: Reader) throws(JSON.DecodingError) {
        guard case .object(let object)? = root.value else { return }
        for member in object.members {
            let place = Reader(member.value, path: "exclude.\(member.key)")
            guard let text = try place.string(), let address = IPAddress(text),
                let index = subnets.firstIndex(where: { $0.prefix.contains(address) })
            else { throw place.error("expected an address in one of the subnets") }
            for (name, _) in subnets[index].auxiliary.filter({ $0.value == address }) {
                subnets[index].auxiliary[name] = nil
            }
            subnets[index].auxiliary[member.key] = address
        }
    }

    /// The auxiliary addresses of all subnets by name, for `overlay-vxlan`'s `exclude`; nil when there is none.
    var names: Value? {
        let all = subnets.flatMap { $0.auxiliary.map { ($0.key, Value.string($0.value.description)) } }
        return all.isEmpty ? nil : .object(Object(all.sorted { $0.0 < $1.0 }))
    }
}

extension NetworkDefinition.Subnet {
    var document: Value {
        var document = Object([("subnet", .string(prefix.description))])
        document["gateway"] = gateway.map { .string($0.description) }
        document["ipRange"] = range.map { .string($0.description) }
        if !auxiliary.isEmpty {
            document["exclude"] = .array(auxiliary.values.sorted().map { .string($0.description) })
        }
        return .object(document)
    }

    init(_ root: Reader) throws(JSON.DecodingError) {
        let place = try root.member("subnet")
        guard let text = try place.string(), let prefix = IPPrefix(text) else {
            throw place.error("expected a subnet like 192.168.0.0/24")
        }
        self.init(prefix)
        let gatewayPlace = try root.member("gateway")
        if let text = try gatewayPlace.string() {
            guard let address = IPAddress(text) else { throw gatewayPlace.error("\"\(text)\" is no address") }
            gateway = address
        }
        let rangePlace = try root.member("ipRange")
        if let text = try rangePlace.string() {
            guard let prefix = IPPrefix(text) else {
                throw rangePlace.error("\"\(text)\" is no range like 10.0.0.0/26")
            }
            range = prefix
        }
        // At the level of a subnet they have no names.
        guard case .array? = try root.member("exclude").value else { return }
        for (index, place) in try root.member("exclude").elements().enumerated() {
            guard let text = try place.string(), let address = IPAddress(text) else {
                throw place.error("expected an address")
            }
            auxiliary["excluded\(index)"] = address
        }
    }
}
