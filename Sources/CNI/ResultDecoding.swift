public import JSON
internal import NetworkTypes

extension CNIResult {
    /// Reads a document of a version. Unknown members are ignored, absent ones are empty, `null` is an empty result.
    ///
    /// An address's negative interface index, which old plugins write, is read as none.
    /// - Throws: code 6; the message names the place.
    public init(decoding document: JSON.Value, version: SpecVersion) throws(CNIError) {
        try self.init(decoding: document, version: version, path: "")
    }

    /// Reads the result another plugin gave, or a runtime remembered: in the version it says it has, which need not be the
    /// configuration's. Where the text says one thing and its members another, the members count.
    init(decodingPrevious document: Value, version: SpecVersion, path: String) throws(CNIError) {
        let spoken: SpecVersion
        do throws(DecodingError) {
            spoken = try Self.version(of: Reader(document, path: path)) ?? version
        } catch {
            throw CNIError(CNIError.Code.decoding, error.description)
        }
        try self.init(decoding: document, version: spoken, path: path)
    }

    private static func version(of root: Reader) throws(DecodingError) -> SpecVersion? {
        // Anything but a text counts as no version.
        let text = (try? root.member("cniVersion").string()) ?? nil
        let spoken = text.flatMap(SpecVersion.init(rawValue:))
        func has(_ one: String, _ other: String) throws(DecodingError) -> Bool {
            if try root.member(one).isPresent { return true }
            return try root.member(other).isPresent
        }
        let hasLists = try has("ips", "interfaces")
        let hasFamilies = try has("ip4", "ip6")
        if hasLists == hasFamilies { return spoken }
        if hasLists { return spoken.map { $0.hasLists ? $0 : .v0_3_0 } }
        return spoken.map { $0.hasLists ? .v0_2_0 : $0 }
    }

    private init(decoding document: Value, version: SpecVersion, path: String) throws(CNIError) {
        do {
            try self.init(Reader(document, path: path), version)
        } catch {
            // Whatever is wrong in a result, it is not the configuration's author who can mend it.
            throw CNIError(CNIError.Code.decoding, error.description)
        }
    }

    private init(_ root: Reader, _ version: SpecVersion) throws(DecodingError) {
        self.init()
        dns = try DNS(root.member("dns"))
        if !version.hasLists {
            for family in ["ip4", "ip6"] {
                let member = try root.member(family)
                guard member.isPresent else { continue }
                addresses.append(
                    Address(address: try prefix(member.member("ip")), gateway: try address(member.member("gateway"))))
                for route in try member.member("routes").elements() { routes.append(try Route(route)) }
            }
            return
        }
        for element in try root.member("interfaces").elements() {
            interfaces.append(try Interface(element, version))
        }
        for element in try root.member("ips").elements() { addresses.append(try Address(element)) }
        for element in try root.member("routes").elements() { routes.append(try Route(element)) }
    }
}

extension CNIResult.Interface {
    fileprivate init(_ reader: Reader, _ version: SpecVersion) throws(DecodingError) {
        try requirePresence(reader)
        self.init(
            name: try reader.member("name").string() ?? "", mac: try text(reader.member("mac")),
            sandbox: try text(reader.member("sandbox")))
        guard version >= .v1_0_0 else { return }
        mtu = try number(reader.member("mtu"))
        socketPath = try text(reader.member("socketPath"))
        pciID = try text(reader.member("pciID"))
    }
}

extension CNIResult.Address {
    fileprivate init(_ reader: Reader) throws(DecodingError) {
        try requirePresence(reader)
        let index = try reader.member("interface").integer() ?? -1
        self.init(
            interface: index < 0 ? nil : Int(clamping: index), address: try prefix(reader.member("address")),
            gateway: try CNI.address(reader.member("gateway")))
    }
}

extension CNIResult.Route {
    fileprivate init(_ reader: Reader) throws(DecodingError) {
        try requirePresence(reader)
        self.init(
            destination: try prefix(reader.member("dst")), gateway: try address(reader.member("gw")),
            mtu: try number(reader.member("mtu")), advertisedMSS: try number(reader.member("advmss")),
            priority: try number(reader.member("priority")),
            table: try reader.member("table").integer().map { Int(clamping: $0) },
            scope: try reader.member("scope").integer().map { Int(clamping: $0) })
    }
}

extension CNIResult.DNS {
    fileprivate init(_ reader: Reader) throws(DecodingError) {
        self.init(
            nameservers: try reader.member("nameservers").strings(), domain: try text(reader.member("domain")),
            search: try reader.member("search").strings(), options: try reader.member("options").strings())
    }
}

private func requirePresence(_ reader: Reader) throws(DecodingError) {
    if !reader.isPresent { throw reader.error("must not be null", kind: .type) }
}

/// A required address with prefix length.
private func prefix(_ reader: Reader) throws(DecodingError) -> IPPrefix {
    guard let text = try reader.string() else { throw reader.error("is missing") }
    guard let prefix = IPPrefix(text) else { throw reader.error("invalid CIDR address: \(text)") }
    return prefix
}

/// An optional address; the empty text is none.
private func address(_ reader: Reader) throws(DecodingError) -> IPAddress? {
    guard let text = try reader.string(), !text.isEmpty else { return nil }
    guard let address = IPAddress(text) else { throw reader.error("invalid IP address: \(text)") }
    return address
}

private func text(_ reader: Reader) throws(DecodingError) -> String? {
    guard let text = try reader.string(), !text.isEmpty else { return nil }
    return text
}

/// A number for which zero means "not set".
private func number(_ reader: Reader) throws(DecodingError) -> Int? {
    guard let number = try reader.integer(), number != 0 else { return nil }
    return Int(clamping: number)
}

extension CNIResult.DNS {
    /// Reads the key `dns` of a configuration.
    ///
    /// - Returns: nil when no field of it is given, so that an address manager's answer stands.
    public init?(given key: Reader) throws(DecodingError) {
        let lists = [try key.member("nameservers"), try key.member("search"), try key.member("options")]
        let domain = try key.member("domain").string() ?? ""
        guard !domain.isEmpty || lists.contains(where: \.isPresent) else { return nil }
        self.init(
            nameservers: try lists[0].strings(), domain: domain.isEmpty ? nil : domain, search: try lists[1].strings(),
            options: try lists[2].strings())
    }
}
