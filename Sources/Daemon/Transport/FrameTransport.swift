internal import Cluster
internal import Gossip
internal import NIOCore
internal import NIOPosix
internal import NetworkTypes
internal import StateMachine

/// The cluster port: frames in datagrams and, each after its length (4, big endian), on streams.
///
/// It lives on one event loop. A host sends on streams that it opened itself and only reads from those of others, so a stream
/// has one writer and a lost one is opened again at the next frame. Nothing is kept for a peer that does not read: beyond
/// ``queueLimit`` its frames are dropped, and the tables' repair comes back to them.
final class FrameTransport {
    /// The most a frame on a stream may have.
    static let frameLimit = 1 << 20
    /// The most a datagram's body may have: 1 400 with the frame around it, as the gossip's.
    static let datagramBodyLimit = 1400 - FrameCodec.overhead
    /// The most a stream's body may have.
    static let streamBodyLimit = frameLimit - FrameCodec.overhead
    /// The most that may wait for one peer.
    static let queueLimit = 8 << 20
    /// A stream of ours that sent nothing for this long is closed.
    static let idleLimit = TimeAmount.seconds(30)
    /// How many streams others may have open, together and from one address.
    static let acceptedLimit = 1024
    static let acceptedPerSourceLimit = 16
    /// The most that the frames on their streams may take together before they are complete.
    static let intakeLimit = 8 << 20
    /// The most that may wait for all peers together.
    static let unsentLimit = 64 << 20

    /// What is counted.
    struct Counts: Equatable, Sendable {
        var datagramsIn: UInt64 = 0
        var datagramsOut: UInt64 = 0
        var streamFramesIn: UInt64 = 0
        var streamFramesOut: UInt64 = 0
        var bytesIn: UInt64 = 0
        var bytesOut: UInt64 = 0
        var dropped: UInt64 = 0
        var connects: UInt64 = 0
        var connectsFailed: UInt64 = 0
        var streamsRefused: UInt64 = 0
    }

    let loop: any EventLoop
    private(set) var codec: FrameCodec
    private(set) var counts = Counts()
    /// Called for every body that was opened.
    private let receive: (FrameHead, [UInt8]) -> Void
    /// Called for every frame that was taken for replayed.
    var dropped: ((FrameHead) -> Void)?
    private var datagrams: DatagramSender?
    private var listener: (any Channel)?
    private var outgoing: [Endpoint: OutgoingStream] = [:]
    private var accepted: [ObjectIdentifier: (channel: any Channel, source: Endpoint)] = [:]
    private var intake = IntakeBudget<ObjectIdentifier, IPAddress>(
        streamLimit: FrameTransport.acceptedLimit, byteLimit: FrameTransport.intakeLimit)
    /// What waits for all peers.
    private var unsent = 0
    private var isClosed = false

    init(loop: any EventLoop, codec: FrameCodec, receive: @escaping (FrameHead, [UInt8]) -> Void) {
        self.loop = loop
        self.codec = codec
        self.receive = receive
    }

