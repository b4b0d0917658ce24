internal import CLinux
internal import NetworkTypes

// RTM_*LINK: linux/if_link.h, linux/veth.h; policies in the kernel's net/core/rtnetlink.c.

extension MessageBuilder {
    private mutating func beginLink(
        _ type: Int, _ flags: Int32, family: Int32 = 0, index: Int32 = 0, set: UInt32 = 0, mask: UInt32 = 0
    ) {
        begin(type, flags: flags)
        putHeader(
            ifinfomsg(
                ifi_family: UInt8(truncatingIfNeeded: family), __ifi_pad: 0, ifi_type: 0, ifi_index: index,
                ifi_flags: set, ifi_change: mask))
    }

    /// Asks for one link by name, without its counters.
    mutating func appendGetLink(name: String) {
        beginLink(RTM_GETLINK, NLM_F_REQUEST)
        put(IFLA_IFNAME, text: name)
        put(IFLA_EXT_MASK, UInt32(RTEXT_FILTER_SKIP_STATS))
    }

    /// Asks for one link by index, without its counters.
    mutating func appendGetLink(index: Int32) {
        beginLink(RTM_GETLINK, NLM_F_REQUEST, index: index)
        put(IFLA_EXT_MASK, UInt32(RTEXT_FILTER_SKIP_STATS))
    }

    /// Asks for all links, without their counters.
    mutating func appendDumpLinks() {
        beginLink(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP)
        put(IFLA_EXT_MASK, UInt32(RTEXT_FILTER_SKIP_STATS))
    }

    /// Asks for all bridges' and ports' VLANs.
    mutating func appendDumpVLANs() {
        beginLink(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, family: AF_BRIDGE)
        put(IFLA_EXT_MASK, UInt32(RTEXT_FILTER_BRVLAN))
    }

    mutating func appendCreate(_ spec: LinkSpec) {
        let up = spec.isUp ? IFF_UP.rawValue : 0
        beginLink(RTM_NEWLINK, acknowledged | NLM_F_CREATE | NLM_F_EXCL, set: up, mask: up)
        put(IFLA_IFNAME, text: spec.name)
        if let mac = spec.mac { put(IFLA_ADDRESS, mac) }
        if let mtu = spec.mtu { put(IFLA_MTU, mtu) }
        if let namespace = spec.namespace { put(IFLA_NET_NS_FD, namespace) }
        if case .macvlan(let parent, _) = spec.kind { put(IFLA_LINK, parent) }
        nest(IFLA_LINKINFO) { info in
            switch spec.kind {
            case .bridge(let bridge):
                info.put(IFLA_INFO_KIND, text: "bridge")
                info.putData(bridge)
            case .veth(let peer):
                info.put(IFLA_INFO_KIND, text: "veth")
                info.putData(peer)
            case .vxlan(let vxlan):
                info.put(IFLA_INFO_KIND, text: "vxlan")
                info.putData(vxlan)
            case .macvlan(_, let mode):
                info.put(IFLA_INFO_KIND, text: "macvlan")
                info.nest(IFLA_INFO_DATA) { $0.put(IFLA_MACVLAN_MODE, mode.rawValue) }
            case .ifb: info.put(IFLA_INFO_KIND, text: "ifb")
            }
        }
    }

    private mutating func putData(_ bridge: BridgeState) {
        let standard = BridgeState()
        guard bridge != standard else { return }
        nest(IFLA_INFO_DATA) { data in
            if bridge.ageingTime != standard.ageingTime { data.put(IFLA_BR_AGEING_TIME, bridge.ageingTime) }
            if bridge.vlanFiltering { data.put(IFLA_BR_VLAN_FILTERING, UInt8(1)) }
        }
    }

    private mutating func putData(_ peer: LinkSpec.VethPeer) {
        nest(IFLA_INFO_DATA) { data in
            data.nest(VETH_INFO_PEER) { other in
                other.putHeader(ifinfomsg())
                other.put(IFLA_IFNAME, text: peer.name)
                if let mac = peer.mac { other.put(IFLA_ADDRESS, mac) }
                if let mtu = peer.mtu { other.put(IFLA_MTU, mtu) }
                if let namespace = peer.namespace { other.put(IFLA_NET_NS_FD, namespace) }
            }
        }
    }

