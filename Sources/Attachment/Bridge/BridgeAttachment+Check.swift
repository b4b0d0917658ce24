public import CNI
internal import Netfilter
internal import Netlink
internal import NetworkTypes

extension BridgeAttachment {
    /// Compares everything ADD set with the kernel.
    ///
    /// - Throws: ``CNIError`` that says what differs.
    public func check(_ previous: CNIResult) throws {
        let host = try system.hostStack()
        let container = try system.container(at: sandbox).stack
        let bridge = try checkBridge(previous, host)
        let entry = try containerEntry(previous)
        let inside = try checkContainerLink(entry.interface, container)
        try checkHostLink(previous, bridge, inside, host)
        if settings.isGateway { try checkGateway(previous, host) }
        if settings.hasIPAM { try checkLayer3(entry.index, previous, inside, container) }
        let mine = previous.addresses.filter { ($0.interface ?? entry.index) == entry.index }
        for (rule, backend) in filterRules(mine) {
            try system.checkFilterRules([rule], of: FilterOwner(tag.attachment), backend)
        }
    }

    /// Puts back what is missing of the attachment's in the packet filter; whether anything was.
    public func restoreRules(_ previous: CNIResult) throws -> Bool {
        let entry = try containerEntry(previous)
        let mine = previous.addresses.filter { ($0.interface ?? entry.index) == entry.index }
        var isRestored = false
        for (rule, backend) in filterRules(mine)
        where try system.restoreFilterRules([rule], of: FilterOwner(tag.attachment), backend) {
            isRestored = true
        }
        return isRestored
    }

    private func failure(_ message: String) -> CNIError {
        CNIError(CNIError.Code.internal, message)
    }

    private func checkBridge(_ previous: CNIResult, _ host: any NetworkStack)
        throws -> Link
    {
        let name = settings.bridge
        guard let bridge = try host.link(named: name) else { throw failure("bridge \(name) not found") }
        guard bridge.kind == "bridge" else { throw failure("\"\(name)\" already exists but is not a bridge") }
        guard bridge.isUp else { throw failure("bridge \(name) is down") }
        if let mac = previous.interfaces.first(where: { $0.name == name && ($0.sandbox ?? "").isEmpty })?.mac,
            MACAddress(mac) != bridge.mac
        {
            throw failure("bridge \(name) has MAC \(text(bridge.mac)), prevResult says \(mac)")
        }
        // Another network on the same bridge may want it promiscuous; only what we asked for is checked.
        if settings.promiscuous, !bridge.isPromiscuous { throw failure("bridge \(name) is not promiscuous") }
        if settings.usesVLANs, bridge.bridge?.vlanFiltering != true {
            throw failure("bridge \(name) does not filter VLANs")
        }
        return bridge
    }

    private func containerEntry(_ previous: CNIResult) throws
        -> (index: Int, interface: CNIResult.Interface)
    {
        let name = interfaceName
        for (index, interface) in previous.interfaces.enumerated()
        where interface.name == name && !(interface.sandbox ?? "").isEmpty {
            guard interface.sandbox == sandbox else {
                throw failure(
                    "Sandbox in prevResult \(interface.sandbox ?? "") doesn't match configured netns: "
                        + sandbox)
            }
            return (index, interface)
        }
        throw failure("prevResult has no interface \(name) in a sandbox")
    }

    private func checkContainerLink(
        _ expected: CNIResult.Interface, _ container: any NetworkStack
    ) throws -> Link {
        let name = expected.name
        guard let link = try container.link(named: name) else {
            throw failure("container interface \(name) not found")
        }
        guard link.kind == "veth" else { throw failure("container interface \(name) is not a veth") }
        if let mac = expected.mac, MACAddress(mac) != link.mac {
            throw failure("container interface \(name) has MAC \(text(link.mac)), prevResult says \(mac)")
        }
        // Results before 1.1.0 say no MTU; the configuration may.
        if let mtu = expected.mtu ?? settings.mtu.map(Int.init), mtu != Int(link.mtu) {
            throw failure("container interface \(name) has MTU \(link.mtu), not \(mtu)")
        }
        if !settings.disablesContainerInterface, !link.isUp {
            throw failure("container interface \(name) is down")
        }
        return link
    }

