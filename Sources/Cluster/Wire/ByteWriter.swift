/// Writes big-endian numbers and counted bytes.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func short(_ value: Int) {
        let value = UInt16(clamping: value)
        bytes.append(UInt8(truncatingIfNeeded: value >> 8))
        bytes.append(UInt8(truncatingIfNeeded: value))
    }

    mutating func word(_ value: UInt32) {
        for shift in [24, 16, 8, 0] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func long(_ value: UInt64) {
        var shift: UInt64 = 64
        while shift > 0 {
            shift -= 8
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }

    mutating func raw(_ content: some Collection<UInt8>) { bytes.append(contentsOf: content) }

    /// A length byte and at most 255 bytes.
    mutating func counted(_ content: [UInt8]) {
        bytes.append(UInt8(clamping: content.count))
        bytes.append(contentsOf: content.prefix(255))
    }

    mutating func quad(_ value: UInt128) {
        long(UInt64(truncatingIfNeeded: value >> 64))
        long(UInt64(truncatingIfNeeded: value))
    }

    mutating func host(_ host: HostID) { quad(host.rawValue) }

    mutating func network(_ network: NetworkID) {
        quad(network.high)
        quad(network.low)
    }

    mutating func version(_ version: Version) {
        long(version.incarnation)
        long(version.counter)
    }

    /// A message: type, length, content.
    mutating func message(_ type: MessageType, _ content: ByteWriter) {
        byte(type.rawValue)
        word(UInt32(clamping: content.bytes.count))
        bytes.append(contentsOf: content.bytes)
    }
}
