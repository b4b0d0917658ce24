/// A token bucket filter: what leaves a link is held to a rate once a burst is used up (tc-tbf(8)).
public struct TokenBucket: Equatable, Sendable {
    /// Bytes a second; at least 1.
    public var rate: UInt64
    /// Bytes that may leave at once (`TCA_TBF_BURST`); at least 1. Packets larger than this never leave.
    public var burst: UInt32
    /// Bytes that may wait for tokens, the burst included; more are dropped.
    public var limit: UInt32

    /// Describes a filter.
    public init(rate: UInt64, burst: UInt32, limit: UInt32) {
        self.rate = rate
        self.burst = burst
        self.limit = limit
    }

    /// A filter in which a byte waits at most `latency` microseconds: `tc … tbf rate … burst … latency …`.
    public init(rate: UInt64, burst: UInt32, latency: UInt32) {
        let (product, overflow) = rate.multipliedReportingOverflow(by: UInt64(latency))
        let waiting = overflow ? UInt64.max : product / 1_000_000
        let (sum, isTooLarge) = waiting.addingReportingOverflow(UInt64(burst))
        self.init(rate: rate, burst: burst, limit: isTooLarge ? .max : UInt32(clamping: sum))
    }

    /// The time the burst takes at the rate, in the kernel's ticks of 64 ns (`PSCHED_SHIFT`, net/pkt_sched.h).
    var ticks: UInt64 {
        rate == 0 ? 0 : UInt64(clamping: UInt128(burst) * 1_000_000_000 / (UInt128(rate) * 64))
    }
}

/// What the kernel says of a token bucket filter: the burst as a time, which is not exact.
public struct TokenBucketState: Equatable, Sendable {
    /// Bytes a second.
    public var rate: UInt64
    /// Bytes that may wait.
    public var limit: UInt32
    /// The time the burst takes, in ticks of 64 ns, modulo 2³².
    public var ticks: UInt32

    /// Describes a filter as the kernel does.
    public init(rate: UInt64, limit: UInt32, ticks: UInt32) {
        self.rate = rate
        self.limit = limit
        self.ticks = ticks
    }

    /// What the kernel says of `bucket`.
    public init(_ bucket: TokenBucket) {
        self.init(rate: bucket.rate, limit: bucket.limit, ticks: UInt32(truncatingIfNeeded: bucket.ticks))
    }

    /// Whether the burst is that of `bucket`, as far as the kernel's rounding lets one see.
    public func hasBurst(of bucket: TokenBucket) -> Bool {
        let difference = Int32(bitPattern: ticks &- UInt32(truncatingIfNeeded: bucket.ticks))
        // The kernel multiplies by a rounded reciprocal of the rate (psched_ratecfg_precompute), and the reference plugin
        // gives the time in whole microseconds.
        return difference.magnitude <= 16 + bucket.ticks / 1_000_000
    }

    /// The burst in bytes, rounded; wrong for a burst that takes more than 274 seconds.
    public var burst: UInt64 {
        UInt64(clamping: (UInt128(ticks) * 64 * UInt128(rate) + 500_000_000) / 1_000_000_000)
    }
}
