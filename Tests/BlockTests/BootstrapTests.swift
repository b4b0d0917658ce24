import NetworkTypes
import Testing

@testable import Cluster

/// The first split by vote: never two among hosts with one list of voters, and one in the end.
@Suite struct BootstrapTests {
    @Test func neverTwoFirstSplits() throws {
        var undecided = 0
        var failures: [String] = []
        let count: UInt64 = isLong ? 10_000 : 60
        for seed in 1...count {
            var random = SeededGenerator(seed: seed ^ 0xE1EC)
            let voters = 2 + random.below(6)
            let names = (0..<voters).map { "host-\($0)" }
            // Some more hosts join those, with lists of their own.
            let others = random.below(3)
            let bootstraps =
                names.map { _ in BlockAllocator.Bootstrap.voters(names) }
                + (0..<others).map { _ in .voters([names[random.below(voters)]]) }
            let simulator = Simulator(seed: seed, layouts: [try layout("10.0.0.0/24")], bootstraps: bootstraps)
            simulator.checksSafety = others == 0
            simulator.faults.loss = Double.random(in: 0..<0.6, using: &random)
            simulator.faults.duplication = 0.2
            simulator.faults.delay = milliseconds(1)...milliseconds(random.chance(0.5) ? 20 : 900)
            simulator.faults.crash = 0.03
            for number in bootstraps.indices {
                let late = random.time(0...seconds(random.chance(0.8) ? 3 : 20))
                simulator.schedule(.action { [unowned simulator] in simulator.start(number) }, in: late)
            }
            var universes: Set<UInt64> = []
            for _ in 0..<(20 + random.below(60)) {
                switch random.below(10) {
                case 0:
                    let sides = simulator.hosts.map { _ in random.below(2) }
                    simulator.partition { sides[$0] }
                case 1, 2: simulator.heal()
                case 3: simulator.crash(random.below(bootstraps.count))
                case 4, 5: simulator.start(random.below(bootstraps.count))
                default: break
                }
                simulator.run(random.time(0...milliseconds(500)))
                for host in simulator.hosts.prefix(voters) {
                    if let universe = host.allocator?.universe { universes.insert(universe) }
                }
            }
            simulator.faults.loss = 0
            simulator.faults.crash = 0
            simulator.heal()
            for number in bootstraps.indices { simulator.start(number) }
            let isDecided = simulator.run(until: seconds(120)) {
                simulator.hosts.allSatisfy { $0.allocator?.isDecided == true }
            }
            for host in simulator.hosts.prefix(voters) {
                if let universe = host.allocator?.universe { universes.insert(universe) }
            }
            failures += simulator.breaches
            if universes.count > 1 { failures.append("seed \(seed): \(universes.count) first splits") }
            if !isDecided { undecided += 1 }
        }
        for failure in failures.prefix(10) { Issue.record("\(failure)") }
        #expect(undecided == 0)
    }
}
