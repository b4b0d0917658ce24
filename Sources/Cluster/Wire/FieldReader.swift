public import NetworkTypes

/// Reads tagged fields. Who reads skips the tags it does not know.
public struct FieldReader: Sendable {
    /// One field.
    public struct Field: Hashable, Sendable {
        /// What it is.
        public let tag: UInt8
        /// Its bytes.
        public let content: ArraySlice<UInt8>
    }

    private var rest: ArraySlice<UInt8>
    /// Whether the bytes ended within a field.
    public private(set) var isBroken = false

    /// Reads from the first byte on.
    public init(_ bytes: some Sequence<UInt8>) {
        rest = Array(bytes)[...]
    }

    /// The next field; nil at the end and when the bytes are broken.
    public mutating func next() -> Field? {
        guard !rest.isEmpty, !isBroken else { return nil }
        let head = rest.prefix(3)
        guard head.count == 3 else { return fail() }
        let start = head.startIndex
        let length = Int(head[start + 1]) << 8 | Int(head[start + 2])
        let body = rest.dropFirst(3)
        guard body.count >= length else { return fail() }
        rest = body.dropFirst(length)
        return Field(tag: head[start], content: body.prefix(length))
    }

    private mutating func fail() -> Field? {
        isBroken = true
        return nil
    }
}

extension FieldReader.Field {
    /// Text of at most `limit` bytes of UTF-8 without control characters; nil for anything else.
    public func text(limit: Int = 255) -> String? {
        guard content.count <= limit, !content.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return nil }
        return String(validating: content, as: UTF8.self)
    }

    /// A number of at most 8 bytes, big endian, without leading zeros; nil for anything else and above `limit`.
    public func number(upTo limit: UInt64 = .max) -> UInt64? {
        guard content.count <= 8, content.first != 0 else { return nil }
        let number = content.reduce(0) { $0 << 8 | UInt64($1) }
        return number <= limit ? number : nil
    }

    /// An address of 4 or 16 bytes.
    public var address: IPAddress? { IPAddress(bytes: content) }

    /// An address with its prefix length.
    public var prefix: IPPrefix? {
        guard let length = content.first, let address = IPAddress(bytes: content.dropFirst()) else { return nil }
        return IPPrefix(address, length: Int(length))
    }
}
