import GossipFixtures
import StateMachine
import Testing

@testable import Gossip

/// Noise, truncation and mutation of real bytes: nothing traps, nothing grows without bound, and the node still works.
@Suite struct FuzzTests {
    /// Ten million packets in all where minutes do not matter.
    private static let iterations =
        environment("SWIFTLET_FUZZ_ITERATIONS").flatMap(Int.init) ?? (isLong ? 10_000_000 : 6000)

    @Test(arguments: [1, 2]) func noisyNetwork(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let corpus = Mutation.corpus
        var settings = Settings.lan
        settings.memberLimit = 200
        var bench = try Bench(settings, keyRing: seed == 2 ? KeyRing(primary: [UInt8](repeating: 1, count: 16)) : nil)
        let envelope = bench.instance.envelope
        for round in 0..<Self.iterations / 2 {
            let bytes = Mutation.of(corpus[Int.random(in: 0..<corpus.count, using: &random)], &random)
            // With keys, what is mutated is inside of the seal.
            let sealed = envelope.keyRing == nil ? bytes : envelope.sealPacket(bytes, checksum: false, random: &random)
            switch round % 4 {
            case 0, 1:
                bench.receive(sealed, from: host(Int.random(in: 2...20, using: &random)))
            case 2:
                let both = Compound.encode([bytes, [8] + bytes])
                bench.receive(
                    envelope.keyRing == nil ? both : envelope.sealPacket(both, checksum: false, random: &random))
            default:
                let id = StreamID.accepted(UInt64(round))
                bench.give(.streamAccepted(id, from: host(2)))
                bench.give(.streamData(id, bytes))
                bench.give(.streamEnded(id))
            }
            if round % 16 == 0 { bench.run(.milliseconds(100)) }
            if round % 65_536 == 65_535 { expectBounds(bench.instance, "seed \(seed), round \(round)") }
        }
        expectBounds(bench.instance, "seed \(seed)")
        #expect(bench.status("myself") == .alive, "seed \(seed)")
        #expect(bench.instance.count(of: .malformed) > 0)
        bench.receive(
            envelope.sealPacket(Ping(sequence: 7, node: "", source: nil).encode(), checksum: false, random: &random))
        #expect(bench.output.contains { if case .sendDatagram = $0 { true } else { false } })
    }

    /// Everything that packets can add to has an end.
    private func expectBounds(_ instance: Instance, _ place: String) {
        let settings = instance.settings
        #expect(instance.table.count <= settings.memberLimit, "\(place)")
        #expect(instance.table.slots.count <= settings.memberLimit, "\(place)")
        #expect(instance.intents.count <= settings.queueLimit, "\(place)")
        #expect(instance.queuedBroadcasts <= 4 * settings.queueLimit, "\(place)")
        #expect(instance.streams.count <= settings.streamLimit + settings.memberLimit, "\(place)")
        #expect(instance.indirectDuties.count <= 1024, "\(place)")
        #expect(instance.moveProbes.count <= settings.memberLimit, "\(place)")
    }

    @Test func decompressorTakesAnything() throws {
        var random = SeededGenerator(seed: 77)
        let packed = try #require(LZW.encode((0..<400).map { UInt8($0 * $0 % 41) }))
        for round in 0..<Self.iterations {
            let bytes =
                round % 3 == 0
                ? (0..<Int.random(in: 0...60, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
                : Mutation.of(packed, &random)
            do {
                let plain = try LZW.decode(bytes, 0..<bytes.count, limit: 2000)
                #expect(plain.count <= 2000)
            } catch {
                #expect(error == .badCompression || error == .tooLarge)
            }
        }
    }

    /// Every message cut at every place, and every byte of it set to some odd values.
    @Test func everyByteOfEveryMessage() throws {
        var bench = try Bench()
        for vector in MemberlistVectors.named("leaf") {
            for index in vector.bytes.indices {
                bench.receive(Array(vector.bytes.prefix(index)))
                for value: UInt8 in [0x00, 0x80, 0x9F, 0xC0, 0xDF, 0xFF] {
                    var bytes = vector.bytes
                    bytes[index] = value
                    bench.receive(bytes)
                }
            }
        }
        #expect(bench.status("myself") == .alive)
    }
}
