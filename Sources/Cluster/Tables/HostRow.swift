public import NetworkTypes

/// What a host says about itself.
public struct HostRow: Hashable, Sendable {
    /// Its Ed25519 public key, 32 bytes; the host id is derived from it.
    public var publicKey: [UInt8]
    /// The addresses at which it can receive VXLAN, at most 8.
    public var addresses: [IPAddress]
    /// The MTU of its underlay, bytes; 0 when it is not known.
    public var underlayMTU: UInt32
    /// The version of the suite it runs.
    public var suiteVersion: String
    /// Its name, for people; at most 255 bytes.
    public var nodeName: String
    /// Whether it takes its leave by a signed word: membership's word alone, which nobody has signed, then ends nothing.
    public var signsFarewell: Bool
    /// Whether it signs what its block allocators say: unsigned words in its name are somebody else's.
    public var signsBlocks: Bool

    /// Makes a row.
    public init(
        publicKey: [UInt8], addresses: [IPAddress] = [], underlayMTU: UInt32 = 0, suiteVersion: String = "",
        nodeName: String = "", signsFarewell: Bool = false, signsBlocks: Bool = false
    ) {
        self.publicKey = publicKey
        self.addresses = addresses
        self.underlayMTU = underlayMTU
        self.suiteVersion = suiteVersion
        self.nodeName = nodeName
        self.signsFarewell = signsFarewell
        self.signsBlocks = signsBlocks
    }

    /// The value of the record.
    public var encoded: [UInt8] {
        var fields = FieldWriter()
        fields.add(1, publicKey)
        for address in addresses.prefix(8) { fields.add(2, address) }
        if underlayMTU != 0 { fields.add(3, number: UInt64(underlayMTU)) }
        if !suiteVersion.isEmpty { fields.add(4, suiteVersion) }
        if !nodeName.isEmpty { fields.add(5, nodeName) }
        if signsBlocks { fields.add(6, number: 1) }
        if signsFarewell { fields.add(7, number: 1) }
        return fields.bytes
    }

    /// Reads a record's value; nil when it is damaged or has no public key.
    public init?(decoding bytes: some Sequence<UInt8>) {
        self.init(publicKey: [])
        var reader = FieldReader(bytes)
        while let field = reader.next() {
            switch field.tag {
            case 1: publicKey = Array(field.content)
            case 2:
                guard let address = field.address, addresses.count < 8 else { return nil }
                addresses.append(address)
            case 3:
                guard let number = field.number(upTo: UInt64(UInt32.max)) else { return nil }
                underlayMTU = UInt32(number)
            case 4:
                guard let text = field.text() else { return nil }
                suiteVersion = text
            case 5:
                guard let text = field.text() else { return nil }
                nodeName = text
            case 6: signsBlocks = field.number(upTo: 1) == 1
            case 7:
                guard let number = field.number() else { return nil }
                signsFarewell = number != 0
            default: break
            }
        }
        guard !reader.isBroken, publicKey.count == 32 else { return nil }
    }
}
