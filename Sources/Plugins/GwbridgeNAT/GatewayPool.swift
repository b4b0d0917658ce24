internal import Attachment
internal import CNI
internal import Netlink
internal import NetworkTypes
internal import PluginKit
internal import System

/// Chooses the gateway bridge's subnet, as Docker chooses docker_gwbridge's.
enum GatewayPool {
    /// 172.18.0.0/16 … 172.31.0.0/16, then 192.168.0.0/20 … 192.168.240.0/20.
    static let candidates: [IPPrefix] =
        (18...31).compactMap { IPPrefix("172.\($0).0.0/16") }
        + stride(from: 0, through: 240, by: 16).compactMap { IPPrefix("192.168.\($0).0/20") }

    /// The subnet: the one asked for, else the one the bridge has, else the first that overlaps nothing of the host's.
    ///
    /// - Parameters:
    ///   - bridge: the bridge's addresses.
    ///   - host: all routes and addresses of the host.
    /// - Returns: nil when every candidate is taken.
    static func choose(asked: IPPrefix?, bridge: [IPPrefix], host: [IPPrefix]) -> IPPrefix? {
        if let asked { return asked }
        if let own = bridge.first(where: { $0.family == .ipv4 }) { return own.network }
        return candidates.first { candidate in
            !host.contains { $0.family == .ipv4 && $0.length > 0 && $0.overlaps(candidate) }
        }
    }

    /// The subnet of the gateway bridge, and the lock to hold until the bridge has it, when it has none yet.
    ///
    /// Until its address is on the bridge nobody can see what was chosen: of several first ADDs one chooses, and the others
    /// find its choice on the bridge, or in the host's routes when theirs is another bridge.
    static func settle(_ configuration: GwbridgeConfiguration, _ system: any HostSystem) throws
        -> (subnet: IPPrefix, lock: (any HeldLock)?)
    {
        if let own = try addresses(of: configuration.bridge, system).first(where: { $0.family == .ipv4 }) {
            return (configuration.subnet ?? own.network, nil)
        }
        let lock = try system.lock("gateway-pool", .exclusive)
        return (try subnet(configuration, system), lock)
    }

    /// The subnet the gateway bridge has or would get now.
    static func subnet(_ configuration: GwbridgeConfiguration, _ system: any HostSystem) throws -> IPPrefix {
        let host = try system.hostStack()
        let own = try addresses(of: configuration.bridge, system)
        let others =
            configuration.subnet != nil || own.contains { $0.family == .ipv4 }
            ? [] : try host.routes(family: .ipv4).map(\.destination) + host.addresses(link: nil).map(\.prefix)
        if let subnet = choose(asked: configuration.subnet, bridge: own, host: others) { return subnet }
        throw CNIError(
            CNIError.Code.poolExhausted, "every private network for the gateway bridge is in use on this host",
            details: "name one with the key \"subnet\"")
    }

    private static func addresses(of bridge: String, _ system: any HostSystem) throws -> [IPPrefix] {
        let host = try system.hostStack()
        guard let link = try host.link(named: bridge) else { return [] }
        return try host.addresses(link: link.index).map(\.prefix)
    }
}
