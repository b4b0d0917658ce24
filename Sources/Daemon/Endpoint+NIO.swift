internal import CLinux
internal import Gossip
internal import NIOCore
internal import NetworkTypes

extension Endpoint {
    /// The endpoint of a socket address; nil for Unix sockets. The scope of a link-local address is lost.
    init?(_ address: SocketAddress) {
        guard let port = address.port.flatMap(UInt16.init(exactly:)) else { return nil }
        // The address lies at offset 4 of a sockaddr_in and at offset 8 of a sockaddr_in6 (netinet/in.h).
        let place: Range<Int>
        switch address {
        case .v4: place = 4..<8
        case .v6: place = 8..<24
        case .unixDomainSocket: return nil
        }
        let bytes = unsafe address.withSockAddr { start, size in
            unsafe Array(UnsafeRawBufferPointer(start: start, count: size)[place])
        }
        guard let address = IPAddress(bytes: bytes) else { return nil }
        self.init(address: address, port: port)
    }

    /// The socket address; a link-local one is on the link of ``LinkScope``.
    func socketAddress() throws -> SocketAddress {
        if LinkScope.isLinkLocal(address) {
            return SocketAddress(
                unsafe swiftlet_sockaddr_in6(address.bytes, port, LinkScope.index), host: "\(address)")
        }
        return try SocketAddress(packedIPAddress: ByteBuffer(bytes: address.bytes), port: Int(port))
    }
}