    private mutating func putData(_ vxlan: VXLANState) {
        nest(IFLA_INFO_DATA) { data in
            data.put(IFLA_VXLAN_ID, vxlan.identifier)
            data.put(IFLA_VXLAN_PORT, networkOrder: vxlan.port)
            if let local = vxlan.local {
                data.put(local.family == .ipv4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, local)
            }
            if let group = vxlan.group {
                data.put(group.family == .ipv4 ? IFLA_VXLAN_GROUP : IFLA_VXLAN_GROUP6, group)
            }
            if let underlay = vxlan.underlay { data.put(IFLA_VXLAN_LINK, underlay) }
            data.put(IFLA_VXLAN_LEARNING, UInt8(vxlan.learning ? 1 : 0))
            if vxlan.proxy { data.put(IFLA_VXLAN_PROXY, UInt8(1)) }
            if vxlan.l2Miss { data.put(IFLA_VXLAN_L2MISS, UInt8(1)) }
            if vxlan.l3Miss { data.put(IFLA_VXLAN_L3MISS, UInt8(1)) }
        }
    }

    mutating func appendChange(index: Int32, _ change: LinkChange) {
        var set: UInt32 = 0
        var mask: UInt32 = 0
        func flag(_ bit: UInt32, _ value: Bool?) {
            guard let value else { return }
            mask |= bit
            if value { set |= bit }
        }
        flag(IFF_UP.rawValue, change.isUp)
        flag(IFF_PROMISC.rawValue, change.isPromiscuous)
        flag(IFF_ALLMULTI.rawValue, change.isAllMulticast)
        // RTM_SETLINK passes over IFLA_LINKINFO; RTM_NEWLINK without NLM_F_CREATE changes what is there and reads it.
        let type = change.vlanFiltering == nil ? RTM_SETLINK : RTM_NEWLINK
        beginLink(type, acknowledged, index: index, set: set, mask: mask)
        if let name = change.name { put(IFLA_IFNAME, text: name) }
        if let mac = change.mac { put(IFLA_ADDRESS, mac) }
        if let mtu = change.mtu { put(IFLA_MTU, mtu) }
        if let length = change.transmitQueueLength { put(IFLA_TXQLEN, length) }
        if let master = change.master { put(IFLA_MASTER, master) }
        // Without a final NUL: an alias of no bytes is how the kernel is told to drop it.
        if let alias = change.alias { put(IFLA_IFALIAS, bytes: Array(alias.utf8)) }
        if let namespace = change.namespace { put(IFLA_NET_NS_FD, namespace) }
        if let filtering = change.vlanFiltering {
            nest(IFLA_LINKINFO) { info in
                info.put(IFLA_INFO_KIND, text: "bridge")
                info.nest(IFLA_INFO_DATA) { $0.put(IFLA_BR_VLAN_FILTERING, UInt8(filtering ? 1 : 0)) }
            }
        }
        putFamilies(change)
    }

    /// What the address families keep about the link.
    private mutating func putFamilies(_ change: LinkChange) {
        if change.announcesAddresses == nil, change.addressGeneration == nil { return }
        nest(IFLA_AF_SPEC) { families in
            if let announces = change.announcesAddresses {
                families.nest(Int(AF_INET)) { family in
                    family.nest(IFLA_INET_CONF) {
                        $0.put(Int(SWIFTLET_IPV4_DEVCONF_ARP_NOTIFY), UInt32(announces ? 1 : 0))
                    }
                }
            }
            if let generation = change.addressGeneration {
                families.nest(Int(AF_INET6)) { $0.put(IFLA_INET6_ADDR_GEN_MODE, generation.rawValue) }
            }
        }
    }

    mutating func appendDelete(index: Int32) {
        beginLink(RTM_DELLINK, acknowledged, index: index)
    }

    // MARK: Bridge ports

