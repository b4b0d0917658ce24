public import NetworkTypes

/// Which of an owner's entries are meant.
public struct FilterParts: OptionSet, Hashable, Sendable {
    /// The bits.
    public let rawValue: UInt8

    /// Makes parts of bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Masquerade of addresses.
    public static let masquerade = FilterParts(rawValue: 1)
    /// Forwarded ports.
    public static let portForward = FilterParts(rawValue: 2)
    /// Accepted addresses and ingress policies.
    public static let firewall = FilterParts(rawValue: 4)
    /// MAC addresses bound to bridge ports.
    public static let antiSpoof = FilterParts(rawValue: 8)
    /// Everything.
    public static let all: FilterParts = [.masquerade, .portForward, .firewall, .antiSpoof]
}

/// Traffic from a container's addresses leaves the host with the host's address.
public struct Masquerade: Hashable, Sendable {
    /// The container's addresses, each with the length of its own subnet, which is not masqueraded.
    public let addresses: [IPPrefix]
    /// More networks that are reached with the container's own address.
    public let exempt: [IPPrefix]
    /// The address of the host to leave with, in its family; nil is the outgoing interface's.
    public let source: IPAddress?

    /// Describes what to masquerade.
    public init(addresses: [IPPrefix], exempt: [IPPrefix] = [], source: IPAddress? = nil) {
        self.addresses = addresses
        self.exempt = exempt
        self.source = source
    }
}

/// One port of the host that leads to a container.
public struct PortMapping: Hashable, Sendable {
    /// TCP, UDP or SCTP.
    public let transport: TransportProtocol
    /// The host's address; nil, 0.0.0.0 and :: mean all of them.
    public let hostAddress: IPAddress?
    /// The host's port.
    public let hostPort: UInt16
    /// The container's port.
    public let containerPort: UInt16

    /// Describes a mapping.
    public init(_ transport: TransportProtocol, hostAddress: IPAddress? = nil, hostPort: UInt16, containerPort: UInt16)
    {
        self.transport = transport
        self.hostAddress = hostAddress
        self.hostPort = hostPort
        self.containerPort = containerPort
    }

    /// Whether it is for a container's address of that family.
    func isFor(_ family: AddressFamily) -> Bool { hostAddress == nil || hostAddress?.family == family }

    /// The host's address when it is a certain one.
    var certainAddress: IPAddress? { hostAddress?.isUnspecified == false ? hostAddress : nil }
}

/// Ports of the host that lead to a container.
public struct PortForward: Hashable, Sendable {
    /// Which forwarded connections get the host's address as their source.
    public enum SourceRewrite: Hashable, Sendable {
        /// None: the container sees every client, but cannot reach itself by the host's port, nor can the host by
        /// 127.0.0.1.
        case none
        /// Those from the container's own subnet and from 127.0.0.0/8, whose answers would else not come back this way.
        case hairpin
        /// All.
        case all
    }

    /// The mappings.
    public let mappings: [PortMapping]
    /// The container's addresses with their subnets' lengths; the first of each family is used.
    public let addresses: [IPPrefix]
    /// Whose source is rewritten.
    public let sourceRewrite: SourceRewrite
    /// Further conditions of IPv4 connections, in the back end's own words (`conditionsV4`).
    public let conditions4: [String]
    /// Further conditions of IPv6 connections (`conditionsV6`).
    public let conditions6: [String]
    /// The bit of the packet mark that the iptables back end asks for a source rewrite with, 0...31.
    public let markBit: UInt8
    /// A chain that sets the mark instead, iptables only.
    public let externalSetMarkChain: String?

    /// Describes forwarded ports.
    public init(
        _ mappings: [PortMapping], to addresses: [IPPrefix], sourceRewrite: SourceRewrite = .hairpin,
        conditions4: [String] = [], conditions6: [String] = [], markBit: UInt8 = 13, externalSetMarkChain: String? = nil
    ) {
        self.mappings = mappings
        self.addresses = addresses
        self.sourceRewrite = sourceRewrite
        self.conditions4 = conditions4
        self.conditions6 = conditions6
        self.markBit = markBit
        self.externalSetMarkChain = externalSetMarkChain
    }

    /// The container's first address of a family.
    func address(_ family: AddressFamily) -> IPPrefix? { addresses.first { $0.family == family } }

