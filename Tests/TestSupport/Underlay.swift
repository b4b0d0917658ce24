/// Several hosts on one wire: host number i is 192.0.2.(i+1) and fd00:1::(i+1) on its link "up0".
public final class Underlay: Sendable {
    /// The hosts.
    public let hosts: [Lab]
    /// The switch between them.
    public let wire: Lab

    /// Makes `count` hosts with `containers` containers each, on a wire of an MTU.
    public init(hosts count: Int, containers: Int = 1, mtu: Int = 1500) throws {
        wire = try Lab(containers: 0)
        try wire.script("ip link add wire type bridge mcast_snooping 0; ip link set wire mtu \(mtu) up")
        hosts = try (0..<count).map { _ in try Lab(containers: containers) }
        for (index, host) in hosts.enumerated() {
            try wire.script(
                """
                ip link add port\(index) mtu \(mtu) type veth peer name up0 mtu \(mtu) netns \(host.networkPath)
                ip link set port\(index) master wire up
                """)
            try host.script(
                """
                ip address add \(address(index))/24 dev up0
                ip address add \(address(index, ipv6: true))/64 dev up0 nodad
                ip link set up0 up
                """)
        }
    }

    /// A host's address on the wire.
    public func address(_ index: Int, ipv6: Bool = false) -> String {
        ipv6 ? "fd00:1::\(String(index + 1, radix: 16))" : "192.0.2.\(index + 1)"
    }
}

extension Lab {
    /// Whether an address answers echo requests of some size; one a second is sent.
    ///
    /// - Parameters:
    ///   - bytes: the payload's; 56 as usual.
    ///   - isWhole: whether the packet must not be cut into fragments on its way.
    ///   - seconds: when to give up: the first request may be lost while an underlay's neighbour is looked for.
    public func pings(
        _ address: String, from container: String? = nil, bytes: Int = 56, isWhole: Bool = false, seconds: Int = 5
    ) -> Bool {
        let whole = isWhole ? ["-M", "do"] : []
        let arguments = ["-n", "-q", "-c", "1", "-W", "1", "-s", "\(bytes)"] + whole + [address]
        return (0..<seconds).contains { _ in (try? tool("ping", arguments, in: container)) != nil }
    }
}
