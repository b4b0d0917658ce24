internal import StateMachine

/// Rows that were removed: how long, and how many of them, are remembered.
///
/// A tombstone tells others that a row was removed while its owner cannot say so. It ends with its time, or earlier when
/// there are too many: a host that makes and removes containers all day must not fill the tables with what is gone. What
/// somebody missed by then its owner tells, by its summary and a census.
extension Replica {
    /// Sees to it that the tombstones are looked at soon. One timer serves all.
    mutating func endTombstonesLater() {
        guard !endsTombstones else { return }
        endsTombstones = true
        setTimer(.tombstones, in: settings.tombstoneLifetime / 64)
    }

    mutating func endTombstones() {
        endsTombstones = false
        var isAnyLeft = false
        for owner in table.owners.keys.sorted() {
            for bucket in table.owners[owner]?.buckets ?? [] {
                for grave in bucket.tombstones {
                    guard let slot = bucket[grave.hash] else { continue }
                    if slot.expires <= now { endTombstone(slot, owner, bucket.scope) } else { isAnyLeft = true }
                }
            }
        }
        if isAnyLeft { endTombstonesLater() }
    }

    /// Keeps the numbers of an owner's tombstones and silent slots within their limits; the oldest end first, so that hosts
    /// that have the same go on having the same.
    mutating func trimGraves(_ owner: HostID, _ scope: NetworkID) {
        while let bucket = table.owners[owner]?[scope], bucket.tombstones.count > settings.tombstonesPerScope {
            guard let grave = bucket.tombstones.first, let slot = bucket[grave.hash] else { break }
            endTombstone(slot, owner, scope)
        }
        while let bucket = table.owners[owner]?[scope], bucket.guards.count > settings.guardsPerScope {
            guard let grave = bucket.guards.first else { break }
            table.remove(grave.hash, owner: owner, scope: scope)
        }
        while let held = table.owners[owner], held.dead > settings.gravesPerOwner,
            let scope = table.oldestGrave(of: owner), let bucket = held[scope]
        {
            if let grave = bucket.guards.first {
                table.remove(grave.hash, owner: owner, scope: scope)
            } else if let grave = bucket.tombstones.first, let slot = bucket[grave.hash] {
                endTombstone(slot, owner, scope, isForgotten: true)
            } else {
                break
            }
        }
    }

    /// A tombstone is not sent to others any more. It still keeps the row from coming back until its owner has told what it
    /// has since, unless it `isForgotten`.
    private mutating func endTombstone(
        _ slot: Slot, _ owner: HostID, _ scope: NetworkID, isForgotten: Bool = false
    ) {
        if owner == host {
            table.remove(slot.hash, owner: owner, scope: scope)
            table.dropEmptyBucket(owner, scope)
            summary = nil
            directives.append(.erase(slot.record.key))
        } else if isForgotten || slot.record.version <= table.floor(owner, scope) {
            table.remove(slot.hash, owner: owner, scope: scope)
        } else {
            var silent = slot
            silent.isSilent = true
            table.set(silent, owner: owner, scope: scope)
        }
    }
}
