import NetworkTypes
import StateMachine
import Testing

@testable import Gossip

/// The state rules, one table: what `second` is in, what comes, what it is then.
@Suite struct StateTests {
    enum Message: Sendable {
        case alive(UInt32)
        case suspect(UInt32)
        case dead(UInt32)
        case left(UInt32)
    }

    private func apply(_ message: Message, to bench: inout Bench) {
        switch message {
        case .alive(let incarnation): bench.alive("second", 2, incarnation)
        case .suspect(let incarnation): bench.suspect("second", incarnation, from: "third")
        case .dead(let incarnation): bench.dead("second", incarnation, from: "third")
        case .left(let incarnation): bench.dead("second", incarnation, from: "second")
        }
    }

    @Test(
        arguments: [
            ([.alive(5)], NodeState.alive, 5), ([.alive(5), .alive(4)], .alive, 5),
            ([.alive(5), .alive(6)], .alive, 6),
            ([.alive(5), .suspect(4)], .alive, 5), ([.alive(5), .suspect(5)], .suspect, 5),
            ([.alive(5), .suspect(6)], .suspect, 6), ([.alive(5), .suspect(5), .alive(5)], .suspect, 5),
            ([.alive(5), .suspect(5), .alive(6)], .alive, 6), ([.alive(5), .dead(4)], .alive, 5),
            ([.alive(5), .dead(5)], .dead, 5), ([.alive(5), .suspect(6), .dead(5)], .suspect, 6),
            ([.alive(5), .suspect(5), .dead(5)], .dead, 5), ([.alive(5), .dead(5), .alive(5)], .dead, 5),
            ([.alive(5), .dead(5), .alive(6)], .alive, 6), ([.alive(5), .dead(5), .suspect(6)], .dead, 5),
            ([.alive(5), .left(5)], .left, 5), ([.alive(5), .left(5), .alive(6)], .alive, 6),
            ([.alive(5), .left(5), .dead(7)], .left, 5), ([.alive(5), .left(4)], .alive, 5),
        ] as [([Message], NodeState, UInt32)])
    func transitions(_ messages: [Message], _ state: NodeState, _ incarnation: UInt32) throws {
        var bench = try Bench()
        bench.alive("third", 3, 1)
        for message in messages { apply(message, to: &bench) }
        #expect(bench.state("second") == state)
        #expect(bench.incarnation("second") == incarnation)
    }

    @Test(arguments: [Message.suspect(1), .dead(1), .left(1)]) func unknownNodesAreNotAccused(_ message: Message) throws
    {
        var bench = try Bench()
        apply(message, to: &bench)
        #expect(bench.state("second") == nil)
    }

    @Test(arguments: [Message.suspect(3), .dead(3), .left(3)]) func accusedOfItself(_ message: Message) throws {
        var bench = try Bench(name: "second")
        apply(message, to: &bench)
        #expect(bench.incarnation("second") == 4)
        #expect(bench.instance.healthScore == 1)
        bench.alive("third", 3, 1)
        bench.run(.seconds(1))
        let refutations = try bench.sent(.alive).map { item -> Alive in
            var reader = item.body
            return try Alive(from: &reader)
        }
        #expect(refutations.contains { $0.node == "second" && $0.incarnation == 4 && $0.endpoint == Bench.own })
    }

    @Test func ownEchoIsNotRefuted() throws {
        var bench = try Bench()
        bench.alive("myself", 1, 1)
        #expect(bench.incarnation("myself") == 1)
        // Our past self had other tags.
        bench.alive("myself", 1, 1, meta: [0xFF, 0x81, 0xA1, 0x61, 0xA1, 0x62])
        #expect(bench.incarnation("myself") == 2)
        bench.alive("myself", 1, 9)
        #expect(bench.incarnation("myself") == 10)
    }

    @Test func suspicionEndsInDeath() throws {
        var bench = try Bench()
        for number in 2...6 { bench.alive("n\(number)", number, 1) }
        bench.suspect("n2", 1, from: "n3")
        #expect(bench.instance.member("n2")?.suspectedBy == ["n3"])
        bench.run(.seconds(3))
        #expect(bench.state("n2") == .suspect)
        bench.suspect("n2", 1, from: "n4")
        bench.suspect("n2", 1, from: "n5")
        // Two confirmations: the shortest time counts from the start.
        bench.run(.milliseconds(900))
        #expect(bench.state("n2") == .suspect)
        bench.run(.milliseconds(100))
        #expect(bench.state("n2") == .dead)
        #expect(bench.status("n2") == .failed)
        #expect(bench.changes == ["failed n2"])
    }

