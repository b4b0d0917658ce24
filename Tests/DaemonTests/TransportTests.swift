import Cluster
import Gossip
import NIOCore
import NIOPosix
import NetworkTypes
import Synchronization
import System
import TestSupport
import Testing

@testable import Daemon

/// The cluster port with real sockets on the loopback device.
@Suite(.serialized) struct TransportTests {
    private static let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1).next()

    /// One end, and what it received.
    final class End: Sendable {
        let host: HostID
        let address: Endpoint
        let bound: NIOLoopBoundBox<FrameTransport>
        let received: Received

        final class Received: Sendable {
            let bodies = Mutex<[[UInt8]]>([])
        }

        init(_ number: UInt128, keyRing: KeyRing?) throws {
            host = HostID(rawValue: number)
            let codec = FrameCodec(
                cluster: "test", host: host, incarnation: 1, counter: UInt64(number) << 32, keyRing: keyRing)
            let received = Received()
            self.received = received
            var random = KernelRandom()
            var opened: (NIOLoopBoundBox<FrameTransport>, Endpoint)?
            // A port that is free for both kinds of socket.
            for _ in 0..<50 where opened == nil {
                let port = UInt16(20_000 + random.next() % 10_000)
                let address = Endpoint(address: .v4(IPv4Address(rawValue: 0x7F00_0001)), port: port)
                opened = try? TransportTests.loop.flatSubmit {
                    let transport = FrameTransport(loop: TransportTests.loop, codec: codec) { _, body in
                        received.bodies.withLock { $0.append(body) }
                    }
                    let box = NIOLoopBoundBox(transport, eventLoop: TransportTests.loop)
                    do {
                        return try transport.open(at: address).map { (box, address) }
                    } catch {
                        return TransportTests.loop.makeFailedFuture(error)
                    }
                }.wait()
            }
            (bound, address) = try #require(opened)
        }

        func on<Value: Sendable>(_ body: @escaping @Sendable (FrameTransport) -> Value) throws -> Value {
            let bound = bound
            return try TransportTests.loop.submit { body(bound.value) }.wait()
        }

        var bodies: [[UInt8]] { received.bodies.withLock { $0 } }

        func close() { try? on { $0.close() } }
    }

    private func eventually(_ what: String, _ isSo: () throws -> Bool) throws {
        let deadline = Deadline(milliseconds: 20_000)
        while try !isSo() {
            try #require(deadline.remainingMilliseconds > 0, "never came true: \(what)")
            pause(milliseconds: 5)
        }
    }

    private func ring() throws -> KeyRing { try KeyRing(primary: Array(0..<32)) }

    @Test func carriesDatagramsAndStreams() throws {
        let (one, two) = (try End(1, keyRing: ring()), try End(2, keyRing: ring()))
        defer {
            one.close()
            two.close()
        }
        let large = [UInt8](repeating: 5, count: FrameTransport.streamBodyLimit)
        let target = two.address
        try one.on { transport in
            transport.sendDatagram([1], to: target)
            for number in 0..<100 { transport.sendStream([2, UInt8(number)], to: target) }
            transport.sendStream(large, to: target)
        }
        try eventually("all came") { two.bodies.count == 102 }
        // Streams keep their order.
        #expect(two.bodies.filter { $0.first == 2 }.map { Int($0[1]) } == Array(0..<100))
        #expect(two.bodies.last { $0.first == 5 } == large)
        #expect(try one.on { $0.streamCount.ours } == 1)
        #expect(try one.on { $0.counts.connects } == 1)
        // Too large is dropped, not sent.
        let dropped = try one.on { transport in
            transport.sendDatagram([UInt8](repeating: 0, count: 2000), to: target)
            transport.sendStream([UInt8](repeating: 0, count: FrameTransport.frameLimit), to: target)
            return transport.counts.dropped
        }
        #expect(dropped == 2)
    }

    /// A channel closes at such a refusal, and the host would be deaf until its next start.
    @Test func aRefusedDatagramIsOnlyLost() throws {
        let (one, two) = (try End(1, keyRing: ring()), try End(2, keyRing: ring()))
        defer {
            one.close()
            two.close()
        }
        // EACCES: the socket may not send to all.
        let everybody = Endpoint(address: .v4(IPv4Address(rawValue: .max)), port: 9)
        let (first, second) = (one.address, two.address)
        try one.on { transport in
            transport.sendDatagram([0], to: everybody)
            transport.sendDatagram([1], to: second)
        }
        try eventually("the next one is sent") { two.bodies == [[1]] }
        #expect(try one.on { $0.counts.dropped } == 1)
        try two.on { $0.sendDatagram([2], to: first) }
        try eventually("and it still hears") { one.bodies == [[2]] }
    }

    @Test func boundsWhatWaits() throws {
        let one = try End(1, keyRing: ring())
        defer { one.close() }
        // The discard port is closed, but that is not known before the loop turns.
        let nobody = Endpoint(address: .v4(IPv4Address(rawValue: 0x7F00_0001)), port: 9)
        let taken = try one.on { transport in
            (0..<20).count { _ in transport.sendStream([UInt8](repeating: 0, count: 1_000_000), to: nobody) }
        }
        #expect(taken == 8)
        try eventually("it gave up") { try one.on { $0.streamCount.ours } == 0 }
        #expect(try one.on { $0.counts.connectsFailed } == 1)
    }

    @Test func connectsAgain() throws {
        let one = try End(1, keyRing: ring())
        defer { one.close() }
        let two = try End(2, keyRing: ring())
        let target = two.address
        try one.on { _ = $0.sendStream([1], to: target) }
        try eventually("it came") { two.bodies.count == 1 }
        two.close()
        try eventually("the end is seen") { try one.on { $0.streamCount.ours } == 0 }
        // A child of another test may hold the listener for the moment between its fork and its exec.
        try eventually("nobody is there") {
            try one.on { transport in
                _ = transport.sendStream([2], to: target)
                return transport.counts.connectsFailed >= 1
            }
        }
    }

    /// Forgery, replay and noise at live ports: counted, streams ended, the port goes on.
    @Test func survivesHostility() throws {
        let (one, two) = (try End(1, keyRing: ring()), try End(2, keyRing: ring()))
        defer {
            one.close()
            two.close()
        }
        let target = two.address
        var captured = FrameCodec(
            cluster: "test", host: HostID(rawValue: 3), incarnation: 1, counter: 0, keyRing: try ring())
        let genuine = captured.seal([9], for: .datagram)
        var forged = genuine
        forged[45] ^= 1
        var plain = FrameCodec(cluster: "test", host: HostID(rawValue: 4), incarnation: 1, counter: 0, keyRing: nil)
        let unsealed = plain.seal([9], for: .datagram)
        var random = SeededGenerator(for: "transport noise")
        let noise = (0..<500).map { _ in
            (0..<random.below(300)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        }
        let sender = try DatagramBootstrap(group: Self.loop).bind(host: "127.0.0.1", port: 0).wait()
        let address = try target.socketAddress()
        for datagram in [genuine, forged, genuine, unsealed] + noise {
            try sender.writeAndFlush(AddressedEnvelope(remoteAddress: address, data: ByteBuffer(bytes: datagram)))
                .wait()
        }
        try sender.close().wait()
        for garbage in [
            noise[0] + [0], [0, 0, 0, 50] + noise[1] + [UInt8](repeating: 7, count: 60), [0xFF, 0xFF, 0xFF, 0xFF],
        ] {
            let stream = try ClientBootstrap(group: Self.loop).connect(to: address).wait()
            try stream.writeAndFlush(ByteBuffer(bytes: garbage.count < 4 ? [255, 255, 255, 255] : garbage)).wait()
            try stream.closeFuture.wait()
        }
        try one.on { _ = $0.sendStream([1], to: target) }
        try eventually("the honest frame came") { two.bodies.contains([1]) }
        #expect(two.bodies.count { $0 == [9] } == 1)
        #expect(two.bodies.count == 2)
        let faults = try two.on { $0.codec.faults }
        #expect(faults[.replayed] == 1)
        #expect(faults[.forged, default: 0] >= 1)
        #expect(faults[.notSealed] == 1)
        try eventually("hostile streams are closed") { try two.on { $0.streamCount.others } == 1 }
    }
}
