internal import Attachment
public import CNI
internal import Netfilter
internal import Netlink
internal import NetworkTypes
internal import PluginKit
internal import System

extension GwbridgeCommands {
    /// Removes the network's use of the way out, and with the last use the way out (CNI specification, DEL). Everything is
    /// tried; the address is released last.
    public func delete(_ request: Request) throws {
        var errors = ErrorCollector()
        let attachment = request.attachment
        let ways = errors.attempt { try WaysOut(attachment.containerID, isLocked: true, in: directory) }
        if let ways, ways.way(of: attachment.network, interfaceName: attachment.interfaceName) != nil {
            leave(attachment, ways, sandbox: request.invocation.netns, &errors)
        } else {
            let configuration = try? GwbridgeConfiguration(request)
            remove(Self.identity(attachment), &errors)
            if let ways, let bridge = configuration?.bridge, ways.way(over: bridge) == nil {
                removeUnmarked(WayOut.identity(bridge: bridge, containerID: attachment.containerID), &errors)
            }
            errors.attempt { try PortPublishing.forgetConnections(configuration?.mappings ?? [], system: system) }
            errors.attempt { try ways?.tidy() }
        }
        errors.attempt {
            try GatewayAddresses(GwbridgeConfiguration.dataDirectory(request)).release(
                GatewayAddresses.owner(attachment))
        }
        try errors.throwIfAny()
    }

    /// Removes what belongs to no valid attachment of the network (CNI specification, GC).
    public func collectGarbage(_ request: Request) throws {
        guard let valid = try request.configuration.validAttachments().known else { return }
        var errors = ErrorCollector()
        let name = request.configuration.name
        var kept = Set(
            valid.map { Attachment(network: name, containerID: $0.containerID, interfaceName: $0.interfaceName) })
        // What the network itself made for others that use it now, and addresses that are reserved in its name for them.
        var identities = Set(kept.map(Self.identity))
        for container in errors.attempt({ try WaysOut.containers(in: directory) }) ?? [] {
            guard let ways = errors.attempt({ try WaysOut(container, isLocked: true, in: directory) }) else { continue }
            func attachments(_ way: WayOut) -> [Attachment] {
                way.users.filter { $0.network == name }.map {
                    Attachment(network: name, containerID: container, interfaceName: $0.interfaceName)
                }
            }
            for way in ways.ways {
                for attachment in attachments(way) where !kept.contains(attachment) {
                    leave(attachment, ways, sandbox: "", &errors)
                }
            }
            for way in ways.ways {
                identities.insert(way.identity)
                kept.formUnion(attachments(way))
            }
        }
        errors.attempt { try WaysOut.removeDrafts(in: directory) }
        let network = Self.gatewayNetwork(name)
        let own = identities.filter { $0.network == network }
        BridgeRemoval(system: system).removeGarbage(
            network: network, valid: own.map(AttachmentTag.init), errors: &errors)
        errors.attempt {
            try system.collectFilterEntries(.all, network: network, keeping: own.map(FilterOwner.init))
        }
        if let bridge = (try? GwbridgeConfiguration(request))?.bridge {
            errors.attempt { try collectUnmarked(bridge, identities) }
        }
        errors.attempt {
            try GatewayAddresses(GwbridgeConfiguration.dataDirectory(request)).collect(network: name, keeping: kept)
        }
        try errors.throwIfAny()
    }

