import Glibc
import Netfilter
import Netlink
import NetworkTypes
import System
import TestSupport

/// A host with a bridge and two containers, and a client beyond a router link; IPv4 and IPv6.
///
///     client 192.0.2.2, 2001:db8::2 — 192.0.2.1 host, br0 10.1.0.1, fd00::1 — one 10.1.0.5, two 10.1.0.6
struct TrafficLab: ~Copyable {
    let client: FreshNamespace
    let one: FreshNamespace
    let two: FreshNamespace

    /// Built in the calling thread's namespace, which becomes the host.
    init() throws {
        let client = try FreshNamespace()
        let one = try FreshNamespace()
        let two = try FreshNamespace()
        // While a link-local address is still being probed for duplicates no neighbour is asked for.
        let skipProbes: @Sendable () throws -> Void = {
            try Sysctl.write("net/ipv6/conf/default/accept_dad", "0")
            try Sysctl.write("net/ipv6/conf/all/accept_dad", "0")
        }
        try skipProbes()
        try client.run(skipProbes)
        try one.run(skipProbes)
        try two.run(skipProbes)
        for line in [
            "ip link set lo up", "ip link add br0 type bridge", "ip link set br0 up",
            "ip addr add 10.1.0.1/24 dev br0", "ip -6 addr add fd00::1/64 dev br0 nodad",
        ] { try command(line) }
        try Self.attach("vone", "10.1.0.5/24", "fd00::5/64", gateways: ["10.1.0.1", "fd00::1"], one, bridge: "br0")
        try Self.attach("vtwo", "10.1.0.6/24", "fd00::6/64", gateways: ["10.1.0.1", "fd00::1"], two, bridge: "br0")
        // The client has no route to the containers: only what carries the host's address is answered.
        try Self.attach("vout", "192.0.2.2/24", "2001:db8::2/64", gateways: [], client, bridge: nil)
        for line in ["ip addr add 192.0.2.1/24 dev vout", "ip -6 addr add 2001:db8::1/64 dev vout nodad"] {
            try command(line)
        }
        for (key, value) in [
            ("net/ipv4/ip_forward", "1"), ("net/ipv6/conf/all/forwarding", "1"),
            ("net/ipv4/conf/br0/route_localnet", "1"),
        ] { try Sysctl.write(key, value) }
        self.client = client
        self.one = one
        self.two = two
    }

    private static func attach(
        _ name: String, _ v4: String, _ v6: String, gateways: [String], _ inner: borrowing FreshNamespace,
        bridge: String?
    ) throws {
        let opened = try inner.open()
        let session = try RouteSession()
        let peer = LinkSpec.VethPeer(name: "eth0", mtu: 1500, namespace: opened.descriptor)
        try session.createLink(LinkSpec(name: name, kind: .veth(peer: peer), mtu: 1500, isUp: true))
        if let bridge {
            try command("ip link set \(name) master \(bridge)")
            try command("bridge link set dev \(name) hairpin on")
        }
        try inner.run {
            try command("ip link set lo up")
            try command("ip link set eth0 up")
            try command("ip addr add \(v4) dev eth0")
            try command("ip -6 addr add \(v6) dev eth0 nodad")
            for gateway in gateways {
                try command("ip \(gateway.contains(":") ? "-6 " : "")route add default via \(gateway)")
            }
        }
    }
}

/// A socket's address as the kernel reads it (`struct sockaddr_in`, `sockaddr_in6`).
private func socketAddress(_ address: IPAddress, _ port: UInt16) -> [UInt8] {
    let family = address.family == .ipv4 ? AF_INET : AF_INET6
    let head = [UInt8(family), 0, UInt8(port >> 8), UInt8(port & 255)]
    switch address {
    case .v4: return head + address.bytes + [UInt8](repeating: 0, count: 8)
    case .v6: return head + [0, 0, 0, 0] + address.bytes + [0, 0, 0, 0]
    }
}

/// The address in a socket's address.
private func address(in bytes: [UInt8]) -> IPAddress? {
    Int32(bytes[0]) == AF_INET ? IPAddress(bytes: bytes[4..<8]) : IPAddress(bytes: bytes[8..<24])
}

private func openSocket(_ family: AddressFamily, _ transport: TransportProtocol) throws -> Int32 {
    let kind = Int32(transport == .tcp ? SOCK_STREAM.rawValue : SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(family == .ipv4 ? AF_INET : AF_INET6, kind, 0)
    guard descriptor >= 0 else { throw SystemError("open", "socket", .current) }
    var on: Int32 = 1
    _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, 4)
    if family == .ipv6 { _ = unsafe setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, 4) }
    return descriptor
}

