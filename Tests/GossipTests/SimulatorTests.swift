import NetworkTypes
import StateMachine
import Testing

@testable import Gossip

/// Large sizes and many seeds, in minutes: `SWIFTLET_LONG=1`.
let isLong = environment("SWIFTLET_LONG") == "1"

/// `SWIFTLET_SEEDS=FIRST-LAST` runs a part of the long ones.
let chaosSeeds: [UInt64] = {
    let bounds = (environment("SWIFTLET_SEEDS") ?? "").split(separator: "-").compactMap { UInt64($0) }
    if bounds.count == 2, bounds[0] <= bounds[1] { return Array(bounds[0]...bounds[1]) }
    return isLong ? Array(1...10_000) : Array(1...6)
}()

@Suite struct SimulatorTests {
    private func seconds(_ time: Nanoseconds?) -> String { time.map { "\(Double($0) / 1e9) s" } ?? "never" }

    private func formed(_ simulator: Simulator, within limit: Nanoseconds = .seconds(60)) throws {
        try simulator.startAll()
        let time = simulator.run(until: limit) { simulator.disagreement() == nil }
        #expect(time != nil, "seed \(simulator.seed): \(simulator.disagreement() ?? "")")
        #expect(simulator.breaches == [])
    }

    @Test(arguments: isLong ? [2, 3, 10, 50, 300] : [2, 3, 10, 40]) func forms(_ size: Int) throws {
        let simulator = Simulator(seed: UInt64(size), hosts: size)
        try formed(simulator)
        simulator.run(.seconds(30))
        #expect(simulator.breaches == [])
        #expect(simulator.disagreement() == nil)
        #expect(!simulator.happenings.contains { $0.change != .joined })
    }

    /// Without this no failing seed could be run again.
    @Test func runsRepeat() throws {
        var digests: Set<UInt64> = []
        for _ in 0..<2 {
            let simulator = Simulator(seed: 99, hosts: 6, settings: .fast)
            try simulator.startAll()
            simulator.run(.seconds(10))
            simulator.faults.loss = 0.3
            simulator.crash(3)
            simulator.run(.seconds(10))
            simulator.command(.leave, 4)
            simulator.run(.seconds(10))
            digests.insert(simulator.digest)
        }
        #expect(digests.count == 1)
    }

    @Test func idleTrafficIsOneProbePerSecond() throws {
        let simulator = Simulator(seed: 5, hosts: 10)
        try formed(simulator)
        simulator.run(.seconds(60))
        let before = simulator.packets
        simulator.run(.seconds(60))
        let perNode = Double(simulator.packets - before) / 600
        #expect(perNode < 2.3, "packets per second and node")
        #expect(perNode > 1.7)
    }

    @Test(arguments: isLong ? Array(1...40) : Array(1...5)) func crashIsSeenFast(_ seed: UInt64) throws {
        let simulator = Simulator(seed: seed, hosts: 10, settings: .fast)
        try formed(simulator)
        simulator.run(.seconds(20))
        let start = simulator.now
        simulator.crash(7)
        simulator.run(.seconds(10))
        let times = simulator.times(of: .failed, "node-7", since: start)
        #expect(times.count == 9)
        #expect((times.values.max() ?? .max) <= .milliseconds(2500), "seed \(seed): \(times)")
        #expect(simulator.breaches == [])
    }

    @Test(arguments: isLong ? Array(1...20) : Array(1...3)) func crashIsSeenLAN(_ seed: UInt64) throws {
        let simulator = Simulator(seed: seed, hosts: 10)
        try formed(simulator)
        simulator.run(.seconds(20))
        let start = simulator.now
        simulator.crash(3)
        simulator.run(.seconds(30))
        let times = simulator.times(of: .failed, "node-3", since: start).values.sorted()
        #expect(times.count == 9)
        #expect((times.last ?? .max) <= .seconds(9), "seed \(seed): \(times)")
        #expect(simulator.breaches == [])
    }

