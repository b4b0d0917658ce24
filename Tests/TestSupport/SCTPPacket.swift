/// The start of an SCTP association as bytes (RFC 9260): a common header and one INIT or INIT ACK chunk.
struct SCTPPacket: Equatable {
    /// What the chunk is.
    enum Kind: UInt8 {
        /// A client's first packet.
        case initiation = 1
        /// The server's answer.
        case acknowledgement = 2
    }

    var kind: Kind
    var source: UInt16
    var destination: UInt16
    /// The tag the receiver asked for; 0 with an INIT.
    var verificationTag: UInt32 = 0
    /// The tag the sender asks for.
    var tag: UInt32
    /// The state cookie of an INIT ACK, here the server's words.
    var cookie: [UInt8] = []

    init(_ kind: Kind, from source: UInt16, to destination: UInt16, tag: UInt32) {
        (self.kind, self.source, self.destination, self.tag) = (kind, source, destination, tag)
    }

    /// Reads a packet; nil for other chunks and for a wrong checksum.
    init?(_ bytes: some Collection<UInt8>) {
        var bytes = Array(bytes)
        guard bytes.count >= 32, let kind = Kind(rawValue: bytes[12]) else { return nil }
        let checksum = Array(bytes[8..<12])
        bytes.replaceSubrange(8..<12, with: [0, 0, 0, 0])
        guard Self.checksum(bytes) == checksum else { return nil }
        func number(_ range: Range<Int>) -> UInt32 { bytes[range].reduce(0) { $0 << 8 | UInt32($1) } }
        self.kind = kind
        source = UInt16(truncatingIfNeeded: number(0..<2))
        destination = UInt16(truncatingIfNeeded: number(2..<4))
        verificationTag = number(4..<8)
        tag = number(16..<20)
        let length = Int(number(14..<16))
        if kind == .acknowledgement, length >= 24, bytes.count >= 12 + length {
            cookie = Array(bytes[36..<12 + length])
        }
    }

    /// The packet behind its IP header.
    var bytes: [UInt8] {
        func big(_ number: UInt32, _ count: Int = 4) -> [UInt8] {
            (0..<count).reversed().map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
        }
        // Receiver window, streams out and in, first sequence number.
        var chunk = big(tag) + big(65536) + big(1, 2) + big(1, 2) + big(tag)
        if kind == .acknowledgement { chunk += big(7, 2) + big(UInt32(cookie.count) + 4, 2) + cookie }
        let header = big(UInt32(source), 2) + big(UInt32(destination), 2) + big(verificationTag)
        var body = [kind.rawValue, 0] + big(UInt32(chunk.count) + 4, 2) + chunk
        while body.count % 4 != 0 { body.append(0) }
        return header + Self.checksum(header + [0, 0, 0, 0] + body) + body
    }

    /// CRC-32C, lowest byte first.
    static func checksum(_ bytes: [UInt8]) -> [UInt8] {
        var sum: UInt32 = .max
        for byte in bytes {
            sum ^= UInt32(byte)
            for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0x82F6_3B78 : sum >> 1 }
        }
        return (0..<4).map { UInt8(truncatingIfNeeded: ~sum >> ($0 * 8)) }
    }
}
