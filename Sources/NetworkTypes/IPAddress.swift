/// The two address families.
public enum AddressFamily: Hashable, Sendable {
    /// IPv4, 32 bits.
    case ipv4
    /// IPv6, 128 bits.
    case ipv6

    /// The number of bits in an address.
    public var bits: Int { self == .ipv4 ? 32 : 128 }
}

/// An address of either family. IPv4-mapped IPv6 addresses are read as IPv4, as Go's `net.IP` does.
public enum IPAddress: Hashable, Sendable {
    /// An IPv4 address.
    case v4(IPv4Address)
    /// An IPv6 address.
    case v6(IPv6Address)

    /// Parses either family's text.
    public init?(_ text: some StringProtocol) {
        self.init(ascii: Array(text.utf8)[...])
    }

    init?(ascii text: ArraySlice<UInt8>) {
        if let address = IPv4Address(ascii: text) {
            self = .v4(address)
        } else if let address = IPv6Address(ascii: text) {
            self = address.mappedIPv4.map(IPAddress.v4) ?? .v6(address)
        } else {
            return nil
        }
    }

    /// Makes an address of four or sixteen bytes, most significant first.
    public init?(bytes: some Collection<UInt8>) {
        if let address = IPv4Address(bytes: bytes) {
            self = .v4(address)
        } else if let address = IPv6Address(bytes: bytes) {
            self = .v6(address)
        } else {
            return nil
        }
    }

    /// Makes an address of the family from its number; bits beyond the family's width are dropped.
    public init(family: AddressFamily, number: UInt128) {
        switch family {
        case .ipv4: self = .v4(IPv4Address(rawValue: UInt32(truncatingIfNeeded: number)))
        case .ipv6: self = .v6(IPv6Address(rawValue: number))
        }
    }

    /// The family.
    public var family: AddressFamily {
        if case .v4 = self { .ipv4 } else { .ipv6 }
    }

    /// The address as a number.
    public var number: UInt128 {
        switch self {
        case .v4(let address): UInt128(address.rawValue)
        case .v6(let address): address.rawValue
        }
    }

    /// Four or sixteen bytes, most significant first.
    public var bytes: [UInt8] {
        switch self {
        case .v4(let address): address.bytes
        case .v6(let address): address.bytes
        }
    }

    /// The next address; nil after the last one of the family.
    public var next: IPAddress? {
        let limit: UInt128 = family == .ipv4 ? UInt128(UInt32.max) : .max
        return number == limit ? nil : IPAddress(family: family, number: number + 1)
    }

    /// Whether this is 0.0.0.0 or ::.
    public var isUnspecified: Bool { number == 0 }

    /// Whether the address is in 127.0.0.0/8 or is ::1.
    public var isLoopback: Bool {
        switch self {
        case .v4(let address): address.rawValue >> 24 == 127
        case .v6(let address): address.rawValue == 1
        }
    }

    /// Whether the address is in 169.254.0.0/16 or fe80::/10.
    public var isLinkLocal: Bool {
        switch self {
        case .v4(let address): address.rawValue >> 16 == 0xA9FE
        case .v6(let address): address.isLinkLocal
        }
    }
}

extension IPAddress: Comparable {
    /// IPv4 before IPv6, then numeric order.
    public static func < (left: Self, right: Self) -> Bool {
        left.family == right.family ? left.number < right.number : left.family == .ipv4
    }
}

extension IPAddress: CustomStringConvertible {
    /// The family's canonical text.
    public var description: String {
        switch self {
        case .v4(let address): address.description
        case .v6(let address): address.description
        }
    }
}
