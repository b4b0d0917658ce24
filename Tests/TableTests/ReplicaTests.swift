import NetworkTypes
import StateMachine
import Testing

@testable import Cluster

/// A simulation without faults: datagrams take 1 ms, membership is known after 10 ms.
func quietSimulator(hosts: Int, settings: ReplicaSettings = ReplicaSettings(), seed: UInt64 = 1) -> Simulator {
    let simulator = Simulator(seed: seed, hosts: hosts, settings: settings)
    simulator.faults.delay = .milliseconds(1) ... .milliseconds(1)
    simulator.seesAlive = .milliseconds(10) ... .milliseconds(10)
    simulator.seesFailed = .milliseconds(500) ... .milliseconds(500)
    for host in 0..<hosts { simulator.start(host) }
    return simulator
}

extension Simulator {
    func row(_ key: RecordKey, of owner: Int, at host: Int) -> Row? {
        hosts[host].replica?.row(key, owner: hosts[owner].id)
    }

    func count(_ counter: ReplicaCounter, at host: Int) -> UInt64 { hosts[host].replica?.count(of: counter) ?? 0 }
}

@Suite struct ReplicaTests {
    private let net = network(0)
    private var key: RecordKey { endpointKey(net, 0) }

    private func onOneNetwork(_ count: Int, settings: ReplicaSettings = ReplicaSettings()) -> Simulator {
        let simulator = quietSimulator(hosts: count, settings: settings)
        simulator.run(for: .seconds(1))
        for host in 0..<count { simulator.join(host, net) }
        simulator.run(for: .seconds(1))
        return simulator
    }

    @Test func aChangeIsOnDiskBeforeItIsSent() throws {
        let simulator = onOneNetwork(3)
        var replica = try #require(simulator.hosts[0].replica)
        let change = ReplicaEvent.change(.put(key, value: [1]), token: 5)
        let directives = replica.handle(change, now: simulator.now, random: &simulator.random)
        var isPersisted = false
        var sends = 0
        for directive in directives {
            switch directive {
            case .persist(let record):
                isPersisted = true
                #expect(record.key == key && record.value == [1])
            case .send, .sendReliably:
                sends += 1
                #expect(isPersisted)
            default: break
            }
        }
        #expect(sends == 2)
    }

    @Test func aChangeSettlesWhenAllHaveIt() {
        let simulator = onOneNetwork(4)
        simulator.settled = []
        simulator.put(0, key, [1])
        simulator.run(for: .milliseconds(10))
        #expect(simulator.settled.map(\.acknowledged) == [3])
        #expect(simulator.settled.map(\.peers) == [3])
        #expect(simulator.settled.map(\.took) == [.milliseconds(2)])
        // Nobody is concerned: settled at once. The same again: no new version, but asked for again.
        let version = simulator.hosts[0].replica?.version
        simulator.put(0, key, [1])
        simulator.run(for: .milliseconds(10))
        #expect(simulator.hosts[0].replica?.version == version)
        #expect(simulator.settled.map(\.acknowledged) == [3, 3])
        simulator.put(0, endpointKey(network(1), 0), [1])
        #expect(simulator.settled.last?.peers == 0)
        #expect(simulator.breaches.isEmpty)
    }

    @Test func aChangeSettlesAtItsDeadline() {
        let simulator = onOneNetwork(3)
        simulator.settled = []
        simulator.tap = { _, to, body in to == 2 ? nil : body }
        simulator.put(0, key, [1])
        simulator.run(for: .milliseconds(100))
        #expect(simulator.settled.map(\.acknowledged) == [1])
        #expect(simulator.settled.map(\.took) == [.milliseconds(15)])
    }

    @Test func manyChangesTravelTogether() {
        let simulator = onOneNetwork(3)
        let before = simulator.count(.messagesOut, at: 0)
        simulator.change(0, (0..<5).map { .put(endpointKey(net, $0), value: [UInt8($0)]) })
        #expect(simulator.count(.messagesOut, at: 0) - before == 2, "one datagram to each")
        simulator.run(for: .milliseconds(50))
        #expect(simulator.hosts[2].replica?.rows(.endpoint, network: net).count == 5)
    }

    @Test func withoutAnswerItIsRepeatedThenLeftToRepair() {
        let simulator = onOneNetwork(2)
        var datagrams = 0
        simulator.tap = { from, _, body in
            guard from == 0, body.count < 400, body[1] == MessageType.rows.rawValue else { return body }
            datagrams += 1
            return nil
        }
        simulator.put(0, key, [1])
        simulator.run(for: .milliseconds(1000))
        #expect(datagrams == 6)
        simulator.tap = nil
        simulator.run(for: .milliseconds(500))
        #expect(simulator.row(key, of: 0, at: 1)?.record.value == [1], "over a stream, when the last was not answered")
        #expect(simulator.count(.leftToRepair, at: 0) == 1)
        #expect(simulator.notices.contains(.unacknowledged(simulator.hosts[1].id)))
    }

