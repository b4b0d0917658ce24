public import NetworkTypes

/// A network interface as `RTM_GETLINK` reports it. Equivalent: `ip -d link show`.
public struct Link: Equatable, Sendable {
    /// The interface's number in its namespace (`ifi_index`).
    public var index: Int32
    /// `IFLA_IFNAME`.
    public var name: String
    /// `IFLA_INFO_KIND`: "bridge", "veth", "vxlan", …; nil for physical interfaces and `lo`.
    public var kind: String?
    /// `IFLA_ADDRESS` when it is an Ethernet address.
    public var mac: MACAddress?
    /// `IFLA_MTU` in bytes.
    public var mtu: UInt32
    /// `ifi_flags`: `IFF_UP`, `IFF_PROMISC`, …
    public var flags: UInt32
    /// `IFLA_MASTER`: index of the bridge this is a port of.
    public var master: Int32?
    /// `IFLA_LINK`: index of a veth's other end or a stacked interface's parent.
    public var peer: Int32?
    /// `IFLA_LINK_NETNSID`: id, in our namespace, of the namespace `peer` is in; nil when it is our own.
    public var peerNamespace: Int32?
    /// `IFLA_IFALIAS`, up to 255 bytes.
    public var alias: String?
    /// `IFLA_TXQLEN` in packets.
    public var transmitQueueLength: UInt32?
    /// `IFLA_OPERSTATE`; 6 is up (RFC 2863).
    public var operationalState: UInt8
    /// What a bridge is set to; nil for other kinds.
    public var bridge: BridgeState?
    /// What a bridge's port is set to; nil when the link is no port.
    public var port: BridgePort?
    /// What a VXLAN is set to; nil for other kinds.
    public var vxlan: VXLANState?
    /// Whether 127.0.0.0/8 may be routed by the link (`net.ipv4.conf.NAME.route_localnet`).
    public var routesLocalnet = false

    /// Makes a link value, for fakes and tests.
    public init(index: Int32, name: String, kind: String? = nil, mac: MACAddress? = nil, mtu: UInt32 = 1500) {
        self.index = index
        self.name = name
        self.kind = kind
        self.mac = mac
        self.mtu = mtu
        flags = 0
        operationalState = 0
    }

    /// `IFF_UP`: administratively up.
    public var isUp: Bool { flags & 0x1 != 0 }
    /// Operationally up (`IF_OPER_UP` of <linux/if.h>): what is sent by it leaves.
    public var isOperational: Bool { operationalState == 6 }
    /// `IFF_PROMISC` set by the administrator (`ip link set promisc on`).
    public var isPromiscuous: Bool { flags & 0x100 != 0 }
    /// `IFF_ALLMULTI` set by the administrator.
    public var isAllMulticast: Bool { flags & 0x200 != 0 }
}

/// What a link's name stands for, asked without waiting for those who are changing links (`SIOCGIFINDEX`, `SIOCGIFMTU`,
/// `SIOCGIFFLAGS`, `SIOCGIFHWADDR`, netdevice(7)).
public struct LinkSummary: Equatable, Sendable {
    /// The interface's number in its namespace.
    public var index: Int32
    /// The largest packet in bytes.
    public var mtu: UInt32
    /// The Ethernet address; nil for links without one.
    public var mac: MACAddress?
    /// `IFF_RUNNING`: operationally up (RFC 2863).
    public var isRunning: Bool

    /// Makes a summary, for fakes and tests.
    public init(index: Int32, mtu: UInt32, mac: MACAddress?, isRunning: Bool = true) {
        self.index = index
        self.mtu = mtu
        self.mac = mac
        self.isRunning = isRunning
    }
}

/// How a link comes by its IPv6 link-local address (`IN6_ADDR_GEN_MODE_*`).
public enum IPv6AddressGeneration: UInt8, Sendable {
    /// From its MAC.
    case eui64 = 0
    /// Not at all, unless somebody adds one.
    case none = 1
}

