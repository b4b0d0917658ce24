/// Writes msgpack the way the agents of a serf cluster do: old raw format, shortest integers, map keys as given
/// (callers write them in ASCII order).
struct MessagePackWriter {
    private(set) var bytes: [UInt8]

    init(reserving capacity: Int = 96) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func append(_ data: some Collection<UInt8>) { bytes.append(contentsOf: data) }

    mutating func bigEndian(_ value: UInt64, width: Int) {
        for shift in stride(from: 8 * (width - 1), through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }

    mutating func map(_ count: Int) {
        if count < 16 { byte(0x80 | UInt8(truncatingIfNeeded: count)) } else { long(0xDE, count) }
    }

    mutating func array(_ count: Int) {
        if count < 16 { byte(0x90 | UInt8(truncatingIfNeeded: count)) } else { long(0xDC, count) }
    }

    private mutating func long(_ tag: UInt8, _ count: Int) {
        let wide = count > 0xFFFF
        byte(wide ? tag + 1 : tag)
        bigEndian(UInt64(count), width: wide ? 4 : 2)
    }

    private mutating func rawHeader(_ count: Int) {
        if count < 32 { byte(0xA0 | UInt8(truncatingIfNeeded: count)) } else { long(0xDA, count) }
    }

    mutating func string(_ text: String) {
        rawHeader(text.utf8.count)
        bytes.append(contentsOf: text.utf8)
    }

    mutating func data(_ data: some Collection<UInt8>) {
        rawHeader(data.count)
        bytes.append(contentsOf: data)
    }

    mutating func null() { byte(0xC0) }

    /// A byte string; nothing is written as nil, as Go writes a nil slice.
    mutating func dataOrNull(_ data: [UInt8]?) {
        if let data { self.data(data) } else { null() }
    }

    mutating func unsigned(_ value: UInt64) {
        switch value {
        case 0...0x7F: byte(UInt8(truncatingIfNeeded: value))
        case 0...0xFF:
            byte(0xCC)
            byte(UInt8(truncatingIfNeeded: value))
        case 0...0xFFFF:
            byte(0xCD)
            bigEndian(value, width: 2)
        case 0...0xFFFF_FFFF:
            byte(0xCE)
            bigEndian(value, width: 4)
        default:
            byte(0xCF)
            bigEndian(value, width: 8)
        }
    }

    mutating func signed(_ value: Int64) {
        guard value < 0 else { return unsigned(UInt64(value)) }
        switch value {
        case -32 ... -1: byte(UInt8(bitPattern: Int8(truncatingIfNeeded: value)))
        case Int64(Int8.min) ... -1:
            byte(0xD0)
            byte(UInt8(truncatingIfNeeded: value))
        case Int64(Int16.min) ... -1:
            byte(0xD1)
            bigEndian(UInt64(bitPattern: value), width: 2)
        case Int64(Int32.min) ... -1:
            byte(0xD2)
            bigEndian(UInt64(bitPattern: value), width: 4)
        default:
            byte(0xD3)
            bigEndian(UInt64(bitPattern: value), width: 8)
        }
    }

    mutating func bool(_ value: Bool) { byte(value ? 0xC3 : 0xC2) }

    mutating func double(_ value: Double) {
        byte(0xCB)
        bigEndian(value.bitPattern, width: 8)
    }
}
