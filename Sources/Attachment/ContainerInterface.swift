public import CNI
public import Netlink
internal import NetworkTypes

/// The steps that give a container's interface its addresses and routes: the same for every plugin that makes one.
public struct ContainerInterface: Sendable {
    /// `CNI_IFNAME`.
    public let name: String
    /// The addresses with their gateways.
    public let addresses: [CNIResult.Address]
    /// The routes; one without a gateway goes by the first gateway of its family, else it is on-link.
    public let routes: [CNIResult.Route]
    /// Whether IPv6 duplicate address detection runs and is waited for.
    public let detectsDuplicates: Bool
    /// Whether router advertisements are passed over: on a network without routers one could only be another container's.
    public let refusesAdvertisements: Bool

    /// Describes an interface's layer 3.
    public init(
        name: String, addresses: [CNIResult.Address], routes: [CNIResult.Route], detectsDuplicates: Bool = false,
        refusesAdvertisements: Bool = false
    ) {
        self.name = name
        self.addresses = addresses
        self.routes = routes
        self.detectsDuplicates = detectsDuplicates
        self.refusesAdvertisements = refusesAdvertisements
    }

    private var hasIPv6: Bool { addresses.contains { $0.address.family == .ipv6 } }

    /// The steps in order: parameters, addresses, up, routes.
    public var steps: [Step] {
        var steps: [Step] = []
        if hasIPv6 {
            // A runtime may have switched IPv6 off in the container; an IPv6 address says it is wanted.
            steps.append(
                .setParameters(
                    [
                        .init("net/ipv6/conf/lo/disable_ipv6", "0"),
                        .init("net/ipv6/conf/\(name)/disable_ipv6", "0"),
                    ], .container, isOptional: true))
            steps.append(
                .setParameters(
                    [.init("net/ipv6/conf/\(name)/keep_addr_on_down", "1")], .container, isOptional: false))
        }
        // Without an IPv6 address the kernel's own choice stands for the link-local one: detection begins some time after the
        // link is up, and its packets do not go to all ports of the bridge while the plugin wants to go on.
        var optional: [Step.Parameter] = []
        if refusesAdvertisements { optional.append(.init("net/ipv6/conf/\(name)/accept_ra", "0")) }
        if hasIPv6 || detectsDuplicates {
            var detection = [Step.Parameter("net/ipv6/conf/\(name)/accept_dad", detectsDuplicates ? "1" : "0")]
            if detectsDuplicates { detection.insert(.init("net/ipv6/conf/\(name)/enhanced_dad", "1"), at: 0) }
            // Whenever it comes up again, or gets another MAC: what `arp_notify` is for IPv4.
            detection.append(.init("net/ipv6/conf/\(name)/ndisc_notify", "1"))
            optional += detection
        }
        if !optional.isEmpty { steps.append(.setParameters(optional, .container, isOptional: true)) }
        for address in addresses {
            // `accept_dad` alone leaves the address tentative until a kernel thread has looked at it.
            let skipsDetection = address.address.family == .ipv6 && !detectsDuplicates
            steps.append(.addAddress(address.address, link: name, .container, skipsDetection: skipsDetection))
        }
        steps.append(
            .changeLink(
                name,
                LinkChange {
                    $0.isUp = true
                    // Whenever it comes up again: now its port does not forward yet.
                    $0.announcesAddresses = true
                }, .container))
        if hasIPv6, detectsDuplicates {
            steps.append(.awaitDuplicateAddressDetection(link: name, .container))
        }
        for route in routes { steps.append(.addRoute(self.route(route), link: name, .container)) }
        let local = addresses.map(\.address.address).filter { $0.family == .ipv6 }
        if !local.isEmpty { steps.append(.awaitLocal(local, .container)) }
        return steps
    }

    /// The kernel's route for a result's route.
    public func route(_ route: CNIResult.Route) -> Route {
        let inherited = addresses.first { $0.gateway?.family == route.destination.family }?.gateway
        return Route(
            destination: route.destination.network, gateway: route.gateway ?? inherited,
            metric: route.priority.flatMap { UInt32(exactly: $0) }, table: route.table.flatMap { UInt32(exactly: $0) },
            scope: route.scope.flatMap { UInt8(exactly: $0) }, mtu: route.mtu.flatMap { UInt32(exactly: $0) },
            advertisedMSS: route.advertisedMSS.flatMap { UInt32(exactly: $0) })
    }
}
