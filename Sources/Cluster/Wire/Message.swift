internal import StateMachine

/// The messages of the tables. A body is `Replica.protocolByte` and any number of messages: type (1 byte), length (4 bytes)
/// and content. Types that are not known are skipped, and so is what follows the content that is known.
enum MessageType: UInt8 {
    case rows = 1
    case ack = 2
    case summary = 3
    case offer = 4
    case owners = 5
    case versions = 6
    case census = 7
    case want = 8
    case done = 9
    case refused = 10
}

/// A row's name, version and content in short.
struct RowVersion: Hashable, Sendable {
    var hash: UInt64
    var version: Version
    /// Differs between two rows that an owner made under one version after its disk was restored.
    var tag: UInt32 = 0

    /// Bytes on the wire.
    static let size = 28
}

extension RowVersion {
    init(_ slot: Slot) { self.init(hash: slot.hash, version: slot.record.version, tag: slot.record.tag) }
}

/// A part of an owner's rows within one scope: those whose hash is within `low...high`.
struct BucketRange: Hashable, Sendable {
    var owner: HostID
    var scope: NetworkID
    var low: UInt64
    var high: UInt64

    func contains(_ hash: UInt64) -> Bool { low <= hash && hash <= high }
}

/// What is said about one scope of one owner, or about one scope of all.
struct ScopeDigest: Hashable, Sendable {
    var scope: NetworkID
    var digest: UInt64
    var count: UInt32

    static let size = 44
}

enum Message: Hashable, Sendable {
    /// Records of one owner with the key that proves them; `life` of tombstones in seconds.
    struct Rows: Hashable, Sendable {
        struct Item: Hashable, Sendable {
            var record: Record
            var life: UInt32
        }
        var publicKey: [UInt8]
        var items: [Item]
    }

    /// What the owner has in each scope at a version, signed: true for ever, whoever passes it on.
    struct Summary: Hashable, Sendable {
        var publicKey: [UInt8]
        var asOf: Version
        var scopes: [ScopeDigest]
        var signature: [UInt8]
    }

    /// The rows the owner has in a range at a version, signed: others of at most that version do not exist any more.
    struct Census: Hashable, Sendable {
        var publicKey: [UInt8]
        var range: BucketRange
        var asOf: Version
        var rows: [RowVersion]
        var signature: [UInt8]
    }

    struct OwnerDigest: Hashable, Sendable {
        var owner: HostID
        var digest: UInt64
        var count: UInt32
        static let size = 28
    }

    /// What the sender has of the owners within `first...last`; it has nothing of those not named.
    struct Owners: Hashable, Sendable {
        var scope: NetworkID
        var first: HostID
        var last: HostID
        var owners: [OwnerDigest]
    }

    struct VersionList: Hashable, Sendable {
        var range: BucketRange
        var rows: [RowVersion]
        static let size = 66
    }

    struct Want: Hashable, Sendable {
        var range: BucketRange
        var hashes: [UInt64]
        static let size = 66
    }

    case rows(wantsAck: Bool, [Rows])
    case ack([RowVersion])
    case summary(wantsAck: Bool, Summary)
    case offer([ScopeDigest])
    case owners(Owners)
    /// What the sender has; it is answered with what is newer, with a wish for what is older or missing, and `done`.
    case versions(id: UInt64, [VersionList])
    case census(Census)
    case want([Want])
    case done(id: UInt64)
    /// Rows of the receiver that the sender takes for removed.
    case refused([RowVersion])
}

extension Message.Summary {
    /// What the owner signs.
    func signedBytes(owner: HostID) -> [UInt8] {
        var writer = ByteWriter(capacity: 64 + scopes.count * ScopeDigest.size)
        writer.raw("swiftlet summary 1\0".utf8)
        writer.host(owner)
        writeParts(to: &writer)
        return writer.bytes
    }

    func writeParts(to writer: inout ByteWriter) {
        writer.version(asOf)
        writer.scopes(scopes)
    }
}

extension Message.Census {
    /// What the owner signs.
    var signedBytes: [UInt8] {
        var writer = ByteWriter(capacity: 128 + rows.count * RowVersion.size)
        writer.raw("swiftlet census 1\0".utf8)
        writeParts(to: &writer)
        return writer.bytes
    }

    func writeParts(to writer: inout ByteWriter) {
        writer.range(range)
        writer.version(asOf)
        writer.versions(rows)
    }
}

extension ByteWriter {
    mutating func scopes(_ scopes: [ScopeDigest]) {
        short(scopes.count)
        for scope in scopes {
            network(scope.scope)
            long(scope.digest)
            word(scope.count)
        }
    }

    mutating func versions(_ rows: [RowVersion]) {
        short(rows.count)
        for row in rows {
            long(row.hash)
            version(row.version)
            word(row.tag)
        }
    }

    mutating func range(_ range: BucketRange) {
        host(range.owner)
        network(range.scope)
        long(range.low)
        long(range.high)
    }
}
