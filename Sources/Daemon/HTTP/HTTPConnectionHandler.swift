internal import NIOCore
internal import NIOHTTP1

/// One connection of a client: one request, one answer, then it is closed.
final class HTTPConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    private enum State {
        case waiting
        case receiving(HTTPRequestHead)
        /// The router has it, or an answer is on its way.
        case answering
    }

    let limits: HTTPLimits
    private let router: any HTTPRouter
    private let isRefused: Bool
    private var state = State.waiting
    private var body: [UInt8] = []
    private var deadline: Scheduled<Void>?
    private var ended: (@Sendable () -> Void)?

    init(_ limits: HTTPLimits, _ router: any HTTPRouter, isRefused: Bool) {
        self.limits = limits
        self.router = router
        self.isRefused = isRefused
    }

    /// Whether the head of the request is still to come.
    var isWaiting: Bool { if case .waiting = state { true } else { false } }

    /// Whether nothing more is read of the client.
    var isAnswering: Bool { if case .answering = state { true } else { false } }

    func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context.channel), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: limits.requestTime) {
            let (handler, channel) = bound.value
            handler.refuse(408, "the request took too long to come in", channel)
        }
    }

    func channelActive(context: ChannelHandlerContext) {
        if isRefused { refuse(503, "too many connections", context.channel) }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .waiting): state = .receiving(head)
        case (.body(let part), .receiving):
            guard body.count + part.readableBytes <= limits.body else {
                return refuse(413, "a body may have \(limits.body) bytes", context.channel)
            }
            body.append(contentsOf: part.readableBytesView)
        case (.end, .receiving(let head)):
            deadline?.cancel()
            state = .answering
            answer(head, context)
        default: break
        }
    }

    private func answer(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        let connection = connection(context.channel, head.version)
        guard let request = ControlRequest(method: head.method.rawValue, uri: head.uri, body: body) else {
            return connection.send(.refusal(400, "the address has a broken percent escape: \(head.uri)"))
        }
        body = []
        switch router.answer(request, later: { connection.send($0) }) {
        case .now(let response): connection.send(response)
        case .later: break
        case .stream(let type, let begin):
            connection.begin(status: 200, type: type)
            ended = begin { connection.send(line: $0) }
        }
    }

    /// Says no before the router has seen anything.
    func refuse(_ status: Int, _ reason: String, _ channel: any Channel) {
        if case .answering = state { return }
        state = .answering
        deadline?.cancel()
        connection(channel, .http1_1).send(.refusal(status, reason))
    }

    private func connection(_ channel: any Channel, _ version: HTTPVersion) -> HTTPConnection {
        HTTPConnection(channel: channel, version: version, answerTime: limits.answerTime)
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        ended?()
        ended = nil
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is HTTPParserError { return refuse(400, "this is no HTTP request", context.channel) }
        context.close(promise: nil)
    }
}
