import System
import Testing

@testable import Netlink

@Suite("Traffic control on the wire")
struct TrafficControlWireTests {
    private static let slow = TokenBucket(rate: 1_000_000, burst: 200_000, latency: 25_000)
    private static let fast = TokenBucket(rate: 6_250_000_000, burst: 1 << 20, latency: 25_000)

    private static let requests: [(name: String, build: @Sendable (inout MessageBuilder) -> Void)] = [
        ("tc-get-root", { $0.appendGetDiscipline(.root, link: 7) }),
        ("tc-get-ingress", { $0.appendGetDiscipline(.ingress, link: 7) }),
        ("tc-dump-filters", { $0.appendDumpFilters(link: 7) }),
        ("tc-add-bucket", { $0.append(.addTokenBucket(slow, handle: 0x5357, link: 7)) }),
        ("tc-add-fast-bucket", { $0.append(.addTokenBucket(fast, handle: 1, link: 7)) }),
        ("tc-add-ingress", { $0.append(.addIngress(link: 7)) }),
        ("tc-add-redirect", { $0.append(.addRedirect(from: 7, to: 9)) }),
        ("tc-remove-root", { $0.append(.removeDiscipline(.root, link: 7)) }),
        ("tc-remove-ingress", { $0.append(.removeDiscipline(.ingress, link: 7)) }),
        ("tc-create-ifb", { $0.append(.createLink(LinkSpec(name: "bwp0", kind: .ifb, mtu: 1400, isUp: true))) }),
    ]

    @Test("Every kind of request is encoded as recorded", arguments: requests.map(\.name))
    func request(name: String) throws {
        let request = try #require(Self.requests.first { $0.name == name })
        var builder = MessageBuilder()
        request.build(&builder)
        #expect(builder.problem == nil)
        #expect(builder.bytes == (try golden(name)))
    }

    /// What our decoders make of every message of an answer.
    private struct Found: Equatable {
        var disciplines: [QueueDiscipline] = []
        var filters: [TrafficFilter] = []

        mutating func read(_ payload: RawSpan) {
            if let discipline = QueueDiscipline(payload) { disciplines.append(discipline) }
            _ = TrafficFilter.read(payload, into: &filters)
        }
    }

    private func decode(_ bytes: [UInt8]) -> Found {
        var found = Found()
        try? forEachMessage(in: bytes) { header, payload in
            if header.type != 3 { found.read(payload) }
        }
        return found
    }

    @Test("A token bucket with a rate beyond 32 bits")
    func bucket() throws {
        let found = decode(try golden("tc-answer-tbf")).disciplines
        #expect(found.map(\.kind) == ["tbf"] && found.map(\.handle) == [0x5357])
        let state = try #require(found.first?.tokenBucket)
        #expect(state.rate == 6_250_000_000 && state.limit == Self.fast.limit && state.hasBurst(of: Self.fast))
        #expect(state == TokenBucketState(Self.fast))
        // A tick is 64 ns, 400 bytes at this rate.
        #expect(state.burst > 1_047_000 && state.burst <= 1 << 20)
    }

    @Test("An ingress discipline")
    func ingress() throws {
        let found = decode(try golden("tc-answer-ingress")).disciplines
        #expect(found == [QueueDiscipline(kind: "ingress", handle: 0xFFFF)])
    }

    @Test("Filters, without the kernel's chain heads and hash tables")
    func filters() throws {
        #expect(
            decode(try golden("tc-answer-filters")).filters == [
                TrafficFilter(kind: "u32", preference: 1, target: 9), TrafficFilter(kind: "u32", preference: 2),
            ])
    }

    @Test(
        "Truncations and seeded noise do no harm",
        arguments: ["tc-answer-tbf", "tc-answer-ingress", "tc-answer-filters"])
    func noise(name: String) throws {
        let whole = try golden(name)
        #expect(decode(whole) != Found())
        for length in 0..<whole.count { _ = decode(Array(whole[..<length])) }
        try forEachMessage(in: whole) { _, payload in
            for length in 0..<payload.byteCount {
                var found = Found()
                found.read(payload.extracting(0..<length))
            }
        }
        let seed = UInt64.random(in: 0 ... .max)
        print("fuzz seed for \(name): \(seed)")
        var generator = SeededGenerator(state: seed)
        for _ in 0..<500 {
            var inner: [UInt8] = []
            try forEachMessage(in: whole) { _, payload in if inner.isEmpty { inner = payload.array } }
            for _ in 0..<Int.random(in: 1...12, using: &generator) {
                inner[Int.random(in: 0..<inner.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            let span = unsafe inner.span.bytes
            var found = Found()
            found.read(span)
            // What came of it may be compared and shown, whatever the numbers are.
            for state in found.disciplines.compactMap(\.tokenBucket) {
                _ = (state.burst, state.hasBurst(of: Self.fast))
            }
        }
    }

    @Test("Extreme rates and bursts")
    func extremes() {
        for rate in [0, 1, UInt64(UInt32.max), .max] {
            for burst in [0, 1, UInt32.max] {
                let bucket = TokenBucket(rate: rate, burst: burst, latency: .max)
                #expect(bucket.limit >= burst)
                #expect(TokenBucketState(bucket).hasBurst(of: bucket))
                var builder = MessageBuilder()
                builder.append(.addTokenBucket(bucket, handle: .max, link: .max))
                #expect(builder.problem == nil)
            }
        }
        #expect(TokenBucket(rate: 1_000_000, burst: 200_000, latency: 25_000).limit == 225_000)
        #expect(TokenBucketState(rate: .max, limit: 0, ticks: .max).burst == .max)
    }
}
