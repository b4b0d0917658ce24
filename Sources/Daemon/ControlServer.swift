internal import NIOCore

/// The control socket: HTTP/1.1 with JSON on a Unix socket that only its owner may use.
enum ControlServer {
    /// Listens at `path`.
    static func open(_ path: String, node: Node) async throws -> HTTPServer {
        try await HTTPServer.open(HTTPServer.Socket(path: path), on: node.loop, ControlRouter(node: node))
    }
}

/// Hands the control socket's requests to the node, whose loop is the server's.
private struct ControlRouter: HTTPRouter {
    let node: Node

    func answer(_ request: ControlRequest, later: @escaping @Sendable (ControlResponse) -> Void) -> ControlReply {
        node.assumeIsolated { $0.answer(request, later: later) }
    }
}
