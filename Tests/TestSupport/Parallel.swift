internal import Synchronization

/// Runs `body` for 0, 1, … below `count` on as many threads at the same time.
///
/// - Returns: what they returned, in order.
/// - Throws: the first error.
public func inParallel<Value: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Value) throws
    -> [Value]
{
    let results = Results<Value>()
    do {
        let threads = try (0..<count).map { index in
            try BackgroundThread {
                let result = Result { try body(index) }
                results.byIndex.withLock { $0[index] = result }
            }
        }
        withExtendedLifetime(threads) {}
    }
    let all = results.byIndex.withLock { $0 }
    return try (0..<count).compactMap { try all[$0]?.get() }
}

private final class Results<Value: Sendable>: Sendable {
    let byIndex = Mutex<[Int: Result<Value, any Error>]>([:])
}
