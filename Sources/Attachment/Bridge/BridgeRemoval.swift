public import CNI
public import Netlink
internal import NetworkTypes
internal import System

/// Removes connections to bridges: by tag and by observation, never by intent.
public struct BridgeRemoval {
    private let system: any HostNamespaces

    /// A removal on a host.
    public init(system: any HostNamespaces) {
        self.system = system
    }

    /// Removes the links of an attachment; everything is tried.
    ///
    /// - Parameters:
    ///   - sandbox: `CNI_NETNS`; empty when the runtime does not know it any more.
    ///   - bridges: the bridges whose ports without an alias another suite made for this network.
    ///   - previous: the ADD's result, for links another suite made.
    public func removeLinks(
        _ tag: AttachmentTag, sandbox: String, interfaceName: String, bridges: [String] = [], previous: CNIResult?,
        errors: inout ErrorCollector
    ) {
        guard let host = errors.attempt({ try system.hostStack() }) else { return }
        errors.attempt { try remove(tag.linkName, host) { $0.alias == nil || tag.owns(alias: $0.alias) } }
        errors.attempt {
            try removeContainerEnd(sandbox, interfaceName, host) { port in
                if AttachmentTag.isOurs(alias: port.alias) { return tag.owns(alias: port.alias) }
                if let previous, previous.hasOutside(port.name) { return true }
                guard let master = port.master, let bridge = try host.link(index: master) else { return false }
                return bridges.contains(bridge.name)
            }
        }
        if let previous { errors.attempt { try removeForeignHostEnd(previous, host) } }
    }

    /// Tells the neighbours of an interface that is gone whom its addresses may belong to next, see
    /// ``CNI/CNIResult/usualMACs(ofInterface:_:)``.
    ///
    /// - Parameter bridge: the bridge's name, in `previous`.
    public func tellNeighbours(
        _ tag: AttachmentTag, interfaceName: String, previous: CNIResult?, bridge: String?, errors: inout ErrorCollector
    ) {
        guard let previous, let bridge else { return }
        let macs = previous.usualMACs(ofInterface: interfaceName, tag.containerMAC)
        guard !macs.isEmpty, let host = errors.attempt({ try system.hostStack() }) else { return }
        errors.attempt {
            guard let link = try host.link(named: bridge), link.kind == "bridge" else { return }
            _ = host.perform(
                macs.map { .removeNeighbour(Neighbour(link: link.index, address: $0.key, mac: nil)) })
            // Whoever was not told asks again in half a minute.
            try? host.announce(macs, by: [link.index])
        }
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

    /// Removes `CNI_IFNAME` where the container is still there: ours went with its host end, this is another suite's. A
    /// container may have got an interface of this name from another network, whose it stays: so it goes only by its other
    /// end, which must be here.
    private func removeContainerEnd(
        _ sandbox: String, _ interfaceName: String, _ host: any NetworkStack, isOurs: (Link) throws -> Bool
    ) throws {
        guard !sandbox.isEmpty else { return }
        let container: Container
        do {
            container = try system.container(at: sandbox)
        } catch let error as NamespaceError {
            // Gone, or not a namespace at all: there is no container end to remove.
            if case .system = error.reason { throw error }
            return
        }
        guard let inside = try container.stack.link(named: interfaceName),
            let port = try inside.veth(in: host), try isOurs(port)
        else { return }
        try container.stack.removeLink(index: inside.index)
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

extension CNIResult {
    /// Whether the result lists a link of the host's by this name.
    public func hasOutside(_ name: String) -> Bool {
        interfaces.contains { $0.name == name && ($0.sandbox ?? "").isEmpty }
    }
}

extension Link {
    /// The other end of this veth, if it is in that namespace: a link that merely has the same number is not.
    public func veth(in stack: any NetworkStack) throws(NetlinkError) -> Link? {
        guard kind == "veth", let peer, let other = try stack.link(index: peer), other.kind == "veth",
            other.peer == index
        else { return nil }
        return other
    }
}
