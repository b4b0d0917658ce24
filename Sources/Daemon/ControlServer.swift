internal import CLinux
internal import JSON
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import System

/// The control socket: HTTP/1.1 with JSON on a Unix socket that only its owner may use.
enum ControlServer {
    /// Listens at `path`; its directory is made, and a socket that a dead daemon left is replaced.
    static func open(_ path: String, node: Node) async throws -> any Channel {
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
            try Files.makeDirectories(String(path[..<slash]), mode: 0o755)
        }
        if (try? UnixStream(connectingTo: .path(path), by: Deadline(milliseconds: 1000))) != nil {
            throw StartFault("another daemon answers on \(path)")
        }
        let channel = try await ServerBootstrap(group: node.loop)
            .serverChannelOption(.backlog, value: 64)
            .childChannelOption(.writeBufferWaterMark, value: .init(low: 256 << 10, high: 1 << 20))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(ControlHandler(node: node))
                }
            }
            .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        guard unsafe chmod(path, 0o600) == 0 else { throw SystemError("chmod", path, .current) }
        return channel
    }
}

/// One connection of a client: one request, one answer, then it is closed.
private final class ControlHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    private static let bodyLimit = 1 << 20

    private let node: Node
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var observation: UInt64?

    init(node: Node) { self.node = node }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
        case .body(let part):
            guard body.count + part.readableBytes <= Self.bodyLimit else {
                head = nil
                return context.close(promise: nil)
            }
            body.append(contentsOf: part.readableBytesView)
        case .end:
            guard let head else { return }
            self.head = nil
            answer(
                ControlRequest(method: head.method.rawValue, uri: head.uri, body: body),
                ControlConnection(channel: context.channel, version: head.version))
        }
    }

    private func answer(_ request: ControlRequest, _ connection: ControlConnection) {
        let reply = node.assumeIsolated { $0.answer(request) { connection.send($0) } }
        switch reply {
        case .now(let response): connection.send(response)
        case .later: break
        case .events(let kinds):
            connection.begin(status: 200, type: "application/x-ndjson")
            observation = node.assumeIsolated { node in
                node.observe { happening in
                    let line = happening.document
                    if kinds.isEmpty || kinds.contains(line.kind) { connection.send(line: line.value.text() + "\n") }
                }
            }
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if let observation { node.assumeIsolated { $0.ignore(observation) } }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

/// Writes the parts of an answer.
private struct ControlConnection: Sendable {
    let channel: any Channel
    let version: HTTPVersion

    func begin(status: Int, type: String, length: Int? = nil) {
        var headers: HTTPHeaders = ["Content-Type": type, "Connection": "close"]
        if let length { headers.add(name: "Content-Length", value: String(length)) }
        let head = HTTPResponseHead(version: version, status: .init(statusCode: status), headers: headers)
        channel.writeAndFlush(HTTPServerResponsePart.head(head), promise: nil)
    }

    func send(_ response: ControlResponse) {
        begin(status: response.status, type: response.type, length: response.body.utf8.count)
        channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: response.body))), promise: nil)
        channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenComplete { _ in channel.close(promise: nil) }
    }

    func send(line: String) {
        // A client that does not read is dropped: events are not kept for it.
        guard channel.isWritable else { return channel.close(promise: nil) }
        channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: line))), promise: nil)
    }
}
