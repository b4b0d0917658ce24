public import System

/// A small reproducible generator (SplitMix64, Steele, Lea and Flood 2014): the same seed gives the same numbers.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    /// The seed it started from, for messages.
    public let seed: UInt64
    private var state: UInt64

    /// A generator that starts from `seed`.
    public init(seed: UInt64) {
        self.seed = seed
        state = seed
    }

    /// A generator for the test `name`: from `SWIFTLET_SEED` when that is set, from the kernel's random numbers otherwise.
    /// The seed is printed, so that a failure can be repeated.
    public init(for name: String, environment: Environment = .current()) {
        var kernel = KernelRandom()
        self.init(seed: environment["SWIFTLET_SEED"].flatMap { UInt64($0) } ?? kernel.next() >> 16)
        print("\(name): SWIFTLET_SEED=\(seed)")
    }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    public mutating func below(_ bound: Int) -> Int {
        bound > 0 ? Int.random(in: 0..<bound, using: &self) : 0
    }

    /// One of `choices`, nil when there are none.
    public mutating func pick<Element>(_ choices: [Element]) -> Element? {
        choices.randomElement(using: &self)
    }
}
