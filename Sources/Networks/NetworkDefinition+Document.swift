public import JSON
internal import NetworkTypes

extension NetworkDefinition {
    /// The definition as the daemon's control socket takes it, and as `overlay-vxlan` has it in its configuration:
    /// `subnets` (each `subnet`, `gateway`, `ipRange`, `exclude`), `internal`, `mtu`, `vni`, `port`, `multicast`,
    /// `seeds`, `options`. What is as it is without saying is not said.
    ///
    /// - Throws: for options that mean nothing to the driver.
    public func document() throws(DefinitionFault) -> Object {
        let understood = try DriverOptions(self)
        var document = Object([("subnets", .array(subnets.map(\.document)))])
        if isInternal { document["internal"] = true }
        document["mtu"] = (understood.mtu ?? mtu).map { .integer($0) }
        document["vni"] = (understood.vni ?? vni).map { .integer($0) }
        document["port"] = (understood.port ?? port).map { .integer($0) }
        document["multicast"] = (understood.multicast ?? multicast).map { .bool($0) }
        if !seeds.isEmpty { document["seeds"] = .array(seeds.map { .string($0) }) }
        if !options.isEmpty {
            document["options"] = .object(
                Object(options.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        }
        return document
    }

    /// Reads an overlay's definition.
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
        let understood: DriverOptions
        do throws(DefinitionFault) {
            understood = try DriverOptions(self)
        } catch {
            throw try root.member("options").error(error.description)
        }
        if understood.mtu == nil { mtu = try Self.number(root.member("mtu"), DriverOptions.mtus) }
        if understood.vni == nil {
            vni = try Self.number(root.member("vni"), 1...0xFF_FFFF, zero: "leave it out to have it derived")
        }
        if understood.port == nil { port = try Self.number(root.member("port"), 1...65535) }
        if understood.multicast == nil { multicast = try root.member("multicast").bool() }
        seeds = try root.member("seeds").strings()
        try readNames(root.member("exclude"))
    }

    /// Reads what the daemon shows of an overlay that any host has announced (`GET /v1/networks/NAME`).
    ///
    /// - Throws: ``JSON/DecodingError`` with the place.
    public init(inspected root: Reader) throws(JSON.DecodingError) {
        let definition = try root.member("Definition")
        guard definition.isPresent else { throw definition.error("missing; use a swiftletd of this version") }
        try self.init(name: try root.member("Name").string() ?? "", overlay: definition)
    }

    /// Zero is automatic, as leaving it out is, unless `zero` says what to do instead.
    private static func number(
        _ place: Reader, _ range: ClosedRange<Int64>, zero: String? = nil
    ) throws(JSON.DecodingError) -> Int64? {
        guard let number = try place.integer(), number != 0 || zero != nil else { return nil }
        guard range.contains(number) else {
            let remedy = number == 0 ? zero.map { "; \($0)" } ?? "" : ""
            throw place.error("must be between \(range.lowerBound) and \(range.upperBound), not \(number)\(remedy)")
        }
        return number
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
