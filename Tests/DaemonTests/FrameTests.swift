import Cluster
import Gossip
import TestSupport
import Testing

@testable import Daemon

/// The frames between daemons: their bytes, and what is refused.
struct FrameTests {
    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = hex.compactMap { $0.hexDigitValue.map { UInt8($0) } }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private static let host = HostID(rawValue: 0x1011_1213_1415_1617_1819_1a1b_1c1d_1e1f)
    private static let key = Array(UInt8(0)..<32)

    private func codec(
        _ host: HostID = Self.host, incarnation: UInt64 = 7, cluster: String = "swiftlet", keys: [[UInt8]] = [Self.key]
    ) throws -> FrameCodec {
        FrameCodec(
            cluster: cluster, host: host, incarnation: incarnation, counter: 1234,
            keyRing: try keys.first.map { try KeyRing(primary: $0, others: Array(keys.dropFirst())) })
    }

    private func receiver(keys: [[UInt8]] = [Self.key]) throws -> FrameCodec {
        try codec(HostID(rawValue: 1), keys: keys)
    }

    /// Made with Python's `hmac` and `cryptography`.
    @Test func makesTheBytesOthersMake() throws {
        var sender = try codec()
        let sealed = sender.seal(Array("hello".utf8), for: .datagram)
        #expect(
            sealed
                == Self.bytes(
                    "0151d1739d5e6ba52f101112131415161718191a1b1c1d1e1f00000000000000070000000000000135"
                        + "fbca219067eb206bdf854bbb3e5085bfc72416f48f"))
        #expect(
            sender.seal([], for: .stream)
                == Self.bytes(
                    "0151d1739d5e6ba52f101112131415161718191a1b1c1d1e1f00000000000000078000000000000136"
                        + "9cc9cf4eacbd7efe7aecbd2385533dc2"))
        var plain = try codec(keys: [])
        #expect(
            plain.seal(Array("hello".utf8), for: .datagram)
                == Self.bytes(
                    "0151d1739d00000000101112131415161718191a1b1c1d1e1f00000000000000070000000000000135" + "68656c6c6f")
        )
        var other = try receiver()
        let (head, body) = try other.open(sealed[...], from: .datagram)
        #expect(body == Array("hello".utf8))
        #expect(head.sender == Self.host && head.incarnation == 7)
    }

    @Test func opensUnderAnyKeyItHas() throws {
        let (first, second) = (Self.key, [UInt8](repeating: 9, count: 16))
        var sender = try codec(keys: [second, first])
        var other = try receiver(keys: [first, second])
        #expect(try other.open(sender.seal([1], for: .datagram)[...], from: .datagram).body == [1])
        sender.use(try KeyRing(primary: first))
        #expect(try other.open(sender.seal([2], for: .datagram)[...], from: .datagram).body == [2])
        other.use(try KeyRing(primary: second))
        #expect(throws: FrameFault.unknownKey) {
            try other.open(sender.seal([3], for: .datagram)[...], from: .datagram)
        }
    }

    @Test func refusesWhatIsNotAPeers() throws {
        var (sender, other) = (try codec(), try receiver())
        var stranger = try codec(cluster: "other")
        var plain = try codec(keys: [])
        let good = sender.seal([1, 2, 3], for: .datagram)
        let cases: [(FrameFault, [UInt8])] = [
            (.tooShort, []), (.tooShort, Array(good.prefix(40))), (.tooShort, Array(good.prefix(50))),
            (.unknownVersion, [2] + good.dropFirst()), (.otherCluster, stranger.seal([1], for: .datagram)),
            (.notSealed, plain.seal([1], for: .datagram)), (.wrongWay, sender.seal([1], for: .stream)),
            (.forged, Array(good.dropLast())), (.forged, good + [0]),
        ]
        for (fault, frame) in cases {
            #expect(throws: fault) { try other.open(frame[...], from: .datagram) }
        }
        #expect(throws: FrameFault.own) { try sender.open(good[...], from: .datagram) }
        var unkeyed = try receiver(keys: [])
        #expect(throws: FrameFault.unknownKey) { try unkeyed.open(good[...], from: .datagram) }
        #expect(try unkeyed.open(plain.seal([7], for: .datagram)[...], from: .datagram).body == [7])
        #expect(other.faults[.forged] == 2 && other.faults[.tooShort] == 3)
        #expect(try other.open(good[...], from: .datagram).body == [1, 2, 3])
    }

    /// Every byte of a frame is protected.
    @Test func noticesEveryChangedByte() throws {
        var (sender, other) = (try codec(), try receiver())
        let frame = sender.seal([1, 2, 3], for: .datagram)
        for index in frame.indices {
            var changed = frame
            changed[index] ^= 0x10
            #expect(throws: FrameFault.self, "byte \(index)") { try other.open(changed[...], from: .datagram) }
        }
        // None of them used up the frame's place.
        #expect(try other.open(frame[...], from: .datagram).body == [1, 2, 3])
    }

    @Test func takesEveryFrameOnce() throws {
        var (sender, other) = (try codec(), try receiver())
        let frames = (0..<200).map { sender.seal([UInt8($0)], for: .datagram) }
        let streamed = sender.seal([200], for: .stream)
        var random = SeededGenerator(for: "replay")
        // In any order, as long as none is more than 63 behind.
        for start in stride(from: 0, to: 192, by: 32) {
            for frame in frames[start..<start + 32].shuffled(using: &random) {
                #expect(try other.open(frame[...], from: .datagram).body.count == 1)
            }
        }
        for frame in frames[..<192] {
            #expect(throws: FrameFault.replayed) { try other.open(frame[...], from: .datagram) }
        }
        // A gap makes what is far behind old; streams are counted on their own.
        var late = try receiver()
        _ = try late.open(frames[199][...], from: .datagram)
        #expect(throws: FrameFault.replayed) { try late.open(frames[135][...], from: .datagram) }
        #expect(try late.open(frames[136][...], from: .datagram).body == [136])
        #expect(try late.open(streamed[...], from: .stream).body == [200])
        #expect(throws: FrameFault.replayed) { try late.open(streamed[...], from: .stream) }
    }

    @Test func forgetsAnEarlierIncarnation() throws {
        var (old, new, other) = (try codec(), try codec(incarnation: 8), try receiver())
        let (first, second) = (old.seal([1], for: .datagram), old.seal([2], for: .datagram))
        _ = try other.open(first[...], from: .datagram)
        #expect(try other.open(new.seal([3], for: .datagram)[...], from: .datagram).body == [3])
        #expect(throws: FrameFault.replayed) { try other.open(second[...], from: .datagram) }
    }

    /// Noise and mutated frames end nothing and open nothing.
    @Test func survivesNoise() throws {
        var random = SeededGenerator(for: "frame noise")
        var (sender, other) = (try codec(), try receiver())
        for round in 0..<20_000 {
            var frame = sender.seal(
                (0..<random.below(64)).map { _ in UInt8(truncatingIfNeeded: random.next()) }, for: .datagram)
            if round % 4 == 0 { frame = (0..<random.below(120)).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
            for _ in 0...random.below(3) where !frame.isEmpty {
                frame[random.below(frame.count)] ^= UInt8(1 + random.below(255))
            }
            if round % 3 == 0 { frame.removeLast(min(frame.count, random.below(60))) }
            let opened = try? other.open(frame[...], from: .datagram)
            // Two changes may undo each other.
            if let opened { #expect(opened.head.sender == Self.host, "round \(round)") }
        }
        #expect(try other.open(sender.seal([1], for: .datagram)[...], from: .datagram).body == [1])
    }
}
