public import NetworkTypes

/// The type of a key or value, with `nft`'s number for it (its `enum datatypes`), by which `nft list` prints elements.
public enum DataType: UInt32, Hashable, Sendable {
    /// A number of 3 bytes: what raw matches such as `@th,96,24` compare.
    case integer = 4
    /// An IPv4 address, 4 bytes.
    case ipv4_addr = 7
    /// An IPv6 address, 16 bytes.
    case ipv6_addr = 8
    /// A MAC address, 6 bytes.
    case ether_addr = 9
    /// A transport protocol's number, 1 byte.
    case inet_proto = 12
    /// A port, 2 bytes.
    case inet_service = 13
    /// A packet mark, 4 bytes in host order.
    case mark = 19
    /// An interface's name, 16 bytes.
    case ifname = 41

    /// The size in bytes, before padding.
    var size: Int {
        switch self {
        case .ipv4_addr, .mark: 4
        case .ipv6_addr, .ifname: 16
        case .ether_addr: 6
        case .integer: 3
        case .inet_proto: 1
        case .inet_service: 2
        }
    }

    /// Whether `nft` reads the bytes as a number in network order.
    var isBigEndian: Bool { self != .mark && self != .ifname }
}

/// A transport protocol's number (`IPPROTO_*`).
public struct TransportProtocol: Hashable, Sendable, CustomStringConvertible {
    /// The number.
    public let rawValue: UInt8

    /// Wraps a number.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Finds the protocol of a port mapping: "tcp", "udp" or "sctp" in any case.
    public init?(_ name: String) {
        switch name.lowercased() {
        case "tcp": self = .tcp
        case "udp": self = .udp
        case "sctp": self = .sctp
        default: return nil
        }
    }

    /// TCP, 6.
    public static let tcp = Self(rawValue: 6)
    /// UDP, 17.
    public static let udp = Self(rawValue: 17)
    /// SCTP, 132.
    public static let sctp = Self(rawValue: 132)

    /// The name, or the number of one without a name here.
    public var description: String {
        switch self {
        case .tcp: "tcp"
        case .udp: "udp"
        case .sctp: "sctp"
        default: "\(rawValue)"
        }
    }
}

/// A constant in a rule or an element.
public enum Datum: Hashable, Sendable {
    /// An IP address.
    case address(IPAddress)
    /// A MAC address.
    case mac(MACAddress)
    /// A transport protocol.
    case transport(TransportProtocol)
    /// A port.
    case port(UInt16)
    /// A packet mark.
    case mark(UInt32)
    /// An interface's name.
    case interface(String)
    /// A number below 2²⁴.
    case number(UInt32)

    /// The type.
    public var type: DataType {
        switch self {
        case .address(.v4): .ipv4_addr
        case .address(.v6): .ipv6_addr
        case .mac: .ether_addr
        case .transport: .inet_proto
        case .port: .inet_service
        case .mark: .mark
        case .interface: .ifname
        case .number: .integer
        }
    }

    /// The bytes as the kernel has them in a register, not padded.
    var bytes: [UInt8] {
        switch self {
        case .address(let address): address.bytes
        case .mac(let address): address.bytes
        case .transport(let transport): [transport.rawValue]
        case .port(let port): [UInt8(port >> 8), UInt8(truncatingIfNeeded: port)]
        case .mark(let mark): hostOrderBytes(mark)
        case .interface(let name):
            Array((Array(name.utf8) + [UInt8](repeating: 0, count: 16)).prefix(16))
        case .number(let number): [16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
        }
    }

    /// Reads bytes of a type; nil when there are too few.
    init?(_ type: DataType, _ bytes: some Collection<UInt8>) {
        let bytes = Array(bytes.prefix(type.size))
        guard bytes.count == type.size else { return nil }
        switch type {
        case .ipv4_addr, .ipv6_addr:
            guard let address = IPAddress(bytes: bytes) else { return nil }
            self = .address(address)
        case .ether_addr:
            guard let address = MACAddress(bytes: bytes) else { return nil }
            self = .mac(address)
        case .inet_proto: self = .transport(TransportProtocol(rawValue: bytes[0]))
        case .inet_service: self = .port(UInt16(bytes[0]) << 8 | UInt16(bytes[1]))
        case .mark: self = .mark(hostOrderNumber(bytes))
        case .integer: self = .number(bytes.reduce(0) { $0 << 8 | UInt32($1) })
        case .ifname: self = .interface(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self))
        }
    }
}

/// The four bytes of a number as they lie in memory.
func hostOrderBytes(_ number: UInt32) -> [UInt8] {
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: number.littleEndian >> (8 * UInt32($0))) }
    return bytes
}

/// The number of four bytes as they lie in memory.
func hostOrderNumber(_ bytes: [UInt8]) -> UInt32 {
    UInt32(littleEndian: bytes.prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) })
}

/// Joins the parts of a key or value: each is padded to whole registers of four bytes.
func registerBytes(_ parts: [Datum]) -> [UInt8] {
    guard parts.count > 1 else { return parts.first?.bytes ?? [] }
    return parts.flatMap { padded($0.bytes) }
}

/// Pads to a multiple of four bytes.
func padded(_ bytes: [UInt8]) -> [UInt8] {
    bytes + [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4)
}

/// Takes the parts of a key or value apart; nil when there are too few bytes.
func parts(_ types: [DataType], of bytes: [UInt8]) -> [Datum]? {
    var rest = bytes[...]
    var result: [Datum] = []
    for type in types {
        guard let datum = Datum(type, rest) else { return nil }
        result.append(datum)
        rest = rest.dropFirst((type.size + 3) & ~3)
    }
    return result
}
