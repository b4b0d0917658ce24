import System
import Testing

@testable import Netlink

/// Answers requests from a script in place of the kernel.
private final class ScriptedTransport: NetlinkTransport {
    enum Step {
        /// A datagram made of the first sequence number of the request sent last.
        case datagram((UInt32) -> [UInt8])
        case reception(Reception)
        case failure(Errno)
    }

    let port: UInt32 = 77
    var sent: [[UInt8]] = []
    private var steps: [Step]

    init(_ steps: [Step]) {
        self.steps = steps.reversed()
    }

    var isExhausted: Bool { steps.isEmpty }

    func send(_ messages: borrowing MessageBuilder) throws(Errno) {
        sent.append(messages.bytes)
    }

    func receive(into buffer: inout [UInt8], waiting: Bool) throws(Errno) -> Reception {
        switch steps.popLast() {
        case .datagram(let make):
            let bytes = make(sent.last.map { number($0, at: 8) } ?? 0)
            buffer.replaceSubrange(0..<bytes.count, with: bytes)
            return .datagram(bytes.count)
        case .reception(let reception): return reception
        case .failure(let errno): throw errno
        case nil: return .nothing
        }
    }
}

private func number(_ bytes: [UInt8], at offset: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << UInt32(8 * $1) }
}

private func little(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(8 * $0)) } }

private func message(_ type: UInt8, flags: UInt32 = 0, sequence: UInt32, port: UInt32 = 77, _ payload: [UInt8])
    -> [UInt8]
{
    little(UInt32(16 + payload.count)) + [type, 0] + little(flags)[..<2] + little(sequence) + little(port) + payload
}

private func answer(_ errno: Int32, sequence: UInt32, port: UInt32 = 77) -> [UInt8] {
    message(
        2, flags: 0x100, sequence: sequence, port: port,
        little(UInt32(bitPattern: -errno)) + little(20) + [UInt8](repeating: 0, count: 12))
}

private func done(_ sequence: UInt32) -> [UInt8] { message(3, flags: 2, sequence: sequence, little(0)) }
private func item(_ value: UInt32, _ sequence: UInt32, flags: UInt32 = 2, port: UInt32 = 77) -> [UInt8] {
    message(16, flags: flags, sequence: sequence, port: port, little(value))
}

private let interrupted: UInt32 = 0x12

@Suite("Sessions")
struct SessionTests {
    private func dump(_ transport: ScriptedTransport) throws -> [UInt32] {
        try NetlinkSession(transport: transport).dump {
            $0.begin(18, flags: 0x301)
        } decode: { _, payload, values in
            guard let value = payload.integer(UInt32.self) else { return false }
            values.append(value)
            return true
        }
    }

    private func change(_ transport: ScriptedTransport) throws {
        try NetlinkSession(transport: transport).change { $0.begin(16, flags: 5) }
    }

    @Test("Answers to other requests and for other ports are passed over")
    func strangers() throws {
        let transport = ScriptedTransport([
            .datagram { answer(17, sequence: $0 &- 1) }, .datagram { answer(17, sequence: $0, port: 78) },
            .datagram { answer(1, sequence: $0 &+ 1) + answer(0, sequence: $0) },
        ])
        try change(transport)
        #expect(transport.isExhausted)
    }

