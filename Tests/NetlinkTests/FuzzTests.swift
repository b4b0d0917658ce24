import System
import Testing

@testable import Netlink

/// SplitMix64: the same seed, the same noise.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

@Suite("Decoders are total")
struct FuzzTests {
    static let answers = [
        "answer-links", "answer-addresses", "answer-routes-ipv4", "answer-routes-ipv6", "answer-rules",
        "answer-neighbours", "answer-forwarding", "answer-refusal",
    ]

    /// Puts a message through every decoder. Returns how many made something of it.
    private func decodeAll(_ header: MessageHeader, _ payload: RawSpan) -> Int {
        var routes: [Route] = []
        var rules: [RoutingRule] = []
        var vlans: [PortVLAN] = []
        _ = Route.read(payload, into: &routes)
        _ = RoutingRule.read(payload, into: &rules)
        _ = PortVLAN.read(payload, of: 1, into: &vlans)
        let found = [
            Link(payload) != nil, InterfaceAddress(payload) != nil, Neighbour(payload) != nil,
            ForwardingEntry(payload) != nil, readNamespaceIdentifier(payload) != nil,
            Acknowledgement(header, payload) != nil, Acknowledgement(done: header, payload).failure != nil,
        ]
        return found.count { $0 } + routes.count + rules.count + vlans.count
    }

    private func run(_ datagram: [UInt8]) -> Int {
        var found = 0
        try? forEachMessage(in: datagram) { found += decodeAll($0, $1) }
        let span = unsafe datagram.span.bytes
        var notifications: [RouteNotification] = []
        try? RouteMonitor.read(span, into: &notifications)
        return found
    }

    @Test("Every truncation of a datagram and of each message", arguments: answers)
    func truncations(name: String) throws {
        let whole = try golden(name)
        #expect(run(whole) > 0)
        for length in 0..<whole.count { _ = run(Array(whole[..<length])) }
        try forEachMessage(in: whole) { header, payload in
            for length in 0..<payload.byteCount { _ = decodeAll(header, payload.extracting(0..<length)) }
        }
    }

    @Test("Seeded noise over recorded answers", arguments: answers)
    func noise(name: String) throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("fuzz seed for \(name): \(seed)")
        var generator = SeededGenerator(state: seed)
        let whole = try golden(name)
        for _ in 0..<300 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...16, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            _ = run(bytes)
            // The framing survives; lengths and types of attributes do not.
            try forEachMessage(in: whole) { header, payload in
                var inner = payload.array
                for _ in 0..<8 where !inner.isEmpty {
                    inner[Int.random(in: 0..<inner.count, using: &generator)] &= UInt8.random(
                        in: 0...255, using: &generator)
                }
                let span = unsafe inner.span.bytes
                _ = decodeAll(header, span)
            }
        }
    }

    @Test("Pure noise")
    func pureNoise() {
        let seed = UInt64.random(in: 0 ... .max)
        print("fuzz seed for pure noise: \(seed)")
        var generator = SeededGenerator(state: seed)
        let header = MessageHeader(type: 2, flags: 0x200, sequence: 1, port: 1)
        for _ in 0..<5000 {
            let bytes = (0..<Int.random(in: 0...96, using: &generator)).map { _ in
                // Small numbers make lengths that fit.
                UInt8.random(in: 0...255, using: &generator) & UInt8.random(in: 0...255, using: &generator)
            }
            let span = unsafe bytes.span.bytes
            _ = decodeAll(header, span)
            _ = run(bytes)
        }
    }

    @Test("An attribute that says it is longer than its container ends the walk")
    func overlongAttribute() {
        let bytes: [UInt8] = [5, 0, 1, 0, 0xAA, 0, 0, 0, 9, 0, 2, 0, 1, 2, 3, 4]
        let span = unsafe bytes.span.bytes
        var types: [Int] = []
        AttributeReader.forEach(in: span) { type, value in
            types.append(type)
            #expect(value.array == [0xAA])
        }
        #expect(types == [1])
    }

    @Test("A message that says it is longer than the datagram, or shorter than its header, is an error")
    func framing() {
        for length: UInt8 in [0, 15, 17] {
            let bytes: [UInt8] = [length] + [UInt8](repeating: 0, count: 15)
            #expect(throws: NetlinkFailure(.protocolError)) { try forEachMessage(in: bytes) { _, _ in } }
        }
    }
}
