internal import CNI
internal import Netlink
internal import NetworkTypes

/// What the kernel looked like when the plan was made.
struct BridgeObservation: Equatable {
    /// The link of the bridge's name.
    var bridge: Link?
    /// Whether the bridge keeps its MAC when ports come and go.
    var hasFixedMAC = true
    /// The link that carries the gateway's addresses: the bridge, or the VLAN's link.
    var gatewayLink: Link?
    /// Addresses of `gatewayLink`.
    var gatewayAddresses: [IPPrefix] = []
    /// What the host uses elsewhere; looked for only when the gateway is to get an address.
    var occupied = OccupiedSubnets()
}

/// Everything an ADD will do to the kernel, worked out before any of it is done.
struct BridgePlan: Equatable {
    /// Steps on what the network's containers share: the bridge and the gateway's addresses. Empty in steady state.
    var shared: [Step] = []
    /// Steps that connect this container: its link and the bridge's port.
    var connection: [Step] = []
    /// Steps on what else belongs to this container alone.
    var own: [Step] = []
    /// Host-wide parameters, last because nothing may take them back from others who rely on them by then.
    var forwarding: [Step] = []
    /// The bridge as it was observed; nil when it is made by the plan.
    var bridge: Link?
    /// The result document, but for the MTUs the kernel decides.
    var result = CNIResult()

    /// What a plan is made from.
    struct Input {
        /// The attachment's settings.
        var settings: BridgeSettings
        /// The attachment's tag.
        var tag: AttachmentTag
        /// The interface's name in the container.
        var interfaceName: String
        /// `CNI_NETNS`, as given.
        var sandbox: String
        /// What the IPAM delegate allocated; empty for a layer 2 network.
        var allocation: CNIResult
        /// The MAC of a bridge that has to be made, or that has none: derived from the host and the bridge's name, so that it
        /// is another one on every host.
        var bridgeMAC: MACAddress
        /// A name for the far end of a VLAN gateway that has to be made.
        var vlanPortName: String
    }

    /// Why no plan can be made.
    enum Refusal: Error, Equatable {
        /// A link of the bridge's name is something else.
        case notBridge(String)
        /// The gateway link has an address that does not go with the network's.
        case addressConflict(link: String, wanted: IPPrefix, found: IPPrefix)
        /// The host uses the network's addresses elsewhere.
        case occupied(network: IPPrefix, by: OccupiedSubnets.Occupant)
        /// The delegate gave no address.
        case noAddresses
    }

    private init() {}

    /// Works the steps out. Pure: the same input and observation give the same plan.
    static func make(_ input: Input, _ observed: BridgeObservation) throws(Refusal) -> BridgePlan {
        let settings = input.settings
        if settings.hasIPAM, input.allocation.addresses.isEmpty { throw .noAddresses }
        var plan = BridgePlan()
        plan.bridge = observed.bridge
        var layer3 = Layer3(settings, input.allocation)
        layer3.resolve()
        try plan.prepareBridge(input, observed)
        if settings.isGateway { try plan.prepareGateway(input, observed, layer3.gatewayPrefixes) }
        let mac = settings.mac(of: input.tag, layer3.addresses)
        plan.connect(input, mac)
        if settings.hasIPAM {
            let interface = ContainerInterface(
                name: input.interfaceName, addresses: layer3.addresses, routes: layer3.routes,
                detectsDuplicates: settings.detectsDuplicates,
                // The host is the router then. Without an IPv6 address it would be the only thing to write.
                refusesAdvertisements: settings.isGateway
                    && layer3.addresses.contains { $0.address.family == .ipv6 })
            plan.own += interface.steps
        } else if !settings.disablesContainerInterface {
            plan.own.append(
                .changeLink(input.interfaceName, LinkChange { $0.isUp = true }, .container))
        }
        if !settings.disablesContainerInterface {
            plan.own.append(.awaitForwarding(port: input.tag.linkName))
            plan.awaitBridge(input, observed)
            let gateways = settings.isGateway ? layer3.gatewayPrefixes : []
            let fresh = gateways.filter { $0.family == .ipv6 && !observed.gatewayAddresses.contains($0) }
            if !fresh.isEmpty { plan.own.append(.awaitLocal(fresh.map(\.address), .host)) }
            if settings.hasIPAM { plan.announce(input, layer3.addresses, mac) }
        }
        if settings.isGateway, !settings.isInternal { plan.enableForwarding(layer3.gatewayPrefixes) }
        plan.describe(input, observed, layer3, mac)
        return plan
    }

