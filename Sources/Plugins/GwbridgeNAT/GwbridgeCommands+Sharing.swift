internal import Attachment
internal import CNI
internal import Netfilter
internal import Netlink
internal import NetworkTypes
internal import PluginKit
internal import System

extension GwbridgeCommands {
    /// Whether a way out is whole and leads out of this very container.
    func isLive(_ way: WayOut, _ container: any NetworkStack) throws -> Bool {
        guard way.address != nil, let outside = try system.hostStack().link(named: way.tag.linkName),
            way.tag.owns(alias: outside.alias), let inside = try container.link(named: way.interface)
        else { return false }
        return inside.kind == "veth" && inside.peer == outside.index && outside.peer == inside.index
    }

    /// Adds a network to the users of the container's way out.
    ///
    /// - Returns: the interface that is there, whatever name the network wanted.
    func share(_ way: WayOut, _ joining: Joining, _ ways: WaysOut, _ container: any NetworkStack) throws -> CNIResult {
        let user = joining.user
        if way.index(ofNetwork: user.network, interfaceName: user.interfaceName) != nil {
            throw CNIError(
                CNIError.Code.foreignObject,
                "network \"\(user.network)\" uses the container's interface \(way.interface) on \(way.bridge) already",
                details: "delete the attachment with DEL before adding it again")
        }
        try way.admit(user, joining.configuration.options, subnet: joining.configuration.subnet)
        var shared = way
        shared.users.append(user)
        let before = ways.ways
        return try withTransaction { transaction in
            try ways.put(shared)
            transaction.push("the mark") { try ways.restore(before) }
            try publish(user.mappings.filter { !way.mappings.contains($0) }, from: way, to: shared, &transaction)
            if user.wantsDefaultRoute, !way.hasDefaultRoute, let link = try container.link(named: way.interface),
                let route = defaultRoute(shared, link)
            {
                try container.addRoute(route)
                transaction.push("the default route") { try container.removeRoute(route) }
            }
            let own = try describe(shared, user, joining, container)
            _ = try merge(joining.chained, own).document(joining.request.configuration.version)
            return own
        }
    }

    private func publish(
        _ mappings: [PortMapping], from way: WayOut, to shared: WayOut, _ transaction: inout Transaction
    ) throws {
        if mappings.isEmpty { return }
        let filter = try system.packetFilter(way.backend)
        try filter.add(ports(shared).rules, for: way.owner)
        transaction.push("the published ports") { try filter.replacePorts(of: way.owner, by: way.forward) }
        try ports(shared).routeLocalhost(by: way.bridge)
        try PortPublishing.forgetConnections(mappings, system: system)
    }

    /// The default route of a way out; nil when it has no address.
    func defaultRoute(_ way: WayOut, _ link: Link) -> Route? {
        way.gateway.map {
            Route(destination: .any($0.family), gateway: $0, link: link.index, metric: Self.defaultRouteMetric)
        }
    }

    /// A way out as the network's result tells of it.
    private func describe(
        _ way: WayOut, _ user: WayOut.User, _ joining: Joining, _ container: any NetworkStack
    ) throws -> CNIResult {
        var result = CNIResult(dns: joining.configuration.dns ?? CNIResult.DNS())
        let host = try system.hostStack()
        let places: [(name: String, stack: any NetworkStack, sandbox: String?)] = [
            (way.bridge, host, nil), (way.tag.linkName, host, nil), (way.interface, container, joining.sandbox),
        ]
        for (name, stack, sandbox) in places {
            guard let link = try stack.link(named: name) else { throw StepError.linkMissing(name) }
            let mtu = joining.request.configuration.version >= .v1_1_0 ? Int(link.mtu) : nil
            result.interfaces.append(.init(name: name, mac: link.mac?.description, mtu: mtu, sandbox: sandbox))
        }
        if let address = way.address {
            result.addresses.append(.init(interface: 2, address: address, gateway: way.gateway))
        }
        if user.wantsDefaultRoute, let gateway = way.gateway {
            result.routes.append(
                .init(
                    destination: .any(gateway.family), gateway: gateway, priority: Int(Self.defaultRouteMetric)))
        }
        return result
    }

    /// The container's interface on the gateway bridge that a release before ways out were shared made for one network;
    /// nil when there is none.
    func unrecordedWay(_ joining: Joining, _ container: any NetworkStack) throws -> WayOut? {
        let host = try system.hostStack()
        guard let bridge = try host.link(named: joining.way.bridge) else { return nil }
        for inside in try container.links() where inside.kind == "veth" {
            guard let peer = inside.peer, let outside = try host.link(index: peer), outside.kind == "veth",
                outside.peer == inside.index, outside.master == bridge.index,
                let maker = maker(outside, joining.containerID),
                let address = try container.addresses(link: inside.index).first(where: { $0.prefix.family == .ipv4 })
            else { continue }
            var way = joining.way
            way.identity = Self.identity(maker)
            guard way.tag.linkName == outside.name else { continue }
            way.interface = inside.name
            way.address = address.prefix
            // What it was made with is not written down anywhere but here; the rest is taken to be what we want.
            let filter = try system.packetFilter(joining.configuration.backend)
            way.backend = filter.name == "iptables" ? .iptables : .nftables
            way.options.communicates = outside.port?.isolated != true
            let routes = try container.routes(family: .ipv4)
            way.users = [
                WayOut.User(
                    network: maker.network, interfaceName: maker.interfaceName,
                    wantsDefaultRoute: routes.contains { $0.destination.length == 0 && $0.link == inside.index },
                    isRecorded: false)
            ]
            return way
        }
        return nil
    }

    /// Whose an interface is, by the alias "swiftlet NETWORK@gw CONTAINER INTERFACE".
    private func maker(_ link: Link, _ containerID: String) -> Attachment? {
        let parts = (link.alias ?? "").split(separator: " ").map(String.init)
        let suffix = Self.gatewayNetwork("")
        guard parts.count == 4, parts[0] == "swiftlet", parts[1].hasSuffix(suffix), parts[2] == containerID else {
            return nil
        }
        return Attachment(
            network: String(parts[1].dropLast(suffix.count)), containerID: containerID, interfaceName: parts[3])
    }
}
