import JSON
import System
import TestSupport
import Testing

/// A gateway that is killed at any instant, or that the release before made, leaves nothing that DEL or GC cannot clear
/// away, and takes nothing from the container's other networks.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has no such plugin"))
struct GwbridgeCrashTests {
    static let rounds = Plugins.wantsLongRuns ? 400 : 45
    /// Where the previous release's executables are, for the tests of an upgrade in place.
    static let previous = Environment.current()["SWIFTLET_PREVIOUS_DIR"].flatMap { $0.isEmpty ? nil : $0 }

    /// Three networks without the plugins before the gateway: the container's way out is what is tried.
    static let ports: [[Int64]] = [[8080, 8081], [8080, 8082], [8083]]
    static func alone(_ index: Int) -> PluginChain {
        GwbridgeTests.alone(
            [("interface", "gw0")], name: "net\(index)", ports: ports[index].map { FilterInputs.port($0) })
    }

    private func call(_ index: Int, _ command: String, netns: String = "/run/netns/c0") -> PluginCall {
        PluginCall(
            "gwbridge-nat", command, ifname: "eth\(index)", netns: netns, input: Self.alone(index).input(0).text())
    }

    private func expectClean(_ lab: Lab, _ before: World, _ what: String) throws {
        try lab.expectReturn(to: before, what)
        #expect(try lab.reservations("swiftlet-gwbridge") == [:], "\(what)")
        #expect(try lab.list("/run/swiftlet/gateway") == [], "\(what)")
    }

    /// How long a command takes here and now, and a half more.
    private func duration(_ lab: Lab, _ before: World) throws -> UInt64 {
        var longest: UInt64 = 0
        for command in ["ADD", "DEL"] {
            for index in 0..<2 {
                let answer = try lab.run(call(index, command))
                answer.orFail(command)
                longest = max(longest, answer.outcome.duration)
            }
        }
        try expectClean(lab, before, "measured")
        return longest * 3 / 2
    }

    @Test("Killed at any instant; the others' use is whole, and DEL or GC clears")
    func killed() throws {
        let lab = try Lab()
        _ = try lab.run(call(0, "ADD")).orFail()
        try lab.run(call(0, "DEL")).expectSilence()
        let before = try lab.steadyWorld()
        var random = SeededGenerator(for: "GwbridgeCrashTests.killed")
        let duration = try duration(lab, before)
        var killed = 0
        for round in 0..<Self.rounds {
            let what = "seed \(random.seed), round \(round)"
            // Who is there, whom it befalls, and in what.
            let there = (0..<3).filter { _ in random.below(2) == 0 }
            var whole: [Int: Value] = [:]
            for index in there { whole[index] = try lab.run(call(index, "ADD")).orFail(what) }
            let victim = random.below(3)
            var fatal = call(victim, there.contains(victim) ? "DEL" : "ADD")
            fatal.killAfter = UInt64.random(in: 0...duration, using: &random)
            if try lab.run(fatal).outcome.status == -9 { killed += 1 }
            let byGC = random.below(3) == 0
            if byGC {
                try lab.collect(Self.alone(victim)).expectSilence(what)
            } else {
                try lab.run(call(victim, "DEL", netns: random.below(2) == 0 ? "" : "/run/netns/c0")).expectSilence(what)
            }
            whole[victim] = nil
            for (index, result) in whole {
                var check = call(index, "CHECK")
                check.input = Self.alone(index).input(0, previous: result).text()
                try lab.run(check).expectSilence("\(what): net\(index)")
            }
            // GC takes what a bridge's containers share along with the last of them.
            if whole.isEmpty, !byGC { try expectClean(lab, before, what) }
            // Whoever was cut short may come again at once.
            try lab.run(call(victim, "ADD")).orFail(what)
            for index in [victim] + whole.keys.sorted() { try lab.run(call(index, "DEL")).expectSilence(what) }
            try expectClean(lab, before, what)
        }
        print("GwbridgeCrashTests.killed: \(killed) of \(Self.rounds) runs were killed")
        #expect(killed > 0)
    }

