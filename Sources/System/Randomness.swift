internal import CLinux

/// The kernel's random numbers (`getrandom(2)`); tests inject a seeded generator instead.
public struct KernelRandom: RandomNumberGenerator, Sendable {
    /// The generator; it has no state of its own.
    public init() {}

    /// Eight random bytes.
    public mutating func next() -> UInt64 {
        var value: UInt64 = 0
        // Eight bytes are never cut short once the pool is initialised; before that the call waits.
        while unsafe getrandom(&value, 8, 0) != 8 {}
        return value
    }
}
