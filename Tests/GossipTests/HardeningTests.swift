import NetworkTypes
import StateMachine
import Testing

@testable import Gossip

/// Forged, replayed and mistaken packets: members come back by themselves.
@Suite struct HardeningTests {
    private func cluster(_ seed: UInt64, keyRing: KeyRing? = nil) throws -> Simulator {
        let simulator = Simulator(seed: seed, hosts: 5, keyRing: keyRing)
        try simulator.startAll()
        simulator.run(.seconds(20))
        try #require(simulator.disagreement() == nil)
        return simulator
    }

    private func dead(_ node: String, _ incarnation: UInt32, from: String) -> [UInt8] {
        Accusation(node: node, incarnation: incarnation, from: from).encode(as: .dead)
    }

    private func recovers(_ simulator: Simulator, within limit: Nanoseconds = .seconds(3)) {
        let time = simulator.run(until: .seconds(60)) { simulator.disagreement() == nil }
        #expect((time ?? .max) <= limit, "\(simulator.disagreement() ?? "")")
        simulator.run(.seconds(120))
        #expect(simulator.disagreement() == nil, "\(simulator.disagreement() ?? "")")
        #expect(simulator.breaches == [])
    }

    @Test(arguments: [1, 2, 50, 1 << 20, 1 << 30, .max - 1, .max] as [UInt32])
    func forgedDeath(_ incarnation: UInt32) throws {
        let simulator = try cluster(1)
        simulator.forced = ["node-3"]
        simulator.attacked = ["node-3"]
        for number in [0, 1, 2, 4] {
            simulator.inject(dead("node-3", incarnation, from: "node-1"), from: host(900), to: number)
            simulator.inject(dead("node-3", incarnation, from: "node-3"), from: host(900), to: number)
            simulator.inject(
                Accusation(node: "node-3", incarnation: incarnation, from: "x").encode(as: .suspect),
                from: host(900), to: number)
        }
        // Nobody is told to the victim directly, so it hears of it by gossip.
        recovers(simulator)
    }

    @Test func forgedAliveCannotUseUpIncarnations() throws {
        let simulator = try cluster(2)
        simulator.attacked = ["node-3"]
        for incarnation in [UInt32.max, UInt32.max - 1, UInt32(1) << 31] {
            let alive = Alive(
                node: "node-3", endpoint: simulator.hosts[3].endpoint, meta: [0xFF, 0x80], versions: .own,
                incarnation: incarnation)
            for number in 0..<5 { simulator.inject(alive.encode(), from: host(900), to: number) }
            recovers(simulator)
        }
        // It can still be accused and refute.
        let last = try #require(simulator.hosts[3].instance?.member("node-3")?.incarnation)
        #expect(last < .max - (1 << 20))
        simulator.inject(dead("node-3", last, from: "node-0"), from: host(900), to: 1)
        recovers(simulator)
    }

    @Test func forgedLeaveAndPrune() throws {
        let simulator = try cluster(3)
        simulator.forced = ["node-3"]
        simulator.attacked = ["node-3"]
        let time: UInt64 = 1000
        for number in [0, 1, 2, 4] {
            simulator.inject(
                [8] + Intent(time: time, node: "node-3", prune: true).encode(as: .leave), from: host(900), to: number)
            simulator.inject(dead("node-3", 1, from: "node-3"), from: host(900), to: number)
            simulator.inject(
                [8] + Intent(time: time + 1, node: "node-3", prune: true).encode(as: .leave), from: host(900),
                to: number)
        }
        recovers(simulator)
    }

    @Test func nameIsNotHijacked() throws {
        let simulator = try cluster(4)
        simulator.forced = ["node-3"]
        simulator.attacked = ["node-3"]
        let alive = Alive(node: "node-3", endpoint: host(700), meta: [0xFF, 0x80], versions: .own, incarnation: 50)
        for number in [0, 1, 2, 4] {
            simulator.inject(dead("node-3", 1, from: "node-3"), from: host(900), to: number)
            simulator.inject(alive.encode(), from: host(900), to: number)
        }
        var hijacked = false
        for _ in 0..<100 {
            simulator.run(.milliseconds(100))
            for number in [0, 1, 2, 4] where simulator.hosts[number].instance?.member("node-3")?.endpoint == host(700) {
                hijacked = true
            }
        }
        #expect(!hijacked)
        recovers(simulator)
    }

