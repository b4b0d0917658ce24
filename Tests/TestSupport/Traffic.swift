internal import Glibc
internal import NetworkTypes
internal import System

/// A transport protocol the lab's servers and clients speak.
public enum Transport: String, Sendable, CaseIterable {
    /// TCP.
    case tcp
    /// UDP.
    case udp

    fileprivate var type: Int32 {
        Int32((self == .tcp ? SOCK_STREAM : SOCK_DGRAM).rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    }
}

/// A server that tells every client its own name and the address it sees the client under: "c1 10.1.2.3".
///
/// It answers on both transports and both families until the value goes away.
public final class Responder: Sendable {
    private let thread: BackgroundThread
    private let stop: OwnedFD

    /// Starts the server.
    fileprivate init(_ name: String, tcp: consuming OwnedFD, udp: consuming OwnedFD) throws {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw SystemError("create", "pipe", .current) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        stop = OwnedFD(owning: ends[1])
        let sockets = Sockets(tcp: tcp, udp: udp, end: OwnedFD(owning: ends[0]))
        thread = try BackgroundThread { sockets.serve(Array(name.utf8)) }
    }

    deinit {
        let byte: [UInt8] = [0]
        _ = unsafe write(stop.rawValue, byte, 1)
    }
}

private final class Sockets: Sendable {
    private let tcp: OwnedFD
    private let udp: OwnedFD
    private let end: OwnedFD

    init(tcp: consuming OwnedFD, udp: consuming OwnedFD, end: consuming OwnedFD) {
        self.tcp = tcp
        self.udp = udp
        self.end = end
    }

    func serve(_ name: [UInt8]) {
        while true {
            var waits = [end.rawValue, tcp.rawValue, udp.rawValue].map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            _ = unsafe poll(&waits, nfds_t(waits.count), -1)
            if waits[0].revents != 0 { return }
            if waits[1].revents != 0 { answerConnection(name) }
            if waits[2].revents != 0 { answerDatagram(name) }
        }
    }

    private func answerConnection(_ name: [UInt8]) {
        let listener = tcp.rawValue
        let (client, peer) = unsafe SocketAddress.filled { unsafe Int(accept(listener, $0, $1)) }
        guard client >= 0 else { return }
        let answer = name + Array(" \(peer.text)".utf8)
        _ = unsafe send(Int32(client), answer, answer.count, Int32(MSG_NOSIGNAL))
        close(Int32(client))
    }

    private func answerDatagram(_ name: [UInt8]) {
        let descriptor = udp.rawValue
        var input = [UInt8](repeating: 0, count: 2048)
        let (count, peer) = unsafe SocketAddress.filled { address, size in
            unsafe recvfrom(descriptor, &input, 2048, 0, address, size)
        }
        guard count >= 0 else { return }
        let answer = name + Array(" \(peer.text)".utf8)
        _ = unsafe peer.withPointer { unsafe sendto(descriptor, answer, answer.count, 0, $0, $1) }
    }
}

extension Lab {
    /// Starts a server on a TCP and a UDP port of the host or of a container, for both families.
    ///
    /// - Parameters:
    ///   - name: what it calls itself; the container's name, or "host".
    ///   - group: an IPv4 multicast group to listen to as well, on the link `groupLink`.
    public func serve(
        _ place: String?, port: UInt16 = 80, as name: String? = nil, group: String? = nil, groupLink: String = "eth0"
    ) throws -> Responder {
        let descriptors = try inside(place) {
            try [Transport.tcp, .udp].map { transport in
                let descriptor = socket(AF_INET6, transport.type, 0)
                guard descriptor >= 0 else { throw SystemError("open", "socket", .current) }
                try Self.setOption(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0)
                try Self.setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
                let any = SocketAddress(.v6(IPv6Address(rawValue: 0)), port)
                let bound = unsafe any.withPointer { unsafe bind(descriptor, $0, $1) }
                guard bound == 0 else { throw SystemError("bind", "port \(port)", .current) }
                if transport == .tcp, listen(descriptor, 16) != 0 { throw SystemError("listen", "\(port)", .current) }
                if transport == .udp, let group { try Self.join(descriptor, group, groupLink) }
                return descriptor
            }
        }
        return try Responder(
            name ?? place ?? "host", tcp: OwnedFD(owning: descriptors[0]), udp: OwnedFD(owning: descriptors[1]))
    }