/// Limits how long connecting, accepting and receiving may take.
private func setLimit(_ descriptor: Int32, milliseconds: Int) {
    var limit = timeval(tv_sec: milliseconds / 1000, tv_usec: milliseconds % 1000 * 1000)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
}

private func with<Result>(
    _ bytes: [UInt8], _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
) -> Result? {
    unsafe bytes.withUnsafeBytes { raw in
        unsafe raw.baseAddress.map { unsafe body($0.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count)) }
    }
}

/// A socket that waits for packets in a namespace.
final class Listener: Sendable {
    private let descriptor: OwnedFD
    private let transport: TransportProtocol

    /// Binds a port of all addresses of a family.
    init(
        _ transport: TransportProtocol, _ family: AddressFamily, port: UInt16, in namespace: borrowing FreshNamespace
    ) throws {
        self.transport = transport
        let bound = try namespace.run {
            let opened = try openSocket(family, transport)
            let any = socketAddress(IPAddress(family: family, number: 0), port)
            guard unsafe with(any, { unsafe bind(opened, $0, $1) }) == 0 else {
                throw SystemError("bind", "socket", .current)
            }
            if transport == .tcp { _ = listen(opened, 16) }
            return opened
        }
        descriptor = OwnedFD(owning: bound)
    }

    /// Waits for a connection or a datagram of those bytes, answers it and tells whom it came from; nil when none has come
    /// in time. Other datagrams are late ones of an earlier question.
    fileprivate func serve(_ question: [UInt8]) -> IPAddress? {
        var peer = [UInt8](repeating: 0, count: 28)
        var size = socklen_t(peer.count)
        var received = [UInt8](repeating: 0, count: question.count)
        let socket = descriptor.rawValue
        let isStream = transport == .tcp
        var result = 0
        repeat {
            result = unsafe peer.withUnsafeMutableBytes { raw -> Int in
                guard let place = unsafe raw.baseAddress?.assumingMemoryBound(to: sockaddr.self) else { return -1 }
                if isStream { return Int(unsafe accept(socket, place, &size)) }
                return unsafe recvfrom(socket, &received, received.count, 0, place, &size)
            }
        } while result >= 0 && !isStream && received != question
        guard result >= 0 else { return nil }
        if isStream {
            let accepted = OwnedFD(owning: Int32(result))
            _ = unsafe write(accepted.rawValue, question, 1)
        } else {
            let target = Array(peer.prefix(Int(size)))
            _ = unsafe with(target) { unsafe sendto(socket, question, 1, 0, $0, $1) }
        }
        return address(in: peer)
    }

    /// Sends from the calling thread's namespace to an address; returns whom the listener saw, nil unless the answer came
    /// back.
    ///
    /// What is expected is waited for, on a busy machine and through the seconds after which a lost packet is sent again;
    /// that nothing comes (`expectsNothing`) is believed sooner.
    func reach(_ target: IPAddress, _ port: UInt16, expectsNothing: Bool = false) throws -> IPAddress? {
        let client = OwnedFD(owning: try openSocket(target.family, transport))
        let socket = client.rawValue
        let isStream = transport == .tcp
        for descriptor in [socket, self.descriptor.rawValue] {
            setLimit(descriptor, milliseconds: expectsNothing ? 500 : isStream ? 10_000 : 1000)
        }
        let bytes = socketAddress(target, port)
        guard unsafe with(bytes, { unsafe connect(socket, $0, $1) }) == 0 else { return nil }
        var random = KernelRandom()
        let question = (0..<8).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        // The kernel sends a lost TCP segment again; a datagram that waited in vain for a neighbour is lost.
        for _ in 0..<(isStream || expectsNothing ? 1 : 10) {
            if !isStream { _ = unsafe send(socket, question, question.count, 0) }
            var byte: UInt8 = 0
            if let seen = serve(question), unsafe recv(socket, &byte, 1, 0) == 1 { return seen }
        }
        return nil
    }

    /// The same from inside a namespace.
    func reach(
        _ target: IPAddress, _ port: UInt16, from namespace: borrowing FreshNamespace, expectsNothing: Bool = false
    ) throws -> IPAddress? {
        try namespace.run { try self.reach(target, port, expectsNothing: expectsNothing) }
    }
}
