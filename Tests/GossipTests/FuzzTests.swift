import Testing

@testable import Gossip

/// Noise, truncation and mutation of real bytes: nothing traps, nothing grows without bound, and the node still works.
@Suite struct FuzzTests {
    private static let iterations = environment("SWIFTLET_FUZZ_ITERATIONS").flatMap(Int.init) ?? 6000

    private func mutated(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard !bytes.isEmpty else { return [UInt8.random(in: 0...255, using: &random)] }
            let index = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1:
                bytes[index] = [0, 0x7F, 0x80, 0xFF, 0xC0, 0xDF, 0xDD, 0xDB, 0xCF].randomElement(using: &random) ?? 0
            case 2: bytes.removeLast(bytes.count - index)
            case 3: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
            case 4: bytes.remove(at: index)
            default: bytes += bytes[index...]
            }
        }
        return bytes
    }

    /// The captured bytes and what is inside of them.
    private var corpus: [[UInt8]] {
        MemberlistVectors.all.flatMap { [$0.bytes] + $0.plain.map(fromHex) }
    }

    @Test(arguments: [1, 2]) func noisyNetwork(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let corpus = corpus
        var settings = Settings.lan
        settings.memberLimit = 200
        var bench = try Bench(settings, keyRing: seed == 2 ? KeyRing(primary: [UInt8](repeating: 1, count: 16)) : nil)
        let envelope = bench.instance.envelope
        for round in 0..<Self.iterations / 2 {
            let bytes = mutated(corpus[Int.random(in: 0..<corpus.count, using: &random)], &random)
            // With keys, what is mutated is inside of the seal.
            let sealed = envelope.keyRing == nil ? bytes : envelope.sealPacket(bytes, checksum: false, random: &random)
            switch round % 4 {
            case 0, 1:
                bench.receive(sealed, from: host(Int.random(in: 2...20, using: &random)))
            case 2:
                bench.receive(Compound.encode([bytes, [8] + bytes]))
            default:
                let id = StreamID.accepted(UInt64(round))
                bench.give(.streamAccepted(id, from: host(2)))
                bench.give(.streamData(id, bytes))
                bench.give(.streamEnded(id))
            }
            if round % 16 == 0 { bench.run(.milliseconds(100)) }
        }
        #expect(bench.instance.members.count <= 200)
        #expect(bench.status("myself") == .alive, "seed \(seed)")
        #expect(bench.instance.count(of: .malformed) > 0)
        bench.receive(
            envelope.sealPacket(Ping(sequence: 7, node: "", source: nil).encode(), checksum: false, random: &random))
        #expect(bench.output.contains { if case .sendDatagram = $0 { true } else { false } })
    }

    @Test func decompressorTakesAnything() throws {
        var random = SeededGenerator(seed: 77)
        let packed = try #require(LZW.encode((0..<400).map { UInt8($0 * $0 % 41) }))
        for round in 0..<Self.iterations {
            let bytes =
                round % 3 == 0
                ? (0..<Int.random(in: 0...60, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
                : mutated(packed, &random)
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