    mutating func appendPortChange(index: Int32, _ change: BridgePortChange) {
        beginLink(RTM_SETLINK, acknowledged, family: AF_BRIDGE, index: index)
        nest(IFLA_PROTINFO) { port in
            func put(_ type: Int, _ value: Bool?, into port: inout MessageBuilder) {
                if let value { port.put(type, UInt8(value ? 1 : 0)) }
            }
            put(IFLA_BRPORT_MODE, change.hairpin, into: &port)
            put(IFLA_BRPORT_LEARNING, change.learning, into: &port)
            put(IFLA_BRPORT_UNICAST_FLOOD, change.flood, into: &port)
            put(IFLA_BRPORT_NEIGH_SUPPRESS, change.neighbourSuppression, into: &port)
            put(IFLA_BRPORT_ISOLATED, change.isolated, into: &port)
        }
    }

    mutating func appendVLAN(_ vlan: PortVLAN, index: Int32, _ ofBridge: Bool, _ type: Int) {
        beginLink(type, acknowledged, family: AF_BRIDGE, index: index)
        nest(IFLA_AF_SPEC) { spec in
            if ofBridge { spec.put(IFLA_BRIDGE_FLAGS, UInt16(BRIDGE_FLAGS_SELF)) }
            let flags =
                (vlan.isNative ? BRIDGE_VLAN_INFO_PVID : 0) | (vlan.isUntagged ? BRIDGE_VLAN_INFO_UNTAGGED : 0)
            spec.put(
                IFLA_BRIDGE_VLAN_INFO,
                structure: bridge_vlan_info(flags: UInt16(truncatingIfNeeded: flags), vid: vlan.identifier))
        }
    }
}

// MARK: - Decoding

/// The size of `struct ifinfomsg`.
private let headerSize = 16

extension Link {
    /// Reads an `RTM_NEWLINK` or `RTM_DELLINK` message; nil when it is not about an interface as such (`AF_BRIDGE`
    /// messages are about ports) or too short.
    init?(_ payload: RawSpan) {
        guard let family = payload.integer(UInt8.self), Int32(family) != AF_BRIDGE,
            let index = payload.integer(Int32.self, at: 4), let flags = payload.integer(UInt32.self, at: 8)
        else { return nil }
        var link = Link(index: index, name: "", mtu: 0)
        link.flags = flags
        AttributeReader.forEach(in: payload.extracting(payload.following(headerSize))) { link.read($0, $1) }
        if link.name.isEmpty { return nil }
        self = link
    }

    private mutating func read(_ type: Int, _ value: RawSpan) {
        switch type {
        case IFLA_IFNAME: name = value.text
        case IFLA_ADDRESS: mac = value.macAddress
        case IFLA_MTU: mtu = value.integer(UInt32.self) ?? 0
        case IFLA_MASTER: master = value.integer(Int32.self)
        case IFLA_LINK: peer = value.integer(Int32.self).flatMap { $0 == 0 ? nil : $0 }
        case IFLA_LINK_NETNSID: peerNamespace = value.integer(Int32.self)
        case IFLA_IFALIAS: alias = value.text
        case IFLA_TXQLEN: transmitQueueLength = value.integer(UInt32.self)
        case IFLA_OPERSTATE: operationalState = value.integer(UInt8.self) ?? 0
        case IFLA_LINKINFO: readInformation(value)
        case IFLA_AF_SPEC: readFamilies(value)
        default: break
        }
    }

    private mutating func readFamilies(_ families: RawSpan) {
        AttributeReader.forEach(in: families) { family, values in
            guard family == Int(AF_INET) else { return }
            AttributeReader.forEach(in: values) { type, settings in
                // All of them as 32-bit numbers, the first of which is number 1.
                let offset = (Int(SWIFTLET_IPV4_DEVCONF_ROUTE_LOCALNET) - 1) * 4
                guard type == IFLA_INET_CONF else { return }
                routesLocalnet = settings.integer(UInt32.self, at: offset).map { $0 != 0 } ?? false
            }
        }
    }

