internal import StateMachine

/// The formulas of SWIM and Lifeguard, as memberlist computes them.
enum Timing {
    /// How often a broadcast is sent: multiplier × ⌈log₁₀(nodes + 1)⌉.
    static func retransmits(multiplier: Int, nodes: Int) -> Int { multiplier * ceilLog10(nodes + 1) }

    /// The shortest suspicion: multiplier × max(1, log₁₀ nodes) × interval, the logarithm cut to thousandths.
    static func suspicionMinimum(multiplier: Int, nodes: Int, interval: Nanoseconds) -> Nanoseconds {
        let scale = max(1000, UInt64(log(Double(max(1, nodes))) / log(10) * 1000 + 1e-6))
        return UInt64(multiplier) * scale * interval / 1000
    }

    /// How long a suspicion lasts from its start after `confirmations` of `expected`.
    static func suspicion(
        confirmations: Int, expected: Int, minimum: Nanoseconds, maximum: Nanoseconds
    ) -> Nanoseconds {
        guard expected > 0 else { return minimum }
        let part = log(Double(confirmations + 1)) / log(Double(expected + 1))
        let milliseconds = (Double(maximum) - part * (Double(maximum) - Double(minimum))) / 1e6
        // A hair is added before cutting, so that a whole number of milliseconds stays whole.
        return max(minimum, .milliseconds(UInt64(max(0, milliseconds + 1e-6))))
    }

    /// How often the full state is exchanged: slower from 33 nodes on.
    static func pushPull(interval: Nanoseconds, nodes: Int) -> Nanoseconds {
        guard nodes > 32 else { return interval }
        var exponent: UInt64 = 0
        while exponent < 32, nodes > 32 << Int(exponent) { exponent += 1 }
        return interval * (exponent + 1)
    }

    /// How long a query lasts.
    static func query(gossipInterval: Nanoseconds, multiplier: Int, nodes: Int) -> Nanoseconds {
        gossipInterval * UInt64(multiplier * max(1, ceilLog10(nodes + 1)))
    }

    static func ceilLog10(_ value: Int) -> Int {
        var power = 1
        var exponent = 0
        while power < value {
            power = power.multipliedReportingOverflow(by: 10).partialValue
            exponent += 1
            if exponent == 18 { break }
        }
        return exponent
    }

    /// The natural logarithm of a positive number; there is none in the standard library.
    static func log(_ value: Double) -> Double {
        // value = m × 2^e with m in [√½, √2); ln m = 2 artanh((m − 1) / (m + 1)).
        var exponent = Double(value.exponent)
        var mantissa = value.significand
        if mantissa > 1.414_213_562_373_095_1 {
            mantissa /= 2
            exponent += 1
        }
        let ratio = (mantissa - 1) / (mantissa + 1)
        let square = ratio * ratio
        var term = ratio
        var sum = 0.0
        var divisor = 1.0
        while divisor < 40 {
            sum += term / divisor
            term *= square
            divisor += 2
        }
        return 2 * sum + exponent * 0.693_147_180_559_945_3
    }
}

/// Lifeguard's measure of our own health: 0 is well; the worse we are, the slower we accuse others.
struct Awareness: Hashable, Sendable {
    private(set) var score = 0
    let limit: Int

    init(limit: Int) { self.limit = limit }

    mutating func apply(_ delta: Int) { score = min(max(0, score + delta), limit - 1) }

    func scale(_ interval: Nanoseconds) -> Nanoseconds { interval * UInt64(score + 1) }
}

/// The suspicion of one node: its timer gets shorter as others confirm it.
struct Suspicion: Hashable, Sendable {
    /// Who accused, the first accuser first.
    private(set) var accusers: [String]
    let expected: Int
    let minimum: Nanoseconds
    let maximum: Nanoseconds
    var start: Nanoseconds

    init(from: String, expected: Int, minimum: Nanoseconds, maximum: Nanoseconds, start: Nanoseconds) {
        accusers = [from]
        self.expected = expected
        self.minimum = minimum
        self.maximum = maximum
        self.start = start
    }

    var confirmations: Int { accusers.count - 1 }

    var deadline: Nanoseconds {
        start
            + Timing.suspicion(
                confirmations: confirmations, expected: expected, minimum: minimum, maximum: maximum)
    }

    /// Counts an accuser that is new; false when it was known or no more are needed.
    mutating func confirm(from: String) -> Bool {
        guard confirmations < expected, !accusers.contains(from) else { return false }
        accusers.append(from)
        return true
    }
}
