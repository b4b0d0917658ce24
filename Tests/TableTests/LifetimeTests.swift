import NetworkTypes
import StateMachine
import Testing

@testable import Cluster

/// Suspension, grace, leaving, tombstones.
@Suite struct LifetimeTests {
    private let net = network(0)
    private var key: RecordKey { endpointKey(net, 0) }

    private func together(_ count: Int) -> Simulator {
        let simulator = quietSimulator(hosts: count, settings: .short)
        simulator.run(for: .seconds(1))
        for host in 0..<count { simulator.join(host, net) }
        simulator.put(0, key, [1])
        simulator.run(for: .seconds(2))
        return simulator
    }

    @Test func rowsOfAFailedHostAreSuspendedAndComeBack() {
        let simulator = together(3)
        simulator.crash(0)
        simulator.run(for: .seconds(2))
        #expect(simulator.row(key, of: 0, at: 1)?.isSuspended == true)
        simulator.start(0)
        simulator.run(for: .seconds(1))
        #expect(simulator.row(key, of: 0, at: 1)?.isSuspended == false)
        simulator.checkConverged()
        #expect(simulator.breaches.isEmpty)
    }

    @Test func theGraceEnds() {
        let simulator = together(4)
        simulator.crash(3)
        simulator.crash(0)
        simulator.run(for: .seconds(40))
        // One that learns of the rows late keeps them for longer than the others, but does not bring them back.
        simulator.start(3)
        simulator.join(3, net)
        simulator.run(for: .seconds(40))
        #expect(simulator.row(key, of: 0, at: 3)?.isSuspended == true)
        for host in 1...2 {
            #expect(simulator.row(key, of: 0, at: host) == nil, "host \(host)")
            #expect(simulator.hosts[host].replica?.owners.count == 3)
        }
        simulator.run(for: .seconds(40))
        #expect(simulator.row(key, of: 0, at: 3) == nil)
        #expect(simulator.breaches.isEmpty)
        // It comes back all the same.
        simulator.start(0)
        simulator.run(for: .seconds(2))
        for host in 1...3 { #expect(simulator.row(key, of: 0, at: host)?.isSuspended == false, "host \(host)") }
    }

    @Test func whoLeavesTakesItsRowsAlong() {
        let simulator = together(3)
        simulator.leave(0)
        simulator.run(for: .seconds(1))
        #expect(simulator.row(key, of: 0, at: 1) == nil)
        #expect(simulator.hosts[2].replica?.rows(.member).count == 2)
        simulator.run(for: .seconds(30))
        simulator.start(0)
        simulator.run(for: .seconds(1))
        #expect(simulator.row(key, of: 0, at: 1) != nil, "and brings them again")
        #expect(simulator.breaches.isEmpty)
    }

    /// A host that was away while a row was removed learns of it from any other, and after the tombstone's end from the
    /// owner; until then it does not spread the row.
    @Test func removedRowsStayRemoved() {
        for away in [10, 55] as [UInt64] {
            let simulator = together(4)
            simulator.setSides { $0 == 3 ? 1 : 0 }
            simulator.run(for: .seconds(1))
            simulator.remove(0, key)
            simulator.run(for: .seconds(away))
            // The owner is down when they meet again.
            simulator.crash(0)
            simulator.run(for: .seconds(1))
            simulator.setSides { _ in 0 }
            simulator.run(for: .seconds(30))
            for host in 1...2 { #expect(simulator.row(key, of: 0, at: host) == nil, "\(away) s, host \(host)") }
            if away == 10 { #expect(simulator.row(key, of: 0, at: 3) == nil, "the tombstone tells it") }
            simulator.start(0)
            simulator.run(for: .seconds(1))
            #expect(simulator.row(key, of: 0, at: 3) == nil, "\(away) s: the owner tells it")
            simulator.checkConverged()
            #expect(simulator.breaches.isEmpty, "\(simulator.breaches.first ?? "")")
        }
    }

    @Test func tombstonesEnd() {
        let simulator = together(3)
        simulator.remove(0, key)
        simulator.run(for: .seconds(1))
        #expect(simulator.hosts[1].replica?.owners.map(\.tombstones).reduce(0, +) == 1)
        simulator.run(for: .seconds(160))
        for host in 0..<3 {
            #expect(simulator.hosts[host].replica?.owners.map(\.tombstones).reduce(0, +) == 0, "host \(host)")
        }
        #expect(simulator.hosts[0].replica?.ownRecords.contains { $0.isTombstone } == false)
    }

    /// However many timers are due at once, none waits for another event.
    @Test func timersDueTogetherAllFire() {
        var random = SeededGenerator(seed: 1)
        var settings = ReplicaSettings()
        settings.tombstonesPerScope = 10_000
        var replica = Replica(incarnation: 1, authority: ToyAuthority(0), settings: settings, now: 0, random: &random)
        _ = replica.handle(.start, now: 0, random: &random)
        let keys = (0..<10_000).map { endpointKey(net, $0) }
        _ = replica.handle(.changes(keys.map { .put($0, value: []) }, token: nil), now: 0, random: &random)
        _ = replica.handle(.changes(keys.map { .remove($0) }, token: nil), now: 0, random: &random)
        #expect(replica.ownRecords.count == 10_000)
        let end = replica.settings.tombstoneLifetime
        var isWoken = true
        while isWoken {
            isWoken = replica.handle(.timer, now: end, random: &random).contains {
                if case .wake(let time) = $0 { time <= end } else { false }
            }
        }
        #expect(replica.ownRecords.isEmpty)
    }

    /// What was on disk is there at once after a restart, with the versions it had.
    @Test func aRestartKeepsTheRows() {
        let simulator = together(2)
        let before = simulator.hosts[0].replica?.ownRecords
        simulator.crash(0)
        simulator.start(0)
        #expect(simulator.hosts[0].replica?.ownRecords == before)
        #expect(simulator.hosts[0].replica?.version == Version(incarnation: 2, counter: 0))
        var damaged = ToyAuthority(0).record(key, Version(incarnation: 1, counter: 1), value: [1])
        damaged = Record(
            key: key, owner: damaged.owner, version: damaged.version, isTombstone: false, value: [2],
            signature: damaged.signature)
        var random = SeededGenerator(seed: 1)
        var replica = Replica(incarnation: 2, authority: ToyAuthority(0), rows: [damaged], now: 0, random: &random)
        #expect(replica.ownRecords.isEmpty)
        let notices = replica.handle(.start, now: 0, random: &random).contains {
            if case .notice(.savedRowRefused) = $0 { true } else { false }
        }
        #expect(notices)
    }
}
