/// An Ethernet (EUI-48) address.
public struct MACAddress: Hashable, Sendable {
    /// The six bytes, in the order they go on the wire.
    public let bytes: [UInt8]

    /// 00:00:00:00:00:00, the loopback interface's address.
    public static let zero = MACAddress(number: 0)

    /// Makes an address of six bytes; nil for any other count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 6 else { return nil }
        self.bytes = Array(bytes)
    }

    /// Makes an address of the low 48 bits.
    public init(number: UInt64) {
        bytes = (0..<6).map { UInt8(truncatingIfNeeded: number >> (40 - 8 * UInt64($0))) }
    }

    /// A unicast, locally administered address with the other 46 bits taken from `number`.
    public init(locallyAdministered number: UInt64) {
        self.init(number: (number & ~0x0100_0000_0000) | 0x0200_0000_0000)
    }

    /// 02:42 and an IPv4 address, as Docker gives it to a container with that address; of an IPv6 address its last four
    /// bytes.
    public init(following address: IPAddress) {
        self.init(number: 0x0242_0000_0000 | UInt64(truncatingIfNeeded: address.number & 0xFFFF_FFFF))
    }

    /// Parses six hexadecimal pairs separated by ":" or "-" (one kind throughout), or three dotted groups of four, in
    /// either case: the forms Go's `net.ParseMAC` takes for 48 bits.
    public init?(_ text: some StringProtocol) {
        let separator: Character = text.contains(":") ? ":" : text.contains("-") ? "-" : "."
        let width = separator == "." ? 4 : 2
        let parts = text.split(separator: separator, omittingEmptySubsequences: false)
        guard parts.count == 12 / width else { return nil }
        var number: UInt64 = 0
        for part in parts {
            guard part.utf8.count == width, part.utf8.first != 0x2B, part.utf8.first != 0x2D,
                let value = UInt64(part, radix: 16)
            else { return nil }
            number = number << UInt64(4 * width) | value
        }
        self.init(number: number)
    }

    /// Whether frames can be sent to it alone: not multicast, not zero.
    public var isUnicast: Bool { bytes[0] & 1 == 0 && bytes.contains { $0 != 0 } }
}

extension MACAddress: CustomStringConvertible {
    /// Lower-case pairs separated by colons.
    public var description: String {
        var text: [UInt8] = []
        text.reserveCapacity(17)
        for byte in bytes {
            if !text.isEmpty { text.append(UInt8(ascii: ":")) }
            text.appendHexadecimal(byte)
        }
        return String(decoding: text, as: UTF8.self)
    }
}

extension [UInt8] {
    /// Appends a byte as two lower-case hexadecimal digits in ASCII.
    mutating func appendHexadecimal(_ byte: UInt8) {
        appendDigit(byte >> 4)
        appendDigit(byte & 15)
    }

    private mutating func appendDigit(_ digit: UInt8) {
        append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + (digit - 10))
    }
}
