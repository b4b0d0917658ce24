import Glibc
import NetworkTypes
import Testing

@testable import Cluster

/// Large sizes and many seeds, in minutes: `SWIFTLET_LONG=1`.
let isLong = environment("SWIFTLET_LONG") == "1"

/// The value of an environment variable.
func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
}

func layout(_ subnet: String, gateway: String? = nil) throws -> BlockLayout {
    try BlockLayout(
        subnet: #require(IPPrefix(subnet)), gateway: gateway.map { try #require(IPAddress($0)) })
}

/// Random schedules: everything that can happen, in any order.
@Suite struct ScheduleTests {
    static let seeds: [UInt64] = {
        if let text = environment("SWIFTLET_SEED"), let seed = UInt64(text) { return [seed] }
        let count = environment("SWIFTLET_SCHEDULES").flatMap { UInt64($0) } ?? (isLong ? 10_000 : 60)
        let first = environment("SWIFTLET_FIRST").flatMap { UInt64($0) } ?? 1
        return Array(first..<first + count)
    }()

    static func simulator(_ seed: UInt64) throws -> Simulator {
        var random = SeededGenerator(seed: seed ^ 0xB10C)
        let count = 2 + random.below(random.chance(0.1) ? 19 : 7)
        let names = (0..<count).map { "host-\($0)" }
        let bootstraps: [BlockAllocator.Bootstrap]
        switch random.below(4) {
        case 0: bootstraps = names.map { _ in .seeds(names) }
        case 1:
            let seeds = Array(names.prefix(1 + random.below(count)))
            bootstraps = names.map { _ in .seeds(seeds) }
        case 2: bootstraps = names.map { _ in .voters(names) }
        default:
            // One that joins nobody and others that join it; or none joins anybody, and all see each other at once.
            bootstraps = names.indices.map { .voters($0 == 0 ? [] : [names[0]]) }
        }
        var layouts = [try layout(random.chance(0.5) ? "192.168.0.0/24" : "10.9.0.0/26", gateway: nil)]
        if random.chance(0.3) { layouts.append(try layout("10.1.0.0/23", gateway: "10.1.0.1")) }
        if random.chance(0.2) { layouts.append(try layout("fd00:1::/119", gateway: "fd00:1::1")) }
        let simulator = Simulator(seed: seed, layouts: layouts, bootstraps: bootstraps)
        simulator.keepsLog = environment("SWIFTLET_LOG") != nil
        return simulator
    }

    @Test func anySchedule() throws {
        var failures: [String] = []
        var totals = (granted: 0, refused: 0, messages: 0, bytes: 0, persists: 0)
        for seed in Self.seeds {
            let simulator = try Self.simulator(seed)
            var schedule = Schedule(simulator)
            schedule.run()
            totals.granted += simulator.granted
            totals.refused += simulator.refused
            totals.messages += simulator.messages
            totals.bytes += simulator.bytes
            totals.persists += simulator.persists
            failures += simulator.breaches.prefix(1)
            if simulator.keepsLog { for line in simulator.log { print(line) } }
            if failures.count > 20 { break }
        }
        print("\(Self.seeds.count) schedules from seed \(Self.seeds.first ?? 0): \(totals)")
        for failure in failures { Issue.record("\(failure)") }
    }
}

/// One random schedule on a simulator.
struct Schedule {
    let simulator: Simulator
    var random: SeededGenerator
    var dead: [Int] = []

    init(_ simulator: Simulator) {
        self.simulator = simulator
        random = SeededGenerator(seed: simulator.seed &+ 0x5EED)
    }

    mutating func run() {
        simulator.faults.loss = random.chance(0.3) ? 0 : Double.random(in: 0..<0.4, using: &random)
        simulator.faults.duplication = random.chance(0.5) ? 0.1 : 0
        simulator.faults.delay = milliseconds(1)...milliseconds(random.chance(0.5) ? 10 : 600)
        simulator.faults.crash = random.chance(0.5) ? 0.002 : 0
        for host in simulator.hosts.indices {
            simulator.schedule(
                .action { [unowned simulator] in simulator.start(host) }, in: random.time(0...seconds(3)))
        }
        let steps = 100 + random.below(300)
        for _ in 0..<steps where simulator.breaches.isEmpty {
            step()
            simulator.run(random.time(0...milliseconds(300)))
            simulator.checkOperations()
        }
        settle()
    }

    private mutating func step() {
        let number = random.below(simulator.hosts.count)
        let host = simulator.hosts[number]
        switch random.below(1000) {
        case 0..<430: simulator.add(number, subnet: random.below(simulator.layouts.count))
        case 430..<640:
            if let address = host.reserved.sorted().randomElement(using: &random) {
                simulator.remove(number, address)
            }
        case 640..<760: fixed(number)
        case 760..<800: simulator.tellUsage(number)
        case 800..<830: simulator.crash(number)
        case 830..<900: if !host.isRunning { simulator.start(number) }
        case 900..<915: split()
        case 915..<945: simulator.heal()
        case 945..<955: if random.chance(0.5) { simulator.loseDisk(number) }
        case 955..<965: if host.isRunning { simulator.give(.command(.drain(random.chance(0.5))), to: number) }
        case 965..<969: if random.chance(0.4) { simulator.leave(number) }
        case 969..<972: leaveEmptied(number)
        case 972..<976:
            if dead.count + 2 < simulator.hosts.count {
                simulator.destroy(number)
                if !dead.contains(number) { dead.append(number) }
            }
        case 976..<990: takeover(number)
        case 990..<995: forget(number)
        default: break
        }
    }

    private mutating func fixed(_ number: Int) {
        let layout = simulator.layouts[random.below(simulator.layouts.count)]
        let block = random.below(layout.count)
        let numbers = layout.numbers(of: block)
        let addition = simulator.add(
            number,
            fixed: IPAddress(
                family: layout.subnet.family, number: UInt128.random(in: numbers, using: &random)))
        guard random.chance(0.3) else { return }
        simulator.schedule(
            .action { [unowned simulator] in simulator.giveUp(number, addition) },
            in: random.time(0...milliseconds(1500)))
    }

    private mutating func split() {
        let sides = 2 + random.below(2)
        let places = simulator.hosts.map { _ in random.below(sides) }
        simulator.partition { places[$0] }
    }

    /// Names dead hosts only; the rules must hold whatever else is away.
    private mutating func takeover(_ number: Int) {
        guard simulator.hosts[number].isRunning, !dead.isEmpty else { return }
        let subjects = random.chance(0.5) ? dead : [dead[random.below(dead.count)]]
        let ids = subjects.map { simulator.hosts[$0].id }
        let isGone = random.chance(0.5)
        simulator.operate(number) { .takeover(ids, isGone: isGone, token: $0) }
    }

    /// Gives back what it can, and leaves when that is done, or before.
    private mutating func leaveEmptied(_ number: Int) {
        guard simulator.hosts[number].isRunning else { return }
        simulator.operate(number) { .leave(token: $0) }
        simulator.schedule(
            .action { [unowned simulator] in if !simulator.isSettling { simulator.leave(number) } },
            in: random.time(0...seconds(3)))
    }

    /// Membership forgets a host that is dead or has left.
    private mutating func forget(_ number: Int) {
        let subject = random.below(simulator.hosts.count)
        let host = simulator.hosts[subject]
        guard !host.isRunning, host.isDead || host.hasLeft else { return }
        simulator.hosts[number].views[subject] = nil
        simulator.give(.peer(host.id, .forgotten), to: number)
    }

    /// A majority of the voters may be gone before anything was decided: then the operator names others.
    private mutating func renewVoters() {
        guard !dead.isEmpty, simulator.hosts.allSatisfy({ $0.allocator?.isDecided != true }) else { return }
        let names = simulator.hosts.filter { !$0.isDead }.map(\.name)
        for host in simulator.hosts where !host.isDead {
            guard case .voters = host.bootstrap else { continue }
            host.bootstrap = .voters(names)
            simulator.crash(host.number)
        }
        for number in simulator.hosts.indices { simulator.start(number) }
        simulator.run(seconds(20))
    }

    /// Everything is put right; then nothing must be left over.
    private mutating func settle() {
        guard simulator.breaches.isEmpty else { return }
        simulator.isSettling = true
        simulator.faults.loss = 0
        simulator.faults.duplication = 0
        simulator.faults.crash = 0
        simulator.heal()
        for host in simulator.hosts { simulator.start(host.number) }
        simulator.run(seconds(8))
        // Hosts that are gone hold up those that lost their memory, until the operator vouches for them.
        for host in simulator.hosts where host.isRunning && !dead.isEmpty {
            let ids = dead.map { simulator.hosts[$0].id }
            simulator.operate(host.number) { .takeover(ids, token: $0) }
        }
        for host in simulator.hosts where host.isRunning {
            simulator.give(.command(.drain(false)), to: host.number)
            simulator.tellUsage(host.number)
        }
        if !dead.isEmpty || simulator.hosts.contains(where: { $0.allocator?.isDecided == false }) {
            simulator.run(seconds(8))
            for host in simulator.hosts where host.isRunning {
                let isStuck = host.allocator?.isDecided == false || host.allocator?.unrecovered.isEmpty == false
                if isStuck { simulator.vouch(host.number) }
            }
        }
        renewVoters()
        var reason: String?
        let isQuiet = simulator.run(until: seconds(60)) {
            reason = simulator.disagreement()
            return reason == nil
        }
        simulator.checkOperations()
        if !isQuiet, simulator.breaches.isEmpty { simulator.breach("not settled: \(reason ?? "")") }
        simulator.run(seconds(20))
        if simulator.breaches.isEmpty, let reason = simulator.disagreement() {
            simulator.breach("not settled for good: \(reason)")
        }
        simulator.checkConservation()
        simulator.checkOperations()
    }
}
