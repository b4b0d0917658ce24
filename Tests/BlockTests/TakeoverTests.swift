import NetworkTypes
import Testing

@testable import Cluster

/// Hosts that are gone, that come back, that lost their memory, and tables that must not be mixed.
@Suite struct TakeoverTests {
    private func simulator(_ count: Int) throws -> Simulator {
        let names = (0..<count).map { "host-\($0)" }
        let simulator = Simulator(
            seed: 2, layouts: [try layout("192.168.0.0/24")], bootstraps: names.map { _ in .seeds(names) })
        simulator.faults.detection = milliseconds(10)...milliseconds(50)
        for number in simulator.hosts.indices { simulator.start(number) }
        simulator.run(seconds(5))
        return simulator
    }

    private func blocks(_ simulator: Simulator, _ number: Int) -> [Int] {
        simulator.hosts[number].allocator?.mine.map(\.number).sorted() ?? []
    }

    private func take(_ simulator: Simulator, _ number: Int, _ subjects: [Int]) -> BlockAllocator.Refusal? {
        let ids = subjects.map { simulator.hosts[$0].id }
        let token = simulator.operate(number) { .takeover(ids, token: $0) }
        simulator.run(seconds(6))
        guard let result = simulator.hosts[number].results[token] else {
            Issue.record("no answer")
            return nil
        }
        return result
    }

    @Test func takesOverRestsAndUses() throws {
        let simulator = try simulator(4)
        #expect(take(simulator, 0, [3]) == .isAlive(simulator.hosts[3].id, seenBy: simulator.hosts[0].id))
        simulator.destroy(3)
        simulator.run(seconds(1))
        let before = simulator.now
        #expect(take(simulator, 0, [3]) == nil)
        #expect(blocks(simulator, 0) == Array(0..<4) + Array(12..<16))
        #expect(simulator.hosts[0].allocator?.rows[13].entry?.epoch == 1)
        _ = simulator.run(until: seconds(20)) { simulator.hosts[0].allocator?.rows[13].entry?.state == .offered }
        #expect(simulator.now >= before + simulator.settings.rest)
        #expect(simulator.disagreement() == nil)
        #expect(simulator.breaches == [])
    }

    @Test func needsAMajorityAndEverybodyElse() throws {
        let simulator = try simulator(5)
        simulator.destroy(4)
        simulator.crash(3)
        simulator.run(seconds(1))
        #expect(take(simulator, 0, [4]) == .othersAway([simulator.hosts[3].id], subjects: [simulator.hosts[4].id]))
        // The rest of a cut cluster names all others: no.
        simulator.partition { $0 < 2 ? 0 : 1 }
        simulator.run(seconds(1))
        let others = [2, 3, 4].map { simulator.hosts[$0].id }.sorted()
        #expect(take(simulator, 0, [2, 3, 4]) == .noMajority(answered: 2, known: 5, subjects: others))
        simulator.heal()
        simulator.start(3)
        simulator.run(seconds(2))
        #expect(take(simulator, 0, [4]) == nil)
        #expect(simulator.breaches == [])
    }

