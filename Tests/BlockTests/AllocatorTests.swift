import NetworkTypes
import Testing

@testable import Cluster

/// One thing at a time, on a network without faults.
@Suite struct AllocatorTests {
    private func simulator(
        _ bootstraps: [BlockAllocator.Bootstrap], _ subnets: [String] = ["192.168.0.0/24"], start: Bool = true
    ) throws -> Simulator {
        let layouts = try subnets.map { try layout($0) }
        let simulator = Simulator(seed: 1, layouts: layouts, bootstraps: bootstraps)
        simulator.faults.detection = milliseconds(10)...milliseconds(50)
        if start {
            for number in simulator.hosts.indices { simulator.start(number) }
            simulator.run(seconds(5))
        }
        return simulator
    }

    private func seeds(_ count: Int) -> [BlockAllocator.Bootstrap] {
        let names = (0..<count).map { "host-\($0)" }
        return names.map { _ in .seeds(names) }
    }

    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    /// The blocks of a host.
    private func blocks(_ simulator: Simulator, _ number: Int) -> [Int] {
        simulator.hosts[number].allocator?.mine.map(\.number).sorted() ?? []
    }

    private func fill(_ simulator: Simulator, _ number: Int, _ count: Int) {
        for _ in 0..<count {
            simulator.add(number)
            simulator.run(milliseconds(400))
        }
    }

    @Test func aloneItServesAtOnce() throws {
        let simulator = try simulator([.voters([])], start: false)
        simulator.start(0)
        let allocator = try #require(simulator.hosts[0].allocator)
        #expect(allocator.isDecided)
        #expect(blocks(simulator, 0) == Array(0..<16))
        let before = simulator.now
        simulator.add(0)
        #expect(simulator.granted == 1)
        #expect(simulator.now == before)
        #expect(simulator.hosts[0].allocator?.ranges.first?.spans.map(\.description) == ["192.168.0.1-192.168.0.15"])
        simulator.run(seconds(1))
        #expect(simulator.hosts[0].reserved == [try address("192.168.0.1")])
        #expect(simulator.breaches == [])
    }