    @Test("Killed, and the next network's ADD makes a way out of its own")
    func killedMaker() throws {
        let lab = try Lab()
        _ = try lab.run(call(0, "ADD")).orFail()
        try lab.run(call(0, "DEL")).expectSilence()
        let before = try lab.steadyWorld()
        var random = SeededGenerator(for: "GwbridgeCrashTests.killedMaker")
        let duration = try duration(lab, before)
        for round in 0..<Self.rounds / 3 {
            let what = "seed \(random.seed), round \(round)"
            var fatal = call(0, "ADD")
            fatal.killAfter = UInt64.random(in: 0...duration, using: &random)
            let isKilled = try lab.run(fatal).outcome.status == -9
            let result = try lab.run(call(1, "ADD")).orFail(what)
            #expect(result.interfaceName(2) == "gw0", "\(what)")
            try lab.run(call(0, "DEL")).expectSilence(what)
            var check = call(1, "CHECK")
            check.input = Self.alone(1).input(0, previous: result).text()
            try lab.run(check).expectSilence("\(what), killed \(isKilled)")
            try lab.run(call(1, "DEL")).expectSilence(what)
            try expectClean(lab, before, what)
        }
    }

    @Test("Networks that come and go at once agree")
    func atOnce() throws {
        let lab = try Lab()
        _ = try lab.run(call(0, "ADD")).orFail()
        try lab.run(call(0, "DEL")).expectSilence()
        let before = try lab.steadyWorld()
        let calls = (0..<3).map { (call($0, "ADD"), call($0, "DEL")) }
        for round in 0..<Self.rounds / 3 {
            let added = try inParallel(3) { try lab.run(calls[$0].0) }
            for answer in added { answer.orFail("round \(round)") }
            #expect(Set(added.compactMap { $0.document?.addresses.first }).count == 1)
            #expect(try lab.linkNames(in: "c0") == ["gw0", "lo"])
            for answer in try inParallel(3, { try lab.run(calls[$0].1) }) { answer.expectSilence("round \(round)") }
            try expectClean(lab, before, "round \(round)")
        }
    }

    @Test(
        "A container of the release before: its DEL, its GC, and a second network beside it",
        .enabled(if: previous != nil, "SWIFTLET_PREVIOUS_DIR is not set"), arguments: GwbridgeTests.backends,
        ["DEL", "GC", "shared, maker first", "shared, maker last", "shared, GC of the maker"])
    func upgrade(_ backend: String, _ way: String) throws {
        let lab = try Lab()
        let keys: [(String, Value)] = [("ipMasqBackend", .string(backend))]
        let chains = (0..<2).map { index in
            GwbridgeSharingTests.network(index, keys, ports: Self.ports[index].map { FilterInputs.port($0) })
        }
        _ = try GwbridgeSharingTests.warmedUp(lab, chains)
        for chain in chains { try lab.collect(chain).expectSilence() }
        let before = try lab.steadyWorld()
        let old = try lab.add(chains[0].from(Self.previous), "c0").orFail()
        if way == "DEL" {
            try lab.delete(chains[0], "c0", previous: old).expectSilence()
        } else if way == "GC" {
            try lab.collect(chains[0]).expectSilence()
        } else {
            try lab.check(chains[0], "c0", old).expectSilence("before")
            let new = try lab.add(chains[1], "c0", "eth1").orFail()
            #expect(try lab.linkNames(in: "c0") == ["eth0", "eth1", "gw0", "lo"])
            #expect(new.addresses.last == old.addresses.last)
            try lab.check(chains[1], "c0", new, "eth1").expectSilence("beside")
            func removeMaker() throws {
                if way.hasSuffix("GC of the maker") { return try lab.collect(chains[0]).expectSilence() }
                try lab.delete(chains[0], "c0", previous: old).expectSilence()
            }
            if way.hasSuffix("last") {
                try lab.delete(chains[1], "c0", "eth1", previous: new).expectSilence()
                try lab.check(chains[0], "c0", old).expectSilence("alone again")
                try removeMaker()
            } else {
                try removeMaker()
                try lab.check(chains[1], "c0", new, "eth1").expectSilence("left alone")
                try lab.delete(chains[1], "c0", "eth1", previous: new).expectSilence()
            }
        }
        // What a network's containers share goes with GC of the network.
        for chain in chains { try lab.collect(chain).expectSilence() }
        try lab.expectReturn(to: before, "\(backend): \(way)")
    }
}
