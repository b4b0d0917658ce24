public import NetworkTypes

/// A protocol whose sockets have ports; the raw value is its number in the IP header.
public enum SocketTransport: UInt8, Hashable, Sendable, CaseIterable {
    /// TCP.
    case tcp = 6
    /// UDP.
    case udp = 17
    /// SCTP.
    case sctp = 132
}

/// A socket that takes what comes to a port: TCP or SCTP that listens, UDP that is bound and not connected.
public struct ListeningSocket: Hashable, Sendable {
    /// The protocol.
    public let transport: SocketTransport
    /// The address it is bound to; an address of all zeros for all of the host's. Of an SCTP socket with several only
    /// the first is known.
    public let address: IPAddress
    /// The port.
    public let port: UInt16
    /// Whether it is an IPv6 socket that leaves IPv4 alone (`IPV6_V6ONLY`), as every one does that is bound to one address.
    public let isIPv6Only: Bool
    /// The link it is bound to (`SO_BINDTODEVICE`), nil when it is bound to none.
    public let link: Int32?
    /// The number by which its holder's `/proc/<pid>/fd` names it. A socket of the kernel's own, such as VXLAN's, has one
    /// too, but no holder.
    public let inode: UInt32
    /// The user who made it.
    public let user: UInt32

    /// Describes a socket.
    public init(
        transport: SocketTransport, address: IPAddress, port: UInt16, isIPv6Only: Bool = false, link: Int32? = nil,
        inode: UInt32 = 0, user: UInt32 = 0
    ) {
        self.transport = transport
        self.address = address
        self.port = port
        self.isIPv6Only = isIPv6Only
        self.link = link
        self.inode = inode
        self.user = user
    }

    /// Whether it takes what comes to an address of the host; for the address of all zeros, to any of its family.
    ///
    /// What is bound to a link is taken to hear all of it.
    public func hears(_ address: IPAddress) -> Bool {
        if self.address.number == 0 {
            return self.address.family == address.family || (self.address.family == .ipv6 && !isIPv6Only)
        }
        return self.address == address || (address.number == 0 && address.family == self.address.family)
    }
}