    @Test func versionsMustFit() throws {
        var bench = try Bench()
        for (bytes, fits) in [
            ([1, 5, 2, 2, 5, 5], true), ([1, 2, 2, 2, 5, 5], true), ([], false), ([1, 5, 2, 0, 0, 0], false),
            ([1, 5, 9, 2, 5, 5], false), ([3, 5, 3, 2, 5, 5], false), ([5, 1, 2, 2, 5, 5], false),
        ] as [([UInt8], Bool)] {
            let name = "v\(bytes.map(String.init).joined())x"
            let alive = Alive(
                node: name, endpoint: host(7), meta: [], versions: ProtocolVersions(bytes: bytes), incarnation: 1)
            bench.receive(alive.encode())
            #expect((bench.state(name) == .alive) == fits, "\(bytes)")
        }
    }

    // MARK: Probes

    @Test func answersItsOwnNameOnly() throws {
        var bench = try Bench()
        bench.receive(Ping(sequence: 7, node: "other", source: nil).encode())
        #expect(bench.sent.isEmpty)
        bench.receive(Ping(sequence: 7, node: "myself", source: nil).encode(), from: host(50))
        var ack = try #require(bench.sent(.ack).first)
        #expect(ack.to == host(50))
        #expect(try Ack(from: &ack.body).sequence == 7)
    }

    @Test func acksAreNotReflected() throws {
        var bench = try Bench()
        let claimed = ProbeSource(endpoint: host(60), node: "second")
        bench.receive(Ping(sequence: 7, node: "myself", source: claimed).encode(), from: host(50))
        #expect(bench.sent(.ack).map(\.to) == [host(50)])
        bench.alive("second", 60, 1)
        bench.receive(Ping(sequence: 8, node: "myself", source: claimed).encode(), from: host(50))
        #expect(bench.sent(.ack).map(\.to) == [host(60)])
    }

    @Test func probesDirectlyThenThroughOthers() throws {
        var bench = try Bench()
        bench.alive("second", 2, 1)
        for number in 3...5 { bench.alive("helper-\(number)", number, 1) }
        // Run to the first direct probe of anybody.
        var probed: (to: Endpoint, ping: Ping)?
        while probed == nil, let next = bench.instance.nextDeadline {
            bench.now = next
            bench.give(.timer)
            if var item = bench.sent(.ping).first { probed = (item.to, try Ping(from: &item.body)) }
        }
        let (target, ping) = try #require(probed)
        #expect(ping.source == nil)
        bench.run(.milliseconds(500))
        let requests = try bench.sent(.indirectPing).map { item -> IndirectPing in
            var reader = item.body
            return try IndirectPing(from: &reader)
        }
        #expect(requests.count == 3)
        #expect(requests.allSatisfy { $0.target == target && $0.sequence == ping.sequence && $0.wantsNack })
        let streams = bench.output.filter { if case .openStream(_, let peer, _) = $0 { peer == target } else { false } }
        #expect(streams.count == 1)
        // Helpers say no: it is not us who is unwell.
        for _ in 0..<3 { bench.receive(Nack(sequence: ping.sequence).encode()) }
        bench.run(.milliseconds(500))
        #expect(bench.state(ping.node) == .suspect)
        #expect(bench.instance.healthScore == 0)
    }

    @Test func silenceOfHelpersIsOurIllness() throws {
        var bench = try Bench()
        for number in 2...5 { bench.alive("n\(number)", number, 1) }
        bench.run(.milliseconds(2500))
        #expect(bench.instance.healthScore >= 3)
    }

    @Test func helpsAndSaysNo() throws {
        var bench = try Bench()
        bench.alive("second", 2, 1)
        bench.alive("asker", 9, 1)
        let request = IndirectPing(
            sequence: 77, node: "second", target: host(2), wantsNack: true,
            source: ProbeSource(endpoint: host(9), node: "asker"))
        bench.receive(request.encode(), from: host(9))
        var ping = try #require(bench.sent(.ping).first)
        let number = try Ping(from: &ping.body).sequence
        bench.receive(Ack(sequence: number, payload: nil).encode(), from: host(2))
        var ack = try #require(bench.sent(.ack).first)
        #expect(ack.to == host(9))
        #expect(try Ack(from: &ack.body) == Ack(sequence: 77, payload: nil))

        bench.receive(request.encode(), from: host(9))
        bench.run(.milliseconds(500))
        var nack = try #require(bench.sent(.nack).first)
        #expect(nack.to == host(9))
        #expect(try Nack(from: &nack.body).sequence == 77)
        // Not for hosts that are nobody's.
        let foreign = IndirectPing(sequence: 78, node: "second", target: host(66), wantsNack: false, source: nil)
        bench.receive(foreign.encode(), from: host(9))
        #expect(!bench.sent.contains { $0.to == host(66) })
    }
}
