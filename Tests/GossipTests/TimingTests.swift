import StateMachine
import Testing

@testable import Gossip

@Suite struct TimingTests {
    @Test(arguments: [(9, 4), (10, 8), (99, 8), (100, 12), (999, 12), (10_000, 20)])
    func transmissions(_ nodes: Int, _ expected: Int) {
        #expect(Timing.retransmits(multiplier: 4, nodes: nodes) == expected)
    }

    @Test(arguments: [(1, 4), (3, 4), (10, 4), (100, 8), (1000, 12), (10_000, 16)])
    func shortestSuspicion(_ nodes: Int, _ expected: UInt64) {
        let minimum = Timing.suspicionMinimum(multiplier: 4, nodes: nodes, interval: .seconds(1))
        #expect(minimum == .seconds(expected))
    }

    @Test func suspicionShortensWithConfirmations() {
        let times = (0...3).map {
            Timing.suspicion(confirmations: $0, expected: 2, minimum: .seconds(4), maximum: .seconds(24))
        }
        #expect(times == [.seconds(24), .milliseconds(11381), .seconds(4), .seconds(4)])
        #expect(Timing.suspicion(confirmations: 0, expected: 0, minimum: 7, maximum: 42) == 7)
    }

    @Test func confirmationsCountOncePerAccuser() {
        var suspicion = Suspicion(from: "a", expected: 2, minimum: .seconds(4), maximum: .seconds(24), start: 100)
        #expect(suspicion.deadline == 100 + .seconds(24))
        var counted: [Bool] = []
        var deadlines: [Nanoseconds] = []
        for accuser in ["a", "b", "b", "c", "d"] {
            counted.append(suspicion.confirm(from: accuser))
            deadlines.append(suspicion.deadline - 100)
        }
        #expect(counted == [false, true, false, true, false])
        #expect(deadlines == [24_000, 11_381, 11_381, 4000, 4000].map { Nanoseconds.milliseconds($0) })
    }

    @Test(arguments: [(1, 1), (32, 1), (33, 2), (64, 2), (65, 3), (1000, 6)])
    func exchanges(_ nodes: Int, _ factor: UInt64) {
        #expect(Timing.pushPull(interval: .seconds(30), nodes: nodes) == .seconds(30 * factor))
    }

    @Test func queries() {
        #expect(Timing.query(gossipInterval: .milliseconds(200), multiplier: 16, nodes: 9) == .milliseconds(3200))
        #expect(Timing.query(gossipInterval: .milliseconds(200), multiplier: 16, nodes: 99) == .milliseconds(6400))
    }

    @Test func logarithm() {
        #expect(abs(Timing.log(2) - 0.693147180559945309) < 1e-15)
        #expect(abs(Timing.log(10) - 2.302585092994045684) < 1e-14)
        #expect(Timing.log(1) == 0)
        #expect(abs(Timing.log(1e6) - 13.815510557964274) < 1e-13)
        #expect(abs(Timing.log(0.1) + 2.302585092994045684) < 1e-14)
    }

    @Test func awarenessStaysInRange() {
        var awareness = Awareness(limit: 8)
        awareness.apply(-3)
        #expect(awareness.score == 0)
        awareness.apply(20)
        #expect(awareness.score == 7)
        #expect(awareness.scale(.seconds(1)) == .seconds(8))
    }

    @Test func profiles() {
        #expect(Settings.lan.fault == nil && Settings.fast.fault == nil && Settings.wan.fault == nil)
        #expect(Settings.wan.probeInterval == .seconds(5) && Settings.wan.gossipNodes == 4)
        var settings = Settings.lan
        settings.probeTimeout = .seconds(2)
        #expect(settings.fault != nil)
    }

    @Test func clocksDoNotWrap() {
        var clock = LamportClock()
        clock.witness(41)
        #expect(clock.time == 42)
        clock.witness(.max)
        #expect(clock.time == LamportClock.limit)
        clock.increment()
        clock.witness(.max)
        #expect(clock.time == LamportClock.limit)
    }
}
