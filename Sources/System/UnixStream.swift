internal import CLinux

/// Where a Unix socket listens.
public enum UnixSocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// A file.
    case path(String)
    /// A name in the abstract namespace, which belongs to the network namespace and has no file.
    case abstract(String)

    /// The path, or the name with "@" before it, as `ss` shows it.
    public var description: String {
        switch self {
        case .path(let path): path
        case .abstract(let name): "@\(name)"
        }
    }
}

/// A connection to a Unix stream socket on which nothing waits beyond a deadline.
public struct UnixStream: ~Copyable, Sendable {
    private let socket: OwnedFD

    /// Connects. A listener with a full queue is waited for.
    ///
    /// - Throws: the errno with the address: `ENOENT` and `ECONNREFUSED` when nobody listens, `ETIMEDOUT`, `ENAMETOOLONG`
    ///   beyond 107 bytes.
    public init(connectingTo address: UnixSocketAddress, by deadline: Deadline) throws(SystemError) {
        let descriptor = CLinux.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw SystemError("open", "Unix socket", .current) }
        let opened = OwnedFD(owning: descriptor)
        do {
            try Self.connect(opened.rawValue, address, deadline)
        } catch {
            throw SystemError("connect to", "\(address)", error)
        }
        socket = opened
    }

    private static func connect(
        _ descriptor: Int32, _ address: UnixSocketAddress, _ deadline: Deadline
    ) throws(Errno) {
        let (name, isAbstract) =
            switch address {
            case .path(let path): (path, Int32(0))
            case .abstract(let name): (name, Int32(1))
            }
        while true {
            let remaining = Int(deadline.remainingMilliseconds)
            guard remaining > 0 else { throw .timedOut }
            // A Unix socket that does not block reports a full queue at once and cannot be polled for its end; one that
            // blocks waits as long as it may wait to send (unix_stream_connect).
            var limit = timeval(tv_sec: remaining / 1000, tv_usec: remaining % 1000 * 1000)
            let size = socklen_t(MemoryLayout<timeval>.size)
            guard unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size) == 0 else { throw .current }
            let bytes = Array(name.utf8)
            let result = unsafe bytes.withUnsafeBytes { raw in
                unsafe swiftlet_connect_unix(descriptor, raw.baseAddress, raw.count, isAbstract)
            }
            if result == 0 { return }
            switch Errno.current {
            case .interrupted: continue
            case .resourceTemporarilyUnavailable: throw .timedOut
            case let errno: throw errno
            }
        }
    }

    /// Sends all of `bytes`. After an error some of them may have been sent.
    ///
    /// - Throws: `ETIMEDOUT`; `EPIPE` (no signal) when the peer has closed.
    public func send(_ bytes: [UInt8], by deadline: Deadline) throws(Errno) {
        var done = 0
        while done < bytes.count {
            let sent = unsafe bytes.withUnsafeBytes { raw in
                unsafe CLinux.send(
                    socket.rawValue, raw.baseAddress?.advanced(by: done), raw.count - done,
                    Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            }
            if sent >= 0 {
                done += sent
            } else {
                try wait(POLLOUT, .current, deadline)
            }
        }
    }

    /// Receives what is there, at least one and at most `limit` bytes; none when the peer has closed.
    ///
    /// - Throws: `ETIMEDOUT`, `ECONNRESET`.
    public func receive(limit: Int, by deadline: Deadline) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: max(limit, 1))
        while true {
            let count = unsafe bytes.withUnsafeMutableBytes { raw in
                unsafe recv(socket.rawValue, raw.baseAddress, raw.count, Int32(MSG_DONTWAIT))
            }
            if count >= 0 {
                bytes.removeLast(bytes.count - count)
                return bytes
            }
            try wait(POLLIN, .current, deadline)
        }
    }

    /// Waits for what a call lacked that failed with `errno`.
    private func wait(_ events: Int32, _ errno: Errno, _ deadline: Deadline) throws(Errno) {
        if errno == .interrupted { return }
        guard errno == .resourceTemporarilyUnavailable else { throw errno }
        while true {
            let remaining = deadline.remainingMilliseconds
            guard remaining > 0 else { throw .timedOut }
            var entry = pollfd(fd: socket.rawValue, events: Int16(events), revents: 0)
            let ready = unsafe poll(&entry, 1, remaining)
            if ready > 0 { return }
            if ready < 0, Errno.current != .interrupted { throw .current }
        }
    }
}
