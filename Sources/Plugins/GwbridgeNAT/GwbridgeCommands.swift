internal import Attachment
public import CNI
internal import Netfilter
internal import Netlink
internal import NetworkTypes
public import PluginKit
internal import System

/// The `gwbridge-nat` plugin: a container's way out, over a bridge of the host's own and under the host's address.
///
/// Chained after a plugin whose network ends at the cluster's edge it adds a second interface; alone it is a network of
/// its own. It is what docker_gwbridge is to Docker's overlay networks.
public struct GwbridgeCommands: PluginCommands, FilterRestoring {
    /// The name the executable goes by.
    public let name = "gwbridge-nat"
    /// The network whose addresses all containers on a gateway bridge share; a directory in `dataDir`.
    static let addressNetwork = "swiftlet-gwbridge"
    private let system: any HostSystem

    /// The plugin on a host.
    public init(system: any HostSystem) {
        self.system = system
    }

    /// Connects the container to the gateway bridge (CNI specification, ADD); its interface and address come after those
    /// of the earlier plugins.
    public func add(_ request: Request) throws -> CNIResult {
        let configuration = try GwbridgeConfiguration(request)
        let chained = try request.configuration.previousResult()
        if let chained, try isInternal(chained) { return chained }
        try PortPublishing.refuseTaken(configuration.mappings, system: system)
        let addresses = try GatewayAddresses(request)
        let (subnet, lock) = try GatewayPool.settle(configuration, system)
        defer { withExtendedLifetime(lock) {} }
        let attachment = attachment(configuration, request, after: chained)
        let owner = FilterOwner(identity(request))
        // Chained, the result becomes part of another: what the asked version can say of it is seen when they are merged.
        let own = try attachment.add(
            version: .newest, allocate: { try addresses.allocate(subnet) }, release: { try addresses.release() }
        ) { own, transaction in
            let filter = try system.packetFilter(configuration.backend)
            try filter.add(rules(configuration, request, own.addresses), for: owner)
            transaction.push("the packet filter's rules") { try filter.remove([.firewall, .portForward], of: owner) }
            try ports(configuration, own.addresses).routeLocalhost(by: configuration.bridge)
            try PortPublishing.forgetConnections(configuration.mappings, system: system)
            _ = try merge(chained, own).document(request.configuration.version)
        }
        return merge(chained, own)
    }

    /// Removes the connection (CNI specification, DEL). Everything is tried; the address is released last.
    public func delete(_ request: Request) throws {
        var errors = ErrorCollector()
        remove(request, errors: &errors)
        if let mappings = try? GwbridgeConfiguration(request).mappings {
            errors.attempt { try PortPublishing.forgetConnections(mappings, system: system) }
        }
        errors.attempt { try GatewayAddresses.release(request) }
        try errors.throwIfAny()
    }

    /// Compares the connection with the kernel (CNI specification, CHECK).
    public func check(_ request: Request) throws {
        let configuration = try GwbridgeConfiguration(request)
        guard let previous = try request.configuration.previousResult() else {
            throw CNIError(CNIError.Code.invalidConfiguration, "Required prevResult missing")
        }
        if try isInternal(previous) { return }
        try GatewayAddresses(request).check()
        let (own, name) = try own(previous, configuration, request)
        try attachment(configuration, request, name: name).check(own)
        try system.checkFilterRules(
            rules(configuration, request, own.addresses), of: FilterOwner(identity(request)), configuration.backend)
    }

    /// Puts the masquerade, the ports and what keeps containers apart back.
    public func restore(_ request: Request) throws -> Bool {
        let configuration = try GwbridgeConfiguration(request)
        let previous = try request.resultToRestore()
        if try isInternal(previous) { return false }
        let (own, name) = try own(previous, configuration, request)
        let isMasqueraded = try attachment(configuration, request, name: name).restoreRules(own)
        return try system.restoreFilterRules(
            rules(configuration, request, own.addresses), of: FilterOwner(identity(request)), configuration.backend)
            || isMasqueraded
    }

    /// What of a chain's result is this plugin's, and its interface's name in the container.
    private func own(
        _ previous: CNIResult, _ configuration: GwbridgeConfiguration, _ request: Request
    ) throws -> (result: CNIResult, name: String) {
        let tag = AttachmentTag(identity(request))
        // The container's end follows the host's, which is named by its tag.
        guard let port = previous.interfaces.firstIndex(where: { $0.name == tag.linkName }),
            previous.interfaces.indices.contains(port + 1)
        else {
            throw CNIError(CNIError.Code.internal, "prevResult has no interface of bridge \(configuration.bridge)")
        }
        var own = previous
        own.addresses = previous.addresses.filter { $0.interface == port + 1 }
        let gateways = Set(own.addresses.compactMap(\.gateway))
        own.routes = previous.routes.filter { $0.gateway.map(gateways.contains) ?? false }
        return (own, previous.interfaces[port + 1].name)
    }

    /// Removes what belongs to no valid attachment of the network (CNI specification, GC).
    public func collectGarbage(_ request: Request) throws {
        guard let valid = try request.configuration.validAttachments().known else { return }
        var errors = ErrorCollector()
        let network = Self.gatewayNetwork(request.configuration.name)
        BridgeRemoval(system: system).removeGarbage(
            network: network, valid: valid.map { AttachmentTag(network: network, $0) }, errors: &errors)
        errors.attempt {
            try system.collectFilterEntries(
                .all, network: network, keeping: valid.map { FilterOwner(network: network, $0) })
        }
        errors.attempt { try GatewayAddresses.collect(request, keeping: valid) }
        try errors.throwIfAny()
    }

