/// All rows, by owner, scope and hash, with the digests by which they are compared.
struct Table: Sendable {
    private(set) var owners: [HostID: Owner] = [:]
    /// The sum of the digests of a scope's buckets.
    private var totals: [NetworkID: UInt64] = [:]

    subscript(owner: HostID, scope: NetworkID, hash: UInt64) -> Slot? { owners[owner]?[scope]?[hash] }

    func floor(_ owner: HostID, _ scope: NetworkID) -> Version { owners[owner]?[scope]?.floor ?? .zero }

    func digest(of scope: NetworkID) -> UInt64 { totals[scope] ?? 0 }

    func digest(_ owner: HostID, _ scope: NetworkID) -> (digest: UInt64, count: Int) {
        owners[owner]?[scope].map { ($0.digest, $0.active) } ?? (0, 0)
    }

    func slots(in range: BucketRange) -> ArraySlice<Slot> {
        owners[range.owner]?[range.scope]?.range(range.low, range.high) ?? []
    }

    /// The owners that have rows within a scope, by id.
    func owners(in scope: NetworkID) -> [Message.OwnerDigest] {
        var result: [Message.OwnerDigest] = []
        for (id, owner) in owners {
            guard let bucket = owner[scope], bucket.active > 0 else { continue }
            result.append(
                Message.OwnerDigest(owner: id, digest: bucket.digest, count: UInt32(clamping: bucket.active)))
        }
        return result.sorted { $0.owner < $1.owner }
    }

    /// The scopes in which an owner has rows.
    func scopes(of id: HostID) -> [ScopeDigest] {
        (owners[id]?.buckets ?? []).filter { $0.active > 0 }.map {
            ScopeDigest(scope: $0.scope, digest: $0.digest, count: UInt32(clamping: $0.active))
        }
    }

    mutating func add(_ id: HostID, publicKey: [UInt8], isSuspended: Bool) {
        guard owners[id] == nil else { return }
        owners[id] = Owner(publicKey: publicKey, isSuspended: isSuspended)
    }

    /// Notes whether the owner is alive; nil when that is known or nothing is held, otherwise the number of the era.
    mutating func suspend(_ id: HostID, _ isSuspended: Bool) -> UInt64? {
        guard let held = owners[id], held.isSuspended != isSuspended else { return nil }
        owners[id]?.isSuspended = isSuspended
        owners[id]?.era &+= 1
        return held.era &+ 1
    }

    mutating func note(_ version: Version, of id: HostID) {
        guard let highest = owners[id]?.highest, highest < version else { return }
        owners[id]?.highest = version
    }

    mutating func keep(_ summary: Message.Summary, of id: HostID) {
        if let word = owners[id]?.word, word.asOf >= summary.asOf { return }
        owners[id]?.word = summary
    }

    /// Puts a row in its place and gives the one that was there. The owner must have been added.
    @discardableResult
    mutating func set(_ slot: Slot, owner id: HostID, scope: NetworkID) -> Slot? {
        guard let place = owners[id]?.make(scope), let before = owners[id]?.buckets[place].digest else { return nil }
        let old = owners[id]?.buckets[place].set(slot) ?? nil
        account(
            id, scope, before: before, added: old == nil ? 1 : 0,
            live: (slot.isLive ? 1 : 0) - (old?.isLive == true ? 1 : 0))
        return old
    }

    @discardableResult
    mutating func remove(_ hash: UInt64, owner id: HostID, scope: NetworkID) -> Slot? {
        guard let place = owners[id]?.make(scope), let before = owners[id]?.buckets[place].digest else { return nil }
        let old = owners[id]?.buckets[place].remove(hash) ?? nil
        account(id, scope, before: before, added: old == nil ? 0 : -1, live: old?.isLive == true ? -1 : 0)
        return old
    }

    private mutating func account(_ id: HostID, _ scope: NetworkID, before: UInt64, added: Int, live: Int) {
        guard let after = owners[id]?[scope]?.digest else { return }
        totals[scope, default: 0] &+= after &- before
        owners[id]?.count += added
        owners[id]?.live += live
    }

    /// The scope in which an owner's oldest tombstone or silent slot is.
    func oldestGrave(of id: HostID) -> NetworkID? {
        var oldest: (grave: Grave, scope: NetworkID)?
        for bucket in owners[id]?.buckets ?? [] {
            for grave in [bucket.tombstones.first, bucket.guards.first] {
                guard let grave, oldest.map({ grave < $0.grave }) ?? true else { continue }
                oldest = (grave, bucket.scope)
            }
        }
        return oldest?.scope
    }

    /// Drops a scope of an owner in which nothing is.
    mutating func dropEmptyBucket(_ id: HostID, _ scope: NetworkID) {
        guard let bucket = owners[id]?[scope], bucket.slots.isEmpty, let place = owners[id]?.place(of: scope) else {
            return
        }
        owners[id]?.buckets.remove(at: place)
        if totals[scope] == 0 { totals[scope] = nil }
    }

    /// Notes that everything up to a version is held, and drops the tombstones that this makes needless.
    mutating func raiseFloor(_ id: HostID, _ scope: NetworkID, to version: Version) {
        guard let place = owners[id]?.make(scope), let floor = owners[id]?.buckets[place].floor, floor < version
        else { return }
        owners[id]?.buckets[place].floor = version
        let dropped = owners[id]?.buckets[place].dropCovered() ?? 0
        owners[id]?.count -= dropped
    }

    /// Drops a scope of an owner and gives what was in it.
    mutating func dropBucket(_ id: HostID, _ scope: NetworkID) -> [Slot] {
        guard let bucket = owners[id]?[scope], let place = owners[id]?.place(of: scope) else { return [] }
        owners[id]?.buckets.remove(at: place)
        owners[id]?.count -= bucket.slots.count
        owners[id]?.live -= bucket.live
        totals[scope, default: 0] &-= bucket.digest
        if owners[id]?.buckets.isEmpty == true { owners[id] = nil }
        return bucket.slots
    }

    /// Drops an owner and gives what was held of it.
    mutating func dropOwner(_ id: HostID) -> [Slot] {
        guard let owner = owners.removeValue(forKey: id) else { return [] }
        for bucket in owner.buckets { totals[bucket.scope, default: 0] &-= bucket.digest }
        return owner.buckets.flatMap(\.slots)
    }
}
