internal import Attachment
public import CNI
internal import Netlink
internal import NetworkTypes
internal import Overlay
internal import PluginKit

extension OverlayCommands {
    /// Compares what ADD made with the kernel (CNI specification, CHECK).
    public func check(_ request: Request) throws {
        try FaultMapping.mapped {
            let configuration = try OverlayConfiguration(request)
            guard let previous = try request.configuration.previousResult() else {
                throw CNIError(CNIError.Code.invalidConfiguration, "Required prevResult missing")
            }
            guard let bridge = previous.interfaces.first, let path = bridge.sandbox, !path.isEmpty,
                previous.interfaces.count > 2
            else { throw Self.failure("prevResult has no interfaces of an overlay") }
            guard let segment = try overlay.open(path) else { throw Self.failure("namespace \(path) is gone") }
            try checkSegment(request, configuration, previous, segment)
            if configuration.hostAccess, try !host(request).isReady(segment, path) {
                throw Self.failure("hostAccess: the host is not connected to the network")
            }
            let container = try system.container(at: request.invocation.netns)
            try checkPair(request, previous, segment, container)
            try checkAddresses(previous, configuration, container, request.attachment.interfaceName)
            let pools = AddressPools(
                configuration.subnets.map { subnet in
                    var whole = subnet
                    whole.range = nil
                    return whole
                }, share: nil)
            try system.checkAddresses(DelegateRequest.make(request, pools: pools, exclusions: []))
        }
    }

    private static func failure(_ message: String) -> CNIError { CNIError(CNIError.Code.internal, message) }

    private func checkSegment(
        _ request: Request, _ configuration: OverlayConfiguration, _ previous: CNIResult, _ segment: Container
    ) throws {
        let observed = try ObservedSegment(segment.stack)
        guard let bridge = observed.bridge, bridge.kind == "bridge", bridge.isUp else {
            throw Self.failure("\(OverlaySegment.bridgeName) is not there or down")
        }
        guard let vxlan = observed.vxlan, let state = vxlan.vxlan, vxlan.isUp, vxlan.master == bridge.index else {
            throw Self.failure("\(OverlaySegment.vxlanName) is not there, down, or no port of the bridge")
        }
        guard OverlaySegment.isInternal(bridge) == configuration.isInternal else {
            throw Self.failure("the network \(configuration.isInternal ? "is not" : "is") internal on this host")
        }
        guard state.port == configuration.port else {
            throw Self.failure("\(OverlaySegment.vxlanName) uses UDP port \(state.port), not \(configuration.port)")
        }
        for gateway in configuration.subnets.map(\.gatewayPrefix) where !observed.addresses.contains(gateway) {
            throw Self.failure("gateway address \(gateway) is not on \(OverlaySegment.bridgeName)")
        }
        guard configuration.isDaemonless else {
            return try checkByDaemon(request, configuration, previous, segment, observed)
        }
        let network = DaemonlessNetwork(
            configuration: configuration, system: system, overlay: overlay, host: host(request))
        let plan = try network.plan()
        if let difference = plan.segment.difference(from: observed) { throw Self.failure(difference) }
        guard let peers = plan.peers else { return }
        let entries = try PeerEntries(segment.stack, vxlan: vxlan.index)
        var flooding = PeerEntries()
        flooding.flooding = entries.flooding
        if let difference = PeerEntries([], flooding: peers).difference(from: flooding, isComplete: true) {
            throw Self.failure(difference)
        }
        let members = Set(peers + [plan.segment.local])
        try checkRemotes(entries, members)
        let filter = try overlay.filterDifference(
            configuration.identity, vni: plan.segment.vni, port: plan.segment.port, members: members)
        if let filter { throw Self.failure(filter) }
    }

