internal import StateMachine

/// What is known of one node, by memberlist's rules and by serf's.
struct MemberRecord: Sendable {
    let name: String
    var endpoint: Endpoint
    var meta: [UInt8]
    var versions: ProtocolVersions
    var incarnation: UInt32
    var state: NodeState
    var stateChanged: Nanoseconds
    var suspicion: Suspicion?
    /// Gone for so long that memberlist has forgotten it; kept so that an old message cannot bring it back.
    var isRetired = false
    /// An announcement from another address, held until the old address was asked.
    var pendingMove: Alive?

    /// Whether serf lists it; a pruned node is remembered only for its incarnation.
    var isListed = false
    var status = MemberStatus.alive
    var statusTime: UInt64 = 0
    var leaveTime: Nanoseconds = 0
    /// When its farewell was last gossiped again.
    var reminded: Nanoseconds = 0
    /// The last round trip of a direct probe.
    var roundTrip: Nanoseconds?
    /// The last time an ack came from it.
    var lastAck: Nanoseconds?
    /// Whether the last probe was answered over a stream only.
    var answersOnlyStreams = false
    var coordinate: Coordinate?
}

/// The nodes, by name, in slots that do not move while a node is known.
struct MemberTable: Sendable {
    private(set) var slots: [MemberRecord?] = []
    private var index: [String: Int] = [:]
    private var free: [Int] = []
    /// The slots of all nodes that are not retired, in probing order; ourselves are not in it.
    private(set) var order: [Int] = []
    private var cursor = 0

    /// Every node that is known, retired ones and ourselves included.
    var count: Int { index.count }

    func slot(of name: String) -> Int? { index[name] }

    subscript(slot: Int) -> MemberRecord? {
        get { slots.indices.contains(slot) ? slots[slot] : nil }
        set { if slots.indices.contains(slot) { slots[slot] = newValue } }
    }

    subscript(name: String) -> MemberRecord? {
        guard let slot = index[name] else { return nil }
        return slots[slot]
    }

    /// Whoever is at the address: the newest announcement where several were.
    func record(at endpoint: Endpoint) -> MemberRecord? {
        var found: Int?
        for slot in slots.indices where slots[slot]?.endpoint == endpoint {
            if let known = found, slots[known]?.state.isGone == false { continue }
            found = slot
        }
        return found.flatMap { slots[$0] }
    }

    var records: some Sequence<MemberRecord> { slots.lazy.compactMap { $0 } }

    /// Changes the record in place.
    mutating func update<Result>(_ slot: Int, _ change: (inout MemberRecord) -> Result) -> Result? {
        guard slots.indices.contains(slot), var record = slots[slot] else { return nil }
        slots[slot] = nil
        defer { slots[slot] = record }
        return change(&record)
    }

    /// Adds a node; unless it is ourselves it is put at a random place of the order.
    mutating func add(_ record: MemberRecord, isSelf: Bool = false, random: inout Xoshiro256) -> Int {
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            slots[slot] = record
        } else {
            slot = slots.count
            slots.append(record)
        }
        index[record.name] = slot
        if !isSelf { enlist(slot, random: &random) }
        return slot
    }

    /// Puts a slot into the probing order.
    mutating func enlist(_ slot: Int, random: inout Xoshiro256) {
        order.append(slot)
        order.swapAt(order.count - 1, Int.random(in: 0..<order.count, using: &random))
    }

    /// Forgets a node altogether.
    mutating func remove(_ slot: Int) {
        guard let record = self[slot] else { return }
        index[record.name] = nil
        slots[slot] = nil
        order.removeAll { $0 == slot }
        free.append(slot)
    }

    /// The next slot to look at in the round; nil at the end of the round, when the order should be renewed.
    mutating func advance() -> Int? {
        guard cursor < order.count else { return nil }
        cursor += 1
        return order[cursor - 1]
    }

    /// Starts a new round without the retired, in a new order.
    mutating func renewOrder(random: inout Xoshiro256) {
        order.removeAll { slots[$0]?.isRetired ?? true }
        order.shuffle(using: &random)
        cursor = 0
    }

    /// At most `count` random nodes that pass, each once. Like memberlist, it does not look at everybody in a large
    /// cluster, so fewer may be found.
    func pick(_ count: Int, random: inout Xoshiro256, where passes: (MemberRecord) -> Bool) -> [Int] {
        var picked: [Int] = []
        guard count > 0, !order.isEmpty else { return picked }
        if order.count <= 8 * count {
            var candidates = order
            while picked.count < count, !candidates.isEmpty {
                let slot = candidates.remove(at: Int.random(in: 0..<candidates.count, using: &random))
                if let record = slots[slot], passes(record) { picked.append(slot) }
            }
            return picked
        }
        for _ in 0..<max(3 * count, order.count) where picked.count < count {
            let slot = order[Int.random(in: 0..<order.count, using: &random)]
            if !picked.contains(slot), let record = slots[slot], passes(record) { picked.append(slot) }
        }
        return picked
    }
}