    @Test(arguments: [1, 2, 3]) func leavingIsNotFailing(_ seed: UInt64) throws {
        let simulator = Simulator(seed: seed, hosts: 12)
        try formed(simulator)
        let start = simulator.now
        simulator.command(.leave, 4)
        simulator.run(.seconds(40))
        let times = simulator.times(of: .left, "node-4", since: start)
        #expect(simulator.hosts[4].hasLeft)
        #expect(times.count >= 11)
        #expect((times.values.max() ?? .max) <= .seconds(2), "\(times)")
        #expect(simulator.breaches == [])
        #expect(simulator.disagreement() == nil)
        // And it can come back.
        try simulator.start(4)
        simulator.command(.join([simulator.hosts[1].endpoint]), 4)
        let back = simulator.run(until: .seconds(5)) { simulator.disagreement() == nil }
        #expect(back != nil, "\(simulator.disagreement() ?? "")")
    }

    /// One in fifty took more than ten seconds while a node that slept through the news was left to find out by itself.
    @Test(arguments: [20, 90], isLong ? Array(1...200) : [1, 2, 3]) func partitionHeals(
        _ length: UInt64, _ seed: UInt64
    ) throws {
        let simulator = Simulator(seed: seed &* 1000 &+ length, hosts: 10)
        try formed(simulator)
        simulator.partition { $0 % 2 }
        simulator.run(.seconds(length))
        let failed = simulator.hosts[0].instance?.members.filter { $0.status == .failed }.count ?? 0
        #expect(failed == 5 || length < 90 && failed > 0)
        simulator.heal()
        let time = simulator.run(until: .seconds(60)) { simulator.disagreement() == nil }
        #expect((time ?? .max) <= .seconds(10), "\(seconds(time)): \(simulator.disagreement() ?? "")")
        #expect(simulator.breaches == [])
    }

    @Test(arguments: [0.05, 0.15, 0.30]) func lossIsNotFailure(_ loss: Double) throws {
        let simulator = Simulator(seed: UInt64(loss * 100), hosts: 10)
        try formed(simulator)
        simulator.faults.loss = loss
        simulator.faults.streamLoss = loss
        let start = simulator.now
        simulator.run(.seconds(50))
        let failures = simulator.happenings.filter { $0.time > start && $0.change == .failed }
        #expect(failures.isEmpty, "\(failures.count) failures")
        #expect(simulator.breaches == [])
    }

    @Test func seesADeafNodeOverStreams() throws {
        // All datagrams are lost, streams work: nobody fails, and everybody is told.
        let simulator = Simulator(seed: 8, hosts: 4)
        try formed(simulator)
        simulator.faults.loss = 1
        let start = simulator.now
        simulator.run(.seconds(60))
        #expect(!simulator.happenings.contains { $0.time > start })
        #expect(simulator.hosts[0].notices.contains { if case .datagramsLost = $0 { true } else { false } })
    }

    @Test func restartsWithAndWithoutMemory() throws {
        let simulator = Simulator(seed: 21, hosts: 6)
        try formed(simulator)
        // Longer than the dead are gossiped to, so that the others hold only a tombstone.
        for (pause, keeps) in [(2, false), (2, true), (20, false), (80, false), (80, true)] as [(UInt64, Bool)] {
            let memory = simulator.crash(2)
            simulator.run(.seconds(pause))
            try simulator.start(2, memory: keeps ? memory : .init())
            if !keeps { simulator.command(.join([simulator.hosts[0].endpoint]), 2) }
            let time = simulator.run(until: .seconds(30)) { simulator.disagreement() == nil }
            #expect((time ?? .max) <= .seconds(5), "\(pause) s, \(keeps): \(simulator.disagreement() ?? "")")
            #expect(simulator.breaches == [])
        }
    }

