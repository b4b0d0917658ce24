/// What a record is about. Kinds that are not known are carried like the known ones.
public struct RecordKind: Hashable, Sendable {
    /// The number on the wire.
    public let rawValue: UInt8

    /// Takes the number on the wire.
    public init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// A host: `HostRow`. Its network is `NetworkID.none` and its key is empty.
    public static let host = RecordKind(rawValue: 1)
    /// The definition of a network as this host has it: `NetworkRow`. The key is the network's name.
    public static let network = RecordKind(rawValue: 2)
    /// A host that is on a network: `MemberRow`. The key is empty.
    public static let member = RecordKind(rawValue: 3)
    /// A container's interface on a network: `EndpointRow`. The key is the endpoint id.
    public static let endpoint = RecordKind(rawValue: 4)
    /// A block of addresses; the value is the block ring's.
    public static let block = RecordKind(rawValue: 5)
    /// An address that another host uses: `LoanRow`. The key is the address.
    public static let loan = RecordKind(rawValue: 6)

    /// Whether every host gets records of this kind, and not only the members of their network.
    public var goesToAll: Bool { (1...3).contains(rawValue) }
}

extension RecordKind: CustomStringConvertible {
    /// The name of a known kind, `kind 9` for others.
    public var description: String {
        switch self {
        case .host: "host"
        case .network: "network"
        case .member: "member"
        case .endpoint: "endpoint"
        case .block: "block"
        case .loan: "loan"
        default: "kind \(rawValue)"
        }
    }
}
