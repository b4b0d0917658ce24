/// One message on the bus: the D-Bus specification's "Message Format".
package struct Message: Equatable, Sendable {
    /// What a message is for.
    package enum Kind: UInt8, Sendable {
        case methodCall = 1
        case methodReturn
        case error
        case signal
    }

    /// The longest message sent or taken, in bytes. The specification allows 128 MiB; ours have some hundred bytes.
    package static let largest = 1 << 20
    /// The fixed part of the header, the size of its array of fields included.
    package static let prefixSize = 16

    /// Nil for a kind from the future, which is to be passed over.
    package var kind: Kind?
    /// 1: no reply is expected; 2: do not start the destination.
    package var flags: UInt8 = 0
    /// The sender's number for it, never 0.
    package var serial: UInt32 = 1
    package var path: String?
    package var interface: String?
    package var member: String?
    package var errorName: String?
    /// The serial of the call this answers.
    package var replySerial: UInt32?
    package var destination: String?
    package var sender: String?
    /// The types of the values in ``body``.
    package private(set) var signature = ""
    private var body: [UInt8] = []
    private var isBigEndian = false

    /// A message with values.
    package init(_ kind: Kind, _ values: [BusValue] = []) throws(WireError) {
        self.kind = kind
        var writer = WireWriter()
        for value in values { try writer.put(value) }
        body = writer.bytes
        signature = values.map(\.typeCode).joined()
    }

    /// The values; read only when asked for, because they may be of types this client does not know.
    package func values() throws(WireError) -> [BusValue] {
        var reader = WireReader(body, isBigEndian: isBigEndian)
        return try reader.values(signature)
    }

    // MARK: Writing

    /// The message as it is sent.
    package func encoded() throws(WireError) -> [UInt8] {
        guard !isBigEndian, let kind, serial != 0 else { throw WireError("the message is not one of ours") }
        var fields = WireWriter()
        func put(_ code: UInt8, _ value: BusValue?) throws(WireError) {
            guard let value else { return }
            fields.align(8)
            fields.put(byte: code)
            try fields.put(.variant(value))
        }
        try put(1, path.map { .objectPath($0) })
        try put(2, interface.map { .string($0) })
        try put(3, member.map { .string($0) })
        try put(4, errorName.map { .string($0) })
        try put(5, replySerial.map { .uint32($0) })
        try put(6, destination.map { .string($0) })
        try put(7, sender.map { .string($0) })
        try put(8, signature.isEmpty ? nil : .signature(signature))
        guard fields.bytes.count + body.count <= Self.largest - Self.prefixSize - 7 else {
            throw WireError("the message is too long")
        }
        var writer = WireWriter()
        writer.put(raw: [UInt8(ascii: "l"), kind.rawValue, flags, 1])
        writer.put(UInt32(body.count))
        writer.put(serial)
        writer.put(UInt32(fields.bytes.count))
        // The fields are aligned as if the message began here: 16 is a multiple of all alignments.
        writer.put(raw: fields.bytes)
        writer.align(8)
        writer.put(raw: body)
        return writer.bytes
    }

    // MARK: Reading

    /// The size of the whole message that begins with `prefix`, ``prefixSize`` bytes.
    package static func size(prefix: [UInt8]) throws(WireError) -> Int {
        guard prefix.count >= prefixSize else { throw .truncated }
        var reader = WireReader(prefix, isBigEndian: try isBigEndian(prefix[0]), from: 4, to: prefixSize)
        guard prefix[1] != 0 else { throw WireError("it is of no kind") }
        guard prefix[3] == 1 else { throw WireError("protocol version \(prefix[3])") }
        let body = Int(try reader.uint32())
        guard try reader.uint32() != 0 else { throw WireError("its serial is 0") }
        let fields = Int(try reader.uint32())
        guard body <= largest, fields <= largest else { throw WireError("it is longer than \(largest) bytes") }
        let size = prefixSize + (fields + 7) / 8 * 8 + body
        guard size <= largest else { throw WireError("it is longer than \(largest) bytes") }
        return size
    }

    private static func isBigEndian(_ mark: UInt8) throws(WireError) -> Bool {
        switch mark {
        case UInt8(ascii: "l"): false
        case UInt8(ascii: "B"): true
        default: throw WireError("it has no byte order")
        }
    }

    /// Reads exactly one message.
    package init(decoding bytes: [UInt8]) throws(WireError) {
        guard try Self.size(prefix: bytes) == bytes.count else { throw .truncated }
        isBigEndian = try Self.isBigEndian(bytes[0])
        kind = Kind(rawValue: bytes[1])
        flags = bytes[2]
        var reader = WireReader(bytes, isBigEndian: isBigEndian, from: 4)
        let bodySize = Int(try reader.uint32())
        serial = try reader.uint32()
        let fieldsEnd = Self.prefixSize + Int(try reader.uint32())
        var fields = WireReader(bytes, isBigEndian: isBigEndian, from: Self.prefixSize, to: fieldsEnd)
        while !fields.isAtEnd {
            try fields.align(8)
            try readField(try fields.byte(), &fields)
        }
        var padding = WireReader(bytes, isBigEndian: isBigEndian, from: fieldsEnd)
        try padding.align(8)
        body = Array(bytes.suffix(bodySize))
        let isAnswer = kind == .methodReturn || kind == .error
        guard !isAnswer || replySerial != nil else { throw WireError("an answer does not say to what") }
        guard kind != .error || errorName != nil else { throw WireError("an error has no name") }
    }

    private mutating func readField(_ code: UInt8, _ reader: inout WireReader) throws(WireError) {
        let type = try reader.variantType()
        let known = [1: "o", 2: "s", 3: "s", 4: "s", 5: "u", 6: "s", 7: "s", 8: "g"][code]
        guard let known else { return try reader.skip(type) }
        guard type.elementsEqual(known.utf8) else { throw WireError("header field \(code) is of the wrong type") }
        switch code {
        case 1: path = try reader.objectPath()
        case 2: interface = try reader.string()
        case 3: member = try reader.string()
        case 4: errorName = try reader.string()
        case 5: replySerial = try reader.uint32()
        case 6: destination = try reader.string()
        case 7: sender = try reader.string()
        default: signature = try reader.signature()
        }
    }
}
