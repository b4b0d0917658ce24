/// What a replica holds of one owner.
public struct OwnerSummary: Hashable, Sendable {
    /// The owner.
    public let owner: HostID
    /// What membership says, nil when it says nothing or the owner is this host.
    public let status: PeerStatus?
    /// How many rows are held, without tombstones.
    public let rows: Int
    /// How many tombstones are held, and removed rows that must not come back.
    public let tombstones: Int
    /// The newest version seen.
    public let version: Version
    /// The sum of the digests of its rows.
    public let digest: UInt64
}

extension Replica {
    /// The rows of this host as they are to be in a journal written anew, tombstones included, by version.
    public var ownRecords: [Record] {
        (table.owners[host]?.buckets ?? []).flatMap { $0.slots.map(\.record) }.sorted { $0.version < $1.version }
    }

    /// All rows, by owner, scope and hash.
    public func rows() -> [Row] {
        table.owners.keys.sorted().flatMap { id in
            guard let owner = table.owners[id] else { return [Row]() }
            return owner.buckets.flatMap { bucket in
                bucket.slots.filter(\.isLive).map { Row(record: $0.record, isSuspended: owner.isSuspended) }
            }
        }
    }

    /// All rows of a kind, of one network or of all; by owner, then by key.
    public func rows(_ kind: RecordKind, network: NetworkID? = nil) -> [Row] {
        let scope = network.map { RecordKey(kind: kind, network: $0).scope }
        var result: [Row] = []
        for id in table.owners.keys.sorted() {
            guard let owner = table.owners[id] else { continue }
            var found: [Row] = []
            for bucket in owner.buckets where scope == nil || bucket.scope == scope {
                for slot in bucket.slots where slot.record.kind == kind && slot.isLive {
                    guard network == nil || slot.record.network == network else { continue }
                    found.append(Row(record: slot.record, isSuspended: owner.isSuspended))
                }
            }
            result += found.sorted { left, right in
                left.record.network == right.record.network
                    ? left.record.key.key.lexicographicallyPrecedes(right.record.key.key)
                    : left.record.network < right.record.network
            }
        }
        return result
    }

    /// The row of an owner under a key.
    public func row(_ key: RecordKey, owner: HostID) -> Row? {
        guard let slot = table[owner, key.scope, key.hash64], slot.record.key == key, slot.isLive else {
            return nil
        }
        return Row(record: slot.record, isSuspended: table.owners[owner]?.isSuspended ?? false)
    }

    /// What is held of every owner, by host id.
    public var owners: [OwnerSummary] {
        table.owners.keys.sorted().compactMap { id in
            table.owners[id].map { owner in
                let live = owner.buckets.reduce(0) { $0 + $1.live }
                return OwnerSummary(
                    owner: id, status: peers[id]?.status, rows: live, tombstones: owner.count - live,
                    version: owner.highest, digest: owner.buckets.reduce(0) { $0 &+ $1.digest })
            }
        }
    }

    /// The digest of all rows of a network, or of those that go to all hosts for `NetworkID.none`: equal on two hosts
    /// when they hold the same.
    public func digest(of network: NetworkID) -> UInt64 { table.digest(of: network) }
}