    /// Says whether a connection could be made now (CNI specification, STATUS).
    public func status(_ request: Request) throws {
        let configuration = try GwbridgeConfiguration(request)
        try Readiness.require {
            if configuration.masquerades { _ = try system.packetFilter(configuration.backend) }
            _ = try GatewayPool.subnet(configuration, system)
        }
        try Readiness.requireBridge(named: configuration.bridge, system)
    }

    // MARK: Identity

    /// What the attachment is called on the gateway bridge: an earlier plugin of the chain goes by the plain name. "@" is
    /// in no network's name.
    static func gatewayNetwork(_ network: String) -> String { "\(network)@gw" }

    private func identity(_ request: Request) -> Attachment {
        Attachment(
            network: Self.gatewayNetwork(request.configuration.name), containerID: request.attachment.containerID,
            interfaceName: request.attachment.interfaceName)
    }

    private func attachment(_ configuration: GwbridgeConfiguration, _ request: Request, after chained: CNIResult?)
        -> BridgeAttachment
    {
        let usual = chained == nil ? request.attachment.interfaceName : "gw0"
        // A network before us that says where the rest of the world is leaves nothing to add.
        let hasWayOut = chained?.routes.contains { $0.destination.length == 0 } ?? false
        return attachment(
            configuration, request, name: configuration.interface ?? usual, isDefaultGateway: !hasWayOut)
    }

    private func attachment(
        _ configuration: GwbridgeConfiguration, _ request: Request, name: String, isDefaultGateway: Bool = true
    ) -> BridgeAttachment {
        var settings = BridgeSettings(bridge: configuration.bridge)
        settings.isGateway = true
        settings.isDefaultGateway = isDefaultGateway && !configuration.isInternal
        settings.isInternal = configuration.isInternal
        settings.isIsolated = !configuration.communicates
        settings.masquerades = configuration.masquerades && !configuration.isInternal
        settings.masqueradeBackend = configuration.backend
        settings.masqueradeAddress = configuration.sourceAddress
        settings.mtu = configuration.mtu
        settings.hasIPAM = true
        return BridgeAttachment(
            system: system, settings: settings, tag: AttachmentTag(identity(request)),
            sandbox: request.invocation.netns, interfaceName: name)
    }

    /// Whether an earlier plugin made the container part of a network that has no way out: it says so in its bridge's
    /// alias. An overlay's bridge is in the overlay's namespace, `bridge`'s is the host's.
    private func isInternal(_ chained: CNIResult) throws -> Bool {
        guard let first = chained.interfaces.first else { return false }
        let bridge: Link?
        if let path = first.sandbox, !path.isEmpty {
            guard path.hasPrefix(OverlayMark.namespaceDirectory + "/") else { return false }
            bridge = try system.container(at: path).stack.link(named: first.name)
        } else {
            bridge = try system.hostStack().link(named: first.name)
        }
        return bridge?.alias == OverlayMark.internalAlias
    }

    // MARK: Parts

    /// What the packet filter has to do besides the masquerade. Isolated ports keep containers apart on the bridge; the
    /// rules keep them apart where the host routes between them, and let them out where it drops by default.
    private func rules(
        _ configuration: GwbridgeConfiguration, _ request: Request, _ addresses: [CNIResult.Address]
    ) -> [FilterRule] {
        let firewall = Firewall(
            addresses: addresses.map(\.address.address), ingress: configuration.communicates ? .sameBridge : .isolated,
            bridge: configuration.bridge, port: AttachmentTag(identity(request)).linkName)
        return [.firewall(firewall)] + ports(configuration, addresses).rules
    }

    private func ports(_ configuration: GwbridgeConfiguration, _ addresses: [CNIResult.Address]) -> PortPublishing {
        PortPublishing(PortForward(configuration.mappings, to: addresses.map(\.address)), system: system)
    }

    private func merge(_ chained: CNIResult?, _ own: CNIResult) -> CNIResult {
        guard var result = chained else { return own }
        let offset = result.interfaces.count
        result.interfaces += own.interfaces
        result.addresses += own.addresses.map { address in
            var moved = address
            moved.interface = address.interface.map { $0 + offset }
            return moved
        }
        result.routes += own.routes
        return result
    }

    /// The container's end goes with the host's; it is not looked for by name, which may be another plugin's.
    private func remove(_ request: Request, errors: inout ErrorCollector) {
        let identity = identity(request)
        errors.attempt { try system.removeFilterEntries(.all, of: FilterOwner(identity), addresses: []) }
        let (removal, tag) = (BridgeRemoval(system: system), AttachmentTag(identity))
        removal.removeLinks(tag, sandbox: "", interfaceName: "", previous: nil, errors: &errors)
        // The bridge's entry comes before the host's end, the container's after it.
        guard let previous = (try? request.configuration.previousResult()) ?? nil,
            let port = previous.interfaces.firstIndex(where: { $0.name == tag.linkName }), port > 0,
            previous.interfaces.indices.contains(port + 1)
        else { return }
        removal.tellNeighbours(
            tag, interfaceName: previous.interfaces[port + 1].name, previous: previous,
            bridge: previous.interfaces[port - 1].name, errors: &errors)
    }
}
