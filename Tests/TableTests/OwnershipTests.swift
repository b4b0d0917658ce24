import NetworkTypes
import StateMachine
import Testing

@testable import Cluster

/// What an attacker who has the group's key, or a disk that lost something, can and cannot do.
@Suite struct OwnershipTests {
    private let net = network(0)
    private let owner = ToyAuthority(50)
    private let relay = ToyAuthority(51)

    private struct Fixture {
        var replica: Replica
        var random = SeededGenerator(seed: 1)
        var now: Nanoseconds = .seconds(1)

        mutating func give(_ event: ReplicaEvent) -> [ReplicaDirective] {
            replica.handle(event, now: now, random: &random)
        }

        /// The changes of rows that a body from a host makes.
        mutating func receive(_ messages: [Message], from host: HostID) -> [RowChange] {
            give(.message(Message.body(messages), from: host, overStream: true)).compactMap {
                if case .changed(let change) = $0 { change } else { nil }
            }
        }
    }

    private func fixture(_ settings: ReplicaSettings = ReplicaSettings(), rows: [Record] = []) -> Fixture {
        var random = SeededGenerator(seed: 2)
        let replica = Replica(
            incarnation: 1, authority: ToyAuthority(0), settings: settings, rows: rows, now: 0, random: &random)
        var fixture = Fixture(replica: replica)
        _ = fixture.give(.start)
        let row = MemberRow(vtep: address("192.0.2.1")).encoded
        _ = fixture.give(.change(.put(.member(of: net), value: row), token: nil))
        _ = fixture.give(.peer(relay.host, .alive))
        return fixture
    }

    private func rows(_ records: [Record], key: [UInt8], life: UInt32 = 1000) -> Message {
        .rows(
            wantsAck: false,
            [Message.Rows(publicKey: key, items: records.map { Message.Rows.Item(record: $0, life: life) })])
    }

    private func version(_ incarnation: UInt64, _ counter: UInt64) -> Version {
        Version(incarnation: incarnation, counter: counter)
    }

    /// Nothing else need have come: not the owner's host record, not its membership, not membership's word.
    @Test func aRowProvesItself() {
        var host = fixture()
        let record = owner.record(endpointKey(net, 0), version(3, 9), value: [1])
        let changes = host.receive([rows([record], key: owner.publicKey)], from: relay.host)
        #expect(changes == [RowChange(.appeared, Row(record: record, isSuspended: true))])
        let restored = host.give(.peer(owner.host, .alive)).contains {
            if case .changed(let change) = $0 { change.event == .restored } else { false }
        }
        #expect(restored)
    }

    @Test func onlyTheOwnerChangesARow() {
        var host = fixture()
        let key = endpointKey(net, 0)
        let record = owner.record(key, version(3, 9), value: [1])
        _ = host.receive([rows([record], key: owner.publicKey)], from: relay.host)
        // Another's signature under the owner's name and key.
        let foreign = relay.record(key, version(3, 10), value: nil)
        let forged = Record(
            key: key, owner: owner.host, version: version(3, 10), isTombstone: true, value: [],
            signature: foreign.signature)
        #expect(host.receive([rows([forged], key: owner.publicKey)], from: relay.host).isEmpty)
        // The relay's own key makes it the relay's row, and nobody else's.
        _ = host.receive([rows([foreign], key: relay.publicKey)], from: relay.host)
        #expect(host.replica.row(key, owner: owner.host)?.record == record)
        #expect(host.replica.count(of: .forged) == 1)
        // A host's own record names another key.
        let claim = HostRow(publicKey: relay.publicKey).encoded
        let impostor = owner.record(.host, version(3, 11), value: claim)
        #expect(host.receive([rows([impostor], key: owner.publicKey)], from: relay.host).isEmpty)
    }

    @Test func onlyTheOwnerSaysWhatItDoesNotHave() {
        var host = fixture()
        let record = owner.record(endpointKey(net, 0), version(3, 9), value: [1])
        _ = host.receive([rows([record], key: owner.publicKey)], from: relay.host)
        let range = BucketRange(owner: owner.host, scope: net, low: 0, high: .max)
        var census = Message.Census(
            publicKey: owner.publicKey, range: range, asOf: version(4, 0), rows: [], signature: [])
        census.signature = relay.sign(census.signedBytes)
        #expect(host.receive([.census(census)], from: owner.host).isEmpty)
        census.publicKey = relay.publicKey
        #expect(host.receive([.census(census)], from: owner.host).isEmpty)
        var summary = Message.Summary(publicKey: owner.publicKey, asOf: version(4, 0), scopes: [], signature: [])
        summary.signature = relay.sign(summary.signedBytes(owner: owner.host))
        #expect(host.receive([.summary(wantsAck: false, summary)], from: owner.host).isEmpty)
        #expect(host.replica.count(of: .forged) == 3)
        #expect(host.replica.rows(.endpoint).count == 1)
        // Signed by the owner it holds, whoever passes it on; and the row does not come back.
        census.publicKey = owner.publicKey
        census.signature = owner.sign(census.signedBytes)
        #expect(host.receive([.census(census)], from: relay.host).map(\.event) == [.gone])
        #expect(host.receive([rows([record], key: owner.publicKey)], from: relay.host).isEmpty)
        #expect(host.replica.count(of: .resurrections) == 1)
    }