    /// Of two hosts one is never a majority: the operator vouches that the other is gone, also when membership has forgotten
    /// it. Until then its blocks are its own, and a loan to it holds.
    @Test(arguments: [false, true]) func oneOfTwoGoesOn(isRestarted: Bool) throws {
        let simulator = try simulator(2)
        let gone = simulator.hosts[1].id
        let lent = try #require(IPAddress("192.168.0.7"))
        simulator.add(1, fixed: lent)
        simulator.run(seconds(1))
        simulator.destroy(1)
        simulator.run(seconds(1))
        simulator.give(.peer(gone, .failed, name: "second"), to: 0)
        #expect(take(simulator, 0, [1]) == .noMajority(answered: 1, known: 2, subjects: [gone]))
        simulator.give(.peer(gone, .forgotten), to: 0)
        if isRestarted {
            simulator.run(seconds(5))
            simulator.crash(0)
            simulator.hosts[0].views = [:]
            simulator.start(0)
            simulator.run(seconds(1))
        }
        let allocator = try #require(simulator.hosts[0].allocator)
        #expect(allocator.hosts.map(\.host) == [gone])
        #expect(allocator.hosts.map(\.name) == ["second"])
        #expect(allocator.rows[15].entry?.owner.host == gone)
        #expect(allocator.lent[lent]?.borrower.host == gone)
        #expect(take(simulator, 0, [1]) == .noMajority(answered: 1, known: 2, subjects: [gone]))
        let token = simulator.operate(0) { .takeover([gone], isGone: true, token: $0) }
        simulator.run(seconds(1))
        #expect(simulator.hosts[0].results[token] == .some(nil))
        #expect(blocks(simulator, 0) == Array(0..<16))
        #expect(simulator.hosts[0].allocator?.lent.isEmpty == true)
        #expect(simulator.hosts[0].allocator?.rows[15].entry?.state == .resting)
        simulator.run(seconds(10))
        #expect(simulator.hosts[0].allocator?.rows[15].entry?.state == .offered)
        #expect(simulator.disagreement() == nil)
        #expect(simulator.breaches == [])
    }