    @Test func rowsOfANetworkGoToItsMembersAlone() {
        let simulator = quietSimulator(hosts: 3)
        simulator.run(for: .seconds(1))
        simulator.join(0, net)
        simulator.join(1, net)
        simulator.put(0, key, [1])
        simulator.run(for: .seconds(30))
        #expect(simulator.row(key, of: 0, at: 1) != nil)
        #expect(simulator.row(key, of: 0, at: 2) == nil)
        #expect(simulator.row(.member(of: net), of: 0, at: 2) != nil)
        // Who comes gets what is there; who leaves keeps nothing.
        simulator.join(2, net)
        simulator.run(for: .milliseconds(100))
        #expect(simulator.row(key, of: 0, at: 2) != nil)
        simulator.remove(2, .member(of: net))
        #expect(simulator.row(key, of: 0, at: 2) == nil)
        simulator.put(0, key, [2])
        simulator.run(for: .seconds(30))
        #expect(simulator.row(key, of: 0, at: 2) == nil)
        #expect(simulator.breaches.isEmpty)
    }

    @Test func unknownKindsAreCarried() {
        let simulator = onOneNetwork(3)
        let strange = RecordKey(kind: RecordKind(rawValue: 77), network: net, key: [9])
        simulator.put(0, strange, hex("c8 0001 05"))
        simulator.run(for: .milliseconds(50))
        #expect(simulator.row(strange, of: 0, at: 2)?.record.value == hex("c8 0001 05"))
    }

    @Test func largeRowsGoOverStreams() {
        let simulator = onOneNetwork(2)
        simulator.put(0, RecordKey(kind: .endpoint, network: net, key: [UInt8](repeating: 1, count: 255)), [])
        simulator.put(0, key, [UInt8](repeating: 7, count: 1024))
        simulator.run(for: .milliseconds(50))
        #expect(simulator.row(key, of: 0, at: 1)?.record.value.count == 1024)
        #expect(simulator.settled.allSatisfy { $0.acknowledged == $0.peers })
        #expect(simulator.breaches.isEmpty)
    }

    /// Thousands of rows come over in steps; there is no message with everything.
    @Test func muchIsSentInSteps() {
        let simulator = quietSimulator(hosts: 3)
        simulator.hosts[2].side = 1
        simulator.setSides { $0 == 2 ? 1 : 0 }
        simulator.run(for: .seconds(1))
        for host in 0..<3 { simulator.join(host, net) }
        let value = [UInt8](repeating: 3, count: 200)
        for part in 0..<10 {
            simulator.change(0, (0..<500).map { .put(endpointKey(net, part * 500 + $0), value: value) })
        }
        simulator.run(for: .seconds(5))
        var largest = 0
        simulator.tap = { _, _, body in
            largest = max(largest, body.count)
            return body
        }
        simulator.setSides { _ in 0 }
        simulator.run(for: .seconds(2))
        #expect(simulator.hosts[2].replica?.rows(.endpoint).count == 5000)
        #expect(largest <= simulator.settings.chunkLimit)
        #expect(simulator.breaches.isEmpty)
        // The other way: what was removed meanwhile goes, in steps too.
        simulator.setSides { $0 == 2 ? 1 : 0 }
        simulator.run(for: .seconds(2))
        simulator.change(0, (0..<4990).map { .remove(endpointKey(net, $0)) })
        simulator.run(for: .seconds(2))
        simulator.setSides { _ in 0 }
        simulator.run(for: .seconds(2))
        #expect(simulator.hosts[2].replica?.rows(.endpoint).count == 10)
        #expect(simulator.breaches.isEmpty)
    }

    @Test func refusedChangesChangeNothing() throws {
        var settings = ReplicaSettings()
        settings.rowsPerOwner = 3
        var random = SeededGenerator(seed: 1)
        var replica = Replica(incarnation: 1, authority: ToyAuthority(0), settings: settings, now: 0, random: &random)
        func refusal(_ changes: [RecordChange]) -> Refusal? {
            for directive in replica.handle(.changes(changes, token: 1), now: 0, random: &random) {
                if case .refused(1, let refusal) = directive { return refusal }
            }
            return nil
        }
        let long = RecordKey(kind: .endpoint, network: net, key: [UInt8](repeating: 0, count: 256))
        #expect(refusal([.put(key, value: [1]), .put(long, value: [])]) == .keyTooLong(256))
        #expect(
            refusal([.put(key, value: [1]), .put(.host, value: [UInt8](repeating: 0, count: 1025))])
                == .valueTooLong(1025))
        #expect(refusal((0..<4).map { .put(endpointKey(net, $0), value: []) }) == .tooManyRows(limit: 3))
        #expect(replica.ownRecords.isEmpty)
        #expect(refusal([.remove(key)]) == nil)
        #expect(refusal((0..<3).map { .put(endpointKey(net, $0), value: []) }) == nil)
        #expect(refusal([.put(key, value: [2])]) == nil, "a change of a row that is there")
        #expect(replica.ownRecords.count == 3)
    }
}