    @Test func seedsShareBySortedOrder() throws {
        let simulator = try simulator(seeds(3), start: false)
        simulator.partition { $0 == 2 ? 1 : 0 }
        for number in 0..<3 { simulator.start(number) }
        simulator.run(seconds(1))
        // Two of three are enough; the third hears nobody, and says so.
        #expect((0..<3).map { blocks(simulator, $0) } == [Array(0..<6), Array(6..<11), []])
        for number in 0..<3 { simulator.add(number) }
        simulator.run(milliseconds(100))
        #expect(simulator.granted == 2)
        #expect(
            simulator.hosts[2].allocator?.obstacle(subnet: 0) == .undecided(waitingFor: ["host-0", "host-1"]))
        #expect(Set(simulator.hosts.map { $0.allocator?.universe }).count == 1)
        simulator.heal()
        #expect(simulator.run(until: seconds(20)) { simulator.disagreement() == nil })
        #expect(Set(blocks(simulator, 2)).isSuperset(of: 11..<16))
        simulator.checkConservation()
        #expect(simulator.breaches == [])
    }

    @Test func votersAgree() throws {
        let simulator = try simulator((0..<3).map { _ in .voters(["host-0", "host-1", "host-2"]) }, start: false)
        simulator.start(0)
        simulator.add(0)
        simulator.run(seconds(4))
        guard case .undecided(let names)?? = simulator.hosts[0].results.values.first else {
            Issue.record("\(simulator.hosts[0].results)")
            return
        }
        #expect(names == ["host-1", "host-2"])
        // Two of three are a majority; the third takes what they decided.
        simulator.start(2)
        simulator.run(seconds(4))
        #expect(blocks(simulator, 0) + blocks(simulator, 2) == Array(0..<16) || blocks(simulator, 0).count == 8)
        #expect(simulator.hosts[0].allocator?.isDecided == true)
        simulator.start(1)
        simulator.run(seconds(4))
        #expect(Set(simulator.hosts.map { $0.allocator?.universe }).count == 1)
        #expect(blocks(simulator, 1) == [])
        simulator.add(1)
        simulator.run(seconds(1))
        #expect(simulator.hosts[1].reserved.count == 1)
        #expect(simulator.breaches == [])
    }

    @Test func severalAloneBecomeOne() throws {
        let simulator = try simulator([.voters([]), .voters([]), .voters([])], start: false)
        // All know of each other when the network appears, as when it is announced to a running cluster.
        for number in 0..<3 {
            for other in 0..<3 where other != number { simulator.hosts[number].views[other] = .alive }
        }
        for number in 0..<3 { simulator.start(number) }
        simulator.run(seconds(4))
        #expect(Set(simulator.hosts.map { $0.allocator?.universe }).count == 1)
        #expect(simulator.breaches == [])
    }

    @Test func donorWritesBeforeItSpeaks() throws {
        let simulator = try simulator([.voters([]), .voters(["host-0"])])
        let donor = simulator.hosts[0]
        let asker = try #require(simulator.hosts[1].allocator)
        let question = BlockMessage(
            life: asker.life, layouts: asker.layoutDigest, universe: asker.universeDigest,
            body: .ask(token: 9, subnet: 0, isUrgent: true))
        let directives =
            donor.allocator?.handle(
                .message(question.encoded(), from: asker.host), now: simulator.now, random: &simulator.random) ?? []
        guard case .persist(let bytes)? = directives.first else {
            Issue.record("\(directives)")
            return
        }
        let written = try BlockMemory(bytes)
        #expect(written.rows.contains { $0.entry.owner == asker.me })
        #expect(directives.contains { if case .send(asker.host, _) = $0 { true } else { false } })
        // The same question again, as when the answer was lost, gives the same block and nothing to write.
        let again =
            donor.allocator?.handle(
                .message(question.encoded(), from: asker.host), now: simulator.now, random: &simulator.random) ?? []
        #expect(again.contains { if case .send(asker.host, _) = $0 { true } else { false } })
        #expect(!again.contains { if case .persist = $0 { true } else { false } })
    }

    @Test func growsBlockByBlock() throws {
        let simulator = try simulator([.voters([]), .voters(["host-0"])])
        #expect(blocks(simulator, 1) == [])
        fill(simulator, 1, 40)
        #expect(simulator.hosts[1].reserved.count == 40)
        // 40 addresses are three blocks of 16; one more is kept at hand.
        #expect((3...4).contains(blocks(simulator, 1).count))
        #expect(simulator.refused == 0)
        #expect(simulator.disagreement() == nil)
        #expect(simulator.breaches == [])
    }

    @Test func aLostAnswerOnlyDelays() throws {
        let simulator = try simulator([.voters([]), .voters(["host-0"])])
        simulator.faults.loss = 0.6
        fill(simulator, 1, 20)
        simulator.faults.loss = 0
        simulator.run(seconds(10))
        #expect(simulator.disagreement() == nil)
        fill(simulator, 1, 20)
        #expect(simulator.hosts[1].reserved.count >= 20)
        simulator.checkConservation()
        #expect(simulator.breaches == [])
    }

    /// The donor has only blocks it hands out from; an ADD that was told the empty one is still under way.
    @Test func givesOnlyWhatNoAddIsUsing() throws {
        let simulator = try simulator([.voters([]), .voters(["host-0"])], ["192.168.0.0/29"])
        simulator.add(0)
        #expect(simulator.hosts[0].additions.count == 1)
        let asker = try #require(simulator.hosts[1].allocator)
        let donor = simulator.hosts[0]
        donor.allocator?.lastNeed = [:]
        let question = BlockMessage(
            life: asker.life, layouts: asker.layoutDigest, universe: asker.universeDigest,
            body: .ask(token: 9, subnet: 0, isUrgent: true))
        simulator.give(.message(question.encoded(), from: asker.host), to: 0)
        #expect(donor.withdrawals.count == 1)
        #expect(donor.allocator?.ranges.first?.spans == [])
        simulator.run(seconds(2))
        #expect(donor.reserved.count == 1)
        #expect(blocks(simulator, 0) == [0])
        #expect(simulator.breaches == [])
    }

    @Test func exhaustionIsSaid() throws {
        let simulator = try simulator([.voters([]), .voters(["host-0"])], ["192.168.0.0/29"])
        fill(simulator, 0, 6)
        simulator.add(1)
        simulator.run(seconds(5))
        #expect(simulator.hosts[1].results.values.contains(.exhausted))
        simulator.crash(0)
        simulator.run(seconds(1))
        simulator.add(0)
        simulator.start(0)
        #expect(simulator.breaches == [])
    }

    @Test func offersWhatIsTooMuch() throws {
        let simulator = try simulator(seeds(2))
        fill(simulator, 0, 100)
        #expect(simulator.hosts[0].reserved.count == 100)
        for address in simulator.hosts[0].reserved.sorted() { simulator.remove(0, address) }
        simulator.tellUsage(0)
        simulator.run(seconds(40))
        let states = simulator.hosts[0].allocator?.rows.filter { $0.entry?.owner.host == simulator.hosts[0].id }
        #expect(states?.allSatisfy { $0.entry?.state == .offered } == true)
        fill(simulator, 1, 200)
        #expect(simulator.hosts[1].reserved.count == 200)
        #expect(simulator.breaches == [])
    }

    @Test func lendsAnAddress() throws {
        let simulator = try simulator(seeds(2))
        let wanted = try address("192.168.0.3")
        #expect(simulator.hosts[1].allocator?.owner(of: wanted) == simulator.hosts[0].id)
        simulator.add(1, fixed: wanted)
        simulator.run(seconds(1))
        #expect(simulator.hosts[1].reserved == [wanted])
        #expect(simulator.hosts[1].allocator?.borrowed == [wanted])
        // The owner keeps it out of its ranges over a restart, and lends it to nobody else.
        simulator.crash(0)
        simulator.start(0)
        fill(simulator, 0, 14)
        #expect(simulator.hosts[0].allocator?.ranges.first?.spans.contains { $0.contains(wanted) } == false)
        simulator.add(0, fixed: wanted)
        simulator.run(seconds(3))
        #expect(simulator.hosts[0].results.values.contains(.lent(to: simulator.hosts[1].id)))
        // So does the borrower.
        simulator.crash(1)
        simulator.start(1)
        #expect(simulator.hosts[1].allocator?.borrowed == [wanted])
        simulator.remove(1, wanted)
        simulator.run(seconds(5))
        #expect(simulator.hosts[0].allocator?.lent.isEmpty == true)
        simulator.add(0, fixed: wanted)
        simulator.run(seconds(1))
        #expect(simulator.hosts[0].reserved.contains(wanted))
        simulator.add(1, fixed: wanted)
        simulator.run(seconds(3))
        #expect(simulator.hosts[1].results.values.contains(.inUse))
        simulator.crash(0)
        simulator.run(seconds(1))
        simulator.add(1, fixed: wanted)
        simulator.run(seconds(3))
        #expect(simulator.hosts[1].results.values.contains(.ownerAway(simulator.hosts[0].id)))
        #expect(simulator.breaches == [])
    }

    /// Who asked no longer when the loan came does not keep the address from those who ask next.
    @Test(arguments: [false, true]) func whoGaveUpBorrowsNothing(ownerHeard: Bool) throws {
        let simulator = try simulator(seeds(2))
        let wanted = try address("192.168.0.3")
        simulator.isLost = { bytes, _ in
            switch try? BlockMessage(bytes).body {
            case .lend?: true
            case .borrow?: !ownerHeard
            default: false
            }
        }
        let addition = simulator.add(1, fixed: wanted)
        simulator.run(milliseconds(300))
        #expect(simulator.hosts[0].allocator?.lent.isEmpty == !ownerHeard)
        simulator.giveUp(1, addition)
        simulator.isLost = { _, _ in false }
        if ownerHeard {
            simulator.run(seconds(5))
            #expect(simulator.hosts[0].allocator?.lent.isEmpty == true)
        }
        #expect(simulator.hosts[1].allocator?.borrowed == [])
        simulator.add(1, fixed: wanted)
        simulator.run(seconds(1))
        #expect(simulator.hosts[1].reserved == [wanted])
        #expect(simulator.disagreement() == nil)
        #expect(simulator.breaches == [])
    }

    /// What was returned and borrowed again is not ended by the first return when it comes once more.
    @Test func aLateReturnEndsNothing() throws {
        let simulator = try simulator(seeds(2))
        let wanted = try address("192.168.0.3")
        var returns: [[UInt8]] = []
        simulator.isLost = { bytes, _ in
            if case .giveBack? = try? BlockMessage(bytes).body { returns.append(bytes) }
            return false
        }
        for _ in 0..<2 {
            simulator.add(1, fixed: wanted)
            simulator.run(seconds(1))
            #expect(simulator.hosts[0].allocator?.lent.count == 1)
            if returns.isEmpty { simulator.remove(1, wanted) }
            simulator.run(seconds(1))
        }
        simulator.give(.message(try #require(returns.first), from: simulator.hosts[1].id), to: 0)
        #expect(simulator.hosts[0].allocator?.lent.count == 1)
        #expect(simulator.breaches == [])
    }

    @Test func drainsAndWaitsForTheEcho() throws {
        let simulator = try simulator(seeds(3))
        fill(simulator, 0, 3)
        simulator.give(.command(.drain(true)), to: 0)
        simulator.add(0)
        simulator.run(seconds(3))
        #expect(simulator.hosts[0].results.values.contains(.draining))
        #expect(blocks(simulator, 0).count == 1)
        #expect(simulator.hosts[0].notices.contains(.drainWaits(blocks: 1)))
        simulator.faults.loss = 1
        for address in simulator.hosts[0].reserved.sorted() { simulator.remove(0, address) }
        simulator.tellUsage(0)
        simulator.run(seconds(3))
        #expect(blocks(simulator, 0) == [])
        #expect(!simulator.hosts[0].notices.contains(.drained))
        simulator.faults.loss = 0
        simulator.run(seconds(3))
        #expect(simulator.hosts[0].notices.contains(.drained))
        #expect(blocks(simulator, 1).count + blocks(simulator, 2).count == 16)
        // It is remembered.
        simulator.crash(0)
        simulator.start(0)
        #expect(simulator.hosts[0].allocator?.isDraining == true)
        simulator.give(.command(.drain(false)), to: 0)
        simulator.run(seconds(3))
        simulator.add(0)
        simulator.run(seconds(2))
        #expect(simulator.hosts[0].reserved.count == 1)
        #expect(simulator.breaches == [])
    }

    @Test func severalSubnetsAndFamilies() throws {
        let subnets = ["10.0.0.0/16", "192.168.7.0/28", "fd00:9::/64"]
        let simulator = try simulator(seeds(4), subnets)
        for number in 0..<4 { for subnet in 0..<3 { simulator.add(number, subnet: subnet) } }
        simulator.run(seconds(2))
        #expect(simulator.granted == 12)
        #expect(simulator.hosts.allSatisfy { $0.reserved.count == 3 })
        simulator.add(0, fixed: try address("10.0.255.9"))
        simulator.add(0, fixed: try address("10.1.0.9"))
        simulator.add(0, fixed: try address("fd00:9::f:fff0"))
        simulator.add(0, fixed: try address("fd00:9::10:0"))
        simulator.run(seconds(2))
        #expect(simulator.hosts[0].allocator?.borrowed.count == 2)
        #expect(simulator.hosts[0].results.values.contains(.unknownSubnet))
        #expect(simulator.hosts[0].results.values.contains(.notUsable))
        #expect(simulator.disagreement() == nil)
        #expect(simulator.breaches == [])
    }

    /// 20 hosts that have nothing to do say hello every ten seconds and no more.
    @Test func idleTrafficIsSmall() throws {
        let simulator = try simulator(seeds(20), ["10.0.0.0/16"])
        simulator.settings.repairInterval = seconds(10)
        for number in 0..<20 {
            simulator.crash(number)
            simulator.start(number)
        }
        simulator.run(seconds(60))
        let (messages, bytes, persists) = (simulator.messages, simulator.bytes, simulator.persists)
        simulator.run(seconds(100))
        #expect(simulator.messages - messages <= 20 * 10 * 2 + 40)
        #expect(simulator.bytes - bytes <= 100 * (simulator.messages - messages))
        #expect(simulator.persists == persists)
        #expect(simulator.breaches == [])
    }
}
