import NetworkTypes
import StateMachine
import Testing

@testable import Cluster

/// Who may end a host's rows: the host, by its signature, or time.
@Suite struct FarewellTests {
    private let net = network(0)
    private var key: RecordKey { endpointKey(net, 0) }

    private func together(_ count: Int, signing: Bool = true) -> Simulator {
        let simulator = quietSimulator(hosts: count, settings: .short)
        simulator.run(for: .seconds(1))
        for host in 0..<count {
            let row = HostRow(publicKey: simulator.hosts[host].authority.publicKey, signsFarewell: signing)
            simulator.put(host, .host, row.encoded)
            simulator.join(host, net)
        }
        simulator.put(0, key, [1])
        simulator.run(for: .seconds(2))
        return simulator
    }

    @Test func aForgedLeaveEndsNothing() {
        let simulator = together(3)
        // The simulator's own membership knows nothing of the forgery.
        simulator.checks = false
        for _ in 0..<3 {
            simulator.give(.peer(simulator.hosts[0].id, .left), to: 1)
            #expect(simulator.row(key, of: 0, at: 1)?.isSuspended == true, "as one that does not answer")
            #expect(simulator.hosts[1].replica?.hasLeft(simulator.hosts[0].id) == false)
            simulator.give(.peer(simulator.hosts[0].id, .alive), to: 1)
            #expect(simulator.row(key, of: 0, at: 1)?.isSuspended == false)
        }
        simulator.give(.peer(simulator.hosts[0].id, .left), to: 1)
        simulator.give(.peer(simulator.hosts[0].id, .forgotten), to: 1)
        #expect(simulator.row(key, of: 0, at: 1)?.isSuspended == true)
        simulator.run(for: .seconds(61))
        #expect(simulator.row(key, of: 0, at: 1) == nil, "by time")
        #expect(simulator.hosts[1].replica?.hasLeft(simulator.hosts[0].id) == false)
    }

    @Test func aForgedFarewellEndsNothing() throws {
        let simulator = together(2)
        let (owner, stranger) = (simulator.hosts[0].authority, ToyAuthority(77))
        let version = Version(incarnation: 1, counter: 99)
        let signed = stranger.record(.host, version, value: nil)
        let forged = Record(
            key: .host, owner: owner.host, version: version, isTombstone: true, value: [], signature: signed.signature)
        let rows = Message.Rows(publicKey: owner.publicKey, items: [.init(record: forged, life: 60)])
        let body = Message.body([.rows(wantsAck: false, [rows])])
        simulator.give(.message(body, from: stranger.host, overStream: false), to: 1)
        #expect(simulator.row(key, of: 0, at: 1)?.isSuspended == false)
        #expect(simulator.count(.forged, at: 1) == 1)
    }

    /// Also one that is not there when the host leaves hears of it, from any other.
    @Test func theFarewellIsPassedOn() {
        let simulator = together(4)
        simulator.setSides { $0 == 3 ? 1 : 0 }
        simulator.run(for: .seconds(1))
        simulator.leave(0)
        simulator.run(for: .seconds(1))
        for host in 1...2 {
            #expect(simulator.row(key, of: 0, at: host) == nil, "host \(host)")
            #expect(simulator.hosts[host].replica?.hasLeft(simulator.hosts[0].id) == true, "host \(host)")
        }
        #expect(simulator.row(key, of: 0, at: 3)?.isSuspended == true)
        simulator.setSides { _ in 0 }
        simulator.run(for: .seconds(30))
        #expect(simulator.row(key, of: 0, at: 3) == nil)
        // It comes back with all it had, also for the one that heard of the farewell late.
        simulator.start(0)
        simulator.put(0, .host, HostRow(publicKey: simulator.hosts[0].authority.publicKey).encoded)
        simulator.run(for: .seconds(12))
        for host in 1...3 { #expect(simulator.row(key, of: 0, at: host)?.isSuspended == false, "host \(host)") }
        simulator.checkConverged()
        #expect(simulator.breaches.isEmpty, "\(simulator.breaches.first ?? "")")
    }

    /// Membership may not notice that a host left and came back.
    @Test func aQuickReturnIsNoFarewell() {
        let simulator = together(3)
        simulator.give(.farewell(token: nil), to: 0)
        simulator.run(for: .milliseconds(100))
        #expect(simulator.row(key, of: 0, at: 1) == nil)
        simulator.start(0)
        simulator.put(0, .host, HostRow(publicKey: simulator.hosts[0].authority.publicKey).encoded)
        simulator.run(for: .seconds(12))
        for host in 1...2 { #expect(simulator.row(key, of: 0, at: host)?.isSuspended == false, "host \(host)") }
        simulator.checkConverged()
        #expect(simulator.breaches.isEmpty, "\(simulator.breaches.first ?? "")")
    }

    /// The release before this one says nothing of farewells, and its hosts leave by membership's word.
    @Test func hostsOfTheReleaseBeforeLeaveAsBefore() {
        let simulator = together(2, signing: false)
        simulator.give(.peer(simulator.hosts[0].id, .left), to: 1)
        #expect(simulator.row(key, of: 0, at: 1) == nil)
        #expect(simulator.hosts[1].replica?.hasLeft(simulator.hosts[0].id) == true)
    }
}
