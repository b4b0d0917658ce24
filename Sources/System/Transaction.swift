/// A stack of undo actions: run in reverse unless the transaction is committed.
///
/// Each step that changed the world pushes what takes the change back. A step that throws pushes nothing: a single step
/// either happened or did not.
public struct Transaction: ~Copyable {
    private var undos: [(what: () -> String, undo: () throws -> Void)] = []

    /// An empty transaction.
    public init() {}

    /// The number of undo actions held.
    public var depth: Int { undos.count }

    /// Remembers how to take back what was just done.
    ///
    /// - Parameter what: the name of what was done, for the report; made only when an undo fails.
    public mutating func push(_ what: @autoclosure @escaping () -> String, undo: @escaping () throws -> Void) {
        undos.append((what, undo))
    }

    /// Keeps what was done.
    public consuming func commit() {
        undos.removeAll()
    }

    /// Takes everything back, newest first; one failing undo does not stop the others.
    ///
    /// - Returns: a line for each undo that failed; empty when the world is as before.
    public consuming func rollBack() -> [String] {
        var failures: [String] = []
        while let (what, undo) = undos.popLast() {
            do {
                try undo()
            } catch {
                failures.append("undo of \(what()) failed: \(error)")
            }
        }
        return failures
    }

    deinit {
        // A transaction dropped on an early throw: take everything back, there is nobody left to report to.
        for (_, undo) in undos.reversed() { try? undo() }
    }
}

/// A failure whose undo was not complete: something may be left behind.
public struct RollbackError: Error {
    /// What failed in the first place.
    public let cause: any Error
    /// A line for each undo that failed.
    public let failures: [String]
}

/// Runs `body` as a transaction: what it returns is kept, what it throws takes everything back.
///
/// - Throws: what `body` throws; ``RollbackError`` around it when some of it could not be taken back.
public func withTransaction<Value>(_ body: (inout Transaction) throws -> Value) throws -> Value {
    var transaction = Transaction()
    let result = Result { try body(&transaction) }
    switch result {
    case .success(let value):
        transaction.commit()
        return value
    case .failure(let cause):
        let failures = transaction.rollBack()
        throw failures.isEmpty ? cause : RollbackError(cause: cause, failures: failures)
    }
}
