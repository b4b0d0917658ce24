internal import Attachment
internal import CNI
internal import JSON
internal import Netlink
internal import NetworkTypes
internal import Overlay
internal import PluginKit
internal import System

/// `hostAccess`: the host is connected to the network like a container, as long as the network has containers here.
struct HostAttachment {
    /// The request that is served: a container's, or GC's.
    let request: Request
    let system: any HostSystem
    let overlay: any OverlayHost

    private var owner: Attachment {
        Attachment(
            network: request.configuration.name, containerID: HostAccess.containerID,
            interfaceName: HostAccess.portName)
    }

    private var tag: AttachmentTag { AttachmentTag(owner) }

    /// `hostAccess`, read without looking at anything else.
    static func isWanted(_ configuration: NetworkConfiguration) -> Bool {
        ((try? configuration.root.member("hostAccess").bool()) ?? nil) == true
    }

    /// How the daemon is asked about the host's own endpoint.
    func daemon(socket: String?) throws -> DaemonNetwork {
        DaemonNetwork(request: try DelegateRequest.renamed(request, owner), socket: socket, overlay: overlay)
    }

    /// Whether the host is connected: the last step of connecting it is its link's alias.
    func isReady(_ segment: Container, _ path: String) throws -> Bool {
        guard let port = try segment.stack.link(named: HostAccess.portName), port.isUp, tag.owns(alias: port.alias),
            port.master != nil, port.master == (try segment.stack.link(named: OverlaySegment.bridgeName)?.index)
        else { return false }
        let host = try system.hostStack()
        let name = HostAccess.linkName(namespace: PreparedNetwork.name(ofPath: path))
        guard let link = try host.link(named: name), link.index == port.peer, link.isUp, tag.owns(alias: link.alias)
        else { return false }
        return try !host.addresses(link: link.index).isEmpty
    }

    // MARK: Making

    /// Connects the host. The network's lock is held alone.
    ///
    /// - Parameter prepared: the network with the addresses that are this host's to hand out, without any asked for.
    /// - Returns: the host's addresses and MAC.
    func make(
        _ configuration: OverlayConfiguration, _ segment: Container, _ prepared: PreparedNetwork,
        _ transaction: inout Transaction
    ) throws -> (addresses: [IPPrefix], mac: MACAddress) {
        let name = HostAccess.linkName(namespace: prepared.name)
        let host = try system.hostStack()
        try removeLeftovers(name, segment, host)
        let delegated = try DelegateRequest.renamed(
            DelegateRequest.make(request, pools: prepared.pools, exclusions: prepared.exclusions), owner)
        // What a killed ADD has reserved would be in the way.
        try system.releaseAddresses(delegated)
        let allocation = try system.allocateAddresses(delegated)
        transaction.push("the host's address") { [system] in try system.releaseAddresses(delegated) }
        let plan = try AttachmentPlan.make(
            AttachmentPlan.Input(
                tag: tag, interfaceName: name, sandbox: "", path: prepared.path,
                bridgeMAC: nil, mtu: prepared.mtu, mac: nil, subnets: configuration.subnets, allocation: allocation))
        let executor = StepExecutor(host: host, [(.segment, segment)])
        for step in steps(plan, name, prepared.mtu, configuration) {
            if let undo = try executor.apply(step) { transaction.push("\(step)", undo: undo) }
        }
        return (plan.result.addresses.map(\.address), plan.mac)
    }

    private func steps(
        _ plan: AttachmentPlan, _ name: String, _ mtu: UInt32, _ configuration: OverlayConfiguration
    ) -> [Step] {
        let port = HostAccess.portName
        let peer = LinkSpec.VethPeer(name: port, mac: tag.hostMAC, mtu: mtu)
        let link = LinkSpec(name: name, kind: .veth(peer: peer), mac: plan.mac, mtu: mtu)
        var steps: [Step] = [
            .createLink(link, .host, into: .segment),
            .setParameters(
                [
                    .init("net/ipv6/conf/\(name)/disable_ipv6", "0"), .init("net/ipv6/conf/\(name)/accept_ra", "0"),
                    .init("net/ipv6/conf/\(name)/accept_dad", "0"),
                ], .host, isOptional: true),
            // What the port receives is the bridge's: no address of its own, and no router to be told of.
            .changeLink(
                port,
                LinkChange {
                    $0.isUp = true
                    $0.addressGeneration = IPv6AddressGeneration.none
                }, master: OverlaySegment.bridgeName, .segment),
        ]
        for address in plan.result.addresses {
            let isIPv6 = address.address.family == .ipv6
            steps.append(.addAddress(address.address, link: name, .host, skipsDetection: isIPv6))
        }
        steps.append(
            .changeLink(
                name,
                LinkChange {
                    $0.isUp = true
                    $0.announcesAddresses = true
                }, .host))
        // The delegate's own routes are for containers.
        for subnet in configuration.subnets {
            let route = plan.result.routes.first { $0.destination == subnet.prefix }
            guard let gateway = route?.gateway else { continue }
            steps.append(.addRoute(Route(destination: subnet.prefix, gateway: gateway), link: name, .host))
        }
        steps.append(.awaitForwarding(port: port, .segment))
        steps.append(.changeLink(port, LinkChange { $0.alias = tag.alias }, .segment))
        steps.append(.changeLink(name, LinkChange { $0.alias = tag.alias }, .host))
        return steps
    }

    /// Half a connection, or one whose overlay namespace the kernel is still taking down.
    private func removeLeftovers(_ name: String, _ segment: Container, _ host: any NetworkStack) throws {
        if let port = try segment.stack.link(named: HostAccess.portName) {
            try segment.stack.removeLink(index: port.index)
        }
        guard let link = try host.link(named: name) else { return }
        guard link.kind == "veth", link.alias == nil || tag.owns(alias: link.alias) else {
            throw CNIError(
                CNIError.Code.foreignObject, "interface \(name) is in the way of hostAccess and is not the network's",
                details: "its alias is \"\(link.alias ?? "")\"")
        }
        try host.removeLink(index: link.index)
    }

    // MARK: Removing

    /// Whether the host has, or may have, a part in the network of a namespace: its port is there, and is this network's.
    func isThere(_ path: String) throws -> Bool {
        guard let port = try overlay.open(path)?.stack.link(named: HostAccess.portName) else { return false }
        return owns(port, path)
    }

    /// Whether a port is of the request's network; without an alias it is if the namespace is.
    func owns(_ port: Link, _ path: String) -> Bool {
        if port.alias != nil { return tag.owns(alias: port.alias) }
        return (try? OverlayConfiguration.identity(request.configuration))?.namespacePath == path
    }

    /// Gives the host's address back; none is no error.
    func release() throws {
        try system.releaseAddresses(DelegateRequest.renamed(DelegateRequest.releasing(request), owner))
    }

    /// Disconnects the host from a network that has no container here any more. The network's lock is held alone.
    func removeUnused(_ path: String) throws {
        guard let segment = try overlay.open(path) else { return try release() }
        let links = try segment.stack.links()
        guard !links.contains(where: \.isContainerPort) else { return }
        let port = links.first { $0.name == HostAccess.portName }
        if let port, !owns(port, path) { return }
        // The address first: while the link is there, the next DEL finds that something is to be done.
        try release()
        if let port { try segment.stack.removeLink(index: port.index) }
    }

    /// The request for GC: the host's address is in use as long as its port is there.
    func kept(_ request: Request, _ path: String) throws -> Request {
        guard try isThere(path) else { return request }
        return try DelegateRequest.keeping(request, owner)
    }
}
