/// The payload of a key query: the raw key, empty when keys are only listed.
struct KeyRequest: Hashable, Sendable {
    var key: [UInt8]

    init(key: [UInt8]) { self.key = key }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        key = []
        guard try reader.byte() == SerfType.keyRequest.rawValue else { throw .unknownType }
        for _ in 0..<(try reader.mapCount()) {
            if try reader.key() == "Key" { key = try reader.data() } else { try reader.skip() }
        }
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter()
        writer.byte(SerfType.keyRequest.rawValue)
        writer.map(1)
        writer.string("Key")
        writer.data(key)
        return writer.bytes
    }
}

/// A node's answer to a key query.
public struct KeyResponse: Hashable, Sendable {
    /// Whether the node did what was asked.
    public var succeeded: Bool
    /// Why not, or a remark.
    public var message: String
    /// The node's keys in base64, first the primary; only for a list query.
    public var keys: [String]
    /// The primary key in base64; empty from agents that do not send it.
    public var primary: String

    init(succeeded: Bool, message: String = "", keys: [String] = [], primary: String = "") {
        self.succeeded = succeeded
        self.message = message
        self.keys = keys
        self.primary = primary
    }

    init(from reader: inout MessagePackReader) throws(WireFault) {
        self.init(succeeded: false)
        guard try reader.byte() == SerfType.keyResponse.rawValue else { throw .unknownType }
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "Keys": keys = try reader.stringList()
            case "Message": message = try reader.string()
            case "PrimaryKey": primary = try reader.string()
            case "Result": succeeded = try reader.bool()
            default: try reader.skip()
            }
        }
    }

    func encode() -> [UInt8] {
        var writer = MessagePackWriter(reserving: 64 + keys.count * 48)
        writer.byte(SerfType.keyResponse.rawValue)
        writer.map(4)
        writer.string("Keys")
        if keys.isEmpty {
            writer.null()
        } else {
            writer.array(keys.count)
            for key in keys { writer.string(key) }
        }
        writer.string("Message")
        writer.string(message)
        writer.string("PrimaryKey")
        writer.string(primary)
        writer.string("Result")
        writer.bool(succeeded)
        return writer.bytes
    }
}
