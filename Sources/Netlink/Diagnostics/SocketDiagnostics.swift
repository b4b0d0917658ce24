internal import CLinux
internal import NetworkTypes
public import System

/// Who listens in one network namespace, over one `NETLINK_SOCK_DIAG` socket. Not for use by several threads at a time.
public final class SocketDiagnostics {
    private let session: NetlinkSession

    /// Opens a session in the calling thread's network namespace.
    public init() throws(SystemError) {
        session = try NetlinkSession(protocolNumber: NETLINK_SOCK_DIAG)
    }

    /// Opens a session in another namespace.
    public init(in namespace: borrowing NetworkNamespace) throws(SystemError) {
        session = try NetlinkSession(protocolNumber: NETLINK_SOCK_DIAG, in: namespace)
    }

    /// The sockets of both families that take what comes to a port. Equivalent: `ss -l46n[tuS] sport = PORT`.
    ///
    /// - Parameter port: nil for all ports.
    /// - Returns: in no order; none for SCTP when the kernel has no SCTP.
    /// - Throws: `ENOENT` when the kernel cannot list sockets of the protocol (`CONFIG_INET_DIAG`).
    public func listeners(
        port: UInt16?, transport: SocketTransport
    ) throws(NetlinkError) -> [ListeningSocket] {
        // To the kernel port 0 is no port, and nobody can listen there.
        if port == 0 { return [] }
        return try listeners(.ipv4, port, transport) + listeners(.ipv6, port, transport)
    }

    /// Opens a session in the calling thread's namespace for one question; see ``listeners(port:transport:)``.
    public static func listeners(
        port: UInt16?, transport: SocketTransport
    ) throws(NetlinkError) -> [ListeningSocket] {
        let diagnostics: SocketDiagnostics
        do {
            diagnostics = try SocketDiagnostics()
        } catch {
            throw NetlinkError(operation: error.operation, subject: error.subject, errno: error.errno)
        }
        return try diagnostics.listeners(port: port, transport: transport)
    }

    private func listeners(
        _ family: AddressFamily, _ port: UInt16?, _ transport: SocketTransport
    ) throws(NetlinkError) -> [ListeningSocket] {
        do {
            return try session.dump {
                $0.appendDumpListeners(family, transport, port: port)
            } decode: { _, payload, sockets in
                guard let socket = ListeningSocket(payload, transport) else { return false }
                if port == nil || socket.port == port { sockets.append(socket) }
                return true
            }
        } catch {
            // SCTP is a module that most hosts never load.
            if transport == .sctp, error.errno == .noSuchFileOrDirectory { return [] }
            throw NetlinkError(error, "list", "\(transport) listeners")
        }
    }
}
