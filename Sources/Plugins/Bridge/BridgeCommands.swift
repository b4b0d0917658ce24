internal import Attachment
public import CNI
internal import Netfilter
internal import Netlink
internal import NetworkTypes
public import PluginKit

/// The `bridge` plugin: a veth pair between the container and a bridge on the host.
public struct BridgeCommands: PluginCommands, FilterRestoring {
    /// The name the executable goes by.
    public let name = "bridge"
    private let system: any HostSystem

    /// The plugin on a host.
    public init(system: any HostSystem) {
        self.system = system
    }

    /// Makes the attachment (CNI specification, ADD).
    public func add(_ request: Request) throws -> CNIResult {
        try attachment(BridgeSettings(request), request).add(
            version: request.configuration.version, allocate: { try system.allocateAddresses(request) },
            release: { try system.releaseAddresses(request) })
    }

    /// Removes the attachment (CNI specification, DEL). Everything is tried; the address is released last, but by a delegate
    /// that looks at the interface while there is one: `dhcp` tells its server by it.
    public func delete(_ request: Request) throws {
        var errors = ErrorCollector()
        let ipamType = request.configuration.ipamType
        let looks = BridgeSettings.looksAtInterface(ipamType)
        if looks { errors.attempt { try system.releaseAddresses(request) } }
        // A result that cannot be read tells nothing; the rest of DEL does not need it.
        let previous = (try? request.configuration.previousResult()) ?? nil
        errors.attempt {
            try system.removeFilterEntries(
                of: request.attachment, addresses: previous?.addresses.map(\.address.address) ?? [])
        }
        let (removal, tag) = (BridgeRemoval(system: system), AttachmentTag(request.attachment))
        let name = request.attachment.interfaceName
        removal.removeLinks(
            tag, sandbox: request.invocation.netns, interfaceName: name,
            bridges: BridgeSettings.possibleNames(request.configuration), previous: previous, errors: &errors)
        removal.tellNeighbours(
            tag, interfaceName: name, previous: previous, bridge: try? BridgeSettings.bridgeName(request.configuration),
            errors: &errors)
        if !looks, !ipamType.isEmpty { errors.attempt { try system.releaseAddresses(request) } }
        try errors.throwIfAny()
    }

    /// Compares the attachment with the kernel (CNI specification, CHECK). Nothing is printed on success.
    public func check(_ request: Request) throws {
        let settings = try BridgeSettings(request)
        if settings.hasIPAM { try system.checkAddresses(request) }
        guard let previous = try request.configuration.previousResult() else {
            throw CNIError(CNIError.Code.invalidConfiguration, "Required prevResult missing")
        }
        try attachment(settings, request).check(previous)
    }

    /// Removes everything of the network that is not in the list of valid attachments (CNI specification, GC).
    ///
    /// Without any list only half-made links go: a runtime that says nothing about its attachments must not lose them.
    public func collectGarbage(_ request: Request) throws {
        var errors = ErrorCollector()
        let valid = try request.configuration.validAttachments().known
        let network = request.configuration.name
        BridgeRemoval(system: system).removeGarbage(
            network: network, valid: valid?.map { AttachmentTag(network: network, $0) }, errors: &errors)
        if let valid {
            errors.attempt {
                try system.collectFilterEntries(
                    [.masquerade, .antiSpoof], network: network,
                    keeping: valid.map { FilterOwner(network: network, $0) })
            }
        }
        if !request.configuration.ipamType.isEmpty { errors.attempt { try system.collectAddresses(request) } }
        try errors.throwIfAny()
    }

    /// Says whether an ADD could be served now (CNI specification, STATUS).
    public func status(_ request: Request) throws {
        let settings = try BridgeSettings(request)
        try Readiness.requireBridge(named: settings.bridge, system)
        if settings.usesVLANs, try !system.filtersVLANs() {
            throw CNIError(CNIError.Code.notAvailable, StepError.noVLANFiltering(bridge: settings.bridge).description)
        }
        if settings.masquerades { try Readiness.require { _ = try system.packetFilter(settings.masqueradeBackend) } }
        if settings.checksSource { try Readiness.require { _ = try system.packetFilter(.nftables) } }
        if settings.hasIPAM { try system.addressStatus(request) }
    }

    /// Puts the attachment's masquerade and its bound MAC back.
    public func restore(_ request: Request) throws -> Bool {
        try attachment(BridgeSettings(request), request).restoreRules(request.resultToRestore())
    }

    private func attachment(_ settings: BridgeSettings, _ request: Request) -> BridgeAttachment {
        BridgeAttachment(
            system: system, settings: settings, tag: AttachmentTag(request.attachment),
            sandbox: request.invocation.netns, interfaceName: request.attachment.interfaceName)
    }
}
