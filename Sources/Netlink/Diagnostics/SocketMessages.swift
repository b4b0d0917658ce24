internal import CLinux
internal import NetworkTypes

// struct inet_diag_req_v2, struct inet_diag_msg, INET_DIAG_*: linux/inet_diag.h.

/// States of sockets, whatever the protocol: net/tcp_states.h.
private enum SocketState {
    /// `TCP_CLOSE`: UDP that is not connected.
    static let closed = 7
    /// `TCP_LISTEN`; SCTP's `SCTP_SS_LISTENING` is the same.
    static let listening = 10
}

extension SocketTransport {
    /// The state of sockets that take what comes.
    fileprivate var state: Int { self == .udp ? SocketState.closed : SocketState.listening }
}

extension MessageBuilder {
    /// Asks for the sockets of one family that take what comes, to one port or to all.
    mutating func appendDumpListeners(_ family: AddressFamily, _ transport: SocketTransport, port: UInt16?) {
        begin(Int(SOCK_DIAG_BY_FAMILY), flags: NLM_F_REQUEST | NLM_F_DUMP)
        var request = inet_diag_req_v2()
        request.sdiag_family = UInt8(family == .ipv4 ? AF_INET : AF_INET6)
        request.sdiag_protocol = transport.rawValue
        request.idiag_states = 1 << UInt32(transport.state)
        // Every protocol's dump passes over other ports by itself; a filter in bytecode would do no more.
        request.id.idiag_sport = (port ?? 0).bigEndian
        request.id.idiag_cookie = (UInt32.max, UInt32.max)
        putHeader(request)
    }
}

extension ListeningSocket {
    /// Reads a `struct inet_diag_msg` with its attributes; nil when it is malformed or of another family.
    init?(_ payload: RawSpan, _ transport: SocketTransport) {
        let size = 72
        guard let family = payload.integer(UInt8.self), let port = payload.integer(UInt16.self, at: 4),
            let link = payload.integer(Int32.self, at: 40), let user = payload.integer(UInt32.self, at: 64),
            let inode = payload.integer(UInt32.self, at: size - 4)
        else { return nil }
        let address: IPAddress
        switch Int32(family) {
        case AF_INET:
            guard let bound = payload.extracting(8..<12).ipAddress else { return nil }
            address = bound
        case AF_INET6:
            guard let bound = payload.extracting(8..<24).ipAddress else { return nil }
            address = bound.unmapped
        default: return nil
        }
        var isIPv6Only = false
        AttributeReader.forEach(in: payload.extracting(payload.following(size))) { type, value in
            if type == INET_DIAG_SKV6ONLY { isIPv6Only = value.flag ?? false }
        }
        self.init(
            transport: transport, address: address, port: UInt16(bigEndian: port), isIPv6Only: isIPv6Only,
            link: link == 0 ? nil : link, inode: inode, user: user)
    }
}

extension IPAddress {
    /// The IPv4 address that an IPv6 socket was bound to as `::ffff:192.0.2.1`; itself when it is no such.
    fileprivate var unmapped: IPAddress {
        guard case .v6(let address) = self, let mapped = address.mappedIPv4 else { return self }
        return .v4(mapped)
    }
}