    private func checkHostLink(
        _ previous: CNIResult, _ bridge: Link, _ inside: Link,
        _ host: any NetworkStack
    ) throws {
        for interface in previous.interfaces where (interface.sandbox ?? "").isEmpty && interface.name != bridge.name {
            guard let link = try host.link(named: interface.name), link.kind == "veth", link.index == inside.peer,
                link.peer == inside.index
            else { continue }
            try check(link, interface, bridge, host)
            return
        }
        throw failure("CNI veth created for bridge \(bridge.name) was not found")
    }

    private func check(
        _ link: Link, _ interface: CNIResult.Interface, _ bridge: Link,
        _ host: any NetworkStack
    ) throws {
        let name = link.name
        guard link.master == bridge.index else { throw failure("\(name) is not a port of bridge \(bridge.name)") }
        guard link.isUp else { throw failure("\(name) is down") }
        if let mac = interface.mac, MACAddress(mac) != link.mac {
            throw failure("\(name) has MAC \(text(link.mac)), prevResult says \(mac)")
        }
        if let mtu = settings.mtu, mtu != link.mtu {
            throw failure("\(name) has MTU \(link.mtu), the configuration says \(mtu)")
        }
        if let port = link.port {
            guard port.hairpin == settings.hairpin else {
                throw failure("\(name): hairpin mode is \(onOff(port.hairpin)), not \(onOff(settings.hairpin))")
            }
            guard port.isolated == settings.isIsolated else {
                throw failure(
                    "\(name): port isolation is \(onOff(port.isolated)), not \(onOff(settings.isIsolated))")
            }
        }
        guard settings.usesVLANs else { return }
        let present = Set(try host.vlans(port: link.index).map(\.identifier))
        let wanted = Set(settings.trunk + [settings.vlan ?? 1])
        guard wanted.isSubset(of: present) else {
            let missing = wanted.subtracting(present).sorted().map(String.init).joined(separator: ", ")
            throw failure("\(name) is not in VLAN \(missing)")
        }
    }

    private func checkGateway(_ previous: CNIResult, _ host: any NetworkStack)
        throws
    {
        let name = settings.gatewayLink
        guard let link = try host.link(named: name) else { throw failure("gateway interface \(name) not found") }
        let present = Set(try host.addresses(link: link.index).map(\.prefix))
        for address in previous.addresses {
            guard let gateway = address.gateway, let prefix = IPPrefix(gateway, length: address.address.length) else {
                continue
            }
            guard present.contains(prefix) else { throw failure("gateway address \(prefix) is not on \(name)") }
            if settings.isInternal { continue }
            let key = gateway.family == .ipv4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding"
            guard try host.parameter(key) != "0" else { throw failure("\(key) is 0: the host does not forward") }
        }
    }

    private func checkLayer3(_ index: Int, _ previous: CNIResult, _ inside: Link, _ container: any NetworkStack) throws
    {
        let present = Set(try container.addresses(link: inside.index).map(\.prefix))
        var families: Set<AddressFamily> = []
        let mine = previous.addresses.filter { ($0.interface ?? index) == index }
        for address in mine {
            families.insert(address.address.family)
            guard present.contains(address.address) else {
                throw failure("Failed to find address \(address.address) on \(inside.name)")
            }
        }
        let interface = ContainerInterface(name: inside.name, addresses: mine, routes: previous.routes)
        let networks = mine.map { Route(destination: $0.address.network) }
        families.formUnion(previous.routes.map(\.destination.family))
        var routes: [AddressFamily: [Route]] = [:]
        for family in families { routes[family] = try container.routes(family: family) }
        let asked = previous.routes.map { interface.route($0) }
        for wanted in networks + asked {
            let found = (routes[wanted.destination.family] ?? []).contains { route in
                guard route.destination == wanted.destination else { return false }
                // A route of the result may be a chained plugin's, by another interface.
                if !asked.contains(wanted), let link = route.link, link != inside.index { return false }
                // A later plugin may send the default route elsewhere (sbr, a VPN): any will do.
                return wanted.destination.length == 0 || wanted.gateway == nil || route.gateway == wanted.gateway
            }
            guard found else {
                let via = wanted.gateway.map { " via \($0)" } ?? ""
                throw failure("Failed to find route \(wanted.destination)\(via) on \(inside.name)")
            }
        }
    }

    private func text(_ mac: MACAddress?) -> String { mac?.description ?? "none" }

    private func onOff(_ flag: Bool) -> String { flag ? "on" : "off" }
}
