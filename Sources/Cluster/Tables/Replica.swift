/// One host's copy of the replicated tables, as a value without clock, sockets or threads.
///
/// Every input is a `ReplicaEvent` with the time and a source of randomness; every output is a `ReplicaDirective`, also
/// the next time it wants to be woken. The rows of this host are changed by events alone; the rows of others come in
/// messages, each signed by its owner.
public struct Replica: Sendable {
    /// The first byte of every body that a replica sends or takes. Other protocols of the same port begin with another.
    public static let protocolByte: UInt8 = 0x01

    /// This host: what the authority's public key says.
    public let host: HostID
    /// The timings and limits.
    public let settings: ReplicaSettings

    /// Makes the copy of a host that has just started. `incarnation` is on disk and above every one used before; `rows`
    /// are this host's own rows from its journal, tombstones included.
    public init(
        incarnation: UInt64, authority: any RecordAuthority, settings: ReplicaSettings = ReplicaSettings(),
        rows: [Record] = [], now: Nanoseconds, random: inout some RandomNumberGenerator
    ) {
        host = authority.hostID(of: authority.publicKey)
        self.settings = settings
    }

    /// Takes in one event and says what is to be done. Time never goes back between calls.
    public mutating func handle(
        _ event: ReplicaEvent, now: Nanoseconds, random: inout some RandomNumberGenerator
    ) -> [ReplicaDirective] {
        []
    }

    /// When it wants to be woken next.
    public var nextDeadline: Nanoseconds? { nil }

    /// The version of this host's last change.
    public var version: Version { .zero }

    /// The rows of this host as they are to be in a journal written anew, tombstones included, by version.
    public var ownRecords: [Record] { [] }

    /// All rows of a kind, of one network or of all; by owner, then by key.
    public func rows(_ kind: RecordKind, network: NetworkID? = nil) -> [Row] { [] }

    /// The row of an owner under a key.
    public func row(_ key: RecordKey, owner: HostID) -> Row? { nil }

    /// The live hosts that get the records of a network, or all live hosts for `NetworkID.none`; this one excluded.
    public func concerned(in network: NetworkID) -> [HostID] { [] }

    /// What is held of every owner, by host id.
    public var owners: [OwnerSummary] { [] }

    /// The digest of all rows of a network, or of those that go to all hosts for `NetworkID.none`: equal on two hosts
    /// when they hold the same.
    public func digest(of network: NetworkID) -> UInt64 { 0 }

    /// How often something happened.
    public func count(of counter: ReplicaCounter) -> UInt64 { 0 }
}

/// What a replica holds of one owner.
public struct OwnerSummary: Hashable, Sendable {
    /// The owner.
    public let owner: HostID
    /// What membership says, nil when it says nothing.
    public let status: PeerStatus?
    /// How many rows are held, without tombstones.
    public let rows: Int
    /// How many tombstones are held.
    public let tombstones: Int
    /// The newest version seen.
    public let version: Version
    /// The digest of the rows.
    public let digest: UInt64
}
