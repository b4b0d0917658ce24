public import CNI
internal import JSON
internal import Netlink
internal import NetworkTypes
internal import PluginKit
internal import System

extension BridgeCommands {
    /// Removes the attachment (CNI specification, DEL): by tag and by observation, never by intent. Everything is
    /// tried; the address is released last.
    public func delete(_ request: Request) throws {
        var errors = ErrorCollector()
        let tag = AttachmentTag(request.attachment)
        if let host = errors.attempt({ try system.hostStack() }) {
            errors.attempt { try remove(tag.linkName, host) { $0.alias == nil || tag.owns(alias: $0.alias) } }
            errors.attempt { try removeContainerEnd(request) }
            errors.attempt { try removeForeignHostEnd(request, host) }
        }
        if !request.configuration.ipamType.isEmpty {
            errors.attempt { try system.releaseAddresses(request) }
        }
        try errors.throwIfAny()
    }

    /// Removes everything of the network that is not in the list of valid attachments (CNI specification, GC).
    ///
    /// Without any list only half-made links go: a runtime that says nothing about its attachments must not lose them.
    public func collectGarbage(_ request: Request) throws {
        var errors = ErrorCollector()
        let network = request.configuration.name
        var valid: Set<String>?
        if let entries = try request.configuration.validAttachments().known {
            valid = Set(
                entries.map {
                    AttachmentTag(
                        Attachment(network: network, containerID: $0.containerID, interfaceName: $0.interfaceName)
                    ).linkName
                })
        }
        if let host = errors.attempt({ try system.hostStack() }), let links = errors.attempt({ try host.links() }) {
            let prefix = AttachmentTag.linkNamePrefix(network: network)
            for link in links where link.kind == "veth" && link.name.hasPrefix(prefix) && link.name.count == 15 {
                guard isGarbage(link, network: network, valid: valid) else { continue }
                errors.attempt { try host.removeLink(index: link.index) }
            }
        }
        if !request.configuration.ipamType.isEmpty { errors.attempt { try system.collectAddresses(request) } }
        try errors.throwIfAny()
    }

    private func isGarbage(_ link: Link, network: String, valid: Set<String>?) -> Bool {
        // A link without alias is the work of an ADD killed between two messages. GC runs alone (specification), so no
        // ADD is about to give it one.
        if link.alias == nil { return valid.map { !$0.contains(link.name) } ?? (link.master == nil) }
        guard let valid, !valid.contains(link.name) else { return false }
        let owner = AttachmentTag.network(ofAlias: link.alias)
        return owner == network || (owner == nil && link.alias?.hasPrefix("swiftlet - ") == true)
    }

    /// Removes `CNI_IFNAME` where the container is still there: ours went with its host end, this is another suite's.
    private func removeContainerEnd(_ request: Request) throws {
        guard !request.invocation.netns.isEmpty else { return }
        let container: Container
        do {
            container = try system.container(at: request.invocation.netns)
        } catch let error as NamespaceError {
            // Gone, or not a namespace at all: there is no container end to remove.
            if case .system = error.reason { throw error }
            return
        }
        // An interface without a kind is hardware or `lo`: no plugin of this type made it.
        try remove(request.attachment.interfaceName, container.stack) { $0.kind != nil }
    }

    /// Removes the host end another suite's ADD made, when its container end could not be reached: prevResult names it.
    private func removeForeignHostEnd(_ request: Request, _ host: any NetworkStack) throws {
        // A result that cannot be read tells us nothing; the rest of DEL does not need it.
        guard let result = try? request.configuration.previousResult() else { return }
        let bridges = Set(result.interfaces.map(\.name))
        for interface in result.interfaces where (interface.sandbox ?? "").isEmpty {
            guard let link = try host.link(named: interface.name), link.kind == "veth",
                link.mac?.description == interface.mac?.lowercased(), let master = link.master,
                let bridge = try host.link(index: master), bridges.contains(bridge.name),
                // The VLAN gateway's link is shared by the network's containers.
                link.alias == nil
            else { continue }
            try host.removeLink(index: link.index)
        }
    }

    private func remove(_ name: String, _ stack: any NetworkStack, if isOurs: (Link) -> Bool) throws {
        guard let link = try stack.link(named: name), isOurs(link) else { return }
        try stack.removeLink(index: link.index)
    }
}
