public import NetworkTypes

/// A container's interface on a network.
public struct EndpointRow: Hashable, Sendable {
    /// The most addresses, names or aliases of one endpoint.
    public static let listLimit = 16

    /// Its addresses with the prefix lengths of their subnets, at most 16.
    public var addresses: [IPPrefix]
    /// Its MAC address.
    public var mac: MACAddress
    /// The container's id; at most 255 bytes, as all texts here.
    public var containerID: String
    /// The interface's name in the container.
    public var interface: String
    /// Names of the container, at most 16.
    public var names: [String]
    /// Further names within the network, at most 16.
    public var aliases: [String]
    /// One more than any claim of these addresses that the owner had seen.
    public var claim: UInt64

    /// Makes a row.
    public init(
        addresses: [IPPrefix], mac: MACAddress, containerID: String = "", interface: String = "", names: [String] = [],
        aliases: [String] = [], claim: UInt64 = 0
    ) {
        self.addresses = addresses
        self.mac = mac
        self.containerID = containerID
        self.interface = interface
        self.names = names
        self.aliases = aliases
        self.claim = claim
    }

    /// The value of the record.
    public var encoded: [UInt8] {
        var fields = FieldWriter()
        for address in addresses.prefix(Self.listLimit) { fields.add(1, address) }
        fields.add(2, mac.bytes)
        if !containerID.isEmpty { fields.add(3, containerID) }
        if !interface.isEmpty { fields.add(4, interface) }
        for name in names.prefix(Self.listLimit) { fields.add(5, name) }
        for alias in aliases.prefix(Self.listLimit) { fields.add(6, alias) }
        if claim != 0 { fields.add(7, number: claim) }
        return fields.bytes
    }

    /// Reads a record's value; nil when it is damaged or has no MAC address.
    public init?(decoding bytes: some Sequence<UInt8>) {
        self.init(addresses: [], mac: .zero)
        var hasMAC = false
        var reader = FieldReader(bytes)
        while let field = reader.next() {
            switch field.tag {
            case 1:
                guard let prefix = field.prefix, addresses.count < Self.listLimit else { return nil }
                addresses.append(prefix)
            case 2:
                guard let address = MACAddress(bytes: field.content), address.isUnicast else { return nil }
                mac = address
                hasMAC = true
            case 3, 4:
                guard let text = field.text() else { return nil }
                if field.tag == 3 { containerID = text } else { interface = text }
            case 5:
                guard let text = field.text(), names.count < Self.listLimit else { return nil }
                names.append(text)
            case 6:
                guard let text = field.text(), aliases.count < Self.listLimit else { return nil }
                aliases.append(text)
            case 7:
                guard let number = field.number() else { return nil }
                claim = number
            default: break
            }
        }
        guard !reader.isBroken, hasMAC else { return nil }
    }
}
