internal import NetworkTypes

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
}
