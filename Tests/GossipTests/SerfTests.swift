import GossipFixtures
import StateMachine
import Testing

@testable import Gossip

@Suite struct SerfTests {
    @Test func leavingNodesLeaveOthersFail() throws {
        var bench = try Bench()
        bench.alive("a", 2, 1)
        bench.alive("b", 3, 1)
        bench.leaveIntent("a", 5)
        #expect(bench.status("a") == .leaving)
        bench.dead("a", 1, from: "a")
        #expect(bench.status("a") == .left)
        #expect(bench.changes == ["left a"])
        bench.dead("b", 1, from: "c")
        #expect(bench.status("b") == .failed)
        bench.leaveIntent("b", 6)
        #expect(bench.status("b") == .left)
        #expect(bench.changes == ["left b"])
    }

    @Test func joinIntentTakesLeaveBack() throws {
        var bench = try Bench()
        bench.alive("a", 2, 1)
        bench.leaveIntent("a", 5)
        bench.joinIntent("a", 5)
        #expect(bench.status("a") == .leaving)
        bench.joinIntent("a", 6)
        #expect(bench.status("a") == .alive)
        bench.leaveIntent("a", 6)
        #expect(bench.status("a") == .alive)
    }

    /// Told to others as having left at the time of its join, it would be leaving for ever where the join is not known yet.
    @Test func aJoinIsNoTimeToHaveLeft() throws {
        var bench = try Bench()
        func told() -> (times: [UInt64], left: [String]) {
            let state = bench.instance.serfState
            return (state.statusTimes.filter { $0.node == "a" }.map(\.time), state.leftMembers)
        }
        bench.alive("a", 2, 1)
        bench.alive("b", 9, 1)
        bench.leaveIntent("a", 5)
        bench.dead("a", 1, from: "a")
        bench.joinIntent("a", 7)
        let join = [MessageType.user.rawValue] + Intent(time: 7, node: "a").encode(as: .join)
        #expect(bench.gossiped(.user).contains(join), "a join that is news is gossiped on")
        #expect(bench.status("a") == .left)
        #expect(told().times == [5] && told().left == ["a"])
        // From elsewhere, which is not believed at once.
        bench.alive("a", 3, 2)
        #expect(told().times == [5] && told().left == ["a"])
        bench.run(.seconds(3))
        #expect(bench.status("a") == .alive)
        #expect(told().times == [7] && told().left == [])
        bench.leaveIntent("a", 7)
        #expect(bench.status("a") == .alive)
    }

    @Test func intentBeforeTheMember() throws {
        var bench = try Bench()
        bench.leaveIntent("a", 9)
        bench.joinIntent("a", 8)
        bench.alive("a", 2, 1)
        #expect(bench.status("a") == .leaving)
        #expect(bench.instance.member("a")?.statusTime == 9)
        var late = try Bench()
        late.leaveIntent("a", 9)
        late.run(.seconds(330))
        late.alive("a", 2, 1)
        #expect(late.status("a") == .alive)
    }

    @Test func pruneForgetsTheGoneOnly() throws {
        var bench = try Bench()
        bench.alive("a", 2, 1)
        bench.leaveIntent("a", 5, prune: true)
        #expect(bench.status("a") == .leaving)
        bench.dead("a", 1, from: "a")
        bench.leaveIntent("a", 6, prune: true)
        #expect(bench.status("a") == nil)
        #expect(bench.changes == ["reaped a"])
        bench.alive("a", 2, 1)
        #expect(bench.status("a") == nil)
        bench.alive("a", 2, 2)
        #expect(bench.changes == ["joined a"])
    }

    @Test func membersAreReapedAfterADay() throws {
        var settings = Settings.lan
        settings.reconnectTimeout = .seconds(300)
        settings.tombstoneTimeout = .seconds(600)
        var bench = try Bench(settings)
        bench.alive("a", 2, 1)
        bench.alive("b", 3, 1)
        bench.dead("a", 1, from: "c")
        bench.dead("b", 1, from: "b")
        bench.run(.seconds(290))
        #expect(bench.changes == [])
        bench.run(.seconds(30))
        #expect(bench.changes == ["reaped a"])
        bench.run(.seconds(300))
        #expect(bench.changes == ["reaped b"])
        #expect(bench.instance.table.count == 1)
    }