    /// The mappings that apply to a family.
    func mappings(_ family: AddressFamily) -> [PortMapping] { mappings.filter { $0.isFor(family) } }

    /// The further conditions of a family.
    func conditions(_ family: AddressFamily) -> [String] { family == .ipv4 ? conditions4 : conditions6 }
}

/// What may be forwarded to and from a container.
public struct Firewall: Hashable, Sendable {
    /// Who may open connections to the containers behind a bridge.
    public enum Ingress: String, Hashable, Sendable {
        /// Everybody.
        case open
        /// Not those behind other bridges with this policy or `isolated`.
        case sameBridge = "same-bridge"
        /// As `same-bridge`, and not those behind the same bridge.
        case isolated
    }

    /// The container's addresses.
    public let addresses: [IPAddress]
    /// Whether what comes from the addresses is accepted; false where firewalld sees to that.
    public let accepts: Bool
    /// The policy for the bridge.
    public let ingress: Ingress
    /// The bridge; needed for policies other than `open`.
    public let bridge: String?
    /// The container's port of the bridge: with `isolated` also what the bridge itself forwards is filtered.
    public let port: String?
    /// With `isolated`: whether a container behind the same bridge may come by a published port all the same.
    public let admitsPublished: Bool
    /// The user's chain that is passed first, iptables only; the nftables back end's is `admin`.
    public let adminChain: String

    /// Describes a firewall.
    public init(
        addresses: [IPAddress], accepts: Bool = true, ingress: Ingress = .open, bridge: String? = nil,
        port: String? = nil, admitsPublished: Bool = false, adminChain: String = "CNI-ADMIN"
    ) {
        self.addresses = addresses
        self.accepts = accepts
        self.ingress = ingress
        self.bridge = bridge
        self.port = port
        self.admitsPublished = admitsPublished
        self.adminChain = adminChain
    }
}

/// A bridge port sends frames from one MAC address only.
public struct AntiSpoof: Hashable, Sendable {
    /// The port.
    public let link: String
    /// The only source address.
    public let mac: MACAddress

    /// Describes a bound port.
    public init(link: String, mac: MACAddress) {
        self.link = link
        self.mac = mac
    }
}

/// One thing a packet filter does for a container.
public enum FilterRule: Hashable, Sendable {
    /// See ``Masquerade``.
    case masquerade(Masquerade)
    /// See ``PortForward``.
    case portForward(PortForward)
    /// See ``Firewall``.
    case firewall(Firewall)
    /// See ``AntiSpoof``.
    case antiSpoof(AntiSpoof)
}

extension FilterRule {
    /// The part the rule is of.
    public var part: FilterParts {
        switch self {
        case .masquerade: .masquerade
        case .portForward: .portForward
        case .firewall: .firewall
        case .antiSpoof: .antiSpoof
        }
    }
}

/// Keeps what containers need of the packet filter. Every entry belongs to an owner, who alone removes it.
public protocol PacketFilter: AnyObject {
    /// "nftables" or "iptables".
    var name: String { get }
    /// Adds an owner's rules, all or none. Rules that are there already stay; an address that another owner left behind
    /// is taken over.
    ///
    /// - Throws: ``NetfilterError/conflict(subject:owner:)`` when a host port leads to another container.
    func add(_ rules: [FilterRule], for owner: FilterOwner) throws(NetfilterError)
    /// Makes an owner's forwarded ports exactly those given, in one step for each family: the ones that stay are never away.
    ///
    /// - Throws: ``NetfilterError/conflict(subject:owner:)`` as ``add(_:for:)``.
    func replacePorts(of owner: FilterOwner, by forward: PortForward) throws(NetfilterError)
    /// Removes an owner's entries; what is not there is no error. What attachments share stays.
    func remove(_ parts: FilterParts, of owner: FilterOwner) throws(NetfilterError)
    /// Makes sure that an owner's rules are there and in use.
    ///
    /// - Throws: ``NetfilterError/missing(_:)``.
    func check(_ rules: [FilterRule], of owner: FilterOwner) throws(NetfilterError)
    /// Removes the entries of a network's owners that are not in the list, and what the network's attachments shared when
    /// nobody needs it any more.
    func collect(_ parts: FilterParts, network: String, keeping owners: [FilterOwner]) throws(NetfilterError)
}