/// A bridge's own settings (`IFLA_BR_*`).
public struct BridgeState: Equatable, Sendable {
    /// `IFLA_BR_VLAN_FILTERING`.
    public var vlanFiltering: Bool
    /// `IFLA_BR_AGEING_TIME` in hundredths of a second.
    public var ageingTime: UInt32

    /// Makes a bridge's settings.
    public init(vlanFiltering: Bool = false, ageingTime: UInt32 = 30000) {
        self.vlanFiltering = vlanFiltering
        self.ageingTime = ageingTime
    }
}

/// A bridge port's settings (`IFLA_BRPORT_*`). Equivalent: `bridge -d link show`.
public struct BridgePort: Equatable, Sendable {
    /// `IFLA_BRPORT_STATE`; 3 is forwarding.
    public var state: UInt8 = 3
    /// `IFLA_BRPORT_MODE`: frames may leave by the port they came in by.
    public var hairpin = false
    /// `IFLA_BRPORT_ISOLATED`: no traffic between isolated ports.
    public var isolated = false
    /// `IFLA_BRPORT_LEARNING`.
    public var learning = true
    /// `IFLA_BRPORT_UNICAST_FLOOD`.
    public var flood = true
    /// `IFLA_BRPORT_NEIGH_SUPPRESS`.
    public var neighbourSuppression = false

    /// A port as the kernel makes it.
    public init() {}
}

/// A VXLAN's settings (`IFLA_VXLAN_*`, RFC 7348).
public struct VXLANState: Equatable, Sendable {
    /// `IFLA_VXLAN_ID`: the VNI, 0...2²⁴−1.
    public var identifier: UInt32
    /// `IFLA_VXLAN_PORT`: UDP port sent to and listened on.
    public var port: UInt16
    /// `IFLA_VXLAN_LOCAL` / `IFLA_VXLAN_LOCAL6`.
    public var local: IPAddress?
    /// `IFLA_VXLAN_GROUP` / `IFLA_VXLAN_GROUP6`: default remote or multicast group.
    public var group: IPAddress?
    /// `IFLA_VXLAN_LEARNING`.
    public var learning: Bool
    /// `IFLA_VXLAN_PROXY`: answer ARP and ND from the neighbour table.
    public var proxy: Bool
    /// `IFLA_VXLAN_L2MISS`.
    public var l2Miss: Bool
    /// `IFLA_VXLAN_L3MISS`.
    public var l3Miss: Bool
    /// `IFLA_VXLAN_LINK`: index of the underlay interface; nil for any.
    public var underlay: Int32?

    /// Makes a VXLAN's settings with the kernel's defaults.
    public init(
        identifier: UInt32, port: UInt16 = 4789, local: IPAddress? = nil, group: IPAddress? = nil,
        learning: Bool = true, proxy: Bool = false, l2Miss: Bool = false, l3Miss: Bool = false, underlay: Int32? = nil
    ) {
        self.identifier = identifier
        self.port = port
        self.local = local
        self.group = group
        self.learning = learning
        self.proxy = proxy
        self.l2Miss = l2Miss
        self.l3Miss = l3Miss
        self.underlay = underlay
    }
}

/// A link to be made. Equivalent: `ip link add NAME … type KIND …`.
public struct LinkSpec: Equatable, Sendable {
    /// The kinds the suite makes.
    public enum Kind: Equatable, Sendable {
        /// `type bridge`
        case bridge(BridgeState)
        /// `type veth peer name …`
        case veth(peer: VethPeer)
        /// `type vxlan id … dstport …`
        case vxlan(VXLANState)
        /// `type macvlan mode bridge link …`
        case macvlan(parent: Int32, mode: MacvlanMode)
        /// `type ifb`: frames redirected to it pass its queue and go on where they came from.
        case ifb
    }

    /// macvlan's modes (`MACVLAN_MODE_*`).
    public enum MacvlanMode: UInt32, Sendable {
        /// No traffic between macvlans of one parent.
        case `private` = 1
        /// Traffic between them by way of the switch.
        case vepa = 2
        /// Traffic between them directly.
        case bridge = 4
        /// One macvlan takes the parent over.
        case passthrough = 8
    }

