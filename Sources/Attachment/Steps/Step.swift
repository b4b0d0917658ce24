public import Netlink
public import NetworkTypes

/// One change of the kernel's state. A plan is a list of steps; ``StepExecutor`` applies them and knows each one's undo.
///
/// Links are named, not numbered: a plan may speak of links that an earlier step of it makes.
public enum Step: Equatable, Sendable {
    /// `ip link add …`; with `into`, a veth's other end, or any other link itself, is born in that place
    /// (`IFLA_NET_NS_FD`).
    case createLink(LinkSpec, Place, into: Place? = nil)
    /// `ip link delete NAME`; one that is not there is no error, and there is no way back.
    case removeLink(String, Place)
    /// `ip link set NAME …`, with `master` by name.
    case changeLink(String, LinkChange, master: String? = nil, Place)
    /// `bridge link set dev NAME …`
    case changePort(String, BridgePortChange, Place = .host)
    /// `bridge vlan add dev NAME vid …`
    case addVLAN(PortVLAN, port: String, Place = .host)
    /// `bridge vlan delete` for every VLAN the kernel gave the port by itself.
    case removeDefaultVLANs(port: String, Place = .host)
    /// Fails when the bridge does not filter VLANs though it was told to: the kernel cannot.
    case requireVLANFiltering(bridge: String, Place = .host)
    /// `ip address add PREFIX dev NAME`, with `nodad` when detection is skipped.
    case addAddress(IPPrefix, link: String, Place, skipsDetection: Bool = false)
    /// `ip address delete PREFIX dev NAME`
    case removeAddress(IPPrefix, link: String, Place)
    /// `ip route append … dev NAME`
    case addRoute(Route, link: String, Place)
    /// `tc qdisc add dev NAME handle 5357: root tbf …`
    case addTokenBucket(TokenBucket, link: String, Place = .host)
    /// `tc qdisc add dev NAME ingress`
    case addIngress(link: String, Place = .host)
    /// `tc filter add dev NAME ingress … mirred egress redirect dev TARGET`; it goes away with the ingress
    /// discipline.
    case redirect(from: String, to: String, Place = .host)
    /// `sysctl -w …`; with `isOptional`, a parameter the kernel does not have or does not let us write is passed over.
    case setParameters([Parameter], Place, isOptional: Bool)
    /// `sysctl -w net.ipv4.ip_forward=1` or `net.ipv6.conf.all.forwarding=1`, unless it is.
    case enableForwarding(AddressFamily, Place = .host)
    /// Waits until no IPv6 address of the link is tentative; at most five seconds.
    case awaitDuplicateAddressDetection(link: String, Place)
    /// Waits until a bridge port forwards; at most five seconds.
    case awaitForwarding(port: String, Place = .host)
    /// Waits until a link is operationally up, which a bridge is some time after its first port forwards; at most one second,
    /// after which it is taken as it is.
    case awaitOperation(link: String, Place)
    /// Waits until packets to addresses are taken in; at most one second, after which it is taken as it is.
    case awaitLocal([IPAddress], Place)
    /// `ip neighbour delete ADDRESS dev NAME` for each address; none is no error.
    case forgetNeighbours([IPAddress], link: String, Place)

    /// The handle of the token buckets we make, by which we know them again: "SW" in hexadecimal.
    public static let tokenBucketHandle: UInt16 = 0x5357

    /// A kernel parameter, "net/ipv4/ip_forward", with its value.
    public struct Parameter: Equatable, Sendable {
        /// The path under `/proc/sys`.
        public let key: String
        /// The value to write.
        public let value: String

        /// A parameter with its value.
        public init(_ key: String, _ value: String) {
            self.key = key
            self.value = value
        }
    }
}
