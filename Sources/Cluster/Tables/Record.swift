/// One row of the tables: a value under a key, which only its owner may change, with the owner's signature.
///
/// A tombstone says that the owner removed the row; its value is empty. Records are immutable and cheap to copy.
public struct Record: Sendable {
    /// The most bytes of a value.
    public static let valueLimit = 1024

    final class Storage: Sendable {
        let key: RecordKey
        let owner: HostID
        let version: Version
        let isTombstone: Bool
        let value: [UInt8]
        let signature: [UInt8]

        init(
            key: RecordKey, owner: HostID, version: Version, isTombstone: Bool, value: [UInt8], signature: [UInt8]
        ) {
            self.key = key
            self.owner = owner
            self.version = version
            self.isTombstone = isTombstone
            self.value = value
            self.signature = signature
        }
    }

    let storage: Storage

    init(key: RecordKey, owner: HostID, version: Version, isTombstone: Bool, value: [UInt8], signature: [UInt8]) {
        storage = Storage(
            key: key, owner: owner, version: version, isTombstone: isTombstone, value: value, signature: signature)
    }

    /// Kind, network and key.
    public var key: RecordKey { storage.key }
    /// What it is about.
    public var kind: RecordKind { storage.key.kind }
    /// The network it belongs to.
    public var network: NetworkID { storage.key.network }
    /// The one host that may change it.
    public var owner: HostID { storage.owner }
    /// Which change of the owner it is.
    public var version: Version { storage.version }
    /// Whether it says that the row was removed.
    public var isTombstone: Bool { storage.isTombstone }
    /// The value: tagged fields, see `HostRow` and the others; at most 1024 bytes.
    public var value: [UInt8] { storage.value }
    /// The owner's signature over all of it.
    public var signature: [UInt8] { storage.signature }
}

extension Record: Hashable {
    /// Whether all parts are equal, the signature too.
    public static func == (left: Self, right: Self) -> Bool {
        left.storage === right.storage
            || left.owner == right.owner && left.version == right.version && left.key == right.key
                && left.isTombstone == right.isTombstone && left.value == right.value
                && left.signature == right.signature
    }

    /// Owner, version and key; two records of the same are equal in all but attacks.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(owner)
        hasher.combine(version)
        hasher.combine(key)
    }
}
