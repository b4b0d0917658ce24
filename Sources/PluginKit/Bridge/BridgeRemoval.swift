public import CNI
internal import Netlink
internal import NetworkTypes
internal import System

/// Removes connections to bridges: by tag and by observation, never by intent.
public struct BridgeRemoval {
    private let system: any HostSystem

    /// A removal on a host.
    public init(system: any HostSystem) {
        self.system = system
    }

    /// Removes the links of an attachment; everything is tried.
    ///
    /// - Parameters:
    ///   - sandbox: `CNI_NETNS`; empty when the runtime does not know it any more.
    ///   - previous: the ADD's result, for links another suite made.
    public func removeLinks(
        _ tag: AttachmentTag, sandbox: String, interfaceName: String, previous: CNIResult?,
        errors: inout ErrorCollector
    ) {
        guard let host = errors.attempt({ try system.hostStack() }) else { return }
        errors.attempt { try remove(tag.linkName, host) { $0.alias == nil || tag.owns(alias: $0.alias) } }
        errors.attempt { try removeContainerEnd(sandbox, interfaceName) }
        if let previous { errors.attempt { try removeForeignHostEnd(previous, host) } }
    }

    /// Removes the network's links that belong to no valid attachment.
    ///
    /// - Parameter valid: tags to keep; nil when the runtime named none, then only half-made links go.
    public func removeGarbage(network: String, valid: [AttachmentTag]?, errors: inout ErrorCollector) {
        let names = valid.map { Set($0.map(\.linkName)) }
        guard let host = errors.attempt({ try system.hostStack() }), let links = errors.attempt({ try host.links() })
        else { return }
        let prefix = AttachmentTag.linkNamePrefix(network: network)
        for link in links where link.kind == "veth" && link.name.hasPrefix(prefix) && link.name.utf8.count == 15 {
            guard isGarbage(link, network: network, valid: names) else { continue }
            errors.attempt { try host.removeLink(index: link.index) }
        }
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
    private func removeContainerEnd(_ sandbox: String, _ interfaceName: String) throws {
        guard !sandbox.isEmpty else { return }
        let container: Container
        do {
            container = try system.container(at: sandbox)
        } catch let error as NamespaceError {
            // Gone, or not a namespace at all: there is no container end to remove.
            if case .system = error.reason { throw error }
            return
        }
        // An interface without a kind is hardware or `lo`: no plugin of this type made it.
        try remove(interfaceName, container.stack) { $0.kind != nil }
    }

    /// Removes the host end another suite's ADD made, when its container end could not be reached: prevResult names it.
    private func removeForeignHostEnd(_ result: CNIResult, _ host: any NetworkStack) throws {
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
