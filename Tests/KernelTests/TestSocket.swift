import Glibc
import NetworkTypes
import System
import Testing

@testable import Netlink

/// A socket of a test's, bound and where it can be listening.
final class TestSocket: Sendable {
    let descriptor: OwnedFD
    let inode: UInt32

    static var ourProcess: Int32 { getpid() }
    static var ourParent: Int32 { getppid() }

    /// - Parameter text: the address; a family's all zeros for all addresses.
    init(_ transport: SocketTransport, _ text: String, _ port: UInt16, isIPv6Only: Bool = false) throws {
        // IPAddress takes a mapped address for IPv4.
        let address = try #require(IPv6Address(text).map(IPAddress.v6) ?? IPAddress(text))
        let kind = transport == .udp ? SOCK_DGRAM : SOCK_STREAM
        let family = address.family == .ipv4 ? AF_INET : AF_INET6
        descriptor = OwnedFD(owning: socket(family, Int32(kind.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        inode = UInt32(truncatingIfNeeded: try descriptor.status().inode)
        if family == AF_INET6 {
            var value: Int32 = isIPv6Only ? 1 : 0
            _ = unsafe setsockopt(descriptor.rawValue, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &value, 4)
        }
        try unsafe Self.call("bind", Self.with(address, port) { unsafe Glibc.bind(descriptor.rawValue, $0, $1) })
        if transport != .udp { try Self.call("listen", listen(descriptor.rawValue, 4)) }
    }

    /// A TCP socket that is connected to a listener.
    init(connectedTo text: String, _ port: UInt16) throws {
        descriptor = OwnedFD(owning: socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        inode = UInt32(truncatingIfNeeded: try descriptor.status().inode)
        try connect(text, port)
    }

    /// Connects it, so that it hears only one peer.
    func connect(_ text: String, _ port: UInt16) throws {
        let address = try #require(IPAddress(text))
        try unsafe Self.call("connect", Self.with(address, port) { unsafe Glibc.connect(descriptor.rawValue, $0, $1) })
    }

    /// Binds it to a link.
    func bind(toLink name: String) throws {
        let name = Array(name.utf8)
        try unsafe Self.call(
            "setsockopt",
            setsockopt(descriptor.rawValue, SOL_SOCKET, SO_BINDTODEVICE, name, socklen_t(name.count)))
    }

    private static func call(_ name: String, _ result: Int32) throws {
        guard result == 0 else { throw SystemError(name, "socket", .current) }
    }

    private static func with(
        _ address: IPAddress, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        let family = address.family == .ipv4 ? AF_INET : AF_INET6
        // struct sockaddr_in and sockaddr_in6: family, port, (flow), address, (scope).
        var bytes = [UInt8(family), 0, UInt8(port >> 8), UInt8(truncatingIfNeeded: port)]
        switch address {
        case .v4(let address): bytes += address.bytes + [UInt8](repeating: 0, count: 8)
        case .v6(let address): bytes += [0, 0, 0, 0] + address.bytes + [0, 0, 0, 0]
        }
        return unsafe bytes.withUnsafeBytes { raw -> Int32 in
            guard let base = raw.baseAddress else { return -1 }
            return unsafe body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
        }
    }
}