    /// Takes a network from the users of its way out. The way out goes with the last one, or when nothing is left of it.
    private func leave(_ attachment: Attachment, _ ways: WaysOut, sandbox: String, _ errors: inout ErrorCollector) {
        guard var way = ways.way(of: attachment.network, interfaceName: attachment.interfaceName),
            let index = way.index(ofNetwork: attachment.network, interfaceName: attachment.interfaceName)
        else { return }
        let all = way
        let user = way.users.remove(at: index)
        // A container that is gone has taken the interface with it. That a link cannot be asked for says nothing.
        let link = Result { try system.hostStack().link(named: way.tag.linkName) }
        let isThere = if case .success(.none) = link { false } else { true }
        var failures = ErrorCollector()
        if way.users.isEmpty || !isThere {
            remove(all.identity, &failures)
            failures.attempt { try PortPublishing.forgetConnections(all.mappings, system: system) }
            for user in all.users {
                failures.attempt { try addresses(all).release(owner(user, attachment.containerID)) }
            }
            // The mark goes last, and stays where something is left that it leads to.
            if failures.isEmpty { failures.attempt { try ways.remove(over: way.bridge) } }
        } else {
            passOn(way, from: user, wasFirst: index == 0, ways, sandbox: sandbox, &failures)
        }
        errors.add(failures)
    }

    /// Leaves a way out to the other users.
    private func passOn(
        _ way: WayOut, from user: WayOut.User, wasFirst: Bool, _ ways: WaysOut, sandbox: String,
        _ errors: inout ErrorCollector
    ) {
        let gone = user.mappings.filter { !way.mappings.contains($0) }
        if !gone.isEmpty || !user.isRecorded {
            errors.attempt { try system.packetFilter(way.backend).replacePorts(of: way.owner, by: way.forward) }
            errors.attempt { try PortPublishing.forgetConnections(gone, system: system) }
        }
        if user.wantsDefaultRoute, !way.hasDefaultRoute, let container = try? system.container(at: sandbox).stack,
            let link = try? container.link(named: way.interface), let route = defaultRoute(way, link)
        {
            // It may be gone already, and without the namespace nobody misses it.
            try? container.removeRoute(route)
        }
        if wasFirst, let heir = way.users.first {
            let containerID = way.identity.containerID
            errors.attempt { try addresses(way).pass(from: owner(user, containerID), to: owner(heir, containerID)) }
        }
        if errors.isEmpty { errors.attempt { try ways.put(way) } }
    }

    private func addresses(_ way: WayOut) -> GatewayAddresses { GatewayAddresses(way.dataDirectory) }

    private func owner(_ user: WayOut.User, _ containerID: String) -> GatewayAddresses.Holder {
        GatewayAddresses.owner(
            Attachment(network: user.network, containerID: containerID, interfaceName: user.interfaceName))
    }

    /// The container's end goes with the host's; it is not looked for by name, which may be another plugin's.
    func remove(_ identity: Attachment, _ errors: inout ErrorCollector) {
        errors.attempt { try system.removeFilterEntries(.all, of: FilterOwner(identity), addresses: []) }
        BridgeRemoval(system: system).removeLinks(
            AttachmentTag(identity), sandbox: "", interfaceName: "", previous: nil, errors: &errors)
    }

    /// A way out whose record somebody removed.
    private func removeUnmarked(_ identity: Attachment, _ errors: inout ErrorCollector) {
        let tag = AttachmentTag(identity)
        let link = errors.attempt { try system.hostStack().link(named: tag.linkName) }
        guard let link = link ?? nil, tag.owns(alias: link.alias) else { return }
        remove(identity, &errors)
    }

    /// Removes what the packet filter has for ways out over a bridge that are neither recorded nor there.
    private func collectUnmarked(_ bridge: String, _ marked: Set<Attachment>) throws {
        // Who makes a way out holds this lock, and has it recorded before.
        let lock = try system.lock("bridge-\(bridge)", .exclusive)
        defer { withExtendedLifetime(lock) {} }
        let network = WayOut.network(bridge: bridge)
        var kept = marked.filter { $0.network == network }
        for container in try WaysOut.containers(in: directory) {
            kept.insert(WayOut.identity(bridge: bridge, containerID: container))
        }
        for link in try system.hostStack().links() where AttachmentTag.network(ofAlias: link.alias) == network {
            let parts = (link.alias ?? "").split(separator: " ")
            kept.insert(WayOut.identity(bridge: bridge, containerID: String(parts[2])))
        }
        try system.collectFilterEntries(.all, network: network, keeping: kept.map(FilterOwner.init))
    }
}