    @Test func otherAddressOfALivingNodeIsAConflict() throws {
        let simulator = try cluster(5)
        let alive = Alive(node: "node-3", endpoint: host(700), meta: [0xFF, 0x80], versions: .own, incarnation: 50)
        for number in 0..<5 { simulator.inject(alive.encode(), from: host(900), to: number) }
        #expect(simulator.hosts[3].notices.contains { if case .nameConflict = $0 { true } else { false } })
        recovers(simulator)
    }

    @Test func replayDoesNotResurrect() throws {
        let simulator = try cluster(6, keyRing: KeyRing(primary: [UInt8](repeating: 3, count: 32)))
        var captured: [(Int, [UInt8])] = []
        simulator.tap = { source, _, bytes in
            if source == 3 { captured.append((source, bytes)) }
        }
        // It announces itself, so that alive messages of it are among the packets.
        simulator.command(.setTags(["version": "2"]), 3)
        simulator.run(.seconds(5))
        simulator.tap = nil
        simulator.crash(3)
        for wait in [20, 60, 120] as [UInt64] {
            simulator.run(.seconds(wait))
            let start = simulator.now
            for number in [0, 1, 2, 4] {
                for (_, bytes) in captured { simulator.inject(bytes, from: host(900), to: number) }
            }
            simulator.run(.seconds(10))
            #expect(!simulator.happenings.contains { $0.time >= start })
            #expect(simulator.disagreement() == nil)
        }
        // The real one comes back without any memory.
        try simulator.start(3)
        simulator.command(.join([simulator.hosts[0].endpoint]), 3)
        recovers(simulator)
    }

    @Test func forgedTimesDoNotWrap() throws {
        let simulator = try cluster(7)
        for time in [UInt64.max, UInt64.max - 1, UInt64(1) << 63, (UInt64(1) << 63) + (UInt64(1) << 32)] {
            for number in 0..<5 {
                simulator.inject(
                    [8] + Intent(time: time, node: "node-3").encode(as: .leave), from: host(900), to: number)
                let event = UserEventMessage(time: time, name: "x\(time)", payload: nil, coalesce: false)
                simulator.inject([8] + event.encode(), from: host(900), to: number)
            }
        }
        recovers(simulator)
        simulator.command(.userEvent(name: "after", payload: [], coalesce: false), 2)
        simulator.run(.seconds(5))
        for host in simulator.hosts { #expect(host.userEvents["after"] == 1) }
    }

    @Test func queryFloodIsNotRelayedToStrangers() throws {
        var bench = try Bench()
        bench.alive("second", 2, 1)
        let response = QueryResponseMessage(time: 1, id: 1, from: "a", flags: 0, payload: nil).encode()
        bench.receive([8] + RelayHeader(destination: host(66), node: "stranger").encode(response))
        #expect(bench.sent.isEmpty)
        bench.receive([8] + RelayHeader(destination: host(2), node: "second").encode(response))
        #expect(bench.sent.map(\.to) == [host(2)])
        bench.receive([8] + RelayHeader(destination: host(2), node: "second").encode([3, 0x80]))
        #expect(bench.sent.isEmpty)
    }

    @Test func tablesAreBounded() throws {
        var settings = Settings.lan
        settings.memberLimit = 50
        settings.queueLimit = 20
        var bench = try Bench(settings)
        for number in 2..<200 { bench.alive("n\(number)", number, 1) }
        #expect(bench.instance.members.count == 50)
        for number in 0..<500 { bench.joinIntent("ghost-\(number)", 5) }
        #expect(bench.instance.intents.count <= 20)
        #expect(bench.instance.queuedBroadcasts <= 20 + 2 * 100)
        for number in 0..<500 as Range<UInt64> { bench.give(.streamAccepted(.accepted(number), from: host(2))) }
        #expect(bench.instance.streams.count == settings.streamLimit)
        bench.run(.seconds(11))
        #expect(!bench.instance.streams.keys.contains { !$0.isOurs })
    }
}
