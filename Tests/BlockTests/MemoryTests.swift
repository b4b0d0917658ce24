import NetworkTypes
import Testing

@testable import Cluster

/// What hosts remember, what they lose, and what they must then not do.
@Suite struct MemoryTests {
    private func simulator(_ bootstraps: [BlockAllocator.Bootstrap], seed: UInt64 = 5) throws -> Simulator {
        let simulator = Simulator(seed: seed, layouts: [try layout("192.168.0.0/24")], bootstraps: bootstraps)
        simulator.faults.detection = milliseconds(10)...milliseconds(50)
        return simulator
    }

    /// A seed that was made anew, key and all, has the name of the one before, whose share was given away since.
    @Test func aSeedMadeAnewHearsOthersFirst() throws {
        let names = ["host-0", "host-1", "host-2"]
        let simulator = try simulator(names.map { _ in .seeds(names) })
        for number in 0..<3 { simulator.start(number) }
        simulator.run(seconds(3))
        // The whole share of the third goes to the first, which hands it out.
        simulator.give(.command(.drain(true)), to: 2)
        simulator.run(seconds(3))
        let given = simulator.hosts[0].allocator?.mine.count ?? 0
        #expect(given > 6)
        simulator.destroy(2)
        simulator.hosts.append(Simulator.Host(number: 3, bootstrap: .seeds(names), name: "host-2"))
        simulator.partition { $0 == 3 ? 1 : 0 }
        simulator.start(3)
        simulator.add(3)
        simulator.run(seconds(10))
        #expect(simulator.hosts[3].allocator?.mine.isEmpty == true)
        #expect(simulator.hosts[3].reserved.isEmpty)
        simulator.heal()
        simulator.run(seconds(3))
        simulator.add(3)
        simulator.run(seconds(3))
        #expect(simulator.hosts[3].reserved.count == 1)
        #expect(simulator.disagreement() == nil)
        simulator.checkConservation()
        #expect(simulator.breaches == [])
    }

    /// Two voters that both lost their memory, as after one bad disk image for all: what they agree on now is new.
    @Test(arguments: [1, 2] as [UInt64]) func votersThatLostTheirMemoryDecide(seed: UInt64) throws {
        let names = ["host-0", "host-1", "host-2"]
        let simulator = try simulator(names.map { _ in .voters(names) }, seed: seed)
        for number in 0..<2 { simulator.start(number, memory: .lost) }
        simulator.run(seconds(10))
        // One that is not there may know what was agreed on before.
        #expect(simulator.hosts.allSatisfy { $0.allocator?.isDecided != true })
        simulator.start(2)
        #expect(simulator.run(until: seconds(30)) { simulator.hosts.allSatisfy { $0.allocator?.isDecided == true } })
        #expect(simulator.run(until: seconds(30)) { simulator.disagreement() == nil })
        for number in 0..<3 { simulator.add(number) }
        simulator.run(seconds(10))
        #expect(simulator.users.count == 3)
        simulator.checkConservation()
        #expect(simulator.breaches == [])
    }

    /// A host that lost its memory does not help another majority to a second first split.
    @Test func aLostVoterDoesNotVoteTwice() throws {
        let names = ["host-0", "host-1", "host-2"]
        for seed in 1...(isLong ? 300 : 40) as ClosedRange<UInt64> {
            let simulator = try simulator(names.map { _ in .voters(names) }, seed: seed)
            var random = SeededGenerator(seed: seed ^ 0x105E)
            simulator.faults.loss = 0.3
            simulator.partition { $0 == 2 ? 1 : 0 }
            for number in 0..<3 { simulator.start(number) }
            simulator.run(random.time(milliseconds(100)...seconds(4)))
            var universes = Set(simulator.hosts.compactMap { $0.allocator?.universe })
            simulator.loseDisk(random.below(2))
            simulator.partition { $0 == (random.chance(0.5) ? 0 : 1) ? 1 : 0 }
            for number in 0..<3 { simulator.start(number) }
            simulator.run(seconds(6))
            universes.formUnion(simulator.hosts.compactMap { $0.allocator?.universe })
            simulator.faults.loss = 0
            simulator.heal()
            #expect(
                simulator.run(until: seconds(60)) { simulator.hosts.allSatisfy { $0.allocator?.isDecided == true } },
                "seed \(seed)")
            universes.formUnion(simulator.hosts.compactMap { $0.allocator?.universe })
            #expect(universes.count == 1, "seed \(seed)")
            #expect(simulator.breaches == [])
        }
    }

    /// Promises belong to a list of voters, and outlive that another list was used in between.
    @Test func promisesOutliveAnotherList() throws {
        var random = SeededGenerator(seed: 9)
        let host = HostID(rawValue: 1)
        func make(_ voters: [String], _ memory: BlockAllocator.Memory) throws -> BlockAllocator {
            try BlockAllocator(
                subnets: [layout("192.168.0.0/24")], host: host, name: "a", bootstrap: .voters(voters), memory: memory,
                now: 0, random: &random)
        }
        func saved(_ allocator: inout BlockAllocator) throws -> [UInt8] {
            for directive in allocator.handle(.start, now: 1, random: &random) {
                if case .persist(let bytes) = directive { return bytes }
            }
            throw BlockWireFault.missing
        }
        var first = try make(["b", "c"], .fresh)
        let ballot = BlockMessage.Ballot(round: 7, host: host)
        let universe = try #require(BlockUniverse(.hosts([first.me])))
        first.promised = ballot
        first.accepted = BlockMessage.Proposal(ballot: ballot, universe: universe)
        // Restarted with another list, and with the first again.
        var second = try make(["b"], .saved(try saved(&first)))
        #expect(second.promised == .zero)
        #expect(second.accepted == nil)
        var third = try make(["b", "c"], .saved(try saved(&second)))
        #expect(third.promised == ballot)
        #expect(third.accepted?.universe == universe)
        // The same while it runs, as when names are found.
        _ = third.handle(.command(.voters(["d"])), now: 2, random: &random)
        #expect(third.promised == .zero)
        _ = third.handle(.command(.voters(["c", "b"])), now: 3, random: &random)
        #expect(third.promised == ballot)
    }

    /// Two hosts that name each other by names that nobody finds yet do not decide alone, and agree when they are found.
    @Test func namesThatAreNotFoundAreVoters() throws {
        let simulator = try simulator([.voters(["second.example:7946"]), .voters(["first.example:7946"])])
        simulator.partition { $0 }
        for number in 0..<2 {
            simulator.start(number)
            simulator.add(number)
        }
        simulator.run(seconds(20))
        #expect(simulator.hosts.allSatisfy { $0.allocator?.isDecided == false && $0.reserved.isEmpty })
        #expect(
            simulator.hosts[0].allocator?.obstacle(subnet: 0) == .undecided(waitingFor: ["second.example:7946"]))
        simulator.heal()
        simulator.run(seconds(3))
        #expect(simulator.hosts.allSatisfy { $0.allocator?.isDecided == false })
        simulator.give(.command(.voters(["host-1"])), to: 0)
        simulator.give(.command(.voters(["host-0"])), to: 1)
        #expect(simulator.run(until: seconds(20)) { simulator.hosts.allSatisfy { $0.allocator?.isDecided == true } })
        for number in 0..<2 { simulator.add(number) }
        simulator.run(seconds(3))
        #expect(simulator.users.count == 2)
        #expect(simulator.disagreement() == nil)
        #expect(simulator.breaches == [])
    }
}