    @Test func eventsOnceAndNotTooOld() throws {
        var bench = try Bench()
        func names() -> [String] {
            bench.output.compactMap { if case .userEvent(let event) = $0 { event.name } else { nil } }
        }
        let first = UserEventMessage(time: 3, name: "deploy", payload: [1], coalesce: true)
        bench.receive([8] + first.encode())
        #expect(names() == ["deploy"])
        bench.receive([8] + first.encode())
        #expect(names() == [])
        var other = first
        other.payload = [2]
        bench.receive([8] + other.encode())
        #expect(names() == ["deploy"])
        bench.receive([8] + UserEventMessage(time: 1000, name: "far", payload: nil, coalesce: false).encode())
        bench.receive([8] + UserEventMessage(time: 4, name: "old", payload: nil, coalesce: false).encode())
        #expect(names() == [])
        bench.receive([8] + UserEventMessage(time: 600, name: "late", payload: nil, coalesce: false).encode())
        #expect(names() == ["late"])
    }

    @Test func limitsOfTheSender() throws {
        var bench = try Bench()
        bench.give(.command(.userEvent(name: "x", payload: [UInt8](repeating: 0, count: 512), coalesce: false)))
        #expect(bench.notices.count == 1)
        bench.give(.command(.setTags(["x": String(repeating: "y", count: 600)])))
        #expect(bench.notices.count == 1)
        bench.give(.command(.query(QueryRequest(token: 1, name: "q", payload: [UInt8](repeating: 0, count: 1024)))))
        #expect(bench.notices.count == 1)
        bench.give(.command(.setTags(["role": "web"])))
        #expect(bench.notices.isEmpty)
        #expect(bench.changes == ["updated myself"])
        #expect(bench.incarnation("myself") == 2)
    }

    /// A query from a stock agent, with a filter on tags.
    @Test func filters() throws {
        var bench = try Bench()
        bench.give(.command(.setTags(["role": "web"])))
        func asked(_ filter: QueryFilter, _ id: UInt32) -> Bool {
            let query = QueryMessage(
                time: 1, id: id, origin: host(9), sourceNode: "agent", filters: [filter.bytes],
                flags: QueryMessage.ackFlag, relayFactor: 0, timeout: 1_000_000_000, name: "ask", payload: nil)
            bench.receive([8] + query.encode())
            return bench.output.contains { if case .query = $0 { true } else { false } }
        }
        #expect(asked(.tag("role", expression: "^w"), 1))
        #expect(bench.sent.filter { $0.to == host(9) }.count == 1)
        #expect(!asked(.tag("role", expression: "^db"), 2))
        #expect(bench.sent.isEmpty)
        #expect(!asked(.nodes(["other"]), 3))
        #expect(asked(.nodes(["other", "myself"]), 4))
        #expect(!asked(.nodes(["other", "myself"]), 4))
    }

    @Test func aloneLeavesAtOnce() throws {
        var bench = try Bench()
        bench.give(.command(.leave))
        var all = bench.output
        bench.run(.milliseconds(1))
        all += bench.output
        #expect(all.contains { if case .left = $0 { true } else { false } })
    }

    /// What a stock agent sends when it joins is answered with our state first, then merged.
    @Test func answersAnAgentThatJoins() throws {
        let vector = try #require(MemberlistVectors.named("tcp push/pull request").first)
        var bench = try Bench()
        bench.give(.streamAccepted(.accepted(1), from: host(9)))
        for byte in vector.bytes.dropLast() {
            bench.give(.streamData(.accepted(1), [byte]))
            #expect(bench.sent.isEmpty)
        }
        bench.give(.streamData(.accepted(1), [vector.bytes[vector.bytes.count - 1]]))
        guard case .sendStream(.accepted(1), let reply)? = bench.output.first else {
            Issue.record("no answer")
            return
        }
        let message = try Envelope(keyRing: nil, cipher: nil).openStream(reply)
        guard case .pushPull(let state) = message else {
            Issue.record("\(message)")
            return
        }
        #expect(state.nodes.map(\.node) == ["myself"])
        #expect(state.isJoin)
        #expect(bench.changes == ["joined beta"])
    }

    @Test func coordinatesComeFromAcks() throws {
        let vector = try #require(MemberlistVectors.named("leaf ackResp").first)
        var reader = MessagePackReader(vector.bytes, 1..<vector.bytes.count)
        let payload = try #require(try Ack(from: &reader).payload)
        let coordinate = try #require(Coordinate(ackPayload: payload))
        #expect(coordinate == Coordinate())
        #expect(coordinate.ackPayload == payload)
        #expect(Coordinate(ackPayload: [2] + payload.dropFirst()) == nil)
        #expect(Coordinate(ackPayload: []) == nil)
        var broken = Coordinate()
        broken.vector[3] = .nan
        #expect(Coordinate(ackPayload: broken.ackPayload) == nil)
    }
}