    @Test func olderVersionsAndEqualOnesThatDifferAreRefused() {
        var host = fixture()
        let key = endpointKey(net, 0)
        let record = owner.record(key, version(3, 9), value: [1])
        _ = host.receive([rows([record, record], key: owner.publicKey)], from: relay.host)
        #expect(host.replica.count(of: .recordsKnown) == 1)
        for old in [version(3, 8), version(2, 100)] {
            _ = host.receive([rows([owner.record(key, old, value: [2])], key: owner.publicKey)], from: relay.host)
        }
        #expect(host.replica.count(of: .recordsOld) == 2)
        let other = owner.record(key, version(3, 9), value: [3])
        _ = host.receive([rows([other], key: owner.publicKey)], from: relay.host)
        #expect(host.replica.count(of: .conflicting) == 1)
        #expect(host.replica.row(key, owner: owner.host)?.record.value == [1])
    }

    @Test func implausibleIncarnationsAreRefused() {
        var host = fixture()
        let settings = host.replica.settings
        let (first, second) = (endpointKey(net, 0), endpointKey(net, 1))
        func take(_ key: RecordKey, _ incarnation: UInt64) -> Bool {
            let record = owner.record(key, version(incarnation, 1), value: [1])
            return !host.receive([rows([record], key: owner.publicKey)], from: relay.host).isEmpty
        }
        #expect(!take(first, settings.incarnationLimit + 1))
        #expect(take(first, 5))
        #expect(!take(second, 6 + settings.incarnationJump))
        #expect(take(second, 5 + settings.incarnationJump))
        #expect(host.replica.count(of: .implausible) == 2)
    }

    @Test func rowsOfTheDepartedAreRefused() {
        var host = fixture()
        let record = owner.record(endpointKey(net, 0), version(3, 9), value: [1])
        _ = host.receive([rows([record], key: owner.publicKey)], from: relay.host)
        _ = host.give(.peer(owner.host, .alive))
        let farewell = owner.record(.host, version(3, 10), value: nil)
        _ = host.receive([rows([farewell], key: owner.publicKey)], from: relay.host)
        #expect(host.replica.rows(.endpoint).isEmpty, "the host's own word is enough")
        _ = host.give(.peer(owner.host, .left))
        #expect(host.receive([rows([record], key: owner.publicKey)], from: relay.host).isEmpty)
        #expect(host.replica.count(of: .departed) == 1)
        // What it did after a new start is something else; and once it is back, all of it counts.
        let later = owner.record(endpointKey(net, 1), version(4, 1), value: [1])
        #expect(host.receive([rows([later], key: owner.publicKey)], from: relay.host).map(\.event) == [.appeared])
        _ = host.give(.peer(owner.host, .alive))
        #expect(host.receive([rows([record], key: owner.publicKey)], from: relay.host).map(\.event) == [.appeared])
    }

    /// A restored disk made a host give a version twice: whoever compares finds out, and the host gives the row a new one.
    @Test func aVersionGivenTwiceIsReplaced() throws {
        var host = fixture()
        let own = ToyAuthority(0)
        _ = host.give(.change(.put(endpointKey(net, 0), value: [1]), token: nil))
        let mine = try #require(host.replica.row(endpointKey(net, 0), owner: own.host)?.record)
        let other = own.record(mine.key, mine.version, value: [2])
        let slot = Slot(hash: mine.key.hash64, record: other)
        let range = BucketRange(owner: own.host, scope: net, low: 0, high: .max)
        let list = Message.VersionList(range: range, rows: [RowVersion(slot)])
        _ = host.receive([.versions(id: 1, [list])], from: relay.host)
        let renewed = try #require(host.replica.row(mine.key, owner: own.host)?.record)
        #expect(renewed.version > mine.version && renewed.value == [1])
        // Shown the other row itself, the same; shown the same row, nothing.
        let again = own.record(mine.key, renewed.version, value: [3])
        _ = host.receive([rows([again], key: own.publicKey)], from: relay.host)
        let last = try #require(host.replica.row(mine.key, owner: own.host)?.record)
        #expect(last.version > renewed.version && last.value == [1])
        _ = host.receive([rows([last], key: own.publicKey)], from: relay.host)
        #expect(host.replica.row(mine.key, owner: own.host)?.record == last)
    }

