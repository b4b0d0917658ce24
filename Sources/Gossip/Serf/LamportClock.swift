/// A Lamport clock. The top of the range is out of reach, so that forged times cannot make it wrap.
struct LamportClock: Hashable, Sendable {
    static let limit: UInt64 = .max - 1
    /// Above this, a time may be ahead of the clock by at most `jump`: a single message cannot bring the clock near its
    /// limit.
    static let floor: UInt64 = 1 << 63
    static let jump: UInt64 = 1 << 32

    private(set) var time: UInt64

    init(time: UInt64 = 1) { self.time = min(max(1, time), Self.limit) }

    mutating func increment() { if time < Self.limit { time += 1 } }

    /// Whether a time is one that a cluster can have come to.
    func isPlausible(_ seen: UInt64) -> Bool { seen <= Self.floor || seen <= time || seen - time <= Self.jump }

    /// Moves past a time that was seen.
    mutating func witness(_ seen: UInt64) {
        if seen >= time { time = min(seen, Self.limit - 1) + 1 }
    }
}
