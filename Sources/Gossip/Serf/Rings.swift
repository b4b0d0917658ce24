/// The user events of the last Lamport times, to tell repeats from news and to pass on in exchanges.
struct EventRing: Sendable {
    /// The most events kept of one Lamport time, and their bytes: a sender may use one time again and again.
    private static let slotLimit = 256
    private static let slotBytes = 32 << 10

    private var slots: [SerfState.EventSlot?]

    init(slots count: Int) { slots = [SerfState.EventSlot?](repeating: nil, count: count) }

    /// Whether the event is new; it is kept then. `time` is the clock after it witnessed the event.
    mutating func insert(_ event: UserEventMessage, time: UInt64) -> Bool {
        let count = UInt64(slots.count)
        if time > count, event.time < time - count { return false }
        let index = Int(event.time % count)
        let item = SerfState.EventSlot.Item(name: event.name, payload: event.payload)
        guard let slot = slots[index], slot.time == event.time else {
            // An older event must not push out a newer one of the same slot.
            if let slot = slots[index], slot.time > event.time { return false }
            slots[index] = SerfState.EventSlot(time: event.time, items: [item])
            return true
        }
        let size = slot.items.reduce(item.size) { $0 + $1.size }
        guard slot.items.count < Self.slotLimit, size <= Self.slotBytes, !slot.items.contains(item) else {
            return false
        }
        slots[index]?.items.append(item)
        return true
    }

    /// The events, oldest first.
    var recent: [SerfState.EventSlot] { slots.compactMap { $0 }.sorted { $0.time < $1.time } }
}

/// The queries of the last Lamport times.
struct QueryRing: Sendable {
    private static let slotLimit = 256

    private var slots: [(time: UInt64, ids: [UInt32])?]

    init(slots count: Int) { slots = [(time: UInt64, ids: [UInt32])?](repeating: nil, count: count) }

    /// Whether the query is new.
    mutating func insert(_ id: UInt32, at queryTime: UInt64, time: UInt64) -> Bool {
        let count = UInt64(slots.count)
        if time > count, queryTime < time - count { return false }
        let index = Int(queryTime % count)
        guard let slot = slots[index], slot.time == queryTime else {
            if let slot = slots[index], slot.time > queryTime { return false }
            slots[index] = (queryTime, [id])
            return true
        }
        guard slot.ids.count < Self.slotLimit, !slot.ids.contains(id) else { return false }
        slots[index]?.ids.append(id)
        return true
    }
}
