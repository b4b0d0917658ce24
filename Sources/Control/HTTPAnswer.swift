/// An answer in HTTP/1.1 (RFC 9112), whole.
struct HTTPAnswer: Equatable {
    /// The status, 200 and above.
    var status: Int
    /// The body, no longer in chunks.
    var body: [UInt8]
}

/// Puts an answer together from what comes over the connection.
struct HTTPAnswerReader {
    /// The most bytes of a head.
    static let headLimit = 64 << 10

    private enum Length: Equatable {
        case known(Int)
        case chunked
        case untilEnd
    }

    private let limit: Int
    private var buffer: [UInt8] = []
    private var head: (status: Int, length: Length, start: Int)?

    init(limit: Int) { self.limit = limit }

    /// Takes what was received, nothing at the end of the connection.
    ///
    /// - Returns: the answer when it is complete; after the end, nil says that it never will be.
    mutating func append(_ bytes: [UInt8]) throws(ControlError) -> HTTPAnswer? {
        buffer += bytes
        let isEnd = bytes.isEmpty
        while true {
            if head == nil { head = try readHead() }
            guard let head else {
                if buffer.count > Self.headLimit { throw .malformed("its head is longer than \(Self.headLimit) bytes") }
                return nil
            }
            // Interim answers (100) are followed by the real one.
            if head.status < 200 {
                buffer.removeFirst(head.start)
                self.head = nil
                continue
            }
            if buffer.count - head.start > limit { throw .malformed("it is longer than \(limit) bytes") }
            return try body(head.status, head.length, buffer[head.start...], isEnd)
        }
    }

    private func body(_ status: Int, _ length: Length, _ rest: ArraySlice<UInt8>, _ isEnd: Bool) throws(ControlError)
        -> HTTPAnswer?
    {
        switch length {
        case .known(let count):
            if rest.count >= count { return HTTPAnswer(status: status, body: Array(rest.prefix(count))) }
        case .chunked:
            if let body = try Self.joined(rest, limit) { return HTTPAnswer(status: status, body: body) }
        case .untilEnd: return isEnd ? HTTPAnswer(status: status, body: Array(rest)) : nil
        }
        return nil
    }

    /// The status line and the headers, when they are complete.
    private func readHead() throws(ControlError) -> (Int, Length, Int)? {
        guard let end = Self.endOfHead(buffer) else { return nil }
        let lines = buffer[..<end].split(separator: 0x0A).map { line in
            line.last == 0x0D ? Array(line.dropLast()) : Array(line)
        }
        guard let first = lines.first, first.starts(with: Array("HTTP/1.".utf8)) else {
            throw .malformed("it is no HTTP/1.1")
        }
        let words = first.split(separator: 0x20)
        guard words.count >= 2, let status = Self.number(words[1], radix: 10), (100...599).contains(status) else {
            throw .malformed("it has no status")
        }
        var length = Length.untilEnd
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: 0x3A) else { continue }
            let name = String(decoding: line[..<colon], as: UTF8.self).lowercased()
            let value = Self.trimmed(line[(colon + 1)...])
            switch name {
            case "content-length":
                guard let count = Self.number(value, radix: 10) else { throw .malformed("its length is no number") }
                if length != .chunked { length = .known(count) }
            case "transfer-encoding":
                guard String(decoding: value, as: UTF8.self).lowercased() == "chunked" else {
                    throw .malformed("its transfer encoding is not known")
                }
                length = .chunked
            default: break
            }
        }
        // Neither has a body (RFC 9112, 6.3).
        if status == 204 || status == 304 { length = .known(0) }
        return (status, length, end)
    }

    /// The place behind the empty line.
    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        var index = 0
        while let line = bytes[index...].firstIndex(of: 0x0A) {
            let next = line + 1
            if next < bytes.count, bytes[next] == 0x0A { return next + 1 }
            if next + 1 < bytes.count, bytes[next] == 0x0D, bytes[next + 1] == 0x0A { return next + 2 }
            index = next
        }
        return nil
    }

    /// The chunks' contents (RFC 9112, 7.1); nil while some are missing.
    private static func joined(_ bytes: ArraySlice<UInt8>, _ limit: Int) throws(ControlError) -> [UInt8]? {
        var body: [UInt8] = []
        var rest = bytes
        while let end = rest.firstIndex(of: 0x0A) {
            let line = trimmed(rest[rest.startIndex..<end].prefix { $0 != 0x3B })
            guard let count = number(line, radix: 16), count <= limit else {
                throw .malformed("a chunk's length is no number")
            }
            rest = rest[(end + 1)...]
            if count == 0 {
                // Trailers, if any, end with an empty line.
                while let end = rest.firstIndex(of: 0x0A) {
                    if trimmed(rest[rest.startIndex..<end]).isEmpty { return body }
                    rest = rest[(end + 1)...]
                }
                return nil
            }
            guard rest.count >= count + 2 else { return nil }
            body += rest.prefix(count)
            rest = rest.dropFirst(count)
            if rest.first == 0x0D { rest = rest.dropFirst() }
            guard rest.first == 0x0A else { throw .malformed("a chunk is longer than it says") }
            rest = rest.dropFirst()
        }
        return nil
    }

    private static func trimmed(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D }
        var rest = bytes.drop(while: isBlank)
        while let last = rest.last, isBlank(last) { rest = rest.dropLast() }
        return rest
    }

    /// A number of at most nine digits, without sign.
    private static func number(_ digits: ArraySlice<UInt8>, radix: Int) -> Int? {
        guard (1...9).contains(digits.count), digits.first != 0x2B, digits.first != 0x2D else { return nil }
        return Int(String(decoding: digits, as: UTF8.self), radix: radix)
    }
}