    @Test("A refusal is thrown with its errno")
    func refusal() {
        #expect(throws: NetlinkFailure(.fileExists)) {
            try change(ScriptedTransport([.datagram { answer(17, sequence: $0) }]))
        }
    }

    @Test("A lost acknowledgement is an error, not a wait for ever")
    func lostAcknowledgement() {
        #expect(throws: NetlinkFailure(.noBufferSpace)) {
            try change(ScriptedTransport([.reception(.overrun), .reception(.nothing)]))
        }
    }

    @Test("An acknowledgement that comes after an overrun counts")
    func overrunThenAnswer() throws {
        try change(ScriptedTransport([.reception(.overrun), .datagram { answer(0, sequence: $0) }]))
    }

    @Test("A failed receive is thrown")
    func failedReceive() {
        #expect(throws: NetlinkFailure(.inputOutput)) { try change(ScriptedTransport([.failure(.inputOutput)])) }
    }

    @Test("A dump over several datagrams is collected in order")
    func plainDump() throws {
        let transport = ScriptedTransport([
            .datagram { item(1, $0) + item(2, $0) }, .datagram { item(3, $0) + done($0) },
        ])
        #expect(try dump(transport) == [1, 2, 3])
        #expect(transport.sent.count == 1)
    }

    @Test("An interrupted dump is read to its end, forgotten and made anew")
    func interruptedDump() throws {
        let transport = ScriptedTransport([
            .datagram { item(1, $0) }, .datagram { item(2, $0, flags: interrupted) }, .datagram { done($0) },
            .datagram { item(7, $0) + done($0) },
        ])
        #expect(try dump(transport) == [7])
        #expect(transport.sent.map { number($0, at: 8) } == [1, 2])
    }

    @Test("A dump interrupted only by its last message is made anew as well")
    func interruptedAtEnd() throws {
        let transport = ScriptedTransport([
            .datagram { item(1, $0) + message(3, flags: interrupted, sequence: $0, little(0)) },
            .datagram { item(7, $0) + done($0) },
        ])
        #expect(try dump(transport) == [7])
    }

    @Test("A dump that is interrupted again and again is given up after five retries")
    func neverStill() {
        let transport = ScriptedTransport(
            (0..<10).map { _ in .datagram { item(1, $0, flags: interrupted) + done($0) } })
        #expect(throws: NetlinkFailure(.resourceTemporarilyUnavailable)) { try dump(transport) }
        #expect(transport.sent.count == 6)
    }

    @Test("A datagram larger than the buffer makes the buffer grow and the dump start again")
    func truncatedDump() throws {
        let large: (UInt32) -> [UInt8] = {
            message(16, flags: 2, sequence: $0, little(9) + [UInt8](repeating: 0, count: 65000)) + done($0)
        }
        let transport = ScriptedTransport([
            .reception(.truncated(70000)), .datagram { done($0) }, .datagram(large),
        ])
        #expect(try dump(transport) == [9])
    }

    @Test("An error at the end of a dump is thrown")
    func dumpError() {
        let transport = ScriptedTransport([
            .datagram { item(1, $0) + message(3, flags: 2, sequence: $0, little(UInt32(bitPattern: -22))) }
        ])
        #expect(throws: NetlinkFailure(.invalidArgument)) { try dump(transport) }
    }

    @Test("A dump message nothing can be made of is an error")
    func malformedItem() {
        let transport = ScriptedTransport([.datagram { message(16, flags: 2, sequence: $0, [1]) + done($0) }])
        #expect(throws: NetlinkFailure(.protocolError)) { try dump(transport) }
    }

    @Test("A query that never gets through is given up")
    func lostQuery() {
        let transport = ScriptedTransport(
            (0..<10).flatMap { _ in
                [ScriptedTransport.Step.reception(.overrun), .reception(.nothing)]
            })
        #expect(throws: NetlinkFailure(.noBufferSpace)) {
            _ = try NetlinkSession(transport: transport).query({ $0.begin(18, flags: 1) }) { _, _ in 1 }
        }
    }

    @Test("A batch matches every answer to its request, in whatever order they come")
    func batch() {
        let transport = ScriptedTransport([
            .datagram { answer(0, sequence: $0 + 2) + answer(17, sequence: $0 + 1) },
            .datagram { answer(0, sequence: $0) },
        ])
        let results = NetlinkSession(transport: transport).batch(3) { $1.begin(16, flags: 5) }
        #expect(results == [nil, NetlinkFailure(.fileExists), nil])
        #expect(transport.sent.count == 1)
    }

    @Test("A batch of many is sent in parts that the acknowledgements of fit the receive buffer")
    func largeBatch() {
        let limit = UInt32(NetlinkSession.batchLimit)
        let transport = ScriptedTransport([
            .datagram { first in (0..<limit).flatMap { answer(0, sequence: first + $0) } },
            .datagram { first in (0..<limit).flatMap { answer($0 == 5 ? 2 : 0, sequence: first + $0) } },
            .datagram { answer(0, sequence: $0) },
        ])
        let results = NetlinkSession(transport: transport).batch(129) { $1.begin(16, flags: 5) }
        #expect(results.enumerated().filter { $0.element != nil }.map(\.offset) == [69])
        #expect(transport.sent.count == 3)
        #expect(transport.isExhausted)
    }

    @Test("A request that cannot be encoded fails by itself")
    func unencodable() {
        let transport = ScriptedTransport([.datagram { answer(0, sequence: $0) + answer(0, sequence: $0 + 1) }])
        let results = NetlinkSession(transport: transport).batch(3) { index, builder in
            builder.begin(16, flags: 5)
            builder.put(3, text: index == 1 ? "a\0b" : "ab")
        }
        #expect(results == [nil, NetlinkFailure(.invalidArgument), nil])
        #expect(transport.sent.map(\.count) == [48])
    }

    @Test("Acknowledgements lost in a batch are told for the requests they belong to")
    func lostInBatch() {
        let transport = ScriptedTransport([
            .datagram { answer(0, sequence: $0) }, .reception(.overrun), .reception(.nothing),
        ])
        let results = NetlinkSession(transport: transport).batch(2) { $1.begin(16, flags: 5) }
        #expect(results == [nil, NetlinkFailure(.noBufferSpace)])
    }
}

@Suite("Message builder")
struct MessageBuilderTests {
    @Test("The buffer grows under open nests, and padding is zero")
    func growth() {
        var builder = MessageBuilder(capacity: 64)
        builder.begin(16, flags: 5)
        builder.nest(1) { outer in
            outer.nest(2) { $0.put(3, bytes: [UInt8](repeating: 0xAA, count: 5001)) }
            outer.put(4, UInt8(1))
        }
        let bytes = builder.bytes
        #expect(builder.problem == nil)
        #expect(number(bytes, at: 0) == UInt32(bytes.count))
        #expect(bytes[16...19].elementsEqual([0xA0, 0x13, 0x01, 0x80]))  // 5024
        #expect(bytes[20...23].elementsEqual([0x94, 0x13, 0x02, 0x80]))  // 5012
        #expect(bytes[24...27].elementsEqual([0x8D, 0x13, 0x03, 0x00]))  // 5005
        #expect(bytes[(28 + 5001)..<(28 + 5004)].allSatisfy { $0 == 0 })
        #expect(bytes.suffix(8) == [5, 0, 4, 0, 1, 0, 0, 0])
    }

    @Test("Attributes beyond 65535 bytes are refused, nested or not")
    func tooLong() {
        var builder = MessageBuilder()
        builder.begin(16, flags: 5)
        builder.put(1, bytes: [UInt8](repeating: 0, count: 65532))
        #expect(builder.problem == .messageTooLong)

        builder.reset()
        builder.begin(16, flags: 5)
        builder.nest(1) { nest in
            for _ in 0..<3 { nest.put(2, bytes: [UInt8](repeating: 0, count: 30000)) }
        }
        #expect(builder.problem == .messageTooLong)
    }
}
