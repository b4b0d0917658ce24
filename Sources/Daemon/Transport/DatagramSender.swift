internal import CLinux
internal import Gossip
internal import NIOCore

/// Sends datagrams on a channel's socket, past the channel.
///
/// A channel that is refused a write by the system closes, whatever the refusal says (all but EMSGSIZE and EHOSTUNREACH). A
/// host whose link is down for a moment (ENETUNREACH) or whose firewall forbids one packet (EPERM) would be deaf from then
/// on, and only its streams would tell that it lives. A datagram may always be lost, so a refusal is no more than that.
struct DatagramSender {
    private let channel: any Channel
    private let socket: CInt

    /// On the channel's loop.
    ///
    /// - Throws: when the channel has no socket.
    init(_ channel: any Channel) throws {
        self.channel = channel
        let socket = try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            $0
        }
        guard let socket else { throw ChannelError.operationUnsupported }
        self.socket = socket
    }

    /// Sends one datagram; false when it was not taken. On the channel's loop.
    @discardableResult
    func send(_ bytes: [UInt8], to target: Endpoint) -> Bool {
        // A channel that has closed no longer owns the number of its socket.
        guard channel.isActive, let address = try? target.socketAddress() else { return false }
        let sent = unsafe address.withSockAddr { name, length in
            unsafe bytes.withUnsafeBytes { body in
                unsafe sendto(
                    socket, body.baseAddress, body.count, CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL),
                    __CONST_SOCKADDR_ARG(__sockaddr__: name), socklen_t(length))
            }
        }
        return sent == bytes.count
    }

    /// Closes the channel.
    func close() { channel.close(promise: nil) }
}
