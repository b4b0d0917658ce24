import StateMachine
import Testing

@testable import Gossip

/// Heavy loss: refutations have to come through before a verdict does.
@Suite struct LossTests {
    enum Profile: String, CaseIterable, Sendable {
        case lan
        case fast

        var settings: Settings { self == .lan ? .lan : .fast }
    }

    /// Half of all packets and streams are lost for 50 s. A stock agent's rules convict somebody in one run of five, and
    /// with the fast profile's times in every run.
    @Test(arguments: Profile.allCases, isLong ? Array(1...16) : Array(1...4))
    func halfOfAllPacketsAreLost(_ profile: Profile, _ seed: UInt64) throws {
        let simulator = Simulator(seed: seed, hosts: 10, settings: profile.settings)
        try simulator.startAll()
        simulator.run(.seconds(20))
        try #require(simulator.disagreement() == nil)
        simulator.faults.loss = 0.5
        simulator.faults.streamLoss = 0.5
        let start = simulator.now
        simulator.run(.seconds(50))
        let failures = simulator.happenings.filter { $0.time > start && $0.change == .failed }
        #expect(failures.isEmpty, "seed \(seed): \(failures.map { "\($0.observer) → \($0.subject)" })")
        #expect(simulator.breaches == [])
    }

    @Test func suspectsAreAskedAtEveryGossip() throws {
        var bench = try Bench()
        for number in 2...5 { bench.alive("n\(number)", number, 1) }
        bench.suspect("n2", 1, from: "n3")
        bench.run(.seconds(1))
        #expect(bench.sent(.suspect).count { $0.to == host(2) } >= 4)
        #expect(bench.sent(.ping).count { $0.to == host(2) } >= 4)
        // A new incarnation ends it.
        bench.alive("n2", 2, 2)
        bench.run(.milliseconds(400))
        #expect(bench.instance.suspects.isEmpty)
    }

    @Test func aRefutationThatWasMissedIsRepeated() throws {
        var bench = try Bench()
        for number in 2...5 { bench.alive("n\(number)", number, 1) }
        bench.suspect("myself", 1, from: "n3")
        #expect(bench.instance.memory.incarnation == 2)
        bench.run(.seconds(10))
        #expect(!bench.instance.memberBroadcasts.holds("myself"))
        bench.suspect("myself", 1, from: "n4")
        #expect(bench.instance.memberBroadcasts.holds("myself"))
        #expect(bench.instance.memory.incarnation == 2)
        bench.run(.seconds(10))
        bench.dead("myself", 1, from: "n4")
        #expect(bench.instance.memberBroadcasts.holds("myself"))
        #expect(bench.instance.memory.incarnation == 2)
    }

    /// Who comes back after a partition is told of by a limited number of packets; who missed them asks.
    @Test func asksTheFirstThatComesBackForTheOthers() throws {
        // Without the exchanges that come by themselves, and nobody accused because this bench answers no probe.
        var settings = Settings.lan
        settings.probeInterval = .seconds(100_000)
        settings.pushPullInterval = .seconds(100_000)
        settings.reconnectInterval = .seconds(100_000)
        var bench = try Bench(settings)
        for number in 2...5 { bench.alive("n\(number)", number, 1) }
        for number in 4...5 { bench.dead("n\(number)", 1, from: "n2") }
        bench.run(.seconds(40))
        bench.alive("n4", 4, 2)
        bench.run(.seconds(1))
        #expect(exchanges(bench) == [host(4)])
        // With nobody else missing there is nothing to ask for.
        bench.alive("n5", 5, 2)
        bench.run(.seconds(1))
        #expect(exchanges(bench) == [host(4)])
    }

    /// With whom it exchanges its state.
    private func exchanges(_ bench: Bench) -> [Endpoint] {
        bench.instance.streams.values.compactMap { stream in
            if case .exchange = stream.role { stream.peer } else { nil }
        }
    }
}
