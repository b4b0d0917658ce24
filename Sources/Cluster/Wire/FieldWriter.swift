public import NetworkTypes

/// Writes the tagged fields of a value: for each a tag (1 byte), a length (2 bytes, big endian) and that many bytes.
public struct FieldWriter: Sendable {
    /// What was written.
    public private(set) var bytes: [UInt8] = []

    /// Starts with nothing.
    public init() {}

    /// Adds a field. More than 65 535 bytes are cut; no value may be that long.
    public mutating func add(_ tag: UInt8, _ content: some Collection<UInt8>) {
        let length = UInt16(clamping: content.count)
        bytes.append(tag)
        bytes.append(UInt8(truncatingIfNeeded: length >> 8))
        bytes.append(UInt8(truncatingIfNeeded: length))
        bytes.append(contentsOf: content.prefix(Int(length)))
    }

    /// Adds text.
    public mutating func add(_ tag: UInt8, _ text: String) { add(tag, Array(text.utf8)) }

    /// Adds a number in as few bytes as it takes, big endian; 0 takes none.
    public mutating func add(_ tag: UInt8, number: UInt64) {
        let zeros = number.leadingZeroBitCount / 8
        add(tag, (zeros..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) })
    }

    /// Adds an address: 4 or 16 bytes.
    public mutating func add(_ tag: UInt8, _ address: IPAddress) { add(tag, address.bytes) }

    /// Adds an address with a prefix length: the length (1 byte) and the address.
    public mutating func add(_ tag: UInt8, _ prefix: IPPrefix) {
        add(tag, [UInt8(clamping: prefix.length)] + prefix.address.bytes)
    }
}
