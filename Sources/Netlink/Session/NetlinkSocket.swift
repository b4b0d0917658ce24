internal import CLibMNL
internal import CLinux
internal import System

/// A netlink socket (`mnl_socket`). It belongs for ever to the network namespace it was made in.
@safe
final class NetlinkSocket: NetlinkTransport {
    private let socket: OpaquePointer
    let descriptor: Int32
    let port: UInt32

    /// A socket in the calling thread's namespace.
    convenience init(protocolNumber: Int32, groups: UInt32 = 0) throws(SystemError) {
        try self.init(owning: Self.open(protocolNumber), groups: groups)
    }

    /// A socket in `namespace`, made by a thread that goes there and ends.
    convenience init(protocolNumber: Int32, groups: UInt32 = 0, in namespace: borrowing NetworkNamespace)
        throws(SystemError)
    {
        let descriptor: Int32
        do {
            descriptor = try namespace.run { try Self.open(protocolNumber) }
        } catch let error as SystemError {
            throw error
        } catch {
            throw SystemError("open", "netlink socket", .inputOutput)
        }
        try self.init(owning: descriptor, groups: groups)
    }

    private static func open(_ protocolNumber: Int32) throws(SystemError) -> Int32 {
        let descriptor = CLinux.socket(
            AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), protocolNumber)
        guard descriptor >= 0 else { throw SystemError("open", "netlink socket", .current) }
        return descriptor
    }

    private init(owning descriptor: Int32, groups: UInt32) throws(SystemError) {
        _ = swiftlet_netlink_options(descriptor)
        guard let socket = unsafe mnl_socket_fdopen(descriptor) else {
            let errno = Errno.current
            _ = close(descriptor)
            throw SystemError("open", "netlink socket", errno)
        }
        guard unsafe mnl_socket_bind(socket, groups, MNL_SOCKET_AUTOPID) == 0 else {
            let errno = Errno.current
            _ = unsafe mnl_socket_close(socket)
            throw SystemError("bind", "netlink socket", errno)
        }
        unsafe self.socket = socket
        self.descriptor = descriptor
        port = unsafe mnl_socket_get_portid(socket)
    }

    deinit { _ = unsafe mnl_socket_close(socket) }

    func send(_ messages: borrowing MessageBuilder) throws(Errno) {
        while true {
            let sent = unsafe messages.withBytes { unsafe mnl_socket_sendto(socket, $0.baseAddress, $0.count) }
            if sent >= 0 { return }
            let errno = Errno.current
            if errno != .interrupted { throw errno }
        }
    }

    func receive(into buffer: inout [UInt8], waiting: Bool) throws(Errno) -> Reception {
        // mnl_socket_recvfrom tells neither the sender nor, when the buffer was too small, the size needed.
        let flags = waiting ? 0 : Int32(MSG_DONTWAIT)
        let size = buffer.count
        while true {
            var sender: UInt32 = 0
            let received = unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe swiftlet_netlink_receive(descriptor, bytes.baseAddress, size, flags, &sender)
            }
            if received < 0 {
                switch Errno.current {
                case .interrupted: continue
                case .noBufferSpace: return .overrun
                case .resourceTemporarilyUnavailable: return .nothing
                case let errno: throw errno
                }
            }
            // Only the kernel has port 0; a process could have sent us anything.
            if sender != 0 { continue }
            return received > size ? .truncated(received) : .datagram(received)
        }
    }

    /// Waits until a datagram can be received.
    ///
    /// - Returns: false when `milliseconds` have passed without one.
    func wait(milliseconds: Int32) throws(Errno) -> Bool {
        let end = monotonicNanoseconds() + UInt64(max(milliseconds, 0)) * 1_000_000
        var remaining = milliseconds
        while true {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = unsafe poll(&entry, 1, remaining)
            if ready >= 0 { return ready > 0 }
            let errno = Errno.current
            if errno != .interrupted { throw errno }
            guard milliseconds >= 0 else { continue }
            let now = monotonicNanoseconds()
            remaining = now >= end ? 0 : Int32(truncatingIfNeeded: (end - now) / 1_000_000)
        }
    }

    func makeRoom(forSending bytes: Int, answers: Int) {
        // The default send and receive buffers, 208 KiB, take about 100 KiB of data and 270 answers.
        if bytes > 64 << 10 {
            var size = Int32(clamping: bytes * 2)
            let length = socklen_t(MemoryLayout<Int32>.size)
            if unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &size, length) != 0 {
                _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, length)
            }
        }
        if answers > 128 { enlargeReceiveBuffer(to: Int32(clamping: answers * 1024)) }
    }

    /// Makes room for bursts of notifications; beyond the limit for all when privileged (`SO_RCVBUFFORCE`).
    func enlargeReceiveBuffer(to bytes: Int32) {
        var bytes = bytes
        let size = socklen_t(MemoryLayout<Int32>.size)
        if unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, size) != 0 {
            _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, size)
        }
    }
}
