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

/// RFC 4648 base64 with padding, the form of keys in answers and files.
public enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// The text of `bytes`.
    public static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var value: UInt32 = 0
            for byte in group { value = value << 8 | UInt32(byte) }
            value <<= UInt32(8 * (3 - group.count))
            for index in 0..<4 {
                text.append(
                    index <= group.count ? alphabet[Int(value >> UInt32(18 - 6 * index) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of `text`; nil unless it is whole groups with proper padding.
    public static func decode(_ text: String) -> [UInt8]? {
        let symbols = Array(text.utf8)
        guard symbols.count % 4 == 0 else { return nil }
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: symbols.count, by: 4) {
            let isLast = start + 4 == symbols.count
            let padding =
                isLast ? symbols[start + 2..<start + 4].reversed().prefix { $0 == UInt8(ascii: "=") }.count : 0
            var value: UInt32 = 0
            for symbol in symbols[start..<start + 4 - padding] {
                guard let digit = alphabet.firstIndex(of: symbol) else { return nil }
                value = value << 6 | UInt32(digit)
            }
            value <<= UInt32(6 * padding)
            for index in 0..<3 - padding { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(16 - 8 * index))) }
        }
        return bytes
    }
}
