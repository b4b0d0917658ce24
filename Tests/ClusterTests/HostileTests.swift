import GossipFixtures
import JSON
import NetworkTypes
import System
import TestSupport
import Testing

@testable import Gossip

/// Forged and replayed packets, and noise, at daemons that run. What a stock agent does about the same packets: members
/// vanish from its list or stay failed for ever.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct HostileTests {
    private static let names = (1...5).map { "d\($0)" }
    private static let victim = "d3"
    private static let home = "127.0.0.13"
    private static let elsewhere = "127.0.0.66"

    private let cluster: Cluster
    private let attacker: Attacker

    init() throws {
        cluster = try Cluster()
        attacker = try Attacker(in: cluster.lab, at: "127.0.0.99")
    }

    private func form(_ configuration: String = "{}") throws {
        try cluster.lab.write("/run/config", configuration)
        for number in 1...5 { try start(number) }
        for name in Self.names { try cluster.everyone(sees: name, as: "alive") }
    }

    private func start(_ number: Int) throws {
        try cluster.startDaemon("d\(number)", 10 + number, "--config", "/run/config", "--join", "127.0.0.11")
    }

    /// To all but the victim: it hears of it by gossip.
    private func send(_ messages: [UInt8]..., to numbers: [Int] = [1, 2, 4, 5]) throws {
        for number in numbers { for message in messages { try attacker.send(message, to: "127.0.0.1\(number)") } }
    }

    private func dead(_ incarnation: UInt32, from: String) -> [UInt8] {
        Accusation(node: Self.victim, incarnation: incarnation, from: from).encode(as: .dead)
    }

    private func alive(_ address: UInt32, _ incarnation: UInt32) -> [UInt8] {
        Alive(
            node: Self.victim, endpoint: Endpoint(address: .v4(IPv4Address(rawValue: address)), port: 7946),
            meta: [0xFF, 0x80], versions: .own, incarnation: incarnation
        ).encode()
    }

    private func count(_ counter: String, of daemon: Daemon) throws -> Int {
        let text = try cluster.lab.tool("curl", "-s", "--unix-socket", daemon.socket, "http://localhost/metrics")
        let line = text.split(separator: "\n").first { $0.hasPrefix("swiftletd_gossip_\(counter)_total ") }
        return try #require(line.flatMap { $0.split(separator: " ").last }.flatMap { Int($0) }, "\(counter)")
    }

    /// The sum over all, so that it does not matter who got the packet and who heard of it.
    private func count(_ counter: String) throws -> Int {
        try cluster.daemons.map { try count(counter, of: $0) }.reduce(0, +)
    }

    /// Everybody lists everybody alive, at home, and it stays so.
    private func expectRecovery() throws {
        for _ in 0..<2 {
            for observer in cluster.daemons {
                try cluster.eventually("\(observer.name) lists all alive and at home") {
                    let members = try observer.members()
                    return Self.names.allSatisfy { members[$0]?.status == "alive" }
                        && members[Self.victim]?.address == Self.home
                }
            }
            pause(milliseconds: 2000)
        }
        for name in Self.names {
            #expect(cluster.daemons.last { $0.name == name }.map { cluster.isRunning($0.pid) } == true, "\(name)")
        }
    }

    @Test func forgedDeaths() throws {
        try form()
        let refutations = try count("refutations")
        try send(dead(1, from: "d1"), dead(50, from: "d1"), dead(1 << 30, from: "d2"))
        try cluster.eventually("the victim hears of it") { try count("refutations") > refutations }
        try expectRecovery()
        // The largest incarnation is one that cannot be refuted, so nobody believes it.
        try send(dead(.max, from: "d1"), dead(.max - 1, from: "d1"))
        try send(dead(.max, from: "d1"), to: [3])
        try cluster.eventually("nobody believes it") { try count("implausible") >= 9 }
        try expectRecovery()
    }

    @Test func forgedSuspicion() throws {
        try form()
        let refutations = try count("refutations")
        try send(Accusation(node: Self.victim, incarnation: 50, from: "d1").encode(as: .suspect))
        try cluster.eventually("the victim refutes") { try count("refutations") > refutations }
        try expectRecovery()
    }

    @Test func forgedLeaveAndPrune() throws {
        try form()
        let incarnation = try #require(try incarnationOfVictim())
        try send(
            [8] + Intent(time: 1000, node: Self.victim, prune: true).encode(as: .leave),
            dead(incarnation, from: Self.victim),
            [8] + Intent(time: 1001, node: Self.victim, prune: true).encode(as: .leave))
        try cluster.eventually("the victim hears of it") { try (incarnationOfVictim() ?? 0) > incarnation }
        try expectRecovery()
    }

    @Test func forgedMoveAfterAForgedLeave() throws {
        try form()
        let incarnation = try #require(try incarnationOfVictim())
        try send(dead(incarnation, from: Self.victim), alive(0x7F00_0042, incarnation + 40))
        // Longer than the old address is asked for.
        pause(milliseconds: 3000)
        #expect(try count("conflicts") > 0)
        try expectRecovery()
    }

    @Test func ourNameFromElsewhere() throws {
        try form()
        try send(alive(0x7F00_0042, 50), to: [1, 2, 3, 4, 5])
        try cluster.eventually("all see the conflict") {
            try cluster.daemons.allSatisfy { try count("conflicts", of: $0) > 0 }
        }
        try expectRecovery()
    }

    private func incarnationOfVictim() throws -> UInt32? {
        let outcome = try cluster.daemons[2].run("members", "--json")
        let members = try Reader(Value(parsing: outcome.output)).member("members").elements()
        let own = try members.first { try $0.member("name").string() == Self.victim }
        return try own?.member("incarnation").integer(in: 0...Int64(UInt32.max)).map { UInt32($0) }
    }

    /// Whoever recorded packets of a dead node cannot make it live again, also when the record of it is retired.
    @Test func replayDoesNotResurrect() throws {
        let ear = try Eavesdropper(in: cluster.lab)
        try cluster.lab.write("/run/keys", #"["YWFhYWFhYWFhYWFhYWFhYQ=="]"#)
        try form(#"{"profile": "fast", "keyring": "/run/keys"}"#)
        let victim = cluster.daemons[2]
        #expect(try victim.run("tags", "--set", "changed=1").status == 0)
        try cluster.eventually("d1 sees the tag") { try cluster.daemons[0].members()["d3"]?.tags["changed"] == "1" }
        var recorded: [[UInt8]] = []
        try cluster.eventually("enough was heard") {
            recorded += ear.datagrams(from: Self.home)
            return recorded.count > 10
        }
        try cluster.signal("KILL", victim.pid)
        try cluster.everyone(sees: Self.victim, as: "failed", except: [Self.victim])
        let others = cluster.daemons.filter { $0.name != Self.victim }
        // After 15 s the dead are retired in this profile.
        for wait in [0, 17_000] {
            pause(milliseconds: wait)
            let opened = try others.map { try count("malformed", of: $0) }
            for bytes in recorded { try send(bytes, to: [1, 2, 4, 5]) }
            for _ in 0..<20 {
                for other in others { #expect(try other.members()[Self.victim]?.status == "failed") }
                pause(milliseconds: 100)
            }
            // They were opened: the key is right, the news is old.
            #expect(try others.map { try count("malformed", of: $0) } == opened)
        }
        try start(3)
        try expectRecovery()
    }
}
