internal import CLinux

/// Messages to a Unix datagram socket.
public enum UnixDatagram {
    /// Sends one datagram without waiting.
    ///
    /// - Throws: the errno with the address: `ENOENT` and `ECONNREFUSED` when nobody listens, `EAGAIN` when the listener's
    ///   queue is full, `ENAMETOOLONG` beyond 107 bytes, `EMSGSIZE`.
    public static func send(_ bytes: [UInt8], to address: UnixSocketAddress) throws(SystemError) {
        let descriptor = CLinux.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError("open", "Unix socket", .current) }
        let socket = OwnedFD(owning: descriptor)
        let (name, isAbstract) =
            switch address {
            case .path(let path): (Array(path.utf8), Int32(0))
            case .abstract(let name): (Array(name.utf8), Int32(1))
            }
        let connected = unsafe name.withUnsafeBytes { raw in
            unsafe swiftlet_connect_unix(socket.rawValue, raw.baseAddress, raw.count, isAbstract)
        }
        guard connected == 0 else { throw SystemError("connect to", "\(address)", .current) }
        let sent = unsafe bytes.withUnsafeBytes { raw in
            unsafe CLinux.send(
                socket.rawValue, raw.baseAddress, raw.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
        }
        guard sent == bytes.count else { throw SystemError("send to", "\(address)", .current) }
    }
}
