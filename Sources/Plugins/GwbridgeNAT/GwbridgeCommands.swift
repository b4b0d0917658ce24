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
/// its own. It is what docker_gwbridge is to Docker's overlay networks. All networks of a container that are behind one
/// bridge share the container's one interface on it.
public struct GwbridgeCommands: PluginCommands, FilterRestoring {
    /// The name the executable goes by.
    public let name = "gwbridge-nat"
    /// The network whose addresses all containers on a gateway bridge share; a directory in `dataDir`.
    static let addressNetwork = "swiftlet-gwbridge"
    /// The metric of the default route: any other network's default route, which has none, is preferred while it is there,
    /// whichever came first.
    static let defaultRouteMetric: UInt32 = 512
    let system: any HostSystem
    /// Where records and locks are, for tests; nil for below `/run/swiftlet`.
    let directory: String?

    /// The plugin on a host.
    public init(system: any HostSystem) { self.init(system: system, directory: nil) }

    /// The plugin with its records in a directory.
    package init(system: any HostSystem, directory: String?) {
        self.system = system
        self.directory = directory
    }

    /// Connects the container to the gateway bridge, unless another of its networks has done so already (CNI
    /// specification, ADD); the interface and its address come after those of the earlier plugins.
    public func add(_ request: Request) throws -> CNIResult {
        let configuration = try GwbridgeConfiguration(request)
        let chained = try request.configuration.previousResult()
        if let chained, try configuration.isInternal || isInternal(chained) { return chained }
        try PortPublishing.refuseTaken(configuration.mappings, system: system)
        var joining = Joining(request, configuration, chained: chained)
        let own: CNIResult
        if configuration.isInternal {
            // Nobody's way out, so nobody's to share.
            joining.way.identity = Self.identity(request.attachment)
            own = try connect(&joining, record: { _ in })
        } else {
            own = try join(&joining)
        }
        return merge(chained, own)
    }

    /// Shares the container's way out, or makes one.
    private func join(_ joining: inout Joining) throws -> CNIResult {
        let ways = try WaysOut(joining.containerID, isLocked: true, in: directory)
        if let way = ways.way(over: joining.way.bridge) {
            let container = try system.container(at: joining.sandbox)
            if try isLive(way, container.stack) { return try share(way, joining, ways, container.stack) }
            // The container's namespace, or the ADD that was making it, is no more.
            var errors = ErrorCollector()
            remove(way.identity, &errors)
            try errors.throwIfAny()
        }
        let before = ways.ways
        do {
            return try connect(&joining) { way in try way.map(ways.put) ?? ways.restore(before) }
        } catch let error as CNIError where error.code == CNIError.Code.foreignObject {
            // The release before ways out were shared may have made one.
            let container = try system.container(at: joining.sandbox)
            guard let way = try unrecordedWay(joining, container.stack) else { throw error }
            return try share(way, joining, ways, container.stack)
        }
    }

    /// Makes a way out for its first user.
    ///
    /// - Parameter record: writes it down; nil takes that back.
    private func connect(_ joining: inout Joining, record: @escaping (WayOut?) throws -> Void) throws -> CNIResult {
        let configuration = joining.configuration
        let addresses = GatewayAddresses(joining.way.dataDirectory)
        let owner = GatewayAddresses.owner(joining.request.attachment)
        let (subnet, lock) = try GatewayPool.settle(configuration, system)
        defer { withExtendedLifetime(lock) {} }
        return try withTransaction { transaction in
            // The mark comes first: whatever is cut short from here on, DEL and GC find it by the mark.
            try record(joining.way)
            transaction.push("the mark") { try record(nil) }
            let attachment = attachment(configuration, joining.way, joining.sandbox)
            // Chained, the result becomes part of another: what the asked version can say of it is seen when they are merged.
            let own = try attachment.add(
                version: .newest, allocate: { try addresses.allocate(subnet, for: owner) },
                release: { try addresses.release(owner) }
            ) { own, transaction in
                joining.way.address = own.addresses.first?.address
                let filter = try system.packetFilter(configuration.backend)
                try filter.add(rules(joining.way), for: joining.way.owner)
                let owner = joining.way.owner
                transaction.push("the packet filter's rules") {
                    try filter.remove([.firewall, .portForward], of: owner)
                }
                joining.way.backend = filter.name == "iptables" ? .iptables : .nftables
                try ports(joining.way).routeLocalhost(by: configuration.bridge)
                try PortPublishing.forgetConnections(configuration.mappings, system: system)
                _ = try merge(joining.chained, own).document(joining.request.configuration.version)
            }
            try record(joining.way)
            return own
        }
    }

