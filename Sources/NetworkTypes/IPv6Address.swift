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
        // At most one "::", which stands for one or more groups of zeros.
        let whole = Substring(String(text))
        let colons = whole.utf8.indices.first { index in
            let next = whole.utf8.index(after: index)
            return next < whole.utf8.endIndex && whole.utf8[index] == 0x3A && whole.utf8[next] == 0x3A
        }
        var groups: [UInt16]
        if let colons {
            guard let head = Self.groups(whole[..<colons], allowDotted: false),
                let tail = Self.groups(whole[whole.utf8.index(colons, offsetBy: 2)...], allowDotted: true),
                head.count + tail.count <= 7
            else { return nil }
            groups = head + [UInt16](repeating: 0, count: 8 - head.count - tail.count) + tail
        } else {
            guard let all = Self.groups(whole, allowDotted: true), all.count == 8 else { return nil }
            groups = all
        }
        rawValue = groups.reduce(0) { $0 << 16 | UInt128($1) }
    }

    private static func groups(_ text: Substring, allowDotted: Bool) -> [UInt16]? {
        if text.isEmpty { return [] }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        var groups: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, allowDotted, part.contains(".") {
                guard let dotted = IPv4Address(part) else { return nil }
                groups.append(UInt16(dotted.rawValue >> 16))
                groups.append(UInt16(dotted.rawValue & 0xFFFF))
                continue
            }
            guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ Self.isHexDigit($0) }),
                let group = UInt16(part, radix: 16)
            else { return nil }
            groups.append(group)
        }
        return groups
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
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
