/// A message that may stand on a stream.
enum StreamMessage: Hashable, Sendable {
    case pushPull(PushPull)
    case ping(Ping)
    case ack(Ack)
    case user([UInt8])
    case error(ErrorReport)

    /// Reads one message, compressed or not.
    init(_ reader: inout MessagePackReader) throws(WireFault) {
        guard let type = MessageType(rawValue: try reader.byte()) else { throw .unknownType }
        if type == .compressed {
            let message = try Envelope.decompress(&reader, limit: Envelope.streamLimit)
            var inner = MessagePackReader(message)
            guard let type = MessageType(rawValue: try inner.byte()), type != .compressed else { throw .unknownType }
            do throws(WireFault) {
                try self.init(type, &inner)
            } catch {
                throw error == .truncated ? .badValue : error
            }
        } else {
            try self.init(type, &reader)
        }
    }

    private init(_ type: MessageType, _ reader: inout MessagePackReader) throws(WireFault) {
        switch type {
        case .pushPull: self = .pushPull(try PushPull(from: &reader))
        case .ping: self = .ping(try Ping(from: &reader))
        case .ack: self = .ack(try Ack(from: &reader))
        case .user: self = .user(try StreamUserMessage(from: &reader).body)
        case .error: self = .error(try ErrorReport(from: &reader))
        default: throw .unknownType
        }
    }
}
