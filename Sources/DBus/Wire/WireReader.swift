/// Reads values in either byte order. Total: whatever the bytes are, it throws rather than trap, and reads nothing
/// outside them.
struct WireReader {
    private let bytes: [UInt8]
    private let isBigEndian: Bool
    private(set) var offset: Int
    private let end: Int

    /// A reader of `bytes` up to `end`; positions are counted from the first byte, wherever reading starts.
    init(_ bytes: [UInt8], isBigEndian: Bool, from offset: Int = 0, to end: Int? = nil) {
        self.bytes = bytes
        self.isBigEndian = isBigEndian
        self.end = min(max(end ?? bytes.count, 0), bytes.count)
        self.offset = min(max(offset, 0), self.end)
    }

    var isAtEnd: Bool { offset == end }

    /// The next bytes, which are passed.
    private mutating func take(_ count: Int) throws(WireError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= end - offset else { throw .truncated }
        defer { offset += count }
        return bytes[offset..<offset + count]
    }

    /// Passes the padding before a value that is aligned to `boundary`.
    mutating func align(_ boundary: Int) throws(WireError) {
        let rest = offset % boundary
        guard rest != 0 else { return }
        guard try take(boundary - rest).allSatisfy({ $0 == 0 }) else { throw WireError("padding is not zero") }
    }

    mutating func byte() throws(WireError) -> UInt8 {
        try take(1).first ?? 0
    }

    mutating func uint32() throws(WireError) -> UInt32 {
        try align(4)
        let digits = try take(4)
        return isBigEndian
            ? digits.reduce(0) { $0 << 8 | UInt32($1) } : digits.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    mutating func boolean() throws(WireError) -> Bool {
        switch try uint32() {
        case 0: false
        case 1: true
        default: throw WireError("a truth value is neither 0 nor 1")
        }
    }

    mutating func string() throws(WireError) -> String {
        try text(Int(try uint32()))
    }

    mutating func objectPath() throws(WireError) -> String {
        let path = try string()
        try Signature.checkPath(path)
        return path
    }

    mutating func signature() throws(WireError) -> String {
        let text = try text(Int(try byte()))
        try Signature.check(Array(text.utf8))
        return text
    }

    private mutating func text(_ count: Int) throws(WireError) -> String {
        let text = try take(count)
        guard try byte() == 0, !text.contains(0) else { throw WireError("a text does not end with its only NUL") }
        guard let string = String(validating: text, as: UTF8.self) else { throw WireError("a text is not UTF-8") }
        return string
    }

    /// The length of an array in bytes; what follows is its first element.
    private mutating func arraySize(of element: UInt8?) throws(WireError) -> Int {
        let size = Int(try uint32())
        try align(Signature.alignment(element))
        guard size <= end - offset else { throw .truncated }
        return size
    }

    // MARK: Values

    /// The values of a whole body.
    mutating func values(_ signature: String) throws(WireError) -> [BusValue] {
        var values: [BusValue] = []
        var rest = Array(signature.utf8)[...]
        while !rest.isEmpty {
            let type = try Signature.completeType(rest)
            values.append(try value(type, depth: 0))
            rest = rest.dropFirst(type.count)
        }
        guard isAtEnd else { throw WireError("there are bytes after the last value") }
        return values
    }

    private mutating func value(_ type: ArraySlice<UInt8>, depth: Int) throws(WireError) -> BusValue {
        guard depth < Signature.deepest else { throw .tooDeep }
        switch String(decoding: type, as: UTF8.self) {
        case "b": return .boolean(try boolean())
        case "u": return .uint32(try uint32())
        case "s": return .string(try string())
        case "o": return .objectPath(try objectPath())
        case "g": return .signature(try signature())
        case "v": return .variant(try value(try variantType(), depth: depth + 1))
        case "as":
            let stop = try arraySize(of: UInt8(ascii: "s")) + offset
            var texts: [String] = []
            while offset < stop { texts.append(try string()) }
            guard offset == stop else { throw WireError("an array ends inside an element") }
            return .strings(texts)
        case let other: throw WireError("type \"\(other)\" is not one this client reads")
        }
    }

    /// The type of a variant's value.
    mutating func variantType() throws(WireError) -> ArraySlice<UInt8> {
        let signature = Array(try signature().utf8)
        guard !signature.isEmpty, try Signature.completeType(signature[...]).count == signature.count else {
            throw WireError("a variant does not hold one value")
        }
        return signature[...]
    }

    /// Passes a value of any type.
    mutating func skip(_ type: ArraySlice<UInt8>, depth: Int = 0) throws(WireError) {
        guard depth < Signature.deepest else { throw .tooDeep }
        switch type.first {
        case UInt8(ascii: "s"), UInt8(ascii: "o"): _ = try string()
        case UInt8(ascii: "g"): _ = try signature()
        case UInt8(ascii: "v"): try skip(try variantType(), depth: depth + 1)
        case UInt8(ascii: "a"):
            let size = try arraySize(of: type.dropFirst().first)
            _ = try take(size)
        case UInt8(ascii: "("):
            try align(8)
            var members = type.dropFirst().dropLast()
            while !members.isEmpty {
                let member = try Signature.completeType(members)
                try skip(member, depth: depth + 1)
                members = members.dropFirst(member.count)
            }
        case let code:
            // The other types are as long as they are aligned.
            let size = Signature.alignment(code)
            try align(size)
            _ = try take(size)
        }
    }
}