    /// The other end of a veth pair, made in one message with this end: name, address and MTU from birth.
    public struct VethPeer: Equatable, Sendable {
        /// The other end's name.
        public var name: String
        /// Its MAC; the kernel picks one when nil.
        public var mac: MACAddress?
        /// Its MTU; the kernel's default when nil.
        public var mtu: UInt32?
        /// A descriptor of the namespace it is born in (`IFLA_NET_NS_FD`); our own when nil.
        public var namespace: Int32?

        /// Describes the other end.
        public init(name: String, mac: MACAddress? = nil, mtu: UInt32? = nil, namespace: Int32? = nil) {
            self.name = name
            self.mac = mac
            self.mtu = mtu
            self.namespace = namespace
        }
    }

    /// The new link's name.
    public var name: String
    /// Its kind and what belongs to it.
    public var kind: Kind
    /// Its MAC; the kernel picks one when nil.
    public var mac: MACAddress?
    /// Its MTU; the kernel's default when nil.
    public var mtu: UInt32?
    /// Whether it is set up as it is made.
    public var isUp: Bool
    /// A descriptor of the namespace it is born in (`IFLA_NET_NS_FD`); our own when nil. What a VXLAN sends goes by the
    /// namespace of the one who made it, wherever it is born.
    public var namespace: Int32?

    /// Describes a link to be made.
    public init(
        name: String, kind: Kind, mac: MACAddress? = nil, mtu: UInt32? = nil, isUp: Bool = false,
        namespace: Int32? = nil
    ) {
        self.name = name
        self.kind = kind
        self.mac = mac
        self.mtu = mtu
        self.isUp = isUp
        self.namespace = namespace
    }
}

/// What to change of a link; nil leaves a setting alone. Equivalent: `ip link set NAME …`, all in one message.
public struct LinkChange: Equatable, Sendable {
    /// `up` or `down`.
    public var isUp: Bool?
    /// `promisc on|off`.
    public var isPromiscuous: Bool?
    /// `allmulticast on|off`.
    public var isAllMulticast: Bool?
    /// `address …`
    public var mac: MACAddress?
    /// `mtu …`
    public var mtu: UInt32?
    /// `txqueuelen …`
    public var transmitQueueLength: UInt32?
    /// `master …` by index; 0 is `nomaster`.
    public var master: Int32?
    /// `alias …`; an empty text removes it.
    public var alias: String?
    /// `name …`: rename.
    public var name: String?
    /// `netns …` by descriptor: move to another namespace.
    public var namespace: Int32?
    /// For bridges: `type bridge vlan_filtering 0|1`.
    public var vlanFiltering: Bool?
    /// `addrgenmode eui64|none`; passed over where the link has no IPv6.
    public var addressGeneration: IPv6AddressGeneration?
    /// `sysctl -w net.ipv4.conf.NAME.arp_notify=0|1`: whether addresses are announced when the link comes up the next time.
    public var announcesAddresses: Bool?

    /// No change at all.
    public init() {}

    /// A change built in place: `LinkChange { $0.isUp = true }`.
    public init(_ build: (inout LinkChange) -> Void) {
        self.init()
        build(&self)
    }
}

/// What to change of a bridge port; nil leaves a setting alone. Equivalent: `bridge link set dev NAME …`.
public struct BridgePortChange: Equatable, Sendable {
    /// `hairpin on|off`
    public var hairpin: Bool?
    /// `isolated on|off`
    public var isolated: Bool?
    /// `learning on|off`
    public var learning: Bool?
    /// `flood on|off`
    public var flood: Bool?
    /// `neigh_suppress on|off`
    public var neighbourSuppression: Bool?

    /// Describes a change.
    public init(
        hairpin: Bool? = nil, isolated: Bool? = nil, learning: Bool? = nil, flood: Bool? = nil,
        neighbourSuppression: Bool? = nil
    ) {
        self.hairpin = hairpin
        self.isolated = isolated
        self.learning = learning
        self.flood = flood
        self.neighbourSuppression = neighbourSuppression
    }
}
