public import NetworkTypes

/// An address on an interface. Equivalent: `ip address`.
public struct InterfaceAddress: Hashable, Sendable {
    /// Index of the interface.
    public var link: Int32
    /// The address with its prefix length (`IFA_LOCAL`, `ifa_prefixlen`).
    public var prefix: IPPrefix
    /// `ifa_scope`: 0 global, 253 link, 254 host.
    public var scope: UInt8
    /// `IFA_FLAGS`: `IFA_F_TENTATIVE`, `IFA_F_DADFAILED`, `IFA_F_PERMANENT`, …
    public var flags: UInt32

    /// Makes an address; `flags` 0x02 is `nodad`.
    public init(link: Int32, prefix: IPPrefix, scope: UInt8 = 0, flags: UInt32 = 0) {
        self.link = link
        self.prefix = prefix
        self.scope = scope
        self.flags = flags
    }

    /// Duplicate address detection has not finished.
    public var isTentative: Bool { flags & 0x40 != 0 }
    /// Duplicate address detection found a duplicate.
    public var isDuplicate: Bool { flags & 0x08 != 0 }
}

/// A unicast route. Equivalent: `ip route`.
public struct Route: Hashable, Sendable {
    /// The destination network; /0 is the default route.
    public var destination: IPPrefix
    /// `via …`; nil for an on-link route.
    public var gateway: IPAddress?
    /// Index of the outgoing interface (`RTA_OIF`).
    public var link: Int32?
    /// `metric …` (`RTA_PRIORITY`); nil for the family's default.
    public var metric: UInt32?
    /// `table …`; nil is main (254).
    public var table: UInt32?
    /// `scope …` (`rtm_scope`); nil: global with a gateway or for IPv6, link without.
    public var scope: UInt8?
    /// `src …` (`RTA_PREFSRC`).
    public var source: IPAddress?
    /// `mtu …` (`RTAX_MTU`).
    public var mtu: UInt32?
    /// `advmss …` (`RTAX_ADVMSS`).
    public var advertisedMSS: UInt32?
    /// `proto …` (`rtm_protocol`): 2 is the kernel's own, 3 boot, 4 static.
    public var routingProtocol: UInt8

    /// Describes a route.
    public init(
        destination: IPPrefix, gateway: IPAddress? = nil, link: Int32? = nil, metric: UInt32? = nil,
        table: UInt32? = nil, scope: UInt8? = nil, source: IPAddress? = nil, mtu: UInt32? = nil,
        advertisedMSS: UInt32? = nil, routingProtocol: UInt8 = 3
    ) {
        self.destination = destination
        self.gateway = gateway
        self.link = link
        self.metric = metric
        self.table = table
        self.scope = scope
        self.source = source
        self.mtu = mtu
        self.advertisedMSS = advertisedMSS
        self.routingProtocol = routingProtocol
    }
}

/// A routing policy rule that looks a table up. Equivalent: `ip rule`.
public struct RoutingRule: Hashable, Sendable {
    /// The family the rule is for.
    public var family: AddressFamily
    /// `priority …`
    public var priority: UInt32?
    /// `from …`
    public var source: IPPrefix?
    /// `to …`
    public var destination: IPPrefix?
    /// `iif …`
    public var inputInterface: String?
    /// `fwmark …`
    public var mark: UInt32?
    /// `lookup …`
    public var table: UInt32

    /// Describes a rule.
    public init(
        family: AddressFamily, priority: UInt32? = nil, source: IPPrefix? = nil, destination: IPPrefix? = nil,
        inputInterface: String? = nil, mark: UInt32? = nil, table: UInt32
    ) {
        self.family = family
        self.priority = priority
        self.source = source
        self.destination = destination
        self.inputInterface = inputInterface
        self.mark = mark
        self.table = table
    }
}

/// A neighbour table entry. Equivalent: `ip neighbour`.
public struct Neighbour: Hashable, Sendable {
    /// Index of the interface.
    public var link: Int32
    /// The protocol address (`NDA_DST`).
    public var address: IPAddress
    /// The link-layer address (`NDA_LLADDR`).
    public var mac: MACAddress?
    /// `ndm_state`: 0x80 permanent, 0x40 noarp, 0x02 reachable, …
    public var state: UInt16

    /// Describes an entry; permanent by default.
    public init(link: Int32, address: IPAddress, mac: MACAddress?, state: UInt16 = 0x80) {
        self.link = link
        self.address = address
        self.mac = mac
        self.state = state
    }
}

/// A bridge or VXLAN forwarding entry. Equivalent: `bridge fdb`.
public struct ForwardingEntry: Hashable, Sendable {
    /// Index of the port or VXLAN.
    public var link: Int32
    /// The destination MAC; all zeros is a VXLAN's default remote.
    public var mac: MACAddress
    /// `dst …`: the remote VTEP of a VXLAN's own entry.
    public var remote: IPAddress?
    /// `vlan …`
    public var vlan: UInt16?
    /// `port …`: UDP port of the remote when it is not the VXLAN's own.
    public var port: UInt16?
    /// `vni …`
    public var vni: UInt32?
    /// `ndm_state`: 0x80 permanent, 0x40 noarp (static).
    public var state: UInt16
    /// `self` (NTF_SELF 0x02: the device's own table) or `master` (NTF_MASTER 0x04: the bridge's).
    public var flags: UInt8

    /// Describes an entry; permanent and in the device's own table by default.
    public init(
        link: Int32, mac: MACAddress, remote: IPAddress? = nil, vlan: UInt16? = nil, port: UInt16? = nil,
        vni: UInt32? = nil, state: UInt16 = 0x80, flags: UInt8 = 0x02
    ) {
        self.link = link
        self.mac = mac
        self.remote = remote
        self.vlan = vlan
        self.port = port
        self.vni = vni
        self.state = state
        self.flags = flags
    }
}

/// A VLAN on a bridge port. Equivalent: `bridge vlan`.
public struct PortVLAN: Hashable, Sendable {
    /// The VLAN, 1...4094.
    public var identifier: UInt16
    /// Frames without a tag coming in belong to it (`pvid`).
    public var isNative: Bool
    /// Frames of it leave without a tag (`untagged`).
    public var isUntagged: Bool

    /// Describes a VLAN on a port; tagged by default.
    public init(identifier: UInt16, isNative: Bool = false, isUntagged: Bool = false) {
        self.identifier = identifier
        self.isNative = isNative
        self.isUntagged = isUntagged
    }
}
