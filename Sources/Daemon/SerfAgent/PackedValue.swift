/// A msgpack value, as much of the format as serf's IPC uses: texts and bytes are one, keys of maps are texts.
indirect enum PackedValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case real(Double)
    case bytes([UInt8])
    case array([PackedValue])
    case map([String: PackedValue])

    /// What cannot be a message of an agent.
    enum Fault: Error, Equatable {
        case malformed
        case tooDeep
    }

    private static let depthLimit = 16

    static func text(_ text: String) -> PackedValue { .bytes(Array(text.utf8)) }

    static func texts(_ texts: some Sequence<String>) -> PackedValue { .array(texts.map { .text($0) }) }

    // MARK: Looking

    subscript(key: String) -> PackedValue? {
        guard case .map(let members) = self else { return nil }
        return members[key]
    }

    var text: String? {
        guard case .bytes(let bytes) = self else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    var octets: [UInt8]? {
        guard case .bytes(let bytes) = self else { return nil }
        return bytes
    }

    var number: Int64? {
        guard case .integer(let number) = self else { return nil }
        return number
    }

    var elements: [PackedValue] {
        guard case .array(let elements) = self else { return [] }
        return elements
    }

    var members: [String: PackedValue] {
        guard case .map(let members) = self else { return [:] }
        return members
    }

    // MARK: Writing

    /// The bytes, in the old form of the format, which every agent reads.
    func encode(into bytes: inout [UInt8]) {
        switch self {
        case .null: bytes.append(0xC0)
        case .bool(let value): bytes.append(value ? 0xC3 : 0xC2)
        case .integer(let value):
            if (0...127).contains(value) {
                bytes.append(UInt8(truncatingIfNeeded: value))
            } else {
                bytes.append(0xD3)
                Self.append(UInt64(bitPattern: value), 8, &bytes)
            }
        case .real(let value):
            bytes.append(0xCB)
            Self.append(value.bitPattern, 8, &bytes)
        case .bytes(let content):
            Self.head(content.count, short: 0xA0, 31, 0xDA, &bytes)
            bytes += content
        case .array(let elements):
            Self.head(elements.count, short: 0x90, 15, 0xDC, &bytes)
            for element in elements { element.encode(into: &bytes) }
        case .map(let members):
            Self.head(members.count, short: 0x80, 15, 0xDE, &bytes)
            for (key, value) in members.sorted(by: { $0.key < $1.key }) {
                PackedValue.text(key).encode(into: &bytes)
                value.encode(into: &bytes)
            }
        }
    }

    private static func append(_ value: UInt64, _ width: Int, _ bytes: inout [UInt8]) {
        for index in (0..<width).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(index * 8))) }
    }

    private static func head(_ count: Int, short: UInt8, _ limit: Int, _ long: UInt8, _ bytes: inout [UInt8]) {
        if count <= limit {
            bytes.append(short | UInt8(count))
        } else if count <= 0xFFFF {
            bytes.append(long)
            append(UInt64(count), 2, &bytes)
        } else {
            bytes.append(long + 1)
            append(UInt64(count), 4, &bytes)
        }
    }

    // MARK: Reading

    /// Reads one value at the start of `bytes` and takes it off; nil when its end has not come yet.
    static func take(from bytes: inout ArraySlice<UInt8>) throws(Fault) -> PackedValue? {
        var reader = Reading(bytes: bytes)
        guard let value = try reader.value(depth: 0) else { return nil }
        bytes = reader.bytes
        return value
    }

    private struct Reading {
        var bytes: ArraySlice<UInt8>

        mutating func number(_ width: Int) -> UInt64? {
            guard bytes.count >= width else { return nil }
            defer { bytes = bytes.dropFirst(width) }
            return bytes.prefix(width).reduce(0) { $0 << 8 | UInt64($1) }
        }

        mutating func value(depth: Int) throws(Fault) -> PackedValue? {
            guard depth < PackedValue.depthLimit else { throw .tooDeep }
            guard let code = bytes.popFirst() else { return nil }
            switch code {
            case 0x00...0x7F: return .integer(Int64(code))
            case 0xE0...0xFF: return .integer(Int64(Int8(bitPattern: code)))
            case 0x80...0x8F: return try map(Int(code & 15), depth)
            case 0x90...0x9F: return try array(Int(code & 15), depth)
            case 0xA0...0xBF: return octets(UInt64(code & 31))
            case 0xC0: return .null
            case 0xC2, 0xC3: return .bool(code == 0xC3)
            case 0xC4, 0xD9: return number(1).flatMap { octets($0) }
            case 0xC5, 0xDA: return number(2).flatMap { octets($0) }
            case 0xC6, 0xDB: return number(4).flatMap { octets($0) }
            case 0xCA: return number(4).map { .real(Double(Float(bitPattern: UInt32(truncatingIfNeeded: $0)))) }
            case 0xCB: return number(8).map { .real(Double(bitPattern: $0)) }
            case 0xCC...0xCF: return number(1 << Int(code - 0xCC)).map { .integer(Int64(clamping: $0)) }
            case 0xD0...0xD3: return signed(1 << Int(code - 0xD0))
            case 0xDC, 0xDD:
                guard let count = number(code == 0xDC ? 2 : 4) else { return nil }
                return try array(Int(count), depth)
            case 0xDE, 0xDF:
                guard let count = number(code == 0xDE ? 2 : 4) else { return nil }
                return try map(Int(count), depth)
            default: throw .malformed
            }
        }

        private mutating func signed(_ width: Int) -> PackedValue? {
            number(width).map { .integer(Int64(bitPattern: $0 << UInt64(64 - width * 8)) >> Int64(64 - width * 8)) }
        }

        private mutating func octets(_ count: UInt64) -> PackedValue? {
            guard count <= UInt64(bytes.count) else { return nil }
            defer { bytes = bytes.dropFirst(Int(count)) }
            return .bytes(Array(bytes.prefix(Int(count))))
        }

        private mutating func array(_ count: Int, _ depth: Int) throws(Fault) -> PackedValue? {
            var elements: [PackedValue] = []
            for _ in 0..<count {
                guard let element = try value(depth: depth + 1) else { return nil }
                elements.append(element)
            }
            return .array(elements)
        }

        private mutating func map(_ count: Int, _ depth: Int) throws(Fault) -> PackedValue? {
            var members: [String: PackedValue] = [:]
            for _ in 0..<count {
                guard let key = try value(depth: depth + 1) else { return nil }
                guard let name = key.text else { throw .malformed }
                guard let member = try value(depth: depth + 1) else { return nil }
                members[name] = member
            }
            return .map(members)
        }
    }
}
