import NetworkTypes
import StateMachine
import Testing

@testable import Cluster

/// Containers that come and go all day.
@Suite struct TurnoverTests {
    private let net = network(0)

    private var small: ReplicaSettings {
        var settings = ReplicaSettings.short
        settings.tombstoneLifetime = .seconds(1800)
        settings.rowsPerOwner = 100
        settings.tombstonesPerScope = 32
        settings.guardsPerScope = 64
        settings.gravesPerOwner = 128
        return settings
    }

    /// Many times more rows come and go than a host may have; none is refused, here or elsewhere, and nothing grows.
    @Test func whatComesAndGoesLeavesNothing() {
        let simulator = quietSimulator(hosts: 4, settings: small)
        simulator.run(for: .seconds(1))
        for host in 0..<4 { simulator.join(host, net) }
        for number in 0..<60 { simulator.put(0, endpointKey(net, number), [1]) }
        simulator.run(for: .seconds(1))
        for number in 100..<2_100 {
            simulator.put(0, endpointKey(net, number), [1])
            simulator.run(for: .milliseconds(10))
            simulator.remove(0, endpointKey(net, number))
            simulator.run(for: .milliseconds(10))
            // With a restart now and then, and one host away for a while.
            switch number {
            case 700, 1_400: simulator.crash(0)
            case 701, 1_401: simulator.start(0)
            case 900: simulator.setSides { $0 == 3 ? 1 : 0 }
            case 1_600: simulator.setSides { _ in 0 }
            default: break
            }
            if number == 701 || number == 1_401 { simulator.run(for: .seconds(2)) }
        }
        simulator.run(for: .seconds(40))
        #expect(simulator.breaches.isEmpty, "\(simulator.breaches.first ?? "")")
        simulator.checkConverged()
        #expect(simulator.breaches.isEmpty, "\(simulator.breaches.first ?? "")")
        for host in 0..<4 {
            let owner = simulator.hosts[host].replica?.owners.first { $0.owner == simulator.hosts[0].id }
            #expect(owner?.rows == 61, "host \(host): 60 endpoints and its membership")
            #expect((owner?.tombstones ?? 0) <= 128, "host \(host)")
        }
        #expect(simulator.hosts[0].journal.count <= 61 + 32)
        #expect(!simulator.notices.contains { if case .tooManyRows = $0 { true } else { false } })
    }

    /// A journal of the previous release is full of tombstones.
    @Test func aJournalFullOfTombstonesIsTakenOver() {
        var random = SeededGenerator(seed: 1)
        let authority = ToyAuthority(0)
        let settings = ReplicaSettings()
        var rows = (0..<settings.rowsPerOwner).map { number in
            authority.record(endpointKey(net, number), Version(incarnation: 1, counter: UInt64(number) + 1), value: nil)
        }
        rows.shuffle(using: &random)
        var replica = Replica(
            incarnation: 2, authority: authority, settings: settings, rows: rows, now: 0, random: &random)
        var erased: Set<RecordKey> = []
        for directive in replica.handle(.start, now: 0, random: &random) {
            if case .erase(let key) = directive { erased.insert(key) }
        }
        #expect(replica.ownRecords.count == settings.tombstonesPerScope)
        #expect(erased.count == settings.rowsPerOwner - settings.tombstonesPerScope)
        #expect(replica.ownRecords.allSatisfy { $0.version.counter > UInt64(erased.count) }, "the newest stay")
        var isRefused = false
        let changes = (0..<settings.rowsPerOwner).map { RecordChange.put(endpointKey(net, $0), value: [2]) }
        for directive in replica.handle(.changes(changes, token: 1), now: 0, random: &random) {
            if case .refused = directive { isRefused = true }
        }
        #expect(!isRefused, "all the room is for rows that are there")
    }

    /// Many networks with a few removed rows each are bounded together.
    @Test func manyNetworksShareOneBound() {
        var random = SeededGenerator(seed: 1)
        var replica = Replica(
            incarnation: 1, authority: ToyAuthority(0), settings: small, now: 0, random: &random)
        _ = replica.handle(.start, now: 0, random: &random)
        for number in 0..<200 {
            let keys = (0..<5).map { endpointKey(network(number), $0) }
            _ = replica.handle(.changes(keys.map { .put($0, value: [1]) }, token: nil), now: 0, random: &random)
            _ = replica.handle(.changes(keys.map { .remove($0) }, token: nil), now: 0, random: &random)
            #expect(replica.ownRecords.count <= 128)
        }
    }
}
