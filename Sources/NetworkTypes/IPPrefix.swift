/// An address with a prefix length, in CIDR notation: an interface's address (host bits set) or a network.
public struct IPPrefix: Hashable, Sendable {
    /// The address, host bits kept.
    public let address: IPAddress
    /// The prefix length, 0...32 or 0...128.
    public let length: Int

    /// Makes a prefix; nil when the length does not fit the family.
    public init?(_ address: IPAddress, length: Int) {
        guard (0...address.family.bits).contains(length) else { return nil }
        self.address = address
        self.length = length
    }

    /// The single address: /32 or /128.
    public init(host address: IPAddress) {
        self.address = address
        length = address.family.bits
    }

    /// Parses "10.1.2.3/24"; the length is plain decimal without sign or leading zeros.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard let slash = bytes.firstIndex(of: UInt8(ascii: "/")), let address = IPAddress(ascii: bytes[..<slash])
        else { return nil }
        let digits = bytes[(slash + 1)...]
        guard (1...3).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
            digits.count == 1 || digits.first != 0x30
        else { return nil }
        // An IPv4-mapped prefix would be read as IPv4 with an IPv6 length.
        guard address.family == .ipv6 || !bytes[..<slash].contains(UInt8(ascii: ":")) else { return nil }
        self.init(address, length: digits.reduce(0) { $0 * 10 + Int($1 - 0x30) })
    }

    /// The family.
    public var family: AddressFamily { address.family }

    /// The bits of the network part as a number's mask.
    public var mask: UInt128 {
        let bits = family.bits
        let all: UInt128 = bits == 32 ? UInt128(UInt32.max) : .max
        return length == 0 ? 0 : all & ~(length == bits ? 0 : (all >> UInt128(length)))
    }

    /// The network: the same prefix with the host bits cleared.
    public var network: IPPrefix {
        IPPrefix(unchecked: IPAddress(family: family, number: address.number & mask), length: length)
    }

    /// The first address of the network (all host bits 0).
    public var first: IPAddress { network.address }

    /// The last address of the network (all host bits 1; IPv4's broadcast address).
    public var last: IPAddress {
        let all: UInt128 = family == .ipv4 ? UInt128(UInt32.max) : .max
        return IPAddress(family: family, number: address.number | (all & ~mask))
    }

    /// Whether the address lies in the network.
    public func contains(_ other: IPAddress) -> Bool {
        other.family == family && other.number & mask == address.number & mask
    }

    /// Whether the networks share an address.
    public func overlaps(_ other: IPPrefix) -> Bool {
        contains(other.first) || other.contains(first)
    }

    /// The family's whole space: 0.0.0.0/0 or ::/0.
    public static func any(_ family: AddressFamily) -> IPPrefix {
        IPPrefix(unchecked: IPAddress(family: family, number: 0), length: 0)
    }

    private init(unchecked address: IPAddress, length: Int) {
        self.address = address
        self.length = length
    }
}

extension IPPrefix: CustomStringConvertible {
    /// CIDR notation, host bits kept.
    public var description: String { "\(address)/\(length)" }
}
