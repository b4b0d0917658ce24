internal import NIOCore

/// Bounds a request's head before it is taken apart, and drops what comes after the request.
final class HTTPHeadGuard: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let handler: HTTPConnectionHandler
    private var count = 0

    init(_ handler: HTTPConnectionHandler) { self.handler = handler }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        let limit = handler.limits.head
        if handler.isWaiting, let start = bytes.readSlice(length: min(bytes.readableBytes, limit - count)) {
            // The body may come with the head, so as much as a head may have goes first.
            count += start.readableBytes
            context.fireChannelRead(NIOAny(start))
            if handler.isWaiting, bytes.readableBytes > 0 {
                return handler.refuse(431, "a request's head may have \(limit) bytes", context.channel)
            }
        }
        if bytes.readableBytes > 0, !handler.isAnswering { context.fireChannelRead(NIOAny(bytes)) }
    }
}