    /// Says whether a connection could be made now (CNI specification, STATUS).
    public func status(_ request: Request) throws {
        let configuration = try GwbridgeConfiguration(request)
        try Readiness.require {
            if configuration.options.masquerades { _ = try system.packetFilter(configuration.backend) }
            _ = try GatewayPool.subnet(configuration, system)
        }
        try Readiness.requireBridge(named: configuration.bridge, system)
    }

    // MARK: Parts

    /// What an attachment of its own is called on the gateway bridge: an earlier plugin of the chain goes by the plain name.
    /// "@" is in no network's name.
    static func gatewayNetwork(_ network: String) -> String { "\(network)@gw" }

    /// The identity of an interface that is one network's alone: of an internal network's, and of every interface that was
    /// made before ways out were shared.
    static func identity(_ attachment: Attachment) -> Attachment {
        Attachment(
            network: gatewayNetwork(attachment.network), containerID: attachment.containerID,
            interfaceName: attachment.interfaceName)
    }

    func attachment(_ configuration: GwbridgeConfiguration, _ way: WayOut, _ sandbox: String) -> BridgeAttachment {
        var settings = BridgeSettings(bridge: way.bridge)
        settings.isGateway = true
        settings.isDefaultGateway = way.hasDefaultRoute && !configuration.isInternal
        settings.defaultRouteMetric = Self.defaultRouteMetric
        settings.isInternal = configuration.isInternal
        settings.isIsolated = !way.options.communicates
        settings.masquerades = way.options.masquerades && !configuration.isInternal
        settings.masqueradeBackend = configuration.backend
        settings.masqueradeAddress = way.options.sourceAddress
        settings.mtu = way.options.mtu
        settings.hasIPAM = true
        settings.hasDockerMAC = true
        settings.dns = configuration.dns
        return BridgeAttachment(
            system: system, settings: settings, tag: way.tag, sandbox: sandbox, interfaceName: way.interface)
    }

    /// Whether an earlier plugin made the container part of a network that has no way out: it says so in its bridge's
    /// alias. An overlay's bridge is in the overlay's namespace, `bridge`'s is the host's.
    func isInternal(_ chained: CNIResult) throws -> Bool {
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

    /// What the packet filter has to do besides the masquerade. Isolated ports keep containers apart on the bridge; the
    /// rules keep them apart where the host routes between them, and let them out where it drops by default.
    func rules(_ way: WayOut) -> [FilterRule] {
        let firewall = Firewall(
            addresses: way.address.map { [$0.address] } ?? [],
            ingress: way.options.communicates ? .sameBridge : .isolated, bridge: way.bridge, port: way.tag.linkName,
            // As Docker: what is published on the host's address is so for everybody.
            admitsPublished: way.isShared)
        return [.firewall(firewall)] + ports(way).rules
    }

    func ports(_ way: WayOut) -> PortPublishing { PortPublishing(way.forward, system: system) }

    func merge(_ chained: CNIResult?, _ own: CNIResult) -> CNIResult {
        guard var result = chained else { return own }
        let offset = result.interfaces.count
        result.interfaces += own.interfaces
        result.addresses += own.addresses.map { address in
            var moved = address
            moved.interface = address.interface.map { $0 + offset }
            return moved
        }
        result.routes += own.routes
        if result.dns.isEmpty { result.dns = own.dns }
        return result
    }
}
