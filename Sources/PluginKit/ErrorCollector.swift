internal import CNI

/// Errors of a clean-up that goes on whatever fails.
public struct ErrorCollector {
    private var errors: [any Error] = []

    /// An empty collector.
    public init() {}

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

    /// Throws the first error, with the others in its details.
    public func throwIfAny() throws {
        guard let first = errors.first else { return }
        if errors.count == 1 { throw first }
        var error = ErrorMapping.cniError(first)
        let others = errors.dropFirst().map { "also: \(ErrorMapping.cniError($0).description)" }
        error.details = ([error.details] + others).filter { !$0.isEmpty }.joined(separator: "; ")
        throw error
    }
}
