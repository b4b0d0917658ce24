internal import Logging
internal import Synchronization

/// Writes to standard error at a level that can be changed while loggers are in use everywhere.
struct AdjustableLog: LogHandler {
    private static let level = Mutex(Logger.Level.info)

    private var stream: StreamLogHandler

    init(label: String) {
        stream = StreamLogHandler.standardError(label: label)
        stream.logLevel = .trace
    }

    static func set(_ level: Logger.Level) { Self.level.withLock { $0 = level } }

    /// One for all; what a logger sets for itself is not taken.
    var logLevel: Logger.Level {
        get { Self.level.withLock { $0 } }
        set { _ = newValue }
    }

    var metadata: Logger.Metadata {
        get { stream.metadata }
        set { stream.metadata = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { stream[metadataKey: key] }
        set { stream[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) { stream.log(event: event) }
}