    /// Opens UDP and TCP at an address. On the loop.
    func open(at address: Endpoint) throws -> EventLoopFuture<Void> {
        let target = try address.socketAddress()
        let bound = NIOLoopBound(self, eventLoop: loop)
        let udp = DatagramBootstrap(group: loop)
            .channelOption(.socketOption(.so_rcvbuf), value: 4 << 20)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 1 << 16))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(FrameDatagramHandler(bound.value))
                }
            }
            .bind(to: target)
        let tcp = ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            // What many strangers send at once is in memory before it is looked at.
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 1 << 14))
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try bound.value.accepted(channel) }
            }
            .bind(to: target)
        return udp.and(tcp).flatMapThrowing { udp, tcp in
            bound.value.datagrams = try DatagramSender(udp)
            bound.value.listener = tcp
        }
    }

    /// Takes the keys the gossip has now.
    func use(_ keyRing: KeyRing?) { codec.use(keyRing) }

    /// Goes on with a later incarnation.
    func rise(to incarnation: UInt64) { codec.rise(to: incarnation) }

    /// Sends a body of at most ``datagramBodyLimit`` bytes; it may be lost.
    func sendDatagram(_ body: [UInt8], to target: Endpoint) {
        guard let datagrams, body.count <= Self.datagramBodyLimit else {
            counts.dropped += 1
            return
        }
        let frame = codec.seal(body, for: .datagram)
        counts.datagramsOut += 1
        counts.bytesOut += UInt64(frame.count)
        if !datagrams.send(frame, to: target) { counts.dropped += 1 }
    }

    /// Sends a body of at most ``streamBodyLimit`` bytes in order with those before it.
    ///
    /// - Returns: false when too much waits for the peer; the body is dropped.
    @discardableResult
    func sendStream(_ body: [UInt8], to target: Endpoint) -> Bool {
        let stream = outgoing[target] ?? OutgoingStream()
        guard !isClosed, body.count <= Self.streamBodyLimit, stream.pending + body.count <= Self.queueLimit,
            unsent + body.count <= Self.unsentLimit
        else {
            counts.dropped += 1
            return false
        }
        let frame = codec.seal(body, for: .stream)
        counts.streamFramesOut += 1
        counts.bytesOut += UInt64(frame.count)
        var buffer = ByteBuffer()
        buffer.reserveCapacity(4 + frame.count)
        buffer.writeInteger(UInt32(truncatingIfNeeded: frame.count))
        buffer.writeBytes(frame)
        stream.pending += buffer.readableBytes
        unsent += buffer.readableBytes
        stream.lastUse = .now()
        if let channel = stream.channel {
            write(buffer, stream, channel)
        } else {
            stream.waiting.append(buffer)
            if outgoing[target] == nil {
                outgoing[target] = stream
                connect(stream, target)
            }
        }
        return true
    }

    private func write(_ buffer: ByteBuffer, _ stream: OutgoingStream, _ channel: any Channel) {
        let (size, bound) = (buffer.readableBytes, NIOLoopBound((self, stream), eventLoop: loop))
        channel.writeAndFlush(buffer).whenComplete { _ in
            bound.value.0.unsent -= size
            bound.value.1.pending -= size
        }
    }

    private func connect(_ stream: OutgoingStream, _ target: Endpoint) {
        counts.connects += 1
        guard let address = try? target.socketAddress() else { return lost(stream, target) }
        let bound = NIOLoopBound((self, stream), eventLoop: loop)
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(5))
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .connect(to: address)
            .whenComplete { result in
                let (transport, stream) = bound.value
                switch result {
                case .success(let channel): transport.connected(stream, target, channel)
                case .failure:
                    transport.counts.connectsFailed += 1
                    transport.lost(stream, target)
                }
            }
    }

    private func connected(_ stream: OutgoingStream, _ target: Endpoint, _ channel: any Channel) {
        guard !isClosed else { return channel.close(promise: nil) }
        stream.channel = channel
        let bound = NIOLoopBound((self, stream), eventLoop: loop)
        channel.closeFuture.whenComplete { _ in bound.value.0.lost(bound.value.1, target) }
        let waiting = stream.waiting
        stream.waiting = []
        for buffer in waiting { write(buffer, stream, channel) }
        watch(stream, target)
    }

    /// Closes the stream when it has been idle for long enough.
    private func watch(_ stream: OutgoingStream, _ target: Endpoint) {
        let bound = NIOLoopBound((self, stream), eventLoop: loop)
        loop.scheduleTask(deadline: stream.lastUse + Self.idleLimit) {
            let (transport, stream) = bound.value
            guard transport.outgoing[target] === stream else { return }
            if stream.lastUse + Self.idleLimit <= .now(), stream.pending == 0 {
                stream.channel?.close(promise: nil)
            } else {
                stream.lastUse = max(stream.lastUse, .now() - Self.idleLimit + .seconds(1))
                transport.watch(stream, target)
            }
        }
    }

    private func lost(_ stream: OutgoingStream, _ target: Endpoint) {
        counts.dropped += UInt64(stream.waiting.count)
        drop(stream)
        if outgoing[target] === stream { outgoing[target] = nil }
    }

    /// Gives up what waits for a peer that is gone.
    func forget(_ target: Endpoint) {
        guard let stream = outgoing.removeValue(forKey: target) else { return }
        drop(stream)
        stream.channel?.close(promise: nil)
    }

    /// Drops what waits for a connection.
    private func drop(_ stream: OutgoingStream) {
        unsent -= stream.waiting.reduce(0) { $0 + $1.readableBytes }
        stream.waiting = []
    }

    // MARK: Receiving

    private func accepted(_ channel: any Channel) throws {
        guard let source = channel.remoteAddress.flatMap({ Endpoint($0) }), !isClosed,
            accepted.count < Self.acceptedLimit,
            accepted.values.count(where: { $0.source.address == source.address }) < Self.acceptedPerSourceLimit
        else {
            counts.streamsRefused += 1
            return channel.close(promise: nil)
        }
        let id = ObjectIdentifier(channel)
        accepted[id] = (channel, source)
        close(intake.open(id, from: source.address, isTrusted: false).map { [$0] } ?? [])
        let bound = NIOLoopBound(self, eventLoop: loop)
        channel.closeFuture.whenComplete { _ in
            bound.value.accepted[id] = nil
            bound.value.intake.close(id)
        }
        try channel.pipeline.syncOperations.addHandler(FrameStreamHandler(self, id))
    }

    private func close(_ victims: [ObjectIdentifier]) {
        for victim in victims {
            counts.streamsRefused += 1
            accepted[victim]?.channel.close(promise: nil)
        }
    }

    /// Notes what a stream holds of a frame that is not complete; false when it was too much, and the stream is closed.
    func holds(_ bytes: Int, _ stream: ObjectIdentifier) -> Bool {
        let victims = intake.hold(bytes, for: stream)
        close(victims)
        return !victims.contains(stream)
    }

    /// Whether a frame may be waited for by its head.
    func isAcceptable(_ head: ArraySlice<UInt8>) -> Bool {
        do throws(FrameFault) {
            try codec.check(head, from: .stream)
            return true
        } catch {
            return false
        }
    }

    func received(_ frame: ArraySlice<UInt8>, on stream: ObjectIdentifier) -> Bool {
        switch received(frame, .stream) {
        case .taken:
            // Without keys a frame proves nothing.
            if codec.isSealed { intake.trust(stream) }
            return true
        // It was an honest host's once, whoever sends it now.
        case .replayed: return true
        case .refused: return false
        }
    }

    enum Verdict { case taken, replayed, refused }

    @discardableResult
    func received(_ frame: ArraySlice<UInt8>, _ way: FrameHead.Way) -> Verdict {
        counts.bytesIn += UInt64(frame.count)
        switch way {
        case .datagram: counts.datagramsIn += 1
        case .stream: counts.streamFramesIn += 1
        }
        do throws(FrameFault) {
            let (head, body) = try codec.open(frame, from: way)
            receive(head, body)
            return .taken
        } catch {
            guard error == .replayed else { return .refused }
            // A replayed frame is an honest host's; the other faults are not what our peers send.
            if let head = try? FrameHead(frame) { dropped?(head) }
            return .replayed
        }
    }

    /// How many streams are open, ours and others'.
    var streamCount: (ours: Int, others: Int) { (outgoing.count, accepted.count) }

    /// Closes everything.
    func close() {
        isClosed = true
        datagrams?.close()
        listener?.close(promise: nil)
        for stream in outgoing.values { stream.channel?.close(promise: nil) }
        for stream in accepted.values { stream.channel.close(promise: nil) }
    }
}

/// A stream that we opened to a peer.
private final class OutgoingStream {
    var channel: (any Channel)?
    /// What waits for the connection.
    var waiting: [ByteBuffer] = []
    /// Bytes that are not yet in the kernel.
    var pending = 0
    var lastUse = NIODeadline.now()
}

/// Hands datagrams to the transport.
private final class FrameDatagramHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let transport: FrameTransport

    init(_ transport: FrameTransport) { self.transport = transport }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        transport.received(Array(unwrapInboundIn(data).data.readableBytesView)[...], .datagram)
    }

    /// What a peer's host answers to one datagram says nothing about the socket.
    func errorCaught(context: ChannelHandlerContext, error: any Error) {}
}
