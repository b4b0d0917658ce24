public import NetworkTypes

/// What a statement looks at.
public enum Selector: Hashable, Sendable {
    /// `ip saddr`.
    case ipSource
    /// `ip daddr`.
    case ipDestination
    /// `ip6 saddr`.
    case ip6Source
    /// `ip6 daddr`.
    case ip6Destination
    /// `meta l4proto`.
    case transport
    /// `th sport`.
    case sourcePort
    /// `th dport`.
    case destinationPort
    /// `iifname`.
    case inputInterface
    /// `oifname`.
    case outputInterface
    /// `meta mark`.
    case mark
    /// `ether saddr`; in the bridge family.
    case etherSource
    /// `@th,96,24`: the VNI of a VXLAN packet (RFC 7348), behind eight bytes of UDP and four of flags.
    case vxlanIdentifier

    /// The type of what is found.
    public var type: DataType {
        switch self {
        case .ipSource, .ipDestination: .ipv4_addr
        case .ip6Source, .ip6Destination: .ipv6_addr
        case .transport: .inet_proto
        case .sourcePort, .destinationPort: .inet_service
        case .inputInterface, .outputInterface: .ifname
        case .mark: .mark
        case .etherSource: .ether_addr
        case .vxlanIdentifier: .integer
        }
    }

    /// The address family it is about, when it is about one.
    var family: AddressFamily? {
        switch self {
        case .ipSource, .ipDestination: .ipv4
        case .ip6Source, .ip6Destination: .ipv6
        default: nil
        }
    }

    /// `ip saddr` or `ip6 saddr`.
    public static func source(_ family: AddressFamily) -> Selector { family == .ipv4 ? .ipSource : .ip6Source }
    /// `ip daddr` or `ip6 daddr`.
    public static func destination(_ family: AddressFamily) -> Selector {
        family == .ipv4 ? .ipDestination : .ip6Destination
    }
}

/// What becomes of a packet.
public enum Verdict: Hashable, Sendable {
    /// It leaves this base chain and goes on.
    case accept
    /// It is dropped at once.
    case drop
    /// Back to the calling chain.
    case `return`
    /// Into another chain and back.
    case jump(String)
    /// Into another chain, back to the caller's caller.
    case goto(String)
}

/// States of a connection (`ct state`, the kernel's `NF_CT_STATE_BIT`).
public struct ConnectionState: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: UInt32

    /// Makes a set of states of bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// No connection could be made out.
    public static let invalid = ConnectionState(rawValue: 1)
    /// Packets went both ways.
    public static let established = ConnectionState(rawValue: 2)
    /// Belongs to another connection.
    public static let related = ConnectionState(rawValue: 4)
    /// The first packet.
    public static let new = ConnectionState(rawValue: 8)
    /// Not tracked.
    public static let untracked = ConnectionState(rawValue: 64)
}

/// One part of a rule.
public enum Statement: Hashable, Sendable {
    /// A field equals a value, or does not.
    case match(Selector, Datum, isNegated: Bool)
    /// An address lies in a network, or does not; the length is not 0.
    case network(Selector, IPPrefix, isNegated: Bool)
    /// `meta nfproto`: which protocol the packet is of. The encoder adds this itself before `ip` and `ip6` fields.
    case family(AddressFamily)
    /// `fib daddr type local`: the destination is one of the host's own addresses.
    case isLocalDestination
    /// `ct state`: the connection is in one of the states.
    case connectionState(ConnectionState)
    /// `ct status dnat`: the connection's destination is being translated.
    case isDestinationTranslated
    /// Fields, joined by `.`, are an element of a set, or are not.
    case lookup([Selector], set: String, isNegated: Bool)
    /// Fields, joined by `.`, lead to a verdict; goes on behind the rule when the map has no such key.
    case verdictMap([Selector], map: String)
    /// Counts packets and bytes.
    case counter
    /// `meta mark set`.
    case setMark(UInt32)
    /// Ends the rule.
    case verdict(Verdict)
    /// The source becomes the outgoing interface's address.
    case masquerade
    /// `dnat ip to 10.0.0.1:80`; without a port the port stays.
    case destinationTo(IPAddress, port: UInt16?)
    /// `dnat ip to … map @m`: fields, joined by `.`, lead to an address and a port.
    case destinationMap(AddressFamily, [Selector], map: String)
    /// `snat ip to 10.0.0.1`.
    case sourceTo(IPAddress)

    /// `match` that must hold.
    public static func match(_ selector: Selector, _ value: Datum) -> Statement {
        .match(selector, value, isNegated: false)
    }

    /// The destination lies in a network.
    public static func to(_ network: IPPrefix) -> Statement {
        within(network, .destination(network.family))
    }

    /// The source lies in a network.
    public static func from(_ network: IPPrefix) -> Statement {
        within(network, .source(network.family))
    }

    private static func within(_ network: IPPrefix, _ selector: Selector) -> Statement {
        network.length == network.family.bits
            ? .match(selector, .address(network.address)) : .network(selector, network.network, isNegated: false)
    }

    /// Fields, joined by `.`, are an element of a set.
    public static func lookup(_ selectors: Selector..., set: String) -> Statement {
        .lookup(selectors, set: set, isNegated: false)
    }

    /// Fields, joined by `.`, lead to a verdict.
    public static func verdictMap(_ selectors: Selector..., map: String) -> Statement {
        .verdictMap(selectors, map: map)
    }
}
