public import Netlink
public import NetworkTypes

/// What one host must have in a network's overlay namespace: `br0` with the gateways, and `vxlan0` towards the other hosts.
public struct OverlaySegment: Equatable, Sendable {
    /// The bridge's name, as Docker's.
    public static let bridgeName = "br0"
    /// The VXLAN's name, as Docker's.
    public static let vxlanName = "vxlan0"
    /// The UDP port for VXLAN (RFC 7348).
    public static let usualPort: UInt16 = 4789

    /// The VNI, 1...2²⁴−1.
    public var vni: UInt32
    /// The UDP port sent to and listened on.
    public var port: UInt16
    /// The host's own VTEP address.
    public var local: IPAddress
    /// Index, in the host's namespace, of the interface VXLAN leaves by; nil to leave it to the host's routes.
    public var underlay: Int32?
    /// A multicast group of the underlay that everything without a known VTEP goes to; needs ``underlay``.
    public var group: IPAddress?
    /// The MTU of the network in bytes.
    public var mtu: UInt32
    /// The gateways' addresses with their subnets' lengths; every host has the same ones.
    public var gateways: [IPPrefix]
    /// False when a daemon knows where every address is: static entries, ARP and ND answered here. True without one: the
    /// VXLAN learns, and floods what it does not know to the peers.
    public var learns: Bool
    /// Whether the network has no way out: said in the bridge's alias, which `gwbridge-nat` obeys.
    public var isInternal: Bool
    /// The bridge's MAC, see ``NetworkIdentity/bridgeMAC(vtep:)``; nil leaves it to the kernel, which gives the bridge the
    /// lowest one among its ports', another whenever a container comes or goes.
    public var bridgeMAC: MACAddress?

    /// Describes a host's part of a network.
    public init(
        vni: UInt32, port: UInt16 = OverlaySegment.usualPort, local: IPAddress, underlay: Int32? = nil,
        group: IPAddress? = nil, mtu: UInt32, gateways: [IPPrefix] = [], learns: Bool = false,
        isInternal: Bool = false, bridgeMAC: MACAddress? = nil
    ) {
        self.group = group
        self.isInternal = isInternal
        self.vni = vni
        self.port = port
        self.local = local
        self.underlay = underlay
        self.mtu = mtu
        self.gateways = gateways
        self.learns = learns
        self.bridgeMAC = bridgeMAC
    }

    /// The bridge's alias in an internal network.
    public static let internalAlias = "swiftlet internal"

    /// Whether a bridge is that of an internal network.
    public static func isInternal(_ bridge: Link) -> Bool { bridge.alias == internalAlias }

    /// The bytes VXLAN adds to a frame's payload: 50 on IPv4, 70 on IPv6.
    public static func overhead(_ underlay: AddressFamily) -> UInt32 { underlay == .ipv4 ? 50 : 70 }

    /// The VXLAN as it is asked of the kernel.
    public var vxlan: VXLANState {
        VXLANState(
            identifier: vni, port: port, local: local, group: group, learning: learns, proxy: !learns, l2Miss: !learns,
            l3Miss: !learns, underlay: underlay)
    }
}

/// What an overlay namespace looks like.
public struct ObservedSegment: Equatable, Sendable {
    /// The link called `lo`.
    public var loopback: Link?
    /// The link called `br0`.
    public var bridge: Link?
    /// The link called `vxlan0`.
    public var vxlan: Link?
    /// The bridge's addresses, without those the kernel makes by itself (link-local).
    public var addresses: [IPPrefix] = []

    /// An empty namespace.
    public init() {}

    /// Looks at a namespace.
    public init(_ stack: any NetworkStack) throws(NetlinkError) {
        loopback = try stack.link(named: "lo")
        bridge = try stack.link(named: OverlaySegment.bridgeName)
        vxlan = try stack.link(named: OverlaySegment.vxlanName)
        if let bridge {
            addresses = try stack.addresses(link: bridge.index).map(\.prefix).filter {
                $0.family == .ipv4 || !$0.address.isLinkLocal
            }
        }
    }
}