    private mutating func readInformation(_ information: RawSpan) {
        var kind: String?
        var isPort = false
        AttributeReader.forEach(in: information) { type, value in
            // The kernel puts each kind before its data.
            switch type {
            case IFLA_INFO_KIND:
                kind = value.text
                if kind == "bridge" { bridge = BridgeState() }
                if kind == "vxlan" { vxlan = VXLANState(identifier: 0) }
            case IFLA_INFO_DATA:
                if kind == "bridge" { bridge = BridgeState(value) }
                if kind == "vxlan" { vxlan = VXLANState(value) }
            case IFLA_INFO_SLAVE_KIND: isPort = value.text == "bridge"
            case IFLA_INFO_SLAVE_DATA: if isPort { port = BridgePort(value) }
            default: break
            }
        }
        self.kind = kind
    }
}

extension BridgeState {
    init(_ data: RawSpan) {
        var state = BridgeState()
        AttributeReader.forEach(in: data) { type, value in
            switch type {
            case IFLA_BR_VLAN_FILTERING: state.vlanFiltering = value.flag ?? false
            case IFLA_BR_AGEING_TIME: state.ageingTime = value.integer(UInt32.self) ?? 0
            default: break
            }
        }
        self = state
    }
}

extension BridgePort {
    init(_ data: RawSpan) {
        var port = BridgePort()
        AttributeReader.forEach(in: data) { type, value in
            switch type {
            case IFLA_BRPORT_STATE: port.state = value.integer(UInt8.self) ?? 0
            case IFLA_BRPORT_MODE: port.hairpin = value.flag ?? false
            case IFLA_BRPORT_ISOLATED: port.isolated = value.flag ?? false
            case IFLA_BRPORT_LEARNING: port.learning = value.flag ?? true
            case IFLA_BRPORT_UNICAST_FLOOD: port.flood = value.flag ?? true
            case IFLA_BRPORT_NEIGH_SUPPRESS: port.neighbourSuppression = value.flag ?? false
            default: break
            }
        }
        self = port
    }
}

extension VXLANState {
    init(_ data: RawSpan) {
        var state = VXLANState(identifier: 0)
        AttributeReader.forEach(in: data) { type, value in
            switch type {
            case IFLA_VXLAN_ID: state.identifier = value.integer(UInt32.self) ?? 0
            case IFLA_VXLAN_PORT: state.port = value.integer(UInt16.self).map { UInt16(bigEndian: $0) } ?? 0
            case IFLA_VXLAN_LOCAL, IFLA_VXLAN_LOCAL6: state.local = value.ipAddress
            case IFLA_VXLAN_GROUP, IFLA_VXLAN_GROUP6: state.group = value.ipAddress
            case IFLA_VXLAN_LEARNING: state.learning = value.flag ?? true
            case IFLA_VXLAN_PROXY: state.proxy = value.flag ?? false
            case IFLA_VXLAN_L2MISS: state.l2Miss = value.flag ?? false
            case IFLA_VXLAN_L3MISS: state.l3Miss = value.flag ?? false
            case IFLA_VXLAN_LINK: state.underlay = value.integer(Int32.self)
            default: break
            }
        }
        self = state
    }
}

extension PortVLAN {
    /// Appends the VLANs of the link of that index that an `AF_BRIDGE` link message holds.
    ///
    /// - Returns: false when the message is too short.
    static func read(_ payload: RawSpan, of index: Int32, into vlans: inout [PortVLAN]) -> Bool {
        guard let link = payload.integer(Int32.self, at: 4) else { return false }
        if link != index { return true }
        AttributeReader.forEach(in: payload.extracting(payload.following(headerSize))) { type, value in
            guard type == IFLA_AF_SPEC else { return }
            AttributeReader.forEach(in: value) { type, value in
                guard type == IFLA_BRIDGE_VLAN_INFO, let flags = value.integer(UInt16.self),
                    let identifier = value.integer(UInt16.self, at: 2)
                else { return }
                vlans.append(
                    PortVLAN(
                        identifier: identifier, isNative: Int32(flags) & BRIDGE_VLAN_INFO_PVID != 0,
                        isUntagged: Int32(flags) & BRIDGE_VLAN_INFO_UNTAGGED != 0))
            }
        }
        return true
    }
}
