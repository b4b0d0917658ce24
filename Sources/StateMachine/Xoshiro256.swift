/// xoshiro256** (Blackman and Vigna): a state machine's own generator, seeded from the one it is given and stirred with
/// it at every event, so that a run with a seeded generator can be repeated.
public struct Xoshiro256: RandomNumberGenerator, Sendable {
    @usableFromInline var state: (UInt64, UInt64, UInt64, UInt64)

    /// A generator with 256 bits of `random`.
    public init(from random: inout some RandomNumberGenerator) {
        state = (random.next() | 1, random.next(), random.next(), random.next())
    }

    /// Mixes a word into the state.
    @inlinable
    public mutating func stir(_ word: UInt64) {
        state.1 ^= word
        if state == (0, 0, 0, 0) { state.0 = 1 }
        _ = next()
    }

    /// The next 64 bits.
    @inlinable
    public mutating func next() -> UInt64 {
        let product = state.1 &* 5
        let result = (product << 7 | product >> 57) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = state.3 << 45 | state.3 >> 19
        return result
    }

    /// A time in 0..<interval, 0 for an empty interval.
    @inlinable
    public mutating func part(of interval: Nanoseconds) -> Nanoseconds {
        UInt64.random(in: 0..<max(1, interval), using: &self)
    }
}