    /// A bridge without a forwarding port is operationally down, and drops what the host sends by it until the kernel has
    /// noticed, some time after the port forwards, that it is not any more.
    private mutating func awaitBridge(_ input: Input, _ observed: BridgeObservation) {
        let settings = input.settings
        if observed.bridge?.isOperational != true { own.append(.awaitOperation(link: settings.bridge, .host)) }
        if settings.isGateway, settings.vlan != nil, observed.gatewayLink?.isOperational != true {
            own.append(.awaitOperation(link: settings.gatewayLink, .host))
        }
    }

    /// Neighbours that know an address by another MAC than it would have by itself, or will know it by that, learn of it. The
    /// kernel tells all of the interface's addresses when its MAC is set, to whatever value.
    private mutating func announce(_ input: Input, _ addresses: [CNIResult.Address], _ mac: MACAddress) {
        let unusual = addresses.filter { input.tag.containerMAC([$0]) != mac }
        if unusual.isEmpty { return }
        own.append(.forgetNeighbours(unusual.map(\.address.address), link: input.settings.gatewayLink, .host))
        own.append(.changeLink(input.interfaceName, LinkChange { $0.mac = mac }, .container))
    }

    /// The addresses the bridge is to have.
    static func gatewayPrefixes(_ input: Input) -> [IPPrefix] {
        guard input.settings.isGateway else { return [] }
        var layer3 = Layer3(input.settings, input.allocation)
        layer3.resolve()
        return layer3.gatewayPrefixes
    }

    private mutating func prepareBridge(_ input: Input, _ observed: BridgeObservation) throws(Refusal) {
        let settings = input.settings
        let name = settings.bridge
        guard let bridge = observed.bridge else {
            shared.append(
                .createLink(
                    LinkSpec(
                        name: name, kind: .bridge(BridgeState(vlanFiltering: settings.usesVLANs)),
                        mac: input.bridgeMAC, mtu: settings.mtu), .host))
            if settings.usesVLANs { shared.append(.requireVLANFiltering(bridge: name)) }
            shared.append(
                .setParameters([.init("net/ipv6/conf/\(name)/accept_ra", "0")], .host, isOptional: true))
            shared.append(
                .changeLink(
                    name,
                    LinkChange {
                        $0.isUp = true
                        if settings.promiscuous { $0.isPromiscuous = true }
                        if settings.isInternal { $0.alias = OverlayMark.internalAlias }
                    }, .host))
            return
        }
        guard bridge.kind == "bridge" else { throw .notBridge(name) }
        let change = LinkChange {
            if !bridge.isUp { $0.isUp = true }
            // The one it has, so that nobody has to learn another.
            if !observed.hasFixedMAC { $0.mac = bridge.mac.flatMap { $0.isUnicast ? $0 : nil } ?? input.bridgeMAC }
            if settings.promiscuous, !bridge.isPromiscuous { $0.isPromiscuous = true }
            if settings.usesVLANs, bridge.bridge?.vlanFiltering != true { $0.vlanFiltering = true }
        }
        if change != LinkChange() { shared.append(.changeLink(name, change, .host)) }
        if change.vlanFiltering != nil { shared.append(.requireVLANFiltering(bridge: name)) }
    }

    private mutating func prepareGateway(_ input: Input, _ observed: BridgeObservation, _ wanted: [IPPrefix])
        throws(Refusal)
    {
        let settings = input.settings
        let link = settings.gatewayLink
        if let vlan = settings.vlan, observed.gatewayLink == nil {
            let port = input.vlanPortName
            shared.append(.createLink(LinkSpec(name: port, kind: .veth(peer: .init(name: link))), .host))
            shared.append(.changeLink(port, Self.portIsUp, master: settings.bridge, .host))
            if !settings.preservesDefaultVLAN { shared.append(.removeDefaultVLANs(port: port)) }
            shared.append(.addVLAN(PortVLAN(identifier: vlan, isNative: true, isUntagged: true), port: port))
            shared.append(.changeLink(link, LinkChange { $0.isUp = true }, .host))
        }
        let present = observed.gatewayAddresses
        for prefix in wanted where !present.contains(prefix) {
            // IPv4: any other address is in the way. IPv6: only one in an overlapping network.
            let conflicts = present.filter { found in
                found.family == prefix.family && !wanted.contains(found)
                    && (prefix.family == .ipv4 || found.overlaps(prefix))
            }
            for found in conflicts {
                guard settings.forcesAddress else {
                    throw .addressConflict(link: link, wanted: prefix, found: found)
                }
                shared.append(.removeAddress(found, link: link, .host))
            }
            if let occupant = observed.occupied.occupant(of: prefix) {
                throw .occupied(network: prefix.network, by: occupant)
            }
            // Nobody else can have the gateway's address on a network we just made; do not make containers wait for
            // duplicate detection on a bridge that has no carrier yet.
            shared.append(.addAddress(prefix, link: link, .host, skipsDetection: prefix.family == .ipv6))
        }
    }

