internal import Attachment
internal import CNI
internal import JSON
internal import Netlink
internal import NetworkTypes
internal import Overlay
internal import PluginKit
internal import System

/// A network whose hosts know each other from the configuration: the plugin makes `br0` and `vxlan0`, which learns who is
/// where and floods what it does not know to the listed hosts.
struct DaemonlessNetwork {
    let configuration: OverlayConfiguration
    let system: any HostSystem
    let overlay: any OverlayHost
    let host: HostAttachment

    private var identity: NetworkIdentity { configuration.identity }

    /// This host's part of the network.
    struct Plan: Equatable {
        var segment: OverlaySegment
        /// The other hosts' VTEPs; nil for a multicast group.
        var peers: [IPAddress]?
        /// This host's number among all, and how many they are; nil when that is not known.
        var share: (index: Int, count: Int)?

        static func == (left: Plan, right: Plan) -> Bool {
            left.segment == right.segment && left.peers == right.peers
                && left.share.map { [$0.index, $0.count] } == right.share.map { [$0.index, $0.count] }
        }
    }

    /// Works out this host's part from its addresses.
    func plan() throws -> Plan {
        let host = try system.hostStack()
        let candidates: [IPAddress]
        switch configuration.peers {
        case .listed(let peers)?: candidates = peers
        case .group(let group)?: candidates = [group]
        case nil: candidates = []
        }
        let underlay = try UnderlayAddress.find(
            host, interface: configuration.underlay, family: candidates.first?.family, candidates: candidates)
        guard let underlay else {
            let family = candidates.first?.family == .ipv6 ? "IPv6" : "IPv4"
            throw CNIError(
                CNIError.Code.invalidConfiguration,
                "interface: \(configuration.underlay ?? "this host") has no \(family) address the other hosts could use",
                details: "name the interface the hosts reach each other by with the key \"interface\"")
        }
        var plan = Plan(
            segment: OverlaySegment(
                vni: configuration.usedVNI, port: configuration.port, local: underlay.address,
                underlay: configuration.underlay == nil ? nil : underlay.link.index,
                mtu: configuration.mtu ?? underlay.largestMTU,
                gateways: configuration.subnets.map(\.gatewayPrefix), learns: true,
                isInternal: configuration.isInternal, bridgeMAC: identity.bridgeMAC(vtep: underlay.address)))
        if case .listed(let peers)? = configuration.peers {
            plan.peers = peers.filter { $0 != underlay.address }
            let all = Set(peers + [underlay.address]).sorted()
            plan.share = all.firstIndex(of: underlay.address).map { ($0, all.count) }
        }
        if case .group(let group)? = configuration.peers {
            // The kernel joins a group on an interface, never by its routes alone.
            plan.segment.group = group
            plan.segment.underlay = underlay.link.index
        }
        return plan
    }

    /// The pools of this host, without the addresses asked for.
    func ownPools(_ plan: Plan) -> AddressPools { AddressPools(configuration.subnets, share: plan.share) }

    /// The pools of this host.
    func pools(_ plan: Plan) throws -> AddressPools {
        var pools = ownPools(plan)
        pools.include(configuration.requested, of: configuration.subnets)
        return pools
    }

    // MARK: Making

    /// Makes the network's namespace as wanted, or finds it so.
    ///
    /// - Parameter lock: held shared. Who has to change something keeps it alone: giving half of it back lets somebody in who
    ///   removes what no container uses yet.
    /// - Returns: the namespace.
    func prepare(_ plan: Plan, _ lock: any HeldLock, _ transaction: inout Transaction) throws -> Container {
        let path = identity.namespacePath
        if let container = try overlay.open(path), try isReady(container, plan),
            try !configuration.hostAccess || host.isReady(container, path)
        {
            try admit(plan, &transaction)
            return container
        }
        try lock.change(to: .exclusive)
        if try overlay.open(path) == nil { try configuration.refuseOverlap(with: system.hostStack()) }
        transaction.push("the overlay namespace") { try removeIfUnused(lock) }
        let container = try overlay.make(identity)
        try plan.segment.apply(
            host: system.hostStack(), overlay: container.stack, descriptor: container.descriptor
        ) { (try? overlay.holder(vni: plan.segment.vni, port: plan.segment.port, except: path)) ?? nil }
        try PeerEntries.apply(try floodingRequests(container, plan), to: container.stack)
        try admit(plan, &transaction)
        try connectHost(container, plan, &transaction)
        return container
    }

    /// Connects the host when that is wanted; the lock is held alone.
    private func connectHost(_ container: Container, _ plan: Plan, _ transaction: inout Transaction) throws {
        let path = identity.namespacePath
        guard configuration.hostAccess, try !host.isReady(container, path) else { return }
        let prepared = PreparedNetwork(
            path: path, mtu: plan.segment.mtu, pools: ownPools(plan), exclusions: configuration.exclusions)
        _ = try host.make(configuration, container, prepared, &transaction)
    }

    private func isReady(_ container: Container, _ plan: Plan) throws -> Bool {
        guard plan.segment.changes(from: try ObservedSegment(container.stack)).isEmpty else { return false }
        return try floodingRequests(container, plan).isEmpty
    }

    /// What is flooded to whom; what the VXLAN has learned is left alone.
    private func floodingRequests(_ container: Container, _ plan: Plan) throws -> [RouteRequest] {
        guard let peers = plan.peers,
            let index = try container.stack.link(named: OverlaySegment.vxlanName)?.index
        else { return [] }
        var observed = PeerEntries()
        observed.flooding = try PeerEntries(container.stack, vxlan: index).flooding
        return PeerEntries([], flooding: peers).requests(from: observed, vxlan: index)
    }

    private func admit(_ plan: Plan, _ transaction: inout Transaction) throws {
        guard let peers = plan.peers else { return }
        try overlay.setMembers(
            peers + [plan.segment.local], identity, vni: plan.segment.vni, port: plan.segment.port)
    }

    // MARK: Removing

    /// Takes the namespace and the filter away when no container uses them and nobody is about to.
    func removeIfUnused(_ lock: any HeldLock) throws {
        guard lock.tryChange(to: .exclusive) else { return }
        try Self.removeUnused(identity.namespacePath, overlay, host)
    }

    /// The same with the lock held alone.
    static func removeUnused(_ path: String, _ overlay: any OverlayHost, _ host: HostAttachment) throws {
        let name = PreparedNetwork.name(ofPath: path)
        if let container = try overlay.open(path) {
            let links = try container.stack.links()
            if links.contains(where: \.isContainerPort) { return }
            // The other network's own DEL or GC knows whose address the host has there.
            let port = links.first { $0.name == HostAccess.portName }
            if let port, !host.owns(port, path) { return }
            if port != nil || HostAttachment.isWanted(host.request.configuration) { try host.removeUnused(path) }
            // First, so that its VNI is free at once.
            for link in links where link.kind == "vxlan" { try container.stack.removeLink(index: link.index) }
        }
        // The namespace last: while it is there, the next DEL finds that something is to be done.
        try overlay.removeMembers(shortIdentifier: String(name.dropFirst(2)))
        try overlay.remove(name)
    }
}
