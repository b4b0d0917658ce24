internal import NIOCore

/// Cuts a stream into frames. A frame that is not a peer's ends it.
final class FrameStreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    /// How long a stream may be silent; its opener closes it earlier.
    private static let silenceLimit = TimeAmount.seconds(90)
    /// How long the first frame may take.
    private static let helloLimit = TimeAmount.seconds(10)

    private let transport: FrameTransport
    private let id: ObjectIdentifier
    private var buffer = ByteBuffer()
    private var isHeadChecked = false
    private var lastFrame: NIODeadline?
    private var deadline: Scheduled<Void>?

    init(_ transport: FrameTransport, _ id: ObjectIdentifier) {
        self.transport = transport
        self.id = id
    }

    func handlerAdded(context: ChannelHandlerContext) { watch(context.channel, Self.helloLimit) }

    func handlerRemoved(context: ChannelHandlerContext) { deadline?.cancel() }

    private func watch(_ channel: any Channel, _ limit: TimeAmount) {
        let bound = NIOLoopBound(self, eventLoop: transport.loop)
        deadline = transport.loop.scheduleTask(in: limit) {
            guard let last = bound.value.lastFrame, last + Self.silenceLimit > .now() else {
                return channel.close(promise: nil)
            }
            bound.value.watch(channel, last + Self.silenceLimit - .now())
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = unwrapInboundIn(data)
        buffer.writeBuffer(&part)
        while let length = buffer.getInteger(at: buffer.readerIndex, as: UInt32.self) {
            guard length >= FrameHead.length, length <= FrameTransport.frameLimit else {
                return context.close(promise: nil)
            }
            guard buffer.readableBytes >= 4 + Int(length) else {
                guard isHeadChecked || isHeadAcceptable else { return context.close(promise: nil) }
                break
            }
            buffer.moveReaderIndex(forwardBy: 4)
            guard let frame = buffer.readBytes(length: Int(length)), transport.received(frame[...], on: id) else {
                return context.close(promise: nil)
            }
            isHeadChecked = false
            lastFrame = .now()
        }
        // A large frame's room is given back.
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        buffer.discardReadBytes()
        if !transport.holds(buffer.readableBytes, id) { buffer = ByteBuffer() }
    }

    /// Whether the head of the frame that comes is a peer's, as far as that can be told; true while it is not all here.
    private var isHeadAcceptable: Bool {
        guard let head = buffer.getBytes(at: buffer.readerIndex + 4, length: FrameHead.length) else { return true }
        isHeadChecked = transport.isAcceptable(head[...])
        return isHeadChecked
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
