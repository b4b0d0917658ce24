internal import Attachment
internal import CNI
internal import Netlink
internal import NetworkTypes
internal import Overlay
internal import PluginKit

/// Everything an ADD will do for one container, worked out before any of it is done.
struct AttachmentPlan: Equatable {
    /// The steps.
    var steps: [Step] = []
    /// The result document.
    var result = CNIResult()
    /// The container's MAC.
    var mac: MACAddress

    /// What a plan is made from.
    struct Input {
        var tag: AttachmentTag
        /// The interface's name in the container.
        var interfaceName: String
        /// `CNI_NETNS`, as given.
        var sandbox: String
        /// The overlay namespace's path.
        var path: String
        /// The bridge's MAC.
        var bridgeMAC: MACAddress?
        var mtu: UInt32
        /// The MAC asked for.
        var mac: MACAddress?
        /// Whether neighbours are told of a MAC that does not follow from the address; with a daemon, it tells them.
        var announces = false
        var subnets: [OverlayConfiguration.Subnet]
        /// What the IPAM delegate allocated.
        var allocation: CNIResult
    }

    /// Works the steps out. Pure.
    ///
    /// - Throws: ``CNIError`` when the delegate's addresses are not the network's.
    static func make(_ input: Input) throws(CNIError) -> AttachmentPlan {
        let addresses = try addresses(input)
        guard let first = addresses.first(where: { $0.address.family == .ipv4 }) ?? addresses.first else {
            throw CNIError(CNIError.Code.delegate, "IPAM plugin returned missing IP config")
        }
        var plan = AttachmentPlan(mac: input.mac ?? NetworkIdentity.containerMAC(first.address.address))
        let port = input.tag.linkName
        let peer = LinkSpec.VethPeer(name: input.interfaceName, mac: plan.mac, mtu: input.mtu)
        plan.steps.append(
            .createLink(
                LinkSpec(name: port, kind: .veth(peer: peer), mac: input.tag.hostMAC, mtu: input.mtu), .segment,
                into: .container))
        let change = LinkChange {
            $0.alias = input.tag.alias
            $0.isUp = true
            $0.addressGeneration = IPv6AddressGeneration.none
        }
        plan.steps.append(.changeLink(port, change, master: OverlaySegment.bridgeName, .segment))
        let routes = routes(input, addresses)
        let interface = ContainerInterface(
            name: input.interfaceName, addresses: addresses, routes: routes, refusesAdvertisements: true)
        plan.steps += interface.steps
        plan.steps.append(.awaitForwarding(port: port, .segment))
        if input.announces { plan.announce(input, addresses) }
        plan.result.interfaces = [
            CNIResult.Interface(
                name: OverlaySegment.bridgeName, mac: input.bridgeMAC?.description, mtu: Int(input.mtu),
                sandbox: input.path),
            CNIResult.Interface(
                name: port, mac: input.tag.hostMAC.description, mtu: Int(input.mtu), sandbox: input.path),
            CNIResult.Interface(
                name: input.interfaceName, mac: plan.mac.description, mtu: Int(input.mtu), sandbox: input.sandbox),
        ]
        plan.result.addresses = addresses
        plan.result.routes = routes
        plan.result.dns = input.allocation.dns
        return plan
    }

    /// The kernel tells all of the interface's addresses when its MAC is set, to whatever value.
    private mutating func announce(_ input: Input, _ addresses: [CNIResult.Address]) {
        let unusual = addresses.map(\.address.address).filter { NetworkIdentity.containerMAC($0) != mac }
        if unusual.isEmpty { return }
        let own = mac
        steps.append(.forgetNeighbours(unusual, link: OverlaySegment.bridgeName, .segment))
        steps.append(.changeLink(input.interfaceName, LinkChange { $0.mac = own }, .container))
    }

    private static func addresses(_ input: Input) throws(CNIError) -> [CNIResult.Address] {
        var addresses: [CNIResult.Address] = []
        for var entry in input.allocation.addresses {
            let address = entry.address.address
            guard let subnet = input.subnets.first(where: { $0.prefix.contains(address) }),
                subnet.prefix.length == entry.address.length
            else {
                let names = input.subnets.map { "\($0.prefix)" }.joined(separator: ", ")
                throw CNIError(
                    CNIError.Code.invalidConfiguration,
                    "the ipam plugin gave \(entry.address), which is in none of the network's subnets: \(names)")
            }
            guard subnet.gateway != address else {
                throw CNIError(
                    CNIError.Code.poolExhausted, "the ipam plugin gave \(address), the gateway of \(subnet.prefix)")
            }
            entry.gateway = subnet.gateway
            // The container's interface is the third of the result.
            entry.interface = 2
            addresses.append(entry)
        }
        return addresses
    }

    /// The delegate's routes, and one to each other subnet of the network by this one's gateway. No default route: the
    /// network ends at the cluster's edge.
    private static func routes(_ input: Input, _ addresses: [CNIResult.Address]) -> [CNIResult.Route] {
        var routes = input.allocation.routes.filter { $0.destination.length > 0 }
        for subnet in input.subnets {
            if addresses.contains(where: { subnet.prefix.contains($0.address.address) }) { continue }
            if routes.contains(where: { $0.destination == subnet.prefix }) { continue }
            let near = addresses.first { $0.address.family == subnet.prefix.family }
            guard let gateway = near?.gateway else { continue }
            routes.append(CNIResult.Route(destination: subnet.prefix, gateway: gateway))
        }
        return routes
    }
}
