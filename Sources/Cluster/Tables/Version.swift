/// The order of an owner's changes: by incarnation, then by counter. No clock is part of it.
public struct Version: Hashable, Sendable {
    /// The start of the owner's daemon that made the change.
    public let incarnation: UInt64
    /// The number of the change within the incarnation; 1 is the first.
    public let counter: UInt64

    /// Before every change.
    public static let zero = Version(incarnation: 0, counter: 0)

    /// Makes a version.
    public init(incarnation: UInt64, counter: UInt64) {
        self.incarnation = incarnation
        self.counter = counter
    }
}

extension Version: Comparable {
    /// Compares incarnations, then counters.
    public static func < (left: Self, right: Self) -> Bool {
        left.incarnation == right.incarnation
            ? left.counter < right.counter : left.incarnation < right.incarnation
    }
}

extension Version: CustomStringConvertible {
    /// `incarnation.counter`.
    public var description: String { "\(incarnation).\(counter)" }
}
