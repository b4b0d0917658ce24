internal import Attachment
internal import CNI
public import Netfilter
internal import Netlink
internal import NetworkTypes

/// Publishes ports of the host that lead to a container: what every plugin that does so has to see to besides the packet
/// filter's rules.
public struct PortPublishing {
    private let system: any HostSystem
    /// What is published.
    public let forward: PortForward

    /// Describes published ports.
    public init(_ forward: PortForward, system: any HostSystem) {
        self.forward = forward
        self.system = system
    }

    /// Whether there is nothing to publish, for want of ports or of a container's address.
    public var isEmpty: Bool { forward.mappings.isEmpty || forward.addresses.isEmpty }

    /// What the packet filter has to do; nothing when nothing is published.
    public var rules: [FilterRule] { isEmpty ? [] : [.portForward(forward)] }

    /// Makes sure that no process of the host listens on one of the ports: it would lose its clients without a word.
    ///
    /// - Throws: code 103 with the process's name.
    public static func refuseTaken(_ mappings: [PortMapping], system: any HostSystem) throws {
        for mapping in mappings {
            guard let holder = try system.holder(of: mapping) else { continue }
            throw CNIError(
                CNIError.Code.foreignObject, "hostPort \(mapping.hostPort)/\(mapping.transport) is in use by \(holder)",
                details: "choose another hostPort, or stop what listens there")
        }
    }

    /// Lets 127.0.0.1 be routed out of the bridge, for clients on the host that use the host port by that name.
    ///
    /// Shared by all containers behind the bridge; nothing takes it back, others may rely on it.
    ///
    /// - Parameter name: the bridge; nil when it has to be looked up by the container's route.
    public func routeLocalhost(by name: String? = nil) throws {
        guard !isEmpty, forward.sourceRewrite != .none,
            let address = forward.addresses.first(where: { $0.family == .ipv4 })?.address
        else { return }
        let host = try system.hostStack()
        let found = if let name { try host.link(named: name) } else { try link(towards: address, host) }
        guard let link = found, !link.routesLocalnet else { return }
        _ = try host.exchangeParameters(
            [("net/ipv4/conf/\(link.name)/route_localnet", "1")], passingOverFailures: false)
    }

    private func link(towards address: IPAddress, _ host: any NetworkStack) throws -> Link? {
        let routes = try host.routes(family: .ipv4).filter { $0.table == nil && $0.destination.contains(address) }
        let route = routes.max { $0.destination.length < $1.destination.length }
        return try route?.link.flatMap { try host.link(index: $0) }
    }

    /// Makes the kernel forget the datagrams' flows to the ports: until it does, a client that was talking to a port before
    /// goes on by the old translation, when the port is new and when its container is gone.
    public static func forgetConnections(_ mappings: [PortMapping], system: any HostSystem) throws {
        let matches = mappings.filter { $0.transport != .tcp }.map {
            ConnectionMatch($0.transport, originalPort: $0.hostPort)
        }
        if !matches.isEmpty { try system.forgetConnections(matches) }
    }
}