/// One change of an overlay namespace towards what it should be.
public enum SegmentChange: Equatable, Sendable {
    /// Removes a link that is not what it should be and cannot be changed into it.
    case remove(link: String)
    /// Makes `br0`.
    case createBridge
    /// Makes `vxlan0`, through the host's namespace.
    case createVXLAN
    /// Changes a link; `port` makes it a port of `br0`.
    case change(link: String, LinkChange, joinsBridge: Bool = false)
    /// Changes what `vxlan0` does as a port of `br0`.
    case changePort(BridgePortChange)
    /// Gives `br0` a gateway's address.
    case addAddress(IPPrefix)
    /// Takes an address off `br0` that is no gateway's any more.
    case removeAddress(IPPrefix)
    /// Writes kernel parameters in the overlay namespace that a link just made needs; those it does not have are passed
    /// over.
    case setParameters([String])

    /// Whether a bridge that containers may know gets another MAC.
    var changesBridgeMAC: Bool {
        guard case .change(OverlaySegment.bridgeName, let change, _) = self else { return false }
        return change.mac != nil
    }
}

extension OverlaySegment {
    /// What has to be done to a namespace for it to be as wanted; nothing when it is. Pure.
    public func changes(from observed: ObservedSegment) -> [SegmentChange] {
        var changes: [SegmentChange] = []
        if observed.loopback?.isUp == false { changes.append(.change(link: "lo", LinkChange { $0.isUp = true })) }
        let bridge = bridgeChanges(observed, &changes)
        vxlanChanges(observed, bridge, &changes)
        let last = LinkChange {
            if bridge?.isUp != true { $0.isUp = true }
            if bridge == nil, isInternal { $0.alias = Self.internalAlias }
        }
        if last != LinkChange() { changes.append(.change(link: Self.bridgeName, last)) }
        return changes
    }

    private func bridgeChanges(_ observed: ObservedSegment, _ changes: inout [SegmentChange]) -> Link? {
        var bridge = observed.bridge
        if let found = bridge, found.kind != "bridge" {
            changes.append(.remove(link: Self.bridgeName))
            bridge = nil
        }
        if bridge == nil {
            changes.append(.createBridge)
            // The gateway is at once there for containers, and forwards between the network's subnets.
            changes.append(
                .setParameters([
                    "net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1",
                    // Subnets share the bridge; nobody has to be told that he could do without the gateway.
                    "net/ipv4/conf/all/send_redirects=0", "net/ipv4/conf/\(Self.bridgeName)/send_redirects=0",
                    "net/ipv6/conf/\(Self.bridgeName)/accept_dad=0", "net/ipv6/conf/\(Self.bridgeName)/accept_ra=0",
                    "net/bridge/bridge-nf-call-iptables=0", "net/bridge/bridge-nf-call-ip6tables=0",
                    "net/bridge/bridge-nf-call-arptables=0",
                ]))
        } else if let found = bridge {
            let change = LinkChange {
                if found.mtu != mtu { $0.mtu = mtu }
                if let mac = bridgeMAC, found.mac != mac { $0.mac = mac }
                if Self.isInternal(found) != isInternal { $0.alias = isInternal ? Self.internalAlias : "" }
            }
            if change != LinkChange() { changes.append(.change(link: Self.bridgeName, change)) }
        }
        let present = bridge == nil ? [] : observed.addresses
        for prefix in present where !gateways.contains(prefix) { changes.append(.removeAddress(prefix)) }
        for prefix in gateways where !present.contains(prefix) { changes.append(.addAddress(prefix)) }
        return bridge
    }

    private func vxlanChanges(_ observed: ObservedSegment, _ bridge: Link?, _ changes: inout [SegmentChange]) {
        var found = observed.vxlan
        if let link = found, link.vxlan != vxlan {
            changes.append(.remove(link: Self.vxlanName))
            found = nil
        }
        if found == nil {
            changes.append(.createVXLAN)
            // Nobody talks to the host by this link: no address of its own, and no answers to solicitations of others.
            changes.append(.setParameters(["net/ipv6/conf/\(Self.vxlanName)/accept_ra=0"]))
            let change = LinkChange { $0.addressGeneration = IPv6AddressGeneration.none }
            changes.append(.change(link: Self.vxlanName, change))
        }
        let joins = found == nil || bridge == nil || found?.master != bridge?.index
        let change = LinkChange {
            if let link = found, link.mtu != mtu { $0.mtu = mtu }
            if found?.isUp != true { $0.isUp = true }
        }
        if joins || change != LinkChange() {
            changes.append(.change(link: Self.vxlanName, change, joinsBridge: joins))
        }
        // With static entries a learned one would only be in their way.
        if joins || found?.port?.learning != learns { changes.append(.changePort(BridgePortChange(learning: learns))) }
    }
}