    @Test func limitsHold() {
        var settings = ReplicaSettings()
        settings.rowsPerOwner = 10
        settings.owners = 4
        var host = fixture(settings)
        for number in 0..<20 {
            let record = owner.record(endpointKey(net, number), version(1, UInt64(number) + 1), value: [1])
            _ = host.receive([rows([record], key: owner.publicKey)], from: relay.host)
        }
        #expect(host.replica.rows(.endpoint).count == 10)
        for number in 100..<120 {
            let stranger = ToyAuthority(number)
            let record = stranger.record(endpointKey(net, 0), version(1, 1), value: [1])
            _ = host.receive([rows([record], key: stranger.publicKey)], from: relay.host)
        }
        #expect(host.replica.owners.count == 4)
        #expect(host.replica.count(of: .overLimit) == 10 + 18)
    }

    @Test func whoSendsTooMuchIsNotHeard() {
        var settings = ReplicaSettings()
        settings.workBurst = 100
        settings.workPerSecond = 10
        var host = fixture(settings)
        for number in 0..<200 {
            let record = owner.record(endpointKey(net, number), version(1, UInt64(number) + 1), value: [1])
            _ = host.receive([rows([record], key: owner.publicKey)], from: relay.host)
        }
        let held = host.replica.rows(.endpoint).count
        #expect((40...60).contains(held), "a message and a record each: \(held)")
        #expect(host.replica.count(of: .throttled) > 0)
        host.now += .seconds(10)
        let record = owner.record(endpointKey(net, 500), version(1, 500), value: [1])
        #expect(!host.receive([rows([record], key: owner.publicKey)], from: relay.host).isEmpty)
    }

    /// The journal is lost, the incarnation with it: shown what others have, the host goes on above it.
    @Test func aLostJournalIsNoticed() throws {
        let simulator = quietSimulator(hosts: 3, settings: .short)
        simulator.run(for: .seconds(1))
        for host in 0..<3 { simulator.join(host, net) }
        for number in 0..<5 { simulator.put(0, endpointKey(net, number), [1]) }
        simulator.run(for: .seconds(2))
        for _ in 0..<3 {
            simulator.crash(0)
            simulator.run(for: .seconds(2))
            simulator.start(0)
        }
        simulator.put(0, endpointKey(net, 5), [1])
        simulator.run(for: .seconds(2))
        simulator.crash(0)
        simulator.run(for: .seconds(2))
        simulator.start(0, disk: .lost)
        simulator.join(0, net)
        simulator.put(0, endpointKey(net, 1), [2])
        simulator.run(for: .seconds(3))
        #expect(simulator.hosts[0].incarnation == 5)
        #expect(simulator.notices.contains(.journalBehind(incarnation: 5)))
        for host in 1...2 {
            #expect(simulator.row(endpointKey(net, 1), of: 0, at: host)?.record.value == [2])
            #expect(simulator.hosts[host].replica?.rows(.endpoint).count == 1)
        }
        #expect(simulator.breaches.isEmpty)
    }

    /// Bodies changed on their way, over a sealed channel an attacker with the key: nothing but what owners made is held,
    /// and when it ends all is as it should be.
    @Test func mutatedTrafficHarmsNothing() {
        let seed = seed(for: "mutatedTrafficHarmsNothing")
        let simulator = Simulator(seed: seed, hosts: 4, settings: .short)
        var random = SeededGenerator(seed: seed)
        simulator.tap = { _, _, body in
            guard random.chance(0.5) else { return body }
            var changed = body
            for _ in 0...random.below(4) {
                changed[random.below(changed.count)] = UInt8(truncatingIfNeeded: random.next())
            }
            return random.chance(0.1) ? Array(changed.prefix(random.below(changed.count))) : changed
        }
        simulator.startAll()
        simulator.disturb(steps: runsLong ? 2000 : 200, networks: 2, trouble: Trouble())
        simulator.tap = nil
        simulator.calm(for: .seconds(300))
        #expect(simulator.breaches.isEmpty, "\(simulator.breaches.first ?? "")")
        let refused = simulator.hosts.indices.reduce(0) { $0 + simulator.count(.malformed, at: $1) }
        #expect(refused > 0)
    }
}