    /// The word of an operator does not outweigh what is seen.
    @Test func aLivingHostIsNotGone() throws {
        let simulator = try simulator(2)
        let token = simulator.operate(0) { .takeover([simulator.hosts[1].id], isGone: true, token: $0) }
        simulator.run(seconds(1))
        #expect(
            simulator.hosts[0].results[token] == .isAlive(simulator.hosts[1].id, seenBy: simulator.hosts[0].id))
    }

    @Test func oneTakerAtATime() throws {
        let simulator = try simulator(5)
        simulator.destroy(4)
        simulator.run(seconds(1))
        let ids = [simulator.hosts[4].id]
        let tokens = [0, 1, 2].map { number in (number, simulator.operate(number) { .takeover(ids, token: $0) }) }
        simulator.run(seconds(8))
        for (number, token) in tokens { #expect(simulator.hosts[number].results[token] != nil) }
        if tokens.allSatisfy({ simulator.hosts[$0].results[$1].flatMap { $0 } != nil }) {
            #expect(take(simulator, 2, [4]) == nil)
        }
        simulator.run(seconds(10))
        #expect(simulator.disagreement() == nil)
        simulator.checkConservation()
        #expect(simulator.breaches == [])
    }

    /// The operator was wrong: the host was only cut off. It stops as soon as it hears, and says what is in use.
    @Test func aReturningOwnerStops() throws {
        let simulator = try simulator(4)
        simulator.add(3)
        simulator.run(seconds(1))
        simulator.partition { $0 == 3 ? 1 : 0 }
        simulator.run(seconds(1))
        simulator.zombies = [3]
        #expect(take(simulator, 0, [3]) == nil)
        simulator.run(seconds(10))
        #expect(blocks(simulator, 3).count == 4)
        simulator.heal()
        simulator.run(seconds(5))
        #expect(Set(blocks(simulator, 3)).isDisjoint(with: 12..<16))
        let used = simulator.hosts[3].notices.compactMap { notice -> Int? in
            if case .superseded(_, simulator.hosts[0].id, let used) = notice { used } else { nil }
        }
        #expect(used.count == 4)
        #expect(used.reduce(0, +) == 1)
        #expect(simulator.disagreement() == nil)
        // It goes on with other blocks.
        simulator.add(3)
        simulator.run(seconds(2))
        #expect(simulator.hosts[3].reserved.count == 2)
        #expect(simulator.breaches == [])
    }

    /// A block that the dead host gave away last: whoever takes over must have that row, not only the answer.
    @Test func whatOnlyOneHostKnowsIsHeardFirst() throws {
        let simulator = try simulator(4)
        let block = BlockID(subnet: 0, number: 15)
        let entry = try #require(simulator.hosts[3].allocator?.rows[15].entry)
        let heir = try #require(simulator.hosts[2].allocator?.me)
        simulator.destroy(3)
        simulator.hosts[2].allocator?.store(entry.next(owner: heir, state: .offered), at: block)
        simulator.run(milliseconds(200))
        let end = simulator.now + seconds(3)
        simulator.isLost = { [unowned simulator] bytes, source in
            guard source == 2, simulator.now < end, case .rows? = try? BlockMessage(bytes).body else { return false }
            return true
        }
        #expect(take(simulator, 0, [3]) == nil)
        #expect(simulator.now > end)
        #expect(blocks(simulator, 2) == Array(8..<12) + [15])
        #expect(Set(blocks(simulator, 0)).isDisjoint(with: [15]))
        #expect(simulator.disagreement() == nil)
        #expect(simulator.breaches == [])
    }

    @Test func loansOutliveTheOwner() throws {
        let simulator = try simulator(4)
        let wanted = try #require(IPAddress("192.168.0.195"))
        simulator.add(1, fixed: wanted)
        simulator.run(seconds(1))
        #expect(simulator.hosts[1].allocator?.borrowed == [wanted])
        simulator.destroy(3)
        simulator.run(seconds(1))
        #expect(take(simulator, 0, [3]) == nil)
        #expect(simulator.hosts[0].allocator?.lent[wanted]?.borrower.host == simulator.hosts[1].id)
        simulator.run(seconds(10))
        simulator.remove(1, wanted)
        simulator.run(seconds(2))
        #expect(simulator.hosts[0].allocator?.lent.isEmpty == true)
        #expect(simulator.breaches == [])
    }

    @Test func winsBackWhatItForgot() throws {
        let simulator = try simulator(3)
        simulator.add(1)
        simulator.run(seconds(1))
        let address = try #require(simulator.hosts[1].reserved.first)
        let held = blocks(simulator, 1)
        simulator.loseDisk(1)
        simulator.crash(2)
        simulator.run(seconds(1))
        simulator.start(1)
        simulator.run(seconds(8))
        // Host 2 may know better; it is waited for. In the meantime there are blocks of others.
        #expect(blocks(simulator, 1) == [])
        #expect(simulator.hosts[1].notices.contains(.recovering(waitingFor: [], unheard: ["host-2"])))
        simulator.add(1)
        simulator.run(seconds(2))
        #expect(simulator.hosts[1].reserved.count == 2)
        simulator.start(2)
        simulator.run(seconds(6))
        #expect(Set(blocks(simulator, 1)).isSuperset(of: held))
        let block = try #require(simulator.layouts[0].block(of: address))
        #expect(simulator.hosts[1].allocator?.rows[block].entry?.state == .resting)
        simulator.run(seconds(10))
        #expect(simulator.hosts[1].allocator?.rows[block].entry?.state == .owned)
        #expect(simulator.disagreement() == nil)
        #expect(simulator.breaches == [])
    }

    /// Nobody told the host that its state is gone: what the others know tells it.
    @Test func aFreshStartOverAnEarlierLifeIsSeen() throws {
        let simulator = try simulator(3)
        let held = blocks(simulator, 1)
        simulator.loseDisk(1)
        simulator.run(seconds(1))
        simulator.start(1, memory: .fresh)
        simulator.run(seconds(2))
        #expect(blocks(simulator, 1).allSatisfy { simulator.hosts[1].allocator?.rows[$0].entry?.state == .resting })
        simulator.run(seconds(10))
        #expect(blocks(simulator, 1) == held)
        #expect(simulator.breaches == [])
    }

    @Test func anOldDiskIsSeen() throws {
        let simulator = try simulator(3)
        let old = try #require(simulator.hosts[0].disk)
        for _ in 0..<8 {
            simulator.add(2)
            simulator.run(milliseconds(300))
        }
        // Host 0 gives blocks away, then its disk is put back.
        simulator.give(.command(.drain(true)), to: 0)
        simulator.run(seconds(3))
        #expect(blocks(simulator, 0) == [])
        simulator.crash(0)
        simulator.hosts[0].disk = old
        simulator.hosts[0].held = []
        simulator.checksSafety = false
        simulator.start(0)
        simulator.run(seconds(10))
        #expect(simulator.hosts[0].notices.contains(.memoryIsOld))
        #expect(blocks(simulator, 0) == [])
        simulator.checksSafety = true
        #expect(simulator.disagreement() == nil)
        simulator.checkConservation()
        #expect(simulator.breaches == [])
    }

    @Test func differentFirstSplitsAreNotMixed() throws {
        let simulator = Simulator(
            seed: 3, layouts: [try layout("192.168.0.0/24")], bootstraps: [.voters([]), .voters([])])
        simulator.checksSafety = false
        simulator.partition { $0 }
        for number in 0..<2 { simulator.start(number) }
        simulator.run(seconds(5))
        simulator.heal()
        simulator.run(seconds(20))
        let universes = simulator.hosts.compactMap { $0.allocator?.universe }
        #expect(Set(universes).count == 2)
        for number in 0..<2 {
            #expect(blocks(simulator, number) == Array(0..<16))
            let said = simulator.hosts[number].notices.filter {
                $0
                    == .otherUniverse(
                        simulator.hosts[1 - number].id, theirs: universes[1 - number], ours: universes[number])
            }
            #expect(said.count == 1)
        }
    }

    @Test func differentSubnetsAreNotMixed() throws {
        let simulator = Simulator(
            seed: 3, layouts: [try layout("192.168.0.0/24")], bootstraps: [.voters([]), .voters(["host-0"])])
        var other = try BlockAllocator(
            subnets: [try layout("192.168.0.0/23")], host: simulator.hosts[1].id, name: "host-1",
            bootstrap: .voters(["host-0"]), memory: .fresh, now: simulator.now, random: &simulator.random)
        simulator.start(0)
        simulator.give(.peer(simulator.hosts[1].id, .alive), to: 0)
        _ = other.handle(.peer(simulator.hosts[0].id, .alive), now: simulator.now, random: &simulator.random)
        for directive in other.handle(.start, now: simulator.now, random: &simulator.random) {
            guard case .send(_, let bytes) = directive else { continue }
            simulator.give(.message(bytes, from: simulator.hosts[1].id), to: 0)
        }
        #expect(simulator.hosts[0].notices.contains(.otherSubnets(simulator.hosts[1].id)))
        #expect(simulator.hosts[0].allocator?.partners == [])
    }

    /// Two owners of one version cannot be: it is reported, both stop, the tables become equal.
    @Test func aConflictIsReported() throws {
        let simulator = try simulator(2)
        let (first, second) = (simulator.hosts[0], simulator.hosts[1])
        simulator.checksSafety = false
        let block = BlockID(subnet: 0, number: 3)
        var entry = try #require(first.allocator?.rows[3].entry)
        entry.owner = try #require(second.allocator?.me)
        second.allocator?.store(entry, at: block)
        simulator.run(seconds(10))
        #expect(simulator.disagreement() == nil)
        for host in [first, second] {
            #expect(
                host.notices.contains {
                    if case .conflict(block, _, used: 0) = $0 { true } else { false }
                })
            #expect(host.allocator?.rows[3].isDisputed == true)
        }
    }

    @Test func damagedMemoryIsRefused() throws {
        let simulator = try simulator(2)
        let bytes = try #require(simulator.hosts[0].disk)
        func make(_ bytes: [UInt8], host: Int, subnet: String = "192.168.0.0/24") throws -> BlockAllocator {
            try BlockAllocator(
                subnets: [layout(subnet)], host: simulator.hosts[host].id, name: "host-0",
                bootstrap: .seeds(["host-0"]), memory: .saved(bytes), now: 0, random: &simulator.random)
        }
        #expect(try make(bytes, host: 0).digest == simulator.hosts[0].allocator?.digest)
        for length in 0..<bytes.count {
            do {
                _ = try make(Array(bytes.prefix(length)), host: 0)
                Issue.record("\(length) of \(bytes.count) bytes are taken")
            } catch let error as BlockAllocator.Fault {
                #expect(error == .memory)
            }
        }
        #expect(throws: BlockAllocator.Fault.foreignMemory) { _ = try make(bytes, host: 1) }
        #expect(throws: BlockAllocator.Fault.foreignMemory) { _ = try make(bytes, host: 0, subnet: "10.0.0.0/24") }
    }
}
