public import CNI
public import Netfilter
public import NetworkTypes

/// How a container is connected to a bridge; the names in quotes are the `bridge` plugin's keys.
public struct BridgeSettings: Equatable, Sendable {
    /// `bridge`: the bridge's name; derived from the network's name when not given.
    public var bridge: String
    /// `isGateway` or `isDefaultGateway`: the bridge carries the gateway's addresses and the host forwards.
    public var isGateway = false
    /// `isDefaultGateway`: the container's default routes go by the bridge.
    public var isDefaultGateway = false
    /// `forceAddress`: a conflicting address of the bridge is replaced instead of being an error.
    public var forcesAddress = false
    /// `hairpinMode`.
    public var hairpin = false
    /// `promiscMode`.
    public var promiscuous = false
    /// `mtu` in bytes, 68...65535; nil is the kernel's default.
    public var mtu: UInt32?
    /// `vlan`, 1...4094: the port's native VLAN; nil for none.
    public var vlan: UInt16?
    /// `vlanTrunk`: tagged VLANs of the port, sorted.
    public var trunk: [UInt16] = []
    /// `preserveDefaultVlan`: the port keeps the VLANs the bridge gave it.
    public var preservesDefaultVLAN = false
    /// `enabledad`.
    public var detectsDuplicates = false
    /// `disableContainerInterface`: the container's end stays down.
    public var disablesContainerInterface = false
    /// `portIsolation`, or `icc: false`: no traffic between isolated ports.
    public var isIsolated = false
    /// `internal`: the network has no way out, no default route is made.
    public var isInternal = false
    /// The metric of the default routes that `isDefaultGateway` makes; nil for the best.
    public var defaultRouteMetric: UInt32?
    /// The container's MAC asked for; nil for the attachment's own.
    public var mac: MACAddress?
    /// Whether the attachment's own MAC is the one Docker would give it: 02:42 and the IPv4 address.
    public var hasDockerMAC = false
    /// `dns`; replaces the delegate's when any field is given.
    public var dns: CNIResult.DNS?
    /// `ipMasq`: what leaves the network gets the host's address.
    public var masquerades = false
    /// `ipMasqBackend`.
    public var masqueradeBackend = BackendChoice.automatic
    /// The host's address that leaving traffic gets; nil is the outgoing interface's.
    public var masqueradeAddress: IPAddress?
    /// `macspoofchk`: the port takes frames from the container's own MAC only.
    public var checksSource = false
    /// Whether the container gets addresses.
    public var hasIPAM = false
    /// Whether the container is connected before it gets addresses: `dhcp` asks for them by the container's interface.
    public var connectsFirst = false

    /// Whether the bridge has to filter VLANs.
    public var usesVLANs: Bool { vlan != nil || !trunk.isEmpty }

    /// The name of the link that carries the gateway's addresses: the bridge, or with a VLAN a link of its own.
    public var gatewayLink: String { vlan.map { "\(bridge).\($0)" } ?? bridge }

    /// The container's MAC.
    ///
    /// - Parameter addresses: its addresses; what is connected before it has any has its MAC by then.
    func mac(of tag: AttachmentTag, _ addresses: [CNIResult.Address]) -> MACAddress {
        if let mac { return mac }
        let known = connectsFirst ? [] : addresses
        if hasDockerMAC, let first = known.first { return MACAddress(following: first.address.address) }
        return tag.containerMAC(known)
    }

    /// The same without addresses, as a layer 2 network: what can be done before they are known.
    var withoutAddresses: BridgeSettings {
        var settings = self
        (settings.hasIPAM, settings.isGateway, settings.isDefaultGateway) = (false, false, false)
        return settings
    }

    /// A connection to `bridge` with everything else as the plugin's defaults have it.
    public init(bridge: String) {
        self.bridge = bridge
    }
}
