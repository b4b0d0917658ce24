internal import Attachment
public import CNI
internal import Netfilter
internal import Netlink
internal import NetworkTypes
public import PluginKit
internal import System

/// The `portmap` plugin: ports of the host lead to the container.
public struct PortmapCommands: PluginCommands, FilterRestoring {
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
        let ports = PortPublishing(forward(configuration, chained), system: system)
        if ports.isEmpty { return chained.result }
        try PortPublishing.refuseTaken(configuration.mappings, system: system)
        try withTransaction { transaction in
            try ports.routeLocalhost()
            let owner = FilterOwner(request.attachment)
            let filter = try system.packetFilter(configuration.backend)
            try filter.add(ports.rules, for: owner)
            transaction.push("the port mappings") { try filter.remove(.portForward, of: owner) }
            try PortPublishing.forgetConnections(configuration.mappings, system: system)
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
            errors.attempt { try PortPublishing.forgetConnections(configuration.mappings, system: system) }
        }
        try errors.throwIfAny()
    }

    /// Compares the mappings with the packet filter (CNI specification, CHECK).
    public func check(_ request: Request) throws {
        guard let chained = try ChainedResult(request) else {
            throw CNIError(CNIError.Code.invalidConfiguration, "Required prevResult missing")
        }
        let configuration = try parse(request)
        let ports = PortPublishing(forward(configuration, chained), system: system)
        try system.checkFilterRules(ports.rules, of: FilterOwner(request.attachment), configuration.backend)
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

    /// Puts the mappings back.
    public func restore(_ request: Request) throws -> Bool {
        _ = try request.resultToRestore()
        guard let chained = try ChainedResult(request) else { return false }
        let configuration = try parse(request)
        let ports = PortPublishing(forward(configuration, chained), system: system)
        return try system.restoreFilterRules(ports.rules, of: FilterOwner(request.attachment), configuration.backend)
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
}
