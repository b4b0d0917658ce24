/// A Lamport clock. The top of the range is never reached, so that a forged time cannot make it wrap.
struct LamportClock: Hashable, Sendable {
    static let limit: UInt64 = 1 << 62

    private(set) var time: UInt64

    init(time: UInt64 = 1) { self.time = min(max(1, time), Self.limit) }

    mutating func increment() { if time < Self.limit { time += 1 } }

    /// Moves past a time that was seen.
    mutating func witness(_ seen: UInt64) {
        if seen >= time { time = min(seen, Self.limit - 1) + 1 }
    }
}
