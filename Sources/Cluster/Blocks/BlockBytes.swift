/// Writes the bytes of the block ring: numbers in groups of seven bits, lowest first (LEB128); fields as tag, length,
/// value, so that a reader may skip what it does not know.
struct BlockWriter {
    var bytes: [UInt8] = []

    mutating func number(_ value: some UnsignedInteger) {
        var rest = UInt64(truncatingIfNeeded: value)
        while rest > 127 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 128)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func count(_ value: Int) { number(UInt(max(0, value))) }

    /// Eight bytes, highest first: for digests and random numbers.
    mutating func fixed(_ value: UInt64) {
        for shift in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * shift))) }
    }

    mutating func flag(_ value: Bool) { bytes.append(value ? 1 : 0) }

    mutating func text(_ value: String) {
        let utf8 = Array(value.utf8)
        count(utf8.count)
        bytes += utf8
    }

    mutating func host(_ value: HostID) { bytes += value.bytes }

    mutating func owner(_ value: BlockOwner) {
        host(value.host)
        number(value.life)
    }

    mutating func list<Element>(_ elements: [Element], _ body: (inout BlockWriter, Element) -> Void) {
        count(elements.count)
        for element in elements { body(&self, element) }
    }

    mutating func field(_ tag: UInt8, _ body: (inout BlockWriter) -> Void) {
        var inner = BlockWriter()
        body(&inner)
        bytes.append(tag)
        count(inner.bytes.count)
        bytes += inner.bytes
    }
}

/// Reads what `BlockWriter` writes. Every count is checked against a limit and the bytes that are there before anything is
/// allocated.
struct BlockReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: some Collection<UInt8>) { rest = Array(bytes)[...] }

    private init(slice: ArraySlice<UInt8>) { rest = slice }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func byte() throws(BlockWireFault) -> UInt8 {
        guard let byte = rest.popFirst() else { throw .truncated }
        return byte
    }

    mutating func bytes(_ count: Int) throws(BlockWireFault) -> ArraySlice<UInt8> {
        guard count <= rest.count else { throw .truncated }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func number() throws(BlockWireFault) -> UInt64 {
        var value: UInt64 = 0
        for shift in 0..<10 {
            let byte = try byte()
            guard shift < 9 || byte <= 1 else { throw .tooLarge }
            value |= UInt64(byte & 127) << UInt64(7 * shift)
            // One way to write each number, so that equal values have equal bytes.
            guard byte != 0 || shift == 0 else { throw .badValue }
            if byte < 128 { return value }
        }
        throw .tooLarge
    }

    mutating func count(atMost limit: Int) throws(BlockWireFault) -> Int {
        let value = try number()
        guard value <= UInt64(limit) else { throw .tooLarge }
        return Int(value)
    }

    mutating func number32() throws(BlockWireFault) -> UInt32 {
        guard let value = UInt32(exactly: try number()) else { throw .tooLarge }
        return value
    }

    mutating func fixed() throws(BlockWireFault) -> UInt64 { try bytes(8).reduce(0) { $0 << 8 | UInt64($1) } }

    mutating func flag() throws(BlockWireFault) -> Bool {
        let value = try byte()
        guard value < 2 else { throw .badValue }
        return value == 1
    }

    mutating func text() throws(BlockWireFault) -> String {
        guard let text = String(validating: try bytes(count(atMost: 255)), as: UTF8.self), !text.isEmpty else {
            throw .badValue
        }
        return text
    }

    mutating func host() throws(BlockWireFault) -> HostID {
        guard let host = HostID(bytes: try bytes(16)) else { throw .truncated }
        return host
    }

    mutating func owner() throws(BlockWireFault) -> BlockOwner {
        let owner = BlockOwner(host: try host(), life: try number32())
        guard owner.life != 0 else { throw .badValue }
        return owner
    }

    mutating func list<Element>(
        atMost limit: Int, _ body: (inout BlockReader) throws(BlockWireFault) -> Element
    ) throws(BlockWireFault) -> [Element] {
        let count = try count(atMost: limit)
        // Every element takes at least one byte.
        guard count <= rest.count else { throw .truncated }
        var elements: [Element] = []
        elements.reserveCapacity(count)
        for _ in 0..<count { elements.append(try body(&self)) }
        return elements
    }

    /// The fields that follow, the last one of each tag.
    mutating func fields() throws(BlockWireFault) -> [UInt8: BlockReader] {
        var fields: [UInt8: BlockReader] = [:]
        while !isAtEnd {
            let tag = try byte()
            fields[tag] = BlockReader(slice: try bytes(count(atMost: .max >> 1)))
        }
        return fields
    }
}

/// FNV-1a with 64 bits: finds differences between tables and torn files, not forgeries.
struct BlockHash {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }

    mutating func add(_ number: UInt64) {
        for shift in 0..<8 { value = (value ^ (number >> UInt64(8 * shift) & 255)) &* 0x100_0000_01B3 }
    }
}
