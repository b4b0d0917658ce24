/// What a record is found by among those of one owner.
public struct RecordKey: Hashable, Sendable {
    /// The most bytes of `key`.
    public static let limit = 255

    /// What the record is about.
    public let kind: RecordKind
    /// The network it belongs to; `NetworkID.none` for a host's own record.
    public let network: NetworkID
    /// The key within kind and network, at most 255 bytes.
    public let key: [UInt8]

    /// Makes a key.
    public init(kind: RecordKind, network: NetworkID = .none, key: [UInt8] = []) {
        self.kind = kind
        self.network = network
        self.key = key
    }

    /// The key of the record of the host itself.
    public static let host = RecordKey(kind: .host)

    /// The key of this host's membership in a network.
    public static func member(of network: NetworkID) -> RecordKey { RecordKey(kind: .member, network: network) }

    /// The part of the table in which the record is compared and sent: the network whose members get it, or
    /// `NetworkID.none` when all hosts do.
    public var scope: NetworkID { kind.goesToAll ? .none : network }
}
