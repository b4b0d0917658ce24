/// An IPv4 address in host byte order.
public struct IPv4Address: Hashable, Comparable, Sendable {
    /// The address as a number: 10.0.0.1 is 0x0A000001.
    public let rawValue: UInt32

    /// Makes an address of its number.
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Makes an address of four bytes, most significant first; nil for any other count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 4 else { return nil }
        rawValue = bytes.reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Parses dotted decimal. Leading zeros are refused: they mean octal to some programs.
    public init?(_ text: some StringProtocol) {
        self.init(ascii: Array(text.utf8)[...])
    }

    init?(ascii text: ArraySlice<UInt8>) {
        var value: UInt32 = 0
        var parts = 1
        var part: UInt32 = 0
        var digits = 0
        for byte in text {
            switch byte {
            case 0x30...0x39 where digits == 0 || part != 0:
                part = part * 10 + UInt32(byte - 0x30)
                digits += 1
                if part > 255 { return nil }
            case UInt8(ascii: ".") where digits > 0 && parts < 4:
                value = value << 8 | part
                (parts, part, digits) = (parts + 1, 0, 0)
            default: return nil
            }
        }
        guard parts == 4, digits > 0 else { return nil }
        rawValue = value << 8 | part
    }

    /// The four bytes, most significant first.
    public var bytes: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: rawValue >> (24 - 8 * $0)) } }

    /// Numeric order.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension IPv4Address: CustomStringConvertible {
    /// Dotted decimal.
    public var description: String {
        "\(rawValue >> 24).\(rawValue >> 16 & 255).\(rawValue >> 8 & 255).\(rawValue & 255)"
    }
}
