/// Several messages in one: type, count, big-endian lengths, bodies.
enum Compound {
    static let partLimit = 255
    /// The type byte and the count.
    static let headerLength = 2
    /// What each part adds: its length.
    static let partOverhead = 2

    /// Packs at most 255 messages of less than 64 KiB each.
    static func encode(_ parts: some Collection<[UInt8]>) -> [UInt8] {
        var writer = MessagePackWriter(reserving: parts.reduce(headerLength) { $0 + partOverhead + $1.count })
        writer.byte(MessageType.compound.rawValue)
        writer.byte(UInt8(truncatingIfNeeded: parts.count))
        for part in parts { writer.bigEndian(UInt64(part.count), width: 2) }
        for part in parts { writer.append(part) }
        return writer.bytes
    }

    /// Where the parts lie, after the type byte. A part cut off at the end of the packet is dropped, as agents do.
    static func parts(_ reader: inout MessagePackReader) throws(WireFault) -> [Range<Int>] {
        let count = Int(try reader.byte())
        var lengths = reader
        _ = try reader.take(count * 2)
        var parts: [Range<Int>] = []
        parts.reserveCapacity(count)
        for _ in 0..<count {
            let length = Int(try lengths.bigEndian(2))
            guard length <= reader.remaining else { return parts }
            parts.append(try reader.take(length))
        }
        return parts
    }
}