    /// What is known of the other hosts is the daemon's to compare. While nobody can ask it, what is there must agree with
    /// itself.
    private func checkByDaemon(
        _ request: Request, _ configuration: OverlayConfiguration, _ previous: CNIResult, _ segment: Container,
        _ observed: ObservedSegment
    ) throws {
        let daemon = DaemonNetwork(request: request, socket: configuration.socket, overlay: overlay)
        if let differences = try daemon.differences() {
            if !differences.isEmpty { throw Self.failure(differences.joined(separator: "; ")) }
            return
        }
        guard let bridge = observed.bridge, let vxlan = observed.vxlan, let state = vxlan.vxlan else { return }
        guard vxlan.mtu == bridge.mtu else {
            throw Self.failure(
                "\(OverlaySegment.vxlanName) has MTU \(vxlan.mtu), \(OverlaySegment.bridgeName) \(bridge.mtu)")
        }
        // The daemon's cluster may have a name that the configuration does not say, and with it another id.
        guard previous.interfaces.first?.sandbox == configuration.identity.namespacePath else { return }
        let members = try overlay.members(configuration.identity) ?? []
        let filter = try overlay.filterDifference(
            configuration.identity, vni: state.identifier, port: state.port, members: members)
        if let filter { throw Self.failure(filter) }
        let entries = try PeerEntries(segment.stack, vxlan: vxlan.index)
        try checkRemotes(entries, members)
        for (address, mac) in entries.neighbours.sorted(by: { $0.key < $1.key }) where entries.forwarding[mac] == nil {
            throw Self.failure("\(OverlaySegment.vxlanName) knows \(address) (\(mac)), and not on which host it is")
        }
    }

    private func checkRemotes(_ entries: PeerEntries, _ members: Set<IPAddress>) throws {
        for (mac, remotes) in entries.forwarding.sorted(by: { "\($0.key)" < "\($1.key)" }) {
            guard let stranger = remotes.subtracting(members).min() else { continue }
            throw Self.failure(
                "\(OverlaySegment.vxlanName) sends frames for \(mac) to \(stranger), no host of the network")
        }
    }

    private func checkPair(_ request: Request, _ previous: CNIResult, _ segment: Container, _ container: Container)
        throws
    {
        let tag = AttachmentTag(request.attachment)
        let name = request.attachment.interfaceName
        guard let inside = try container.stack.link(named: name) else {
            throw Self.failure("container interface \(name) not found")
        }
        guard
            let entry = previous.interfaces.first(where: { $0.name == name && $0.sandbox == request.invocation.netns })
        else { throw Self.failure("prevResult has no interface \(name) in \(request.invocation.netns)") }
        if let mac = entry.mac, MACAddress(mac) != inside.mac {
            throw Self.failure(
                "container interface \(name) has MAC \(inside.mac?.description ?? "none"), prevResult says \(mac)")
        }
        if let mtu = entry.mtu, mtu != Int(inside.mtu) {
            throw Self.failure("container interface \(name) has MTU \(inside.mtu), not \(mtu)")
        }
        guard inside.isUp else { throw Self.failure("container interface \(name) is down") }
        guard let outside = try segment.stack.link(named: tag.linkName), outside.index == inside.peer,
            tag.owns(alias: outside.alias)
        else { throw Self.failure("\(tag.linkName), the other end of \(name), was not found in the overlay namespace") }
        guard outside.isUp else { throw Self.failure("\(tag.linkName) is down") }
        guard let bridge = try segment.stack.link(named: OverlaySegment.bridgeName), outside.master == bridge.index
        else { throw Self.failure("\(tag.linkName) is not a port of \(OverlaySegment.bridgeName)") }
    }

    private func checkAddresses(
        _ previous: CNIResult, _ configuration: OverlayConfiguration, _ container: Container, _ name: String
    ) throws {
        guard let link = try container.stack.link(named: name) else { return }
        let present = Set(try container.stack.addresses(link: link.index).map(\.prefix))
        let mine = previous.addresses.filter { ($0.interface ?? 2) == 2 }
        for address in mine where !present.contains(address.address) {
            throw Self.failure("Failed to find address \(address.address) on \(name)")
        }
        let interface = ContainerInterface(name: name, addresses: mine, routes: previous.routes)
        let gateways = Set(mine.compactMap(\.gateway))
        for family in [AddressFamily.ipv4, .ipv6] where mine.contains(where: { $0.address.family == family }) {
            let routes = try container.stack.routes(family: family)
            // Later plugins' routes are theirs to check.
            let own = previous.routes.map { interface.route($0) }.filter { route in
                route.destination.family == family && route.gateway.map(gateways.contains) ?? false
                    && route.destination.length > 0
            }
            let networks = mine.filter { $0.address.family == family }.map { Route(destination: $0.address.network) }
            for wanted in own + networks {
                let isThere = routes.contains {
                    $0.destination == wanted.destination && $0.link == link.index
                        && (wanted.gateway == nil || $0.gateway == wanted.gateway)
                }
                guard isThere else {
                    throw Self.failure("Failed to find route \(wanted.destination) on \(name)")
                }
            }
        }
    }
}
