import JSON
import System
import TestSupport
import Testing

/// podman's chain is killed at any instant: DEL, or GC, leaves no link, no rule, no address, no file.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference leaves much"))
struct FilterCrashTests {
    static let rounds = Plugins.wantsLongRuns ? 400 : 40

    static func chain(_ backend: String) -> PluginChain {
        PluginChain(
            "net",
            [
                FilterInputs.masquerading(backend, ["10.1.2.0/30", "2001:db8::/126"], more: [("macspoofchk", true)]),
                ["type": "portmap", "capabilities": ["portMappings": true], "backend": .string(backend)],
                ["type": "firewall", "backend": .string(backend), "ingressPolicy": "same-bridge"],
            ],
            runtimeConfig: ["portMappings": [FilterInputs.port(8080), FilterInputs.port(8080, 80, "udp")]])
    }

    @Test("Killed anywhere", arguments: ["nftables", "iptables"])
    func killed(_ backend: String) throws {
        let lab = try Lab()
        var random = SeededGenerator(for: "FilterCrashTests.killed.\(backend)")
        let chain = Self.chain(backend)
        _ = try lab.warmedUp(chain)
        try lab.collect(chain).expectSilence()
        let collected = try lab.steadyWorld()
        let before = try lab.warmedUp(chain)
        var killed = 0
        // How long a plugin may live, in nanoseconds: less after one that was done sooner, more after one that was not, so
        // that on any machine about every second is killed in the midst of its work.
        var patience = 40_000_000
        func runAndKill(_ call: PluginCall) throws -> PluginAnswer {
            var call = call
            call.killAfter = UInt64(random.below(patience))
            let answer = try lab.run(call)
            let isKilled = answer.outcome.status == -9
            patience = isKilled ? min(patience * 3 / 2, 400_000_000) : max(patience * 2 / 3, 1)
            if isKilled { killed += 1 }
            return answer
        }
        for round in 0..<Self.rounds / 2 {
            let victim = random.below(chain.plugins.count)
            let duringDelete = random.below(2) == 0
            let what =
                "\(backend), seed \(random.seed), round \(round), \(duringDelete ? "DEL" : "ADD") of plugin \(victim)"
            var previous: Value?
            for index in chain.plugins.indices.prefix(duringDelete ? chain.plugins.count : victim + 1) {
                let call = PluginCall(
                    chain.plugins[index]["type"]?.string ?? "", "ADD",
                    input: chain.input(index, previous: previous).text())
                let answer = try !duringDelete && index == victim ? runAndKill(call) : lab.run(call)
                if answer.outcome.status != -9 { answer.orFail(what) }
                previous = answer.document ?? previous
            }
            if duringDelete {
                for index in chain.plugins.indices.reversed().prefix(victim + 1) {
                    let call = PluginCall(
                        chain.plugins[index]["type"]?.string ?? "", "DEL",
                        input: chain.input(index, previous: previous).text())
                    _ = try runAndKill(call)
                }
            }
            switch random.below(3) {
            case 0: try lab.delete(chain, "c0").expectSilence(what)
            case 1: try lab.delete(chain, "c0", netns: "").expectSilence(what)
            default:
                try lab.collect(chain).expectSilence(what)
                // With nobody left, GC also takes what the network's containers shared.
                try lab.expectReturn(to: collected, what)
                _ = try lab.warmedUp(chain)
            }
            try lab.expectReturn(to: before, what)
        }
        print("FilterCrashTests.killed: \(killed) kills in \(Self.rounds / 2) rounds")
        #expect(killed > 0)
        let result = try lab.add(chain, "c0").orFail()
        try lab.check(chain, "c0", result).expectSilence()
    }

    @Test("Nonsense said to portmap, firewall, gwbridge-nat", arguments: ["portmap", "firewall", "gwbridge-nat"])
    func fuzzed(_ plugin: String) throws {
        let lab = try Lab()
        var mutator = Mutator(random: SeededGenerator(for: "FilterCrashTests.fuzzed.\(plugin)"))
        let (_, previous) = try lab.add(Inputs.bridge("1.0.0", FilterInputs.dual))
        let config: Value = [
            "cniVersion": "1.0.0", "name": "net", "type": .string(plugin), "backend": "nftables", "snat": true,
            "masqAll": false, "conditionsV4": ["ip", "saddr", "192.0.2.0/24"], "ingressPolicy": "isolated",
            "bridge": "swiftlet-gw", "icc": false, "ipMasqBackend": "nftables", "interface": "gw0", "mtu": 1400,
            "runtimeConfig": [
                "portMappings": [FilterInputs.port(8080), FilterInputs.port(8081, 80, "udp", hostIP: "::")]
            ],
            "prevResult": previous,
        ]
        // Makes the shared parts.
        try lab.run(plugin, "ADD", config).orFail()
        try lab.run(plugin, "DEL", config).expectSilence()
        // A network's own chains are kept for the next container; GC takes them.
        func clean() throws -> World {
            let all = lab
            var newest = config
            newest["cniVersion"] = "1.1.0"
            newest["cni.dev/valid-attachments"] = []
            try all.run(PluginCall(plugin, "GC", containerID: nil, ifname: nil, netns: nil, input: newest.text()))
                .expectSilence()
            // An ADD leaves its bridge on purpose, and nonsense may be a bridge's name, too.
            let bridges = try all.query("ip", ["-j", "link", "show", "type", "bridge"]).elements
            return try all.steadyWorld(bridges.compactMap { $0["ifname"]?.string } + ["br0", "swiftlet-gw"])
        }
        let before = try clean()
        var added = 0
        for run in 0..<(Plugins.wantsLongRuns ? 600 : 40) {
            let mutated = mutator.mutated(config)
            let command = mutator.random.pick(["ADD", "ADD", "ADD", "CHECK", "DEL", "STATUS", "GC"]) ?? "ADD"
            let answer = try lab.run(plugin, command, mutated)
            let what = "seed \(mutator.random.seed), run \(run): \(command) \(mutated.text().prefix(900))"
            let status = answer.outcome.status
            #expect(!answer.outcome.timedOut && (status == 0 || status == 1), "\(what) \(answer)")
            if status == 1 { #expect(answer.code != nil && !answer.message.isEmpty, "\(what) \(answer)") }
            guard command == "ADD" else { continue }
            if answer.succeeded { added += 1 }
            // What the runtime knows of the attachment: the same words.
            let gone = try lab.run(plugin, "DEL", mutated)
            if answer.succeeded { #expect(gone.succeeded, "\(what) \(gone)") }
        }
        #expect(added > 0, "seed \(mutator.random.seed)")
        let isOfSomeNetwork = { (name: String) in name.contains("/nft/") || name.contains("tables-save") }
        try clean().without(isOfSomeNetwork).without { $0.hasSuffix("route_localnet") }.expectEqual(
            to: before.without(isOfSomeNetwork).without { $0.hasSuffix("route_localnet") },
            "seed \(mutator.random.seed)")
        let rules = try lab.tool("nft", "list", "ruleset")
        #expect(!rules.contains("c0/eth0"), "seed \(mutator.random.seed) \(rules)")
    }
}