    /// Asks a server (``serve(_:port:as:group:groupLink:)``) who it is and whom it sees.
    ///
    /// - Parameters:
    ///   - source: the client's own port; 0 for any.
    ///   - sourceAddress: the client's own address; nil for the one the kernel chooses.
    ///   - timeout: milliseconds until the answer is given up.
    /// - Returns: "name address"; nil when there was no answer.
    public func ask(
        _ transport: Transport, _ address: String, _ port: UInt16 = 80, from place: String?, source: UInt16 = 0,
        sourceAddress: String? = nil, timeout: Int = 10_000
    ) throws -> String? {
        guard let target = IPAddress(address) else { throw LabError("\(address) is no address") }
        return try inside(place) {
            let descriptor = socket(target.family == .ipv4 ? AF_INET : AF_INET6, transport.type, 0)
            guard descriptor >= 0 else { throw SystemError("open", "socket", .current) }
            let owner = OwnedFD(owning: descriptor)
            if source != 0 || sourceAddress != nil {
                try Self.setOption(owner.rawValue, SOL_SOCKET, SO_REUSEADDR, 1)
                let own = sourceAddress.flatMap { IPAddress($0) } ?? IPAddress(family: target.family, number: 0)
                let bound = unsafe SocketAddress(own, source).withPointer { unsafe bind(descriptor, $0, $1) }
                guard bound == 0 else { throw SystemError("bind", "\(own) \(source)", .current) }
            }
            return Self.exchange(owner.rawValue, transport, SocketAddress(target, port), timeout)
        }
    }

    private static func exchange(_ descriptor: Int32, _ transport: Transport, _ target: SocketAddress, _ timeout: Int)
        -> String?
    {
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        let deadline = monotonicNanoseconds() &+ UInt64(timeout) &* 1_000_000
        func left() -> Int32 {
            let now = monotonicNanoseconds()
            return now >= deadline ? 0 : Int32((deadline - now) / 1_000_000) + 1
        }
        if transport == .tcp {
            let began = unsafe target.withPointer { unsafe connect(descriptor, $0, $1) }
            guard began == 0 || Errno.current == Errno(rawValue: EINPROGRESS) else { return nil }
        }
        // A datagram may be lost while a neighbour is looked for; asking twice does no harm.
        while true {
            if transport == .udp {
                let byte: [UInt8] = [63]
                _ = unsafe target.withPointer { unsafe sendto(descriptor, byte, 1, 0, $0, $1) }
            }
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = unsafe poll(&wait, 1, transport == .tcp ? left() : min(left(), 200))
            if ready > 0 {
                var answer = [UInt8](repeating: 0, count: 512)
                let count = unsafe recv(descriptor, &answer, answer.count, 0)
                return count > 0 ? String(decoding: answer[..<count], as: UTF8.self) : nil
            }
            if left() == 0 { return nil }
        }
    }

    private static func setOption(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) throws {
        var value = value
        guard unsafe setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
            throw SystemError("set", "socket option \(name)", .current)
        }
    }

    private static func join(_ descriptor: Int32, _ group: String, _ link: String) throws {
        var request = ip_mreqn()
        request.imr_multiaddr.s_addr = unsafe inet_addr(group)
        request.imr_ifindex = Int32(unsafe if_nametoindex(link))
        let size = socklen_t(MemoryLayout<ip_mreqn>.size)
        guard unsafe setsockopt(descriptor, Int32(IPPROTO_IP), IP_ADD_MEMBERSHIP, &request, size) == 0 else {
            throw SystemError("join", group, .current)
        }
    }

    /// Gives the host an uplink to a namespace "outside", whose routes for everything lead to the host: what a container
    /// sends there comes back whether it was masqueraded or not.
    ///
    /// The host is 192.0.2.1 and 2001:db8:ffff::1, outside 192.0.2.2 and 2001:db8:ffff::2.
    public func addOutside() throws {
        try addContainer("outside")
        try script(
            """
            ip link add up0 type veth peer name out0 netns /run/netns/outside
            ip address add 192.0.2.1/24 dev up0
            ip address add 2001:db8:ffff::1/64 dev up0 nodad
            ip link set up0 up
            """)
        try script(
            """
            ip link set lo up
            ip address add 192.0.2.2/24 dev out0
            ip address add 2001:db8:ffff::2/64 dev out0 nodad
            ip link set out0 up
            ip route add default via 192.0.2.1
            ip route add default via 2001:db8:ffff::1
            """, in: "outside")
    }

    /// Runs a few lines of shell in the host's namespaces, or with the network of a container.
    @discardableResult
    public func script(_ lines: String, in container: String? = nil) throws -> String {
        try tool("sh", ["-ec", lines], in: container)
    }
}
