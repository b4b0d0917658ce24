/// Errors of a clean-up that goes on whatever fails.
public struct ErrorCollector {
    private var errors: [any Error] = []

    /// An empty collector.
    public init() {}

    /// Whether nothing has failed.
    public var isEmpty: Bool { errors.isEmpty }

    /// Takes over what another collector kept.
    public mutating func add(_ other: ErrorCollector) { errors += other.errors }

    /// Runs `body`, keeping its error.
    ///
    /// - Returns: what it returned, nil when it threw.
    @discardableResult
    public mutating func attempt<Value>(_ body: () throws -> Value) -> Value? {
        do {
            return try body()
        } catch {
            errors.append(error)
            return nil
        }
    }

    /// Throws the first error; ``CollectedErrors`` when there are others.
    public func throwIfAny() throws {
        guard let first = errors.first else { return }
        if errors.count == 1 { throw first }
        throw CollectedErrors(first: first, others: Array(errors.dropFirst()))
    }
}

/// Several errors of a clean-up: the first says what went wrong, the others are told in its details.
public struct CollectedErrors: Error {
    /// The first.
    public let first: any Error
    /// Those after it, in order.
    public let others: [any Error]

    /// Puts errors together.
    public init(first: any Error, others: [any Error]) {
        self.first = first
        self.others = others
    }

    /// The same with each error turned into another.
    public func map(_ transform: (any Error) -> any Error) -> CollectedErrors {
        CollectedErrors(first: transform(first), others: others.map(transform))
    }
}
