internal import StateMachine

/// A row as it is held.
struct Slot: Sendable {
    let hash: UInt64
    var record: Record
    /// When a tombstone stops being sent to others; 0 for other rows.
    var expires: Nanoseconds = 0
    /// It only keeps an old row from coming back, and is neither shown nor sent: a tombstone at the end of its life, or a
    /// row that its owner said it does not have any more.
    var isSilent = false

    /// Whether it is a row to be shown.
    var isLive: Bool { !isSilent && !record.isTombstone }
}

/// Where a row that is not there any more is kept; they are in the order of their versions, so that all hosts give up the
/// same ones first.
struct Grave: Hashable, Sendable, Comparable {
    let version: Version
    let hash: UInt64

    static func < (left: Self, right: Self) -> Bool {
        left.version == right.version ? left.hash < right.hash : left.version < right.version
    }
}

extension [Grave] {
    /// Where a grave is or belongs. The newest come last, so nearly all are found there.
    private func place(of grave: Grave) -> Int {
        guard let last, last >= grave else { return count }
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle] < grave { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func add(_ grave: Grave) { insert(grave, at: place(of: grave)) }

    mutating func drop(_ grave: Grave) {
        let place = place(of: grave)
        if place < count, self[place] == grave { remove(at: place) }
    }
}

/// The rows of one owner within one scope, by hash. The digest is over all that are not silent.
struct Bucket: Sendable {
    let scope: NetworkID
    private(set) var slots: [Slot] = []
    private(set) var digest: UInt64 = 0
    private(set) var active = 0
    private(set) var live = 0
    /// The tombstones that are shown to others, the oldest first.
    private(set) var tombstones: [Grave] = []
    /// The silent slots, the oldest first.
    private(set) var guards: [Grave] = []
    /// The owner said what it has at this version, and we had it: what is not here and is not newer was removed.
    var floor = Version.zero

    init(scope: NetworkID) { self.scope = scope }

    /// The first index whose hash is not below.
    func index(of hash: UInt64) -> Int {
        var (low, high) = (0, slots.count)
        while low < high {
            let middle = (low + high) / 2
            if slots[middle].hash < hash { low = middle + 1 } else { high = middle }
        }
        return low
    }

    subscript(hash: UInt64) -> Slot? {
        let place = index(of: hash)
        return place < slots.count && slots[place].hash == hash ? slots[place] : nil
    }

    func range(_ low: UInt64, _ high: UInt64) -> ArraySlice<Slot> {
        guard low <= high else { return [] }
        let start = index(of: low)
        return slots[start..<(high == .max ? slots.count : max(start, index(of: high + 1)))]
    }

    private mutating func account(_ slot: Slot, adds: Bool) {
        let sign = adds ? 1 : -1
        if slot.isLive { live += sign }
        let grave = Grave(version: slot.record.version, hash: slot.hash)
        if slot.isSilent {
            if adds { guards.add(grave) } else { guards.drop(grave) }
        } else {
            if slot.record.isTombstone { if adds { tombstones.add(grave) } else { tombstones.drop(grave) } }
            let part = slot.record.digest(hash: slot.hash)
            digest = adds ? digest &+ part : digest &- part
            active += sign
        }
    }

    /// Puts a row in its place and gives the one that was there.
    @discardableResult
    mutating func set(_ slot: Slot) -> Slot? {
        let place = index(of: slot.hash)
        guard place < slots.count, slots[place].hash == slot.hash else {
            account(slot, adds: true)
            slots.insert(slot, at: place)
            return nil
        }
        let old = slots[place]
        account(old, adds: false)
        account(slot, adds: true)
        slots[place] = slot
        return old
    }

    @discardableResult
    mutating func remove(_ hash: UInt64) -> Slot? {
        let place = index(of: hash)
        guard place < slots.count, slots[place].hash == hash else { return nil }
        let old = slots.remove(at: place)
        account(old, adds: false)
        return old
    }

    /// Drops the silent slots that the floor covers, and says how many.
    mutating func dropCovered() -> Int {
        let floor = floor
        guard let oldest = guards.first, oldest.version <= floor else { return 0 }
        let before = slots.count
        slots.removeAll { $0.isSilent && $0.record.version <= floor }
        guards.removeAll { $0.version <= floor }
        return before - slots.count
    }
}

/// What is held of one owner.
struct Owner: Sendable {
    var publicKey: [UInt8]
    /// The newest version seen.
    var highest = Version.zero
    /// Rows, tombstones and silent slots included.
    var count = 0
    /// Rows that are there.
    var live = 0
    /// Tombstones and silent slots.
    var dead: Int { count - live }
    var buckets: [Bucket] = []
    /// Counts the changes between alive and suspended, for the timer of the grace.
    var era: UInt64 = 0
    var isSuspended: Bool
    /// The newest summary by which a floor was raised: what shows an owner that lost its journal how far it was.
    var word: Message.Summary?

    func place(of scope: NetworkID) -> Int {
        var (low, high) = (0, buckets.count)
        while low < high {
            let middle = (low + high) / 2
            if buckets[middle].scope < scope { low = middle + 1 } else { high = middle }
        }
        return low
    }

    subscript(scope: NetworkID) -> Bucket? {
        let place = place(of: scope)
        return place < buckets.count && buckets[place].scope == scope ? buckets[place] : nil
    }

    /// Where the scope's bucket is, made when there is none.
    mutating func make(_ scope: NetworkID) -> Int {
        let place = place(of: scope)
        if place == buckets.count || buckets[place].scope != scope {
            buckets.insert(Bucket(scope: scope), at: place)
        }
        return place
    }
}
