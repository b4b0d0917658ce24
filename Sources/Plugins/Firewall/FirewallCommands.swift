internal import Attachment
public import CNI
internal import DBus
internal import JSON
internal import Netfilter
internal import NetworkTypes
public import PluginKit
internal import System

/// The `firewall` plugin: lets the container's traffic be forwarded, and keeps networks apart.
public struct FirewallCommands: PluginCommands {
    /// The name the executable goes by.
    public let name = "firewall"
    /// As the reference plugin: chained results came with 0.4.0's DEL and CHECK.
    public let supportedVersions = SpecVersion.allCases.filter { $0 >= .v0_4_0 }
    private let system: any HostSystem

    /// The plugin on a host.
    public init(system: any HostSystem) {
        self.system = system
    }

    /// Adds the container's rules (CNI specification, ADD); the previous result is handed on unchanged.
    public func add(_ request: Request) throws -> CNIResult {
        let chained = try previous(request)
        let configuration = try FirewallConfiguration(request)
        let owner = FilterOwner(request.attachment)
        try withTransaction { transaction in
            // Asked once: it may come or go meanwhile, and one of the two must have the container.
            let firewalld = try firewalld(configuration)
            if let firewalld {
                for source in sources(chained) where try firewalld.addSource(source, zone: configuration.zone) {
                    transaction.push("the firewalld source \(source)") {
                        _ = try firewalld.removeSource(source, zone: configuration.zone)
                    }
                }
            }
            if let rule = try rule(configuration, chained, isFirewalld: firewalld != nil) {
                try system.packetFilter(configuration.backend.filter).add([.firewall(rule)], for: owner)
            }
        }
        return chained.result
    }

    /// Removes the container's rules (CNI specification, DEL); what containers share stays.
    public func delete(_ request: Request) throws {
        var errors = ErrorCollector()
        let chained = try? ChainedResult(request)
        let addresses = chained?.result.addresses.map(\.address.address) ?? []
        errors.attempt {
            try system.removeFilterEntries(of: request.attachment, addresses: addresses)
        }
        if let configuration = try? FirewallConfiguration(request), let chained,
            // Where firewalld does not run any more, its zones are gone, too.
            ![.iptables, .nftables].contains(configuration.backend),
            let firewalld = errors.attempt({ try system.firewalld() }) ?? nil
        {
            for source in sources(chained) {
                errors.attempt {
                    do {
                        _ = try firewalld.removeSource(source, zone: configuration.zone)
                    } catch let error as BusError where error.isUnowned {
                        // firewalld has stopped meanwhile, and its zones with it.
                    }
                }
            }
        }
        try errors.throwIfAny()
    }

    /// Compares the rules with the packet filter (CNI specification, CHECK); nothing is written.
    public func check(_ request: Request) throws {
        let chained = try previous(request)
        let configuration = try FirewallConfiguration(request)
        let firewalld = try firewalld(configuration)
        if let firewalld {
            for source in sources(chained) where try !firewalld.hasSource(source, zone: configuration.zone) {
                throw CNIError(
                    CNIError.Code.internal, "\(source) is not a source of firewalld's zone \(configuration.zone)")
            }
        }
        guard let rule = try rule(configuration, chained, isFirewalld: firewalld != nil) else { return }
        try system.checkFilterRules(
            [.firewall(rule)], of: FilterOwner(request.attachment), configuration.backend.filter)
    }

    /// Removes the rules of attachments that are no longer valid (CNI specification, GC).
    public func collectGarbage(_ request: Request) throws {
        guard let valid = try request.configuration.validAttachments().known else { return }
        let network = request.configuration.name
        try system.collectFilterEntries(
            .firewall, network: network, keeping: valid.map { FilterOwner(network: network, $0) })
    }

    /// Says whether rules could be added now (CNI specification, STATUS).
    public func status(_ request: Request) throws {
        let configuration = try FirewallConfiguration(request)
        try Readiness.require {
            if try firewalld(configuration) != nil, configuration.ingress == .open { return }
            _ = try system.packetFilter(configuration.backend.filter)
        }
    }

    private func previous(_ request: Request) throws -> ChainedResult {
        guard let chained = try ChainedResult(request) else {
            throw CNIError(CNIError.Code.invalidConfiguration, "missing prevResult from earlier plugin")
        }
        return chained
    }

    /// firewalld, where it is to be told; nil where the packet filter does it all.
    private func firewalld(_ configuration: FirewallConfiguration) throws -> (any FirewallZones)? {
        switch configuration.backend {
        case .automatic: return try system.firewalld()
        case .iptables, .nftables: return nil
        case .firewalld:
            guard let running = try system.firewalld() else {
                throw CNIError(
                    CNIError.Code.packetFilter, "backend \"firewalld\": firewalld does not run on this host",
                    details: "start it, or leave the key \"backend\" empty")
            }
            return running
        }
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
