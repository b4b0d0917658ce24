import StateMachine
import Testing

@testable import Gossip

/// What the streams of others may take before it is known who they are.
struct IntakeTests {
    @Test func whoeverHoldsMostGivesWay() {
        var budget = IntakeBudget<Int, String>(streamLimit: 100, byteLimit: 1000)
        #expect(budget.open(1, from: "honest", isTrusted: false) == nil)
        #expect(budget.hold(300, for: 1) == [])
        for stream in 2...5 {
            #expect(budget.open(stream, from: "stranger", isTrusted: false) == nil)
            #expect(budget.hold(100 * stream, for: stream) == (stream == 4 ? [4] : stream == 5 ? [5] : []))
        }
        // The honest host's stream is smaller than nothing the stranger has, and stays.
        #expect(budget.bytes == 800)
        #expect(budget.streams == 3)
        budget.close(1)
        #expect(budget.bytes == 500)
        budget.close(1)
        #expect(budget.bytes == 500)
        #expect(budget.hold(7, for: 1) == [])
    }

    @Test func manySmallStreamsOfOneSourceGiveWayToOneLargeOfAnother() {
        var budget = IntakeBudget<Int, String>(streamLimit: 1000, byteLimit: 1000)
        for stream in 0..<90 {
            #expect(budget.open(stream, from: "stranger", isTrusted: false) == nil)
            #expect(budget.hold(10, for: stream) == [])
        }
        #expect(budget.open(1000, from: "honest", isTrusted: false) == nil)
        let victims = budget.hold(400, for: 1000)
        #expect(victims.count == 30)
        #expect(!victims.contains(1000))
        #expect(budget.bytes == 1000)
    }

    @Test func trustedStreamsComeLast() {
        var budget = IntakeBudget<Int, String>(streamLimit: 2, byteLimit: 100)
        #expect(budget.open(1, from: "member", isTrusted: true) == nil)
        #expect(budget.open(2, from: "member", isTrusted: false) == nil)
        budget.trust(2)
        #expect(budget.open(3, from: "stranger", isTrusted: false) == 3)
        #expect(budget.hold(60, for: 1) == [])
        #expect(budget.hold(60, for: 2) == [1])
        #expect(budget.streams == 1)
    }

    @Test func whenStreamsAreUsedUpTheOldestOfTheCrowdGoes() {
        var budget = IntakeBudget<Int, String>(streamLimit: 4, byteLimit: 100)
        for stream in 1...3 { #expect(budget.open(stream, from: "crowd", isTrusted: false) == nil) }
        #expect(budget.open(4, from: "a", isTrusted: false) == nil)
        #expect(budget.open(5, from: "b", isTrusted: false) == 1)
        // A newcomer of the crowd itself is turned away.
        #expect(budget.open(6, from: "crowd", isTrusted: false) == 6)
        #expect(budget.streams == 4)
    }

    /// Streams that send without end take no more than the limit together, and a stranger's do not end an honest host's.
    @Test(arguments: [nil, Array(0..<16)] as [[UInt8]?]) func streamsShareABound(_ key: [UInt8]?) throws {
        var settings = Settings.lan
        settings.streamMemory = 1 << 20
        let keyRing = try key.map { try KeyRing(primary: $0) }
        var bench = try Bench(settings, keyRing: keyRing)
        let head: [UInt8] =
            key == nil
            ? [6, 0x81, 0xAC] + Array("UserStateLen".utf8) + [0xCE, 0, 0x0F, 0, 0] : [10, 0, 0x0F, 0, 0, 1]
        bench.give(.streamAccepted(.accepted(1000), from: host(3)))
        bench.give(.streamData(.accepted(1000), head))
        for number in 0..<64 as Range<UInt64> {
            bench.give(.streamAccepted(.accepted(number), from: host(2)))
            bench.give(.streamData(.accepted(number), head))
        }
        let part = [UInt8](repeating: 0, count: 1 << 14)
        for _ in 0..<20 {
            for number in 0..<64 as Range<UInt64> { bench.give(.streamData(.accepted(number), part)) }
            let held = bench.instance.streams.values.reduce(0) { $0 + $1.buffer.count }
            #expect(held <= settings.streamMemory)
            #expect(held == bench.instance.intake.bytes)
        }
        #expect(bench.instance.streams[.accepted(1000)] != nil)
        #expect(bench.instance.count(of: .streamsRefused) > 0)
        bench.run(.seconds(11))
        #expect(bench.instance.intake.bytes == 0)
        #expect(bench.instance.intake.streams == 0)
    }

    /// A body that is too large, or that nobody here could open, is not waited for.
    @Test func headsAreCheckedBeforeBodies() throws {
        var bench = try Bench(keyRing: KeyRing(primary: Array(0..<16)))
        let heads: [[UInt8]] = [
            [10, 1, 0x90, 0, 0], [10, 0, 0, 0, 28], [10, 0, 1, 0, 0, 2], [6], [10, 0x7F, 0xFF, 0xFF, 0xFF],
        ]
        for (number, head) in heads.enumerated() {
            let id = StreamID.accepted(UInt64(number))
            bench.give(.streamAccepted(id, from: host(2)))
            bench.give(.streamData(id, head))
            #expect(bench.instance.streams[id] == nil, "\(head)")
        }
        var plain = try Bench()
        plain.give(.streamAccepted(.accepted(1), from: host(2)))
        plain.give(.streamData(.accepted(1), [10, 0, 1, 0, 0]))
        #expect(plain.instance.streams.isEmpty)
    }
}
