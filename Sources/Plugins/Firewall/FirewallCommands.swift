internal import Attachment
public import CNI
internal import DBus
internal import JSON
internal import Netfilter
internal import NetworkTypes
public import PluginKit
internal import System

/// The `firewall` plugin: lets the container's traffic be forwarded, and keeps networks apart.
public struct FirewallCommands: PluginCommands, FilterRestoring {
    /// The name the executable goes by.
    public let name = "firewall"
    /// As the reference plugin: chained results came with 0.4.0's DEL and CHECK.
    public let supportedVersions = SpecVersion.allCases.filter { $0 >= .v0_4_0 }
    private let system: any HostSystem
    private let zones: ZoneSources

    /// The plugin on a host.
    ///
    /// - Parameter marks: the directory of the marks for firewalld's sources, for tests; nil for that of the lock files.
    public init(system: any HostSystem, marks: String? = nil) {
        self.system = system
        zones = ZoneSources(system: system, directory: marks)
    }

    /// Adds the container's rules (CNI specification, ADD); the previous result is handed on unchanged.
    public func add(_ request: Request) throws -> CNIResult {
        let chained = try previous(request)
        let configuration = try FirewallConfiguration(request)
        let owner = FilterOwner(request.attachment)
        try withTransaction { transaction in
            // Asked once: it may come or go meanwhile, and one of the two must have the container.
            let isFirewalld = try enter(sources(chained), configuration, owner, &transaction)
            if let rule = try rule(configuration, chained, isFirewalld: isFirewalld) {
                try system.packetFilter(configuration.backend.filter).add([.firewall(rule)], for: owner)
            }
        }
        return chained.result
    }

    /// Tells firewalld of the container, where it runs; whether it knows it now.
    private func enter(
        _ sources: [IPPrefix], _ configuration: FirewallConfiguration, _ owner: FilterOwner,
        _ transaction: inout Transaction
    ) throws -> Bool {
        guard case .running(let firewalld) = try zones.find(configuration.backend) else { return false }
        do {
            try zones.enter(sources, firewalld, zone: configuration.zone, owner, &transaction)
            return true
        } catch let error as BusError {
            // It has gone or hangs: the packet filter has to do.
            if configuration.backend == .automatic, !error.isFirewalldsAnswer { return false }
            throw error
        }
    }

    /// Removes the container's rules (CNI specification, DEL); what containers share stays.
    public func delete(_ request: Request) throws {
        var errors = ErrorCollector()
        let chained = try? ChainedResult(request)
        let addresses = chained?.result.addresses.map(\.address.address) ?? []
        errors.attempt {
            try system.removeFilterEntries(of: request.attachment, addresses: addresses)
        }
        let configuration = try? FirewallConfiguration(request)
        let backend = configuration?.backend ?? .automatic
        if ![.iptables, .nftables].contains(backend) {
            zones.leave(
                FilterOwner(request.attachment), unmarked: chained.map(sources),
                zone: configuration?.zone ?? FirewallConfiguration.usualZone, errors: &errors)
        }
        try errors.throwIfAny()
    }

    /// Compares the rules with the packet filter (CNI specification, CHECK); nothing is written.
    public func check(_ request: Request) throws {
        let chained = try previous(request)
        let configuration = try FirewallConfiguration(request)
        // Where nobody can say whether firewalld has the container, what it may have is not looked for elsewhere.
        var isFirewalld = true
        switch try zones.find(configuration.backend) {
        case .absent: isFirewalld = false
        case .silent: break
        case .running(let firewalld): try checkSources(chained, configuration, firewalld)
        }
        guard let rule = try rule(configuration, chained, isFirewalld: isFirewalld) else { return }
        try system.checkFilterRules(
            [.firewall(rule)], of: FilterOwner(request.attachment), configuration.backend.filter)
    }

    private func checkSources(
        _ chained: ChainedResult, _ configuration: FirewallConfiguration, _ firewalld: any FirewallZones
    ) throws {
        do {
            for source in sources(chained) where try !firewalld.hasSource(source, zone: configuration.zone) {
                throw CNIError(
                    CNIError.Code.internal, "\(source) is not a source of firewalld's zone \(configuration.zone)",
                    details: "firewalld was reloaded; put it back with: swiftlet reload")
            }
        } catch let error as BusError {
            // As above.
            if configuration.backend != .automatic || error.isFirewalldsAnswer { throw error }
        }
    }

    /// Removes the rules of attachments that are no longer valid (CNI specification, GC).
    public func collectGarbage(_ request: Request) throws {
        guard let valid = try request.configuration.validAttachments().known else { return }
        let network = request.configuration.name
        let owners = valid.map { FilterOwner(network: network, $0) }
        var errors = ErrorCollector()
        errors.attempt { try system.collectFilterEntries(.firewall, network: network, keeping: owners) }
        zones.collect(network: network, keeping: owners, errors: &errors)
        try errors.throwIfAny()
    }

    /// Says whether rules could be added now (CNI specification, STATUS).
    public func status(_ request: Request) throws {
        let configuration = try FirewallConfiguration(request)
        try Readiness.require {
            if case .running = try zones.find(configuration.backend), configuration.ingress == .open { return }
            _ = try system.packetFilter(configuration.backend.filter)
        }
    }

    /// Puts the container's rules back, and its addresses into firewalld's zone.
    public func restore(_ request: Request) throws -> Bool {
        _ = try request.resultToRestore()
        let chained = try previous(request)
        let configuration = try FirewallConfiguration(request)
        let owner = FilterOwner(request.attachment)
        var isFirewalld = true
        var isRestored = false
        switch try zones.find(configuration.backend) {
        case .absent: isFirewalld = false
        case .silent: break
        case .running(let firewalld):
            let missing = try sources(chained).filter { try !firewalld.hasSource($0, zone: configuration.zone) }
            try withTransaction { transaction in
                try zones.enter(missing, firewalld, zone: configuration.zone, owner, &transaction)
            }
            isRestored = !missing.isEmpty
        }
        guard let rule = try rule(configuration, chained, isFirewalld: isFirewalld) else { return isRestored }
        return try system.restoreFilterRules([.firewall(rule)], of: owner, configuration.backend.filter) || isRestored
    }

    private func previous(_ request: Request) throws -> ChainedResult {
        guard let chained = try ChainedResult(request) else {
            throw CNIError(CNIError.Code.invalidConfiguration, "missing prevResult from earlier plugin")
        }
        return chained
    }

    /// What firewalld is told of: the container's addresses alone, without their subnets.
    private func sources(_ chained: ChainedResult) -> [IPPrefix] {
        chained.result.addresses.map { IPPrefix(host: $0.address.address) }
    }

    /// The rules of the packet filter; nil when firewalld does all there is to do.
    private func rule(
        _ configuration: FirewallConfiguration, _ chained: ChainedResult, isFirewalld: Bool
    ) throws -> Firewall? {
        if isFirewalld, configuration.ingress == .open { return nil }
        if configuration.ingress != .open, chained.bridge == nil {
            throw CNIError(
                CNIError.Code.invalidConfiguration,
                "interface needs to be set for ingress policy \"\(configuration.ingress.rawValue)\", "
                    + "make sure to chain \"firewall\" plugin with \"bridge\"")
        }
        return Firewall(
            addresses: chained.result.addresses.map(\.address.address), accepts: !isFirewalld,
            ingress: configuration.ingress, bridge: chained.bridge, port: chained.hostPort,
            adminChain: configuration.adminChain)
    }
}
