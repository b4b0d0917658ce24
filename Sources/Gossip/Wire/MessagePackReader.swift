/// Reads the msgpack subset of memberlist and serf from a bounded part of a byte array.
///
/// Old and new raw formats, every integer width and `nil` for an empty value are taken. Nothing is allocated from a
/// length field before that length is checked against the bytes left.
struct MessagePackReader {
    let bytes: [UInt8]
    private(set) var position: Int
    let end: Int

    /// How deep values may be nested when they are skipped.
    static let depthLimit = 16

    /// Reads the whole array, or the part of it that is given; the part is cut to the array.
    init(_ bytes: [UInt8], _ part: Range<Int>? = nil) {
        self.bytes = bytes
        let part = part?.clamped(to: 0..<bytes.count) ?? 0..<bytes.count
        position = part.lowerBound
        end = part.upperBound
    }

    var remaining: Int { end - position }

    /// What has not been read yet.
    var rest: Range<Int> { position..<end }

    mutating func byte() throws(WireFault) -> UInt8 {
        guard position < end else { throw .truncated }
        let value = bytes[position]
        position += 1
        return value
    }

    /// The next byte, not consumed.
    func peek() throws(WireFault) -> UInt8 {
        guard position < end else { throw .truncated }
        return bytes[position]
    }

    /// Steps over `count` bytes and says where they are.
    mutating func take(_ count: Int) throws(WireFault) -> Range<Int> {
        guard count >= 0, count <= end - position else { throw .truncated }
        let start = position
        position += count
        return start..<position
    }

    /// A big-endian number of `width` bytes (at most 8).
    mutating func bigEndian(_ width: Int) throws(WireFault) -> UInt64 {
        guard width <= end - position else { throw .truncated }
        var value: UInt64 = 0
        for index in position..<position + width { value = value << 8 | UInt64(bytes[index]) }
        position += width
        return value
    }

    /// Consumes a nil if one is next.
    mutating func skipNil() -> Bool {
        guard position < end, bytes[position] == 0xC0 else { return false }
        position += 1
        return true
    }

    /// The number of pairs of a map; nil counts as empty.
    mutating func mapCount() throws(WireFault) -> Int {
        let tag = try byte()
        let count: Int
        switch tag {
        case 0x80...0x8F: count = Int(tag & 0x0F)
        case 0xC0: count = 0
        case 0xDE: count = Int(try bigEndian(2))
        case 0xDF: count = Int(try bigEndian(4))
        default: throw .wrongType
        }
        guard count <= (end - position) / 2 else { throw .truncated }
        return count
    }

    /// The number of elements of an array; nil counts as empty.
    mutating func arrayCount() throws(WireFault) -> Int {
        let tag = try byte()
        let count: Int
        switch tag {
        case 0x90...0x9F: count = Int(tag & 0x0F)
        case 0xC0: count = 0
        case 0xDC: count = Int(try bigEndian(2))
        case 0xDD: count = Int(try bigEndian(4))
        default: throw .wrongType
        }
        guard count <= end - position else { throw .truncated }
        return count
    }

    /// Where a string or byte string lies; nil and the empty array count as empty.
    mutating func raw() throws(WireFault) -> Range<Int> {
        let tag = try byte()
        switch tag {
        case 0xA0...0xBF: return try take(Int(tag & 0x1F))
        case 0xC0, 0x90: return position..<position
        case 0xC4, 0xD9: return try take(Int(try bigEndian(1)))
        case 0xC5, 0xDA: return try take(Int(try bigEndian(2)))
        case 0xC6, 0xDB: return try take(Int(try bigEndian(4)))
        default: throw .wrongType
        }
    }

    mutating func data() throws(WireFault) -> [UInt8] {
        Array(bytes[try raw()])
    }

    mutating func string() throws(WireFault) -> String {
        let range = try raw()
        guard let text = String(validating: bytes[range], as: UTF8.self) else { throw .badText }
        return text
    }

    /// A map key. The names we know fit in a small string; longer ones cannot match and become empty.
    mutating func key() throws(WireFault) -> String {
        let range = try raw()
        guard range.count <= 15 else { return "" }
        return String(decoding: bytes[range], as: UTF8.self)
    }

    mutating func signed() throws(WireFault) -> Int64 {
        let tag = try byte()
        switch tag {
        case 0x00...0x7F: return Int64(tag)
        case 0xE0...0xFF: return Int64(Int8(bitPattern: tag))
        case 0xC0: return 0
        case 0xCC: return Int64(try bigEndian(1))
        case 0xCD: return Int64(try bigEndian(2))
        case 0xCE: return Int64(try bigEndian(4))
        case 0xCF:
            guard let value = Int64(exactly: try bigEndian(8)) else { throw .badValue }
            return value
        case 0xD0: return Int64(Int8(truncatingIfNeeded: try bigEndian(1)))
        case 0xD1: return Int64(Int16(truncatingIfNeeded: try bigEndian(2)))
        case 0xD2: return Int64(Int32(truncatingIfNeeded: try bigEndian(4)))
        case 0xD3: return Int64(bitPattern: try bigEndian(8))
        default: throw .wrongType
        }
    }

    mutating func unsigned() throws(WireFault) -> UInt64 {
        if try peek() == 0xCF {
            position += 1
            return try bigEndian(8)
        }
        guard let value = UInt64(exactly: try signed()) else { throw .badValue }
        return value
    }

    /// An integer that must fit `T`.
    mutating func integer<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type = T.self) throws(WireFault) -> T {
        guard let value = T(exactly: try unsigned()) else { throw .badValue }
        return value
    }

    mutating func bool() throws(WireFault) -> Bool {
        switch try byte() {
        case 0xC2, 0xC0: return false
        case 0xC3: return true
        default: throw .wrongType
        }
    }

    mutating func double() throws(WireFault) -> Double {
        switch try peek() {
        case 0xCA:
            position += 1
            return Double(Float(bitPattern: UInt32(truncatingIfNeeded: try bigEndian(4))))
        case 0xCB:
            position += 1
            return Double(bitPattern: try bigEndian(8))
        default:
            return Double(try signed())
        }
    }

    /// Steps over one value of any type.
    mutating func skip(depth: Int = 0) throws(WireFault) {
        guard depth < Self.depthLimit else { throw .tooDeep }
        let tag = try peek()
        switch tag {
        case 0x00...0x7F, 0xE0...0xFF, 0xC0, 0xC2, 0xC3: position += 1
        case 0x80...0x8F, 0xDE, 0xDF:
            for _ in 0..<(try mapCount()) {
                try skip(depth: depth + 1)
                try skip(depth: depth + 1)
            }
        case 0x90...0x9F, 0xDC, 0xDD:
            for _ in 0..<(try arrayCount()) { try skip(depth: depth + 1) }
        case 0xA0...0xBF, 0xC4...0xC6, 0xD9...0xDB: _ = try raw()
        case 0xCA, 0xCE, 0xD2: _ = try take(5)
        case 0xCB, 0xCF, 0xD3: _ = try take(9)
        case 0xCC, 0xD0: _ = try take(2)
        case 0xCD, 0xD1: _ = try take(3)
        case 0xD4...0xD8: _ = try take(2 + 1 << Int(tag - 0xD4))
        case 0xC7, 0xC8, 0xC9:
            position += 1
            let length = Int(try bigEndian(1 << Int(tag - 0xC7)))
            _ = try take(length)
            _ = try byte()
        default: throw .wrongType
        }
    }
}
