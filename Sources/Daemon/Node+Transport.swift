internal import Gossip
internal import NIOCore
internal import NIOPosix

/// A stream of the engine and its channel, once there is one.
struct OpenStream {
    var channel: (any Channel)?
}

/// What the sockets of the gossip's streams take.
struct StreamLoad: Equatable, Sendable {
    /// Connections that others opened, those among them that the engine is done with, and that still send an answer.
    var accepted = 0
    /// Bytes that wait for others to read them.
    var unsent = 0
}

extension Node {
    /// The most bytes of a datagram that is received.
    private static let datagramLimit = 1 << 16
    private static let socketBuffer = 2 << 20
    /// How much is read from a stream at once: what many send at the same time is in memory before the engine sees it.
    private static let streamRead = 1 << 14
    /// The most connections of others; more than the engine's streams, since answers are sent after it is done with them.
    static let connectionLimit = 256
    /// The most that may wait for those who do not read.
    static let unsentLimit = 16 << 20

    /// Opens UDP and TCP at `address` and starts the engine.
    nonisolated func open(at address: Endpoint) async throws {
        let target = try address.socketAddress()
        let udp = try await DatagramBootstrap(group: loop)
            .channelOption(.socketOption(.so_rcvbuf), value: SocketOptionValue(Self.socketBuffer))
            .channelOption(
                .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.datagramLimit)
            )
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(DatagramHandler(node: self))
                }
            }
            .bind(to: target).get()
        let tcp: any Channel
        do {
            tcp = try await ServerBootstrap(group: loop)
                .serverChannelOption(.backlog, value: 256)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .childChannelOption(
                    .recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: Self.streamRead)
                )
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        guard let peer = channel.remoteAddress.flatMap({ Endpoint($0) }),
                            let id = self.assumeIsolated({ $0.accepted(channel) })
                        else {
                            channel.close(promise: nil)
                            return
                        }
                        try channel.pipeline.syncOperations.addHandler(StreamHandler(node: self, id: id))
                        self.assumeIsolated { $0.give(.streamAccepted(id, from: peer)) }
                    }
                }
                .bind(to: target).get()
        } catch {
            try? await udp.close()
            throw error
        }
        try await start(udp, tcp)
    }

    private func start(_ udp: any Channel, _ tcp: any Channel) throws {
        datagrams = try DatagramSender(udp)
        listener = tcp
        give(.start)
    }

    /// The engine's name for a connection of another host; nil when there are too many.
    func accepted(_ channel: any Channel) -> StreamID? {
        guard streamLoad.accepted < Self.connectionLimit else { return nil }
        streamLoad.accepted += 1
        channel.closeFuture.whenComplete { _ in self.assumeIsolated { $0.streamLoad.accepted -= 1 } }
        acceptedStreams += 1
        let id = StreamID.accepted(acceptedStreams)
        streams[id] = OpenStream(channel: channel)
        return id
    }

    func sendDatagram(_ bytes: [UInt8], to target: Endpoint) {
        datagrams?.send(bytes, to: target)
    }

    func openStream(_ id: StreamID, to target: Endpoint, _ bytes: [UInt8]) {
        streams[id] = OpenStream()
        guard let address = try? target.socketAddress() else { return ended(id) }
        ClientBootstrap(group: loop)
            .connectTimeout(.nanoseconds(Int64(clamping: instance.settings.streamTimeout)))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(StreamHandler(node: self, id: id))
                }
            }
            .connect(to: address)
            .whenComplete { result in self.assumeIsolated { $0.connected(id, result, bytes) } }
    }

    private func connected(_ id: StreamID, _ result: Result<any Channel, any Error>, _ bytes: [UInt8]) {
        switch result {
        case .success(let channel):
            // The engine may have given up in the meantime.
            guard streams[id] != nil else { return channel.close(promise: nil) }
            streams[id]?.channel = channel
            channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        case .failure:
            ended(id)
        }
    }

    func sendStream(_ id: StreamID, _ bytes: [UInt8]) {
        guard let channel = streams[id]?.channel else { return }
        // Whoever asks and does not read gets nothing more; the exchange is repeated.
        guard streamLoad.unsent + bytes.count <= Self.unsentLimit else { return channel.close(promise: nil) }
        streamLoad.unsent += bytes.count
        let count = bytes.count
        channel.writeAndFlush(ByteBuffer(bytes: bytes)).whenComplete { _ in
            self.assumeIsolated { $0.streamLoad.unsent -= count }
        }
    }

    func closeStream(_ id: StreamID) {
        guard let channel = streams.removeValue(forKey: id)?.channel else { return }
        // Writes end in order: after this empty one everything was sent. What is not read in time is given up.
        let limit = loop.scheduleTask(in: .nanoseconds(Int64(clamping: instance.settings.streamTimeout))) {
            channel.close(promise: nil)
        }
        channel.writeAndFlush(ByteBuffer()).whenComplete { _ in
            limit.cancel()
            channel.close(promise: nil)
        }
    }

    /// The stream ended by itself.
    func ended(_ id: StreamID) {
        if streams.removeValue(forKey: id) != nil { give(.streamEnded(id)) }
    }
}

/// Hands datagrams to the engine.
private final class DatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let node: Node

    init(node: Node) { self.node = node }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        guard let source = Endpoint(envelope.remoteAddress) else { return }
        let bytes = Array(envelope.data.readableBytesView)
        node.assumeIsolated { $0.give(.datagram(bytes, from: source)) }
    }

    /// What a peer's host answers to one datagram says nothing about the socket.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}

/// Hands the bytes of one stream to the engine.
private final class StreamHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let node: Node
    private let id: StreamID

    init(node: Node, id: StreamID) {
        self.node = node
        self.id = id
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Array(unwrapInboundIn(data).readableBytesView)
        let id = id
        node.assumeIsolated { $0.give(.streamData(id, bytes)) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        let id = id
        node.assumeIsolated { $0.ended(id) }
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
