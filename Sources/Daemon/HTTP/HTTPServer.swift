internal import CLinux
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import Synchronization
internal import System

/// Answers the requests that come to a socket.
protocol HTTPRouter: Sendable {
    /// Answers a request, on the server's loop; `later` is called once when the reply says so, on any thread.
    func answer(_ request: ControlRequest, later: @escaping @Sendable (ControlResponse) -> Void) -> ControlReply
}

/// HTTP/1.1 on a Unix socket: one request for each connection, and bounds for what its clients may take.
///
/// What is served there is a router's business; the control socket is one, and others may stand beside it.
final class HTTPServer: Sendable {
    /// Where a server listens.
    struct Socket: Equatable, Sendable {
        /// The path; its directory is made.
        let path: String
        /// Who may connect.
        var mode: UInt32 = 0o600
    }

    private let channel: any Channel
    private let load: Load

    /// What is open.
    private final class Load: Sendable {
        let connections = Atomic(0)
    }

    private init(_ channel: any Channel, _ load: Load) {
        self.channel = channel
        self.load = load
    }

    /// Listens at a socket; one that a dead process left is replaced.
    ///
    /// - Throws: ``StartFault`` when somebody answers there, or what the system says.
    static func open(
        _ socket: Socket, on loop: any EventLoop, limits: HTTPLimits = HTTPLimits(), _ router: any HTTPRouter
    ) async throws -> HTTPServer {
        let path = socket.path
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try Files.makeDirectories(String(path[..<slash]), mode: 0o755)
        }
        if (try? UnixStream(connectingTo: .path(path), by: Deadline(milliseconds: 1000))) != nil {
            throw StartFault("another daemon answers on \(path)")
        }
        let load = Load()
        let channel = try await ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 64)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try connect(channel, limits, router, load)
                }
            }
            .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        guard unsafe chmod(path, socket.mode) == 0 else { throw SystemError("chmod", path, .current) }
        return HTTPServer(channel, load)
    }

    private static func connect(
        _ channel: any Channel, _ limits: HTTPLimits, _ router: any HTTPRouter, _ load: Load
    ) throws {
        let count = load.connections.add(1, ordering: .relaxed).newValue
        channel.closeFuture.whenComplete { _ in load.connections.subtract(1, ordering: .relaxed) }
        let pipeline = channel.pipeline.syncOperations
        let handler = HTTPConnectionHandler(limits, router, isRefused: count > limits.connections)
        try pipeline.addHandler(HTTPHeadGuard(handler))
        try pipeline.configureHTTPServerPipeline(withPipeliningAssistance: false, withErrorHandling: false)
        try pipeline.addHandler(handler)
    }

    /// How many clients are connected.
    var connectionCount: Int { load.connections.load(ordering: .relaxed) }

    /// Takes no more clients; those that are connected are answered.
    func close() async throws { try await channel.close() }
}