    /// What a port receives is the bridge's; an address of its own would only be announced to the other end.
    private static let portIsUp = LinkChange {
        $0.isUp = true
        $0.addressGeneration = IPv6AddressGeneration.none
    }

    private mutating func connect(_ input: Input, _ mac: MACAddress) {
        let settings = input.settings
        let port = input.tag.linkName
        let peer = LinkSpec.VethPeer(name: input.interfaceName, mac: mac, mtu: settings.mtu)
        connection.append(
            .createLink(
                LinkSpec(name: port, kind: .veth(peer: peer), mac: input.tag.hostMAC, mtu: settings.mtu), .host,
                into: .container))
        connection.append(
            .changeLink(
                port,
                LinkChange {
                    $0 = Self.portIsUp
                    $0.alias = input.tag.alias
                }, master: settings.bridge, .host))
        connection.append(
            .changePort(port, BridgePortChange(hairpin: settings.hairpin, isolated: settings.isIsolated)))
        guard settings.usesVLANs else { return }
        if !settings.preservesDefaultVLAN { connection.append(.removeDefaultVLANs(port: port)) }
        let native = settings.vlan ?? 1
        for vlan in settings.trunk where vlan != native {
            connection.append(.addVLAN(PortVLAN(identifier: vlan), port: port))
        }
        connection.append(.addVLAN(PortVLAN(identifier: native, isNative: true, isUntagged: true), port: port))
    }

    private mutating func enableForwarding(_ gateways: [IPPrefix]) {
        for family in [AddressFamily.ipv4, .ipv6] where gateways.contains(where: { $0.family == family }) {
            forwarding.append(.enableForwarding(family))
        }
    }

    private mutating func describe(
        _ input: Input, _ observed: BridgeObservation, _ layer3: Layer3, _ mac: MACAddress
    ) {
        let settings = input.settings
        result.interfaces = [
            .init(name: settings.bridge, mac: (observed.bridge?.mac ?? input.bridgeMAC).description),
            .init(name: input.tag.linkName, mac: input.tag.hostMAC.description),
            .init(name: input.interfaceName, mac: mac.description, sandbox: input.sandbox),
        ]
        if settings.vlan != nil, settings.isGateway {
            result.interfaces.append(
                .init(name: settings.gatewayLink, mac: observed.gatewayLink?.mac?.description))
        }
        result.addresses = layer3.addresses
        result.routes = layer3.routes
        result.dns = settings.dns ?? input.allocation.dns
    }
}

/// The addresses, gateways and routes a container gets: what the delegate allocated, completed by the gateway keys.
struct Layer3: Equatable {
    private let settings: BridgeSettings
    private(set) var addresses: [CNIResult.Address]
    private(set) var routes: [CNIResult.Route]

    init(_ settings: BridgeSettings, _ allocation: CNIResult) {
        self.settings = settings
        addresses = allocation.addresses
        routes = allocation.routes
    }

    /// The gateways as the bridge carries them, each once.
    var gatewayPrefixes: [IPPrefix] {
        var prefixes: [IPPrefix] = []
        for address in addresses {
            guard let gateway = address.gateway, let prefix = IPPrefix(gateway, length: address.address.length),
                !prefixes.contains(prefix)
            else { continue }
            prefixes.append(prefix)
        }
        return prefixes
    }

    /// Fills in gateways and default routes.
    mutating func resolve() {
        for index in addresses.indices {
            // The container's interface is the third of the result.
            addresses[index].interface = 2
            if addresses[index].gateway == nil, settings.isGateway {
                addresses[index].gateway = addresses[index].address.first.next
            }
        }
        if settings.isInternal { routes.removeAll { $0.destination.length == 0 } }
        guard settings.isDefaultGateway else { return }
        for address in addresses {
            let family = address.address.family
            // A default route without a gateway will go by this one anyway.
            let isThere = routes.contains { $0.destination == .any(family) }
            if !isThere, let gateway = address.gateway {
                routes.append(
                    CNIResult.Route(
                        destination: .any(family), gateway: gateway, priority: settings.defaultRouteMetric.map(Int.init)
                    )
                )
            }
        }
    }
}
