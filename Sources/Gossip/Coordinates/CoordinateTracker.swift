internal import StateMachine

/// Keeps our coordinate by Vivaldi's rule with serf's parameters (height, adjustment window, gravity).
struct CoordinateTracker: Sendable {
    private static let errorGain = 0.25
    private static let forceGain = 0.25
    private static let window = 20
    private static let filterSize = 3
    private static let gravity = 150.0
    private static let zero = 1e-6
    /// Round trips above this say nothing about the network.
    static let roundTripLimit: Nanoseconds = .seconds(10)

    private(set) var coordinate = Coordinate()
    private var adjustments = [Double](repeating: 0, count: Self.window)
    private var adjustmentIndex = 0
    private var samples: [String: [Double]] = [:]
    private(set) var resets = 0

    /// Learns from a round trip to `node`, which says it is at `other`. False when the numbers are not usable.
    mutating func observe(
        _ node: String, at other: Coordinate, roundTrip: Nanoseconds, random: inout Xoshiro256
    ) -> Bool {
        guard other.isValid, roundTrip > 0, roundTrip <= Self.roundTripLimit else { return false }
        let seconds = median(of: node, adding: Double(roundTrip) / 1e9)
        attract(to: other, roundTrip: seconds, random: &random)
        adjust(other, roundTrip: seconds)
        pull(random: &random)
        if !coordinate.isValid {
            coordinate = Coordinate()
            resets += 1
        }
        return true
    }

    /// Drops the samples of a node that is gone.
    mutating func forget(_ node: String) { samples[node] = nil }

    private mutating func median(of node: String, adding sample: Double) -> Double {
        var list = samples[node] ?? []
        list.append(sample)
        if list.count > Self.filterSize { list.removeFirst() }
        samples[node] = list
        return list.sorted()[list.count / 2]
    }

    private mutating func attract(to other: Coordinate, roundTrip: Double, random: inout Xoshiro256) {
        let roundTrip = max(roundTrip, Self.zero)
        let distance = coordinate.distance(to: other)
        let wrongness = abs(distance - roundTrip) / roundTrip
        let weight = coordinate.error / max(coordinate.error + other.error, Self.zero)
        let gain = Self.errorGain * weight
        coordinate.error = min(gain * wrongness + coordinate.error * (1 - gain), Coordinate.errorLimit)
        apply(force: Self.forceGain * weight * (roundTrip - distance), from: other, random: &random)
    }

    private mutating func adjust(_ other: Coordinate, roundTrip: Double) {
        adjustments[adjustmentIndex] = roundTrip - coordinate.rawDistance(to: other)
        adjustmentIndex = (adjustmentIndex + 1) % Self.window
        coordinate.adjustment = adjustments.reduce(0, +) / Double(2 * Self.window)
    }

    private mutating func pull(random: inout Xoshiro256) {
        let origin = Coordinate()
        let ratio = origin.distance(to: coordinate) / Self.gravity
        apply(force: -ratio * ratio, from: origin, random: &random)
    }

    private mutating func apply(force: Double, from other: Coordinate, random: inout Xoshiro256) {
        var direction = coordinate.vector - other.vector
        let magnitude = Coordinate.length(direction)
        if magnitude > Self.zero {
            direction /= magnitude
        } else {
            for axis in direction.indices { direction[axis] = Double.random(in: -0.5...0.5, using: &random) }
            let length = Coordinate.length(direction)
            direction = length > Self.zero ? direction / length : .init(1, 0, 0, 0, 0, 0, 0, 0)
        }
        coordinate.vector += direction * force
        if magnitude > Self.zero {
            coordinate.height = max(
                (coordinate.height + other.height) * force / magnitude + coordinate.height, Coordinate.heightMinimum)
        }
    }
}