    @Test func movesToANewAddress() throws {
        let simulator = Simulator(seed: 22, hosts: 6)
        try formed(simulator)
        simulator.crash(2)
        simulator.move(2, to: host(500))
        try simulator.start(2)
        simulator.command(.join([simulator.hosts[0].endpoint]), 2)
        let time = simulator.run(until: .seconds(90)) { simulator.disagreement() == nil }
        // Agents need 42 s.
        #expect((time ?? .max) <= .seconds(42), "\(seconds(time)): \(simulator.disagreement() ?? "")")
    }

    @Test func pausedNodeAccusesNobody() throws {
        let simulator = Simulator(seed: 23, hosts: 8)
        try formed(simulator)
        simulator.pause(5)
        simulator.run(.seconds(20))
        let start = simulator.now
        simulator.resume(5)
        simulator.run(.seconds(10))
        let accused = simulator.happenings.filter {
            $0.time >= start && $0.observer == "node-5" && $0.change == .failed
        }
        #expect(accused.isEmpty)
        #expect(simulator.hosts[5].notices.contains { if case .paused = $0 { true } else { false } })
        #expect(simulator.disagreement() == nil)
        #expect(simulator.breaches == [])
    }

    @Test func allRestartTogether() throws {
        let simulator = Simulator(seed: 24, hosts: 6)
        try formed(simulator)
        let memories = simulator.hosts.indices.map { simulator.crash($0) }
        simulator.run(.seconds(5))
        for (number, memory) in memories.enumerated() { try simulator.start(number, memory: memory) }
        let time = simulator.run(until: .seconds(60)) { simulator.disagreement() == nil }
        #expect((time ?? .max) <= .seconds(15), "\(seconds(time)): \(simulator.disagreement() ?? "")")
    }

    @Test func joinsForEver() throws {
        let simulator = Simulator(seed: 25, hosts: 2)
        try simulator.start(1)
        simulator.command(.join([simulator.hosts[0].endpoint]), 1)
        simulator.run(.seconds(600))
        try simulator.start(0)
        let time = simulator.run(until: .seconds(60)) { simulator.disagreement() == nil }
        #expect((time ?? .max) <= .seconds(31), "\(seconds(time))")
    }

    @Test(arguments: [0.0, 0.25]) func userEventsReachAllOnce(_ loss: Double) throws {
        let simulator = Simulator(seed: 31, hosts: 20)
        try formed(simulator)
        simulator.faults.loss = loss
        simulator.faults.duplication = loss
        for number in 0..<10 {
            simulator.command(.userEvent(name: "e\(number)", payload: [1, 2, 3], coalesce: false), number)
        }
        simulator.run(.seconds(90))
        for host in simulator.hosts {
            for number in 0..<10 { #expect(host.userEvents["e\(number)"] == 1, "\(host.name) e\(number)") }
        }
        #expect(simulator.breaches == [])
    }

    @Test func queriesAndKeyRotation() throws {
        let keys = (0..<3).map { [UInt8](repeating: UInt8($0 + 1), count: 16 + 8 * $0) }
        let simulator = Simulator(seed: 41, hosts: 7, keyRing: try KeyRing(primary: keys[0]))
        try formed(simulator)
        let request = QueryRequest(
            token: 7, name: "ask", payload: [65], filters: [.nodes(["node-1", "node-2"])], wantsAcks: true,
            relayFactor: 2)
        simulator.command(.query(request), 0)
        simulator.run(.seconds(2))
        for number in 0..<7 {
            #expect(simulator.hosts[number].queries.count == (number == 1 || number == 2 ? 1 : 0))
            for query in simulator.hosts[number].queries {
                simulator.command(.respond(query.id, payload: Array("yes".utf8)), number)
            }
        }
        simulator.run(.seconds(5))
        #expect(
            simulator.hosts[0].results.sorted()
                == ["ack node-1", "ack node-2", "finished", "node-1: yes", "node-2: yes"])

        for operation in [KeyOperation.install(keys[1]), .use(keys[1]), .remove(keys[0]), .list] {
            simulator.hosts[3].keyAnswers = [:]
            simulator.command(.keys(operation, token: 1), 3)
            simulator.run(.seconds(5))
            #expect(simulator.hosts[3].keyAnswers.count == 7)
            #expect(
                simulator.hosts[3].keyAnswers.values.allSatisfy { $0.succeeded }, "\(simulator.hosts[3].keyAnswers)")
        }
        for host in simulator.hosts { #expect(host.instance?.keyRing?.keys == [keys[1]]) }
        #expect(simulator.hosts[3].keyAnswers["node-6"]?.keys == [Base64.encode(keys[1])])
        simulator.run(.seconds(60))
        #expect(simulator.disagreement() == nil)
        #expect(simulator.breaches == [])
    }

