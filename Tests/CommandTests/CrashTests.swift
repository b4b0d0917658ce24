import JSON
import System
import TestSupport
import Testing

/// A plugin that is killed at any instant leaves nothing that DEL or GC cannot clear away.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct CrashTests {
    /// One free address: a leaked reservation would make every later ADD fail.
    static let config = Inputs.bridge(Plugins.versions.last ?? "1.0.0", ["10.1.2.0/30", "2001:db8::/126"])
    static let rounds = Plugins.wantsLongRuns ? 400 : 60

    /// Kills one command after a random part of the time it usually takes; says whether it was killed.
    private func kill(_ lab: Lab, _ command: String, within duration: UInt64, _ random: inout SeededGenerator) throws
        -> Bool
    {
        var call = PluginCall("bridge", command, input: Self.config.text())
        call.killAfter = UInt64.random(in: 0...duration, using: &random)
        return try lab.run(call).outcome.status == -9
    }

    private func expectClean(_ lab: Lab, _ what: String, _ location: SourceLocation = #_sourceLocation) throws {
        let (host, container) = (try lab.linkNames(), try lab.linkNames(in: "c0"))
        #expect(Set(host).isSubset(of: ["br0", "lo"]), "\(what) \(host)", sourceLocation: location)
        #expect(container == ["lo"], "\(what) \(container)", sourceLocation: location)
        let files = try lab.reservations("net")
        #expect(files == [:], "\(what)", sourceLocation: location)
        #expect(try lab.routes(in: "c0") == [], "\(what)", sourceLocation: location)
    }

    private func life(_ lab: Lab, _ what: String) throws {
        let result = try lab.run("bridge", "ADD", Self.config).orFail(what)
        #expect(result.addresses.count == 2 && result.addresses.first == "10.1.2.2/30", "\(what)")
        try lab.run("bridge", "DEL", Self.config).expectSilence(what)
        try expectClean(lab, what)
    }

    /// How long a command takes here and now, the median of three, and half as much again.
    private func duration(_ lab: Lab, _ command: String) throws -> UInt64 {
        var times: [UInt64] = []
        for _ in 0..<3 {
            for step in ["ADD", "DEL"] {
                let answer = try lab.run("bridge", step, Self.config)
                answer.orFail(step)
                if step == command { times.append(answer.outcome.duration) }
            }
        }
        return times.sorted()[1] * 3 / 2
    }

    @Test("ADD is killed, DEL clears")
    func killedAdd() throws {
        let lab = try Lab()
        var random = SeededGenerator(for: "CrashTests.killedAdd")
        let duration = try duration(lab, "ADD")
        var killed = 0
        for round in 0..<Self.rounds {
            // Every fourth time the bridge has to be made too.
            if round % 4 == 0 { try lab.tool("ip", "link", "delete", "br0") }
            if try kill(lab, "ADD", within: duration, &random) { killed += 1 }
            let netns = !Plugins.areReference && round % 3 == 0 ? "" : "/run/netns/c0"
            let what = "seed \(random.seed), round \(round), DEL with netns \"\(netns)\""
            try lab.run("bridge", "DEL", netns: netns, Self.config).expectSilence(what)
            try beyondReference("the reference's reservations may be torn") {
                try expectClean(lab, what)
                try life(lab, what)
            }
            if Plugins.areReference { try lab.tool("rm", "-rf", "/var/lib/cni/networks") }
            if try lab.link("br0") == nil { try lab.tool("ip", "link", "add", "br0", "type", "bridge") }
        }
        print("CrashTests.killedAdd: \(killed) of \(Self.rounds) runs were killed")
        #expect(killed > 0)
    }

    @Test("ADD is killed, and the next ADD succeeds with or without DEL", .enabled(if: !Plugins.areReference, "ours"))
    func killedAddAgain() throws {
        let lab = try Lab()
        var random = SeededGenerator(for: "CrashTests.killedAddAgain")
        let duration = try duration(lab, "ADD")
        for round in 0..<Self.rounds / 3 {
            // The runtime was killed with the plugin and makes a new namespace for the same container.
            _ = try kill(lab, "ADD", within: duration, &random)
            try lab.removeContainer("c0")
            try lab.addContainer("c0")
            let what = "seed \(random.seed), round \(round)"
            if round % 2 == 0 { try lab.run("bridge", "DEL", Self.config).expectSilence(what) }
            let answer = try lab.run("bridge", "ADD", Self.config)
            // Without a DEL the reservation of the killed ADD may stand: then, and only then, ADD may refuse.
            #expect(
                answer.succeeded || (round % 2 == 1 && answer.words.contains("duplicate allocation")),
                "\(what) \(answer)")
            try lab.run("bridge", "DEL", Self.config).expectSilence(what)
            _ = try lab.eventually { try lab.veths() == [] }
            try expectClean(lab, what)
        }
    }

    @Test("DEL is killed, DEL clears")
    func killedDelete() throws {
        let lab = try Lab()
        var random = SeededGenerator(for: "CrashTests.killedDelete")
        let duration = try duration(lab, "DEL")
        for round in 0..<Self.rounds {
            let what = "seed \(random.seed), round \(round)"
            try lab.run("bridge", "ADD", Self.config).orFail(what)
            _ = try kill(lab, "DEL", within: duration, &random)
            let netns = !Plugins.areReference && round % 3 == 0 ? "" : "/run/netns/c0"
            try lab.run("bridge", "DEL", netns: netns, Self.config).expectSilence(what)
            try expectClean(lab, what)
        }
        try life(lab, "after all")
    }

    @Test("ADD or DEL is killed, GC clears", .enabled(if: !Plugins.areReference, "the reference has no GC"))
    func collected() throws {
        let lab = try Lab(containers: 2)
        var random = SeededGenerator(for: "CrashTests.collected")
        let collect = PluginCall(
            "bridge", "GC", containerID: nil, ifname: nil, netns: nil,
            input: Self.config.with(("cni.dev/valid-attachments", [])).text())
        let durations = ["ADD": try duration(lab, "ADD"), "DEL": try duration(lab, "DEL")]
        for round in 0..<Self.rounds / 2 {
            let what = "seed \(random.seed), round \(round)"
            let command = round % 2 == 0 ? "ADD" : "DEL"
            if command == "DEL" { try lab.run("bridge", "ADD", Self.config).orFail(what) }
            _ = try kill(lab, command, within: durations[command] ?? 0, &random)
            try lab.run(collect).expectSilence(what)
            try expectClean(lab, what)
            try life(lab, what)
        }
    }

    @Test("host-local is killed, and no address is lost")
    func killedHostLocal() throws {
        let lab = try Lab()
        var random = SeededGenerator(for: "CrashTests.killedHostLocal")
        let config = Inputs.hostLocal("1.0.0", ["10.1.2.0/29"])
        let first = try lab.run("host-local", "ADD", config)
        first.orFail()
        try lab.run("host-local", "DEL", config).expectSilence()
        for round in 0..<Self.rounds {
            let what = "seed \(random.seed), round \(round)"
            var call = PluginCall("host-local", round % 2 == 0 ? "ADD" : "DEL", input: config.text())
            if round % 2 == 1 { try lab.run("host-local", "ADD", config).orFail(what) }
            call.killAfter = UInt64.random(in: 0...(first.outcome.duration * 3 / 2), using: &random)
            _ = try lab.run(call)
            try lab.run("host-local", "DEL", config).expectSilence(what)
            try beyondReference("the reference leaves empty files") {
                let left = try lab.reservations("net")
                #expect(left == [:], "\(what)")
            }
        }
        try beyondReference("the reference leaves empty files") {
            for index in 0..<5 { try lab.run("host-local", "ADD", containerID: "x\(index)", config).orFail() }
        }
    }
}
