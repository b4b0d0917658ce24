internal import JSON
internal import NetworkTypes
internal import Overlay

/// What this host alone knows of an endpoint of its own; the journal has it beside the endpoint's row.
struct LocalEndpoint: Equatable, Sendable {
    /// The endpoint's id, 64 hexadecimal digits.
    let id: String
    let network: String
    let containerID: String
    let interface: String
    /// The name of the host's end in the overlay namespace; nil when the plugin did not say.
    let link: String?
    var addresses: [IPAddress]

    init(
        identity: NetworkIdentity, containerID: String, interface: String, link: String?, addresses: [IPAddress]
    ) {
        id = identity.endpointIdentifier(containerID: containerID, interfaceName: interface)
        network = identity.name
        self.containerID = containerID
        self.interface = interface
        self.link = link
        self.addresses = addresses
    }

    /// The journal's entry: JSON.
    var journaled: [UInt8] {
        var object = Object([
            ("version", .integer(DocumentVersion.current)), ("network", .string(network)),
            ("containerID", .string(containerID)), ("ifname", .string(interface)),
            ("addresses", .array(addresses.map { .string("\($0)") })),
        ])
        if let link { object["link"] = .string(link) }
        return Array(Value.object(object).text().utf8)
    }

    init?(id: String, journaled bytes: [UInt8]) {
        guard let value = try? Value(parsing: bytes) else { return nil }
        let reader = Reader(value)
        guard DocumentVersion.isKnown(reader) else { return nil }
        guard let network = try? reader.member("network").string(),
            let containerID = try? reader.member("containerID").string(),
            let interface = try? reader.member("ifname").string()
        else { return nil }
        self.id = id
        self.network = network
        self.containerID = containerID
        self.interface = interface
        link = (try? reader.member("link").string()) ?? nil
        addresses = ((try? reader.member("addresses").strings()) ?? []).compactMap { IPAddress($0) }
    }
}