    @Test func coordinatesFindTheRoundTrip() throws {
        let simulator = Simulator(seed: 51, hosts: 5, settings: .fast)
        simulator.faults.delay = .milliseconds(10) ... .milliseconds(10)
        try formed(simulator)
        simulator.run(.seconds(120))
        let estimate = simulator.hosts[0].instance?.estimatedRoundTrip(to: "node-3") ?? 0
        #expect((0.015...0.025).contains(estimate), "\(estimate)")
    }

    /// Crashes, restarts, cuts, loss and leaving in any order; when it is quiet again all must agree.
    @Test(arguments: chaosSeeds) func chaos(_ seed: UInt64) throws {
        var schedule = SeededGenerator(seed: seed &* 977)
        let size = Int.random(in: 3...(isLong ? 30 : 12), using: &schedule)
        let settings: Settings = Bool.random(using: &schedule) ? .lan : .fast
        let keyRing = Bool.random(using: &schedule) ? try KeyRing(primary: [UInt8](repeating: 7, count: 32)) : nil
        let simulator = Simulator(seed: seed, hosts: size, settings: settings, keyRing: keyRing)
        try formed(simulator)
        var memories: [Int: Instance.Memory] = [:]
        for _ in 0..<Int.random(in: 5...20, using: &schedule) {
            let number = Int.random(in: 1..<size, using: &schedule)
            switch Int.random(in: 0..<8, using: &schedule) {
            case 0, 1:
                if simulator.hosts[number].isRunning { memories[number] = simulator.crash(number) }
            case 2, 3:
                guard !simulator.hosts[number].isRunning else { break }
                let keeps = Bool.random(using: &schedule)
                try simulator.start(number, memory: keeps ? memories[number] ?? .init() : .init())
                simulator.command(.join([simulator.hosts[0].endpoint]), number)
            case 4: simulator.partition { _ in Int.random(in: 0...1, using: &schedule) }
            case 5: simulator.heal()
            case 6:
                simulator.faults.loss = Double.random(in: 0..<0.4, using: &schedule)
                simulator.faults.streamLoss = simulator.faults.loss
                simulator.faults.duplication = Double.random(in: 0..<0.2, using: &schedule)
                simulator.faults.delay = .milliseconds(1) ... .milliseconds(UInt64.random(in: 2...80, using: &schedule))
            default:
                if simulator.hosts[number].isRunning { simulator.command(.leave, number) }
            }
            simulator.run(.milliseconds(UInt64.random(in: 10...20_000, using: &schedule)))
        }
        simulator.heal()
        simulator.faults = NetworkFaults()
        let time = simulator.run(until: .seconds(180), every: .seconds(1)) { simulator.disagreement() == nil }
        #expect(time != nil, "seed \(seed), \(size) hosts: \(simulator.disagreement() ?? "")")
        // And it stays so.
        simulator.run(.seconds(30))
        #expect(simulator.disagreement() == nil, "seed \(seed)")
        #expect(simulator.breaches == [])
    }
}
