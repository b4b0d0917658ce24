/// Writes values in D-Bus's little-endian form; positions are counted from the writer's first byte.
struct WireWriter {
    private(set) var bytes: [UInt8] = []

    /// Fills up with zeros to a multiple of `boundary`.
    mutating func align(_ boundary: Int) {
        while !bytes.count.isMultiple(of: boundary) { bytes.append(0) }
    }

    mutating func put(byte: UInt8) { bytes.append(byte) }

    mutating func put(_ value: UInt32) {
        align(4)
        bytes += Self.encoded(value)
    }

    mutating func put(raw: [UInt8]) { bytes += raw }

    mutating func put(string: String) throws(WireError) {
        let text = Array(string.utf8)
        guard !text.contains(0) else { throw WireError("a text holds a NUL") }
        guard text.count <= Message.largest else { throw WireError("a text is too long") }
        put(UInt32(text.count))
        bytes += text + [0]
    }

    mutating func put(signature: String) throws(WireError) {
        let text = Array(signature.utf8)
        try Signature.check(text)
        bytes += [UInt8(text.count)] + text + [0]
    }

    mutating func put(_ value: BusValue, depth: Int = 0) throws(WireError) {
        guard depth < Signature.deepest else { throw .tooDeep }
        switch value {
        case .boolean(let flag): put(flag ? 1 : 0)
        case .uint32(let number): put(number)
        case .string(let text): try put(string: text)
        case .objectPath(let path):
            try Signature.checkPath(path)
            try put(string: path)
        case .signature(let text): try put(signature: text)
        case .strings(let texts):
            put(0)
            let start = bytes.count
            for text in texts { try put(string: text) }
            let size = bytes.count - start
            guard size <= Message.largest else { throw WireError("an array is too long") }
            bytes.replaceSubrange(start - 4..<start, with: Self.encoded(UInt32(size)))
        case .variant(let inner):
            try put(signature: inner.typeCode)
            try put(inner, depth: depth + 1)
        }
    }

    private static func encoded(_ value: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) }
    }
}
