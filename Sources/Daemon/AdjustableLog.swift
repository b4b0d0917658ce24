internal import Logging
internal import Synchronization
internal import System

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

    /// What other hosts say is in lines and values: it must neither begin a line of its own nor steer a terminal.
    func log(event: LogEvent) {
        var event = event
        event.message = "\(ShownText.line(event.message.description))"
        event.metadata = event.metadata?.mapValues(Self.shown)
        stream.log(event: event)
    }

    private static func shown(_ value: Logger.MetadataValue) -> Logger.MetadataValue {
        switch value {
        case .string(let text): .string(ShownText.line(text))
        case .stringConvertible(let value): .string(ShownText.line(value.description))
        case .array(let values): .array(values.map(shown))
        case .dictionary(let values): .dictionary(values.mapValues(shown))
        }
    }
}
