/// An IPv6 address as a 128-bit number.
public struct IPv6Address: Hashable, Comparable, Sendable {
    /// The address as a number, most significant bits first on the wire.
    public let rawValue: UInt128

    /// Makes an address of its number.
    public init(rawValue: UInt128) {
        self.rawValue = rawValue
    }

    /// Makes an address of sixteen bytes, most significant first; nil for any other count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        rawValue = bytes.reduce(0) { $0 << 8 | UInt128($1) }
    }

    /// Parses RFC 4291 text, "::" and a dotted IPv4 tail included; zones are refused.
    public init?(_ text: some StringProtocol) {
        self.init(ascii: Array(text.utf8)[...])
    }

    init?(ascii text: ArraySlice<UInt8>) {
        let colon = UInt8(ascii: ":")
        var groups: [UInt16] = []
        // Where the one "::" stands for one or more groups of zeros.
        var gap: Int?
        var rest = text
        if rest.starts(with: [colon, colon]) {
            gap = 0
            rest = rest.dropFirst(2)
        }
        while !rest.isEmpty {
            let digits = rest.prefix { Self.hexValue($0) != nil }
            if rest.dropFirst(digits.count).first == UInt8(ascii: ".") {
                guard let dotted = IPv4Address(ascii: rest) else { return nil }
                groups.append(UInt16(truncatingIfNeeded: dotted.rawValue >> 16))
                groups.append(UInt16(truncatingIfNeeded: dotted.rawValue))
                break
            }
            guard (1...4).contains(digits.count), groups.count < 8 else { return nil }
            groups.append(digits.reduce(0) { $0 << 4 | UInt16(Self.hexValue($1) ?? 0) })
            rest = rest.dropFirst(digits.count)
            if rest.isEmpty { break }
            guard rest.first == colon, rest.count > 1 else { return nil }
            rest = rest.dropFirst()
            if rest.first == colon {
                guard gap == nil else { return nil }
                gap = groups.count
                rest = rest.dropFirst()
            }
        }
        if let gap {
            guard groups.count <= 7 else { return nil }
            groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        rawValue = groups.reduce(0) { $0 << 16 | UInt128($1) }
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x41 + 10
        case 0x61...0x66: byte - 0x61 + 10
        default: nil
        }
    }

    /// The sixteen bytes, most significant first.
    public var bytes: [UInt8] { (0..<16).map { UInt8(truncatingIfNeeded: rawValue >> UInt128(120 - 8 * $0)) } }

    /// The IPv4 address inside an IPv4-mapped address (`::ffff:a.b.c.d`), else nil.
    public var mappedIPv4: IPv4Address? {
        rawValue >> 32 == 0xFFFF ? IPv4Address(rawValue: UInt32(truncatingIfNeeded: rawValue)) : nil
    }

    /// Whether the address is in fe80::/10.
    public var isLinkLocal: Bool { rawValue >> 118 == 0x3FA }

    /// Numeric order.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension IPv6Address: CustomStringConvertible {
    /// RFC 5952 text: lower case, the longest run of two or more zero groups as "::".
    public var description: String {
        if let mapped = mappedIPv4 { return "::ffff:\(mapped)" }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: rawValue >> UInt128(112 - 16 * $0)) }
        var best = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > best.count, end - start >= 2 { best = start..<end }
            start = max(end, start + 1)
        }
        func text(_ range: Range<Int>) -> String {
            groups[range].map { String($0, radix: 16) }.joined(separator: ":")
        }
        return best.isEmpty ? text(0..<8) : "\(text(0..<best.lowerBound))::\(text(best.upperBound..<8))"
    }
}
