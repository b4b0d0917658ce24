public import CNI
internal import Netfilter
internal import Netlink
internal import NetworkTypes
public import PluginKit
internal import System

/// The `portmap` plugin: ports of the host lead to the container.
public struct PortmapCommands: PluginCommands {
    /// The name the executable goes by.
    public let name = "portmap"
    private let system: any HostSystem

    /// The plugin on a host.
    public init(system: any HostSystem) {
        self.system = system
    }

    /// Maps the ports (CNI specification, ADD); the previous result is handed on unchanged.
    public func add(_ request: Request) throws -> CNIResult {
        guard let chained = try ChainedResult(request) else {
            throw CNIError(CNIError.Code.invalidConfiguration, "must be called as chained plugin")
        }
        let configuration = try parse(request)
        guard !configuration.mappings.isEmpty else { return chained.result }
        let forward = forward(configuration, chained)
        guard !forward.addresses.isEmpty else { return chained.result }
        try refuseTakenPorts(forward.mappings)
        try withTransaction { transaction in
            if configuration.sourceRewrite != .none { try routeLocalhost(forward, &transaction) }
            let owner = FilterOwner(request.attachment)
            let filter = try system.packetFilter(configuration.backend)
            try filter.add([.portForward(forward)], for: owner)
            transaction.push("the port mappings") { try filter.remove(.portForward, of: owner) }
            try forgetConnections(forward.mappings)
        }
        return chained.result
    }

    /// Removes the mappings (CNI specification, DEL), with and without a configuration that names them.
    public func delete(_ request: Request) throws {
        var errors = ErrorCollector()
        let chained = try? ChainedResult(request)
        errors.attempt {
            try system.removeFilterEntries(
                of: request.attachment, addresses: chained?.containerAddresses.map(\.address) ?? [])
        }
        // The kernel would go on sending a client's datagrams to the container that is gone.
        if let configuration = try? PortmapConfiguration(request) {
            errors.attempt { try forgetConnections(configuration.mappings) }
        }
        try errors.throwIfAny()
    }

    /// Compares the mappings with the packet filter (CNI specification, CHECK).
    public func check(_ request: Request) throws {
        guard let chained = try ChainedResult(request) else {
            throw CNIError(CNIError.Code.invalidConfiguration, "Required prevResult missing")
        }
        let configuration = try parse(request)
        let forward = forward(configuration, chained)
        guard !forward.mappings.isEmpty, !forward.addresses.isEmpty else { return }
        try system.checkFilterRules(
            [.portForward(forward)], of: FilterOwner(request.attachment), configuration.backend)
    }

    /// Removes the mappings of attachments that are no longer valid (CNI specification, GC).
    public func collectGarbage(_ request: Request) throws {
        guard let valid = try request.configuration.validAttachments().known else { return }
        let network = request.configuration.name
        try system.collectFilterEntries(
            .portForward, network: network, keeping: valid.map { FilterOwner(network: network, $0) })
    }

    /// Says whether ports could be mapped now (CNI specification, STATUS).
    public func status(_ request: Request) throws {
        let configuration = try PortmapConfiguration(request)
        try Readiness.require { _ = try system.packetFilter(configuration.backend) }
    }

    private func parse(_ request: Request) throws -> PortmapConfiguration {
        do {
            return try PortmapConfiguration(request)
        } catch {
            var mapped = ErrorMapping.cniError(error)
            mapped.message = "failed to parse config: \(mapped.message)"
            throw mapped
        }
    }

    private func forward(_ configuration: PortmapConfiguration, _ chained: ChainedResult) -> PortForward {
        PortForward(
            configuration.mappings, to: chained.containerAddresses, sourceRewrite: configuration.sourceRewrite,
            conditions4: configuration.conditions4, conditions6: configuration.conditions6,
            markBit: configuration.markBit, externalSetMarkChain: configuration.externalSetMarkChain)
    }

    /// A process of the host that listens on a port would lose its clients without a word.
    private func refuseTakenPorts(_ mappings: [PortMapping]) throws {
        for mapping in mappings {
            guard let holder = try system.holder(of: mapping) else { continue }
            throw CNIError(
                CNIError.Code.foreignObject, "hostPort \(mapping.hostPort)/\(mapping.transport) is in use by \(holder)",
                details: "choose another hostPort, or stop what listens there")
        }
    }

    /// Lets 127.0.0.1 be routed out of the bridge, for clients on the host that use the host port by that name.
    private func routeLocalhost(_ forward: PortForward, _ transaction: inout Transaction) throws {
        guard let address = forward.addresses.first(where: { $0.family == .ipv4 })?.address else { return }
        let host = try system.hostStack()
        let routes = try host.routes(family: .ipv4).filter { $0.table == nil && $0.destination.contains(address) }
        guard let route = routes.max(by: { $0.destination.length < $1.destination.length }), let index = route.link,
            let link = try host.link(index: index), !link.routesLocalnet
        else { return }
        // Shared by all containers behind the bridge; nothing takes it back, others may rely on it.
        _ = try host.exchangeParameters(
            [("net/ipv4/conf/\(link.name)/route_localnet", "1")], passingOverFailures: false)
    }

    /// Datagrams of a client that was talking to the port before go by the old translation until conntrack forgets it.
    private func forgetConnections(_ mappings: [PortMapping]) throws {
        let matches = mappings.filter { $0.transport != .tcp }.map {
            ConnectionMatch($0.transport, originalPort: $0.hostPort)
        }
        if !matches.isEmpty { try system.forgetConnections(matches) }
    }
}
