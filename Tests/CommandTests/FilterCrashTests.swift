import JSON
import Synchronization
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

    @Test("A DEL killed anywhere hands a port over or has not begun to: it is never free")
    func handOver() throws {
        let lab = try Lab()
        var random = SeededGenerator(for: "FilterCrashTests.handOver")
        func chain(_ name: String, _ subnet: String, _ bridge: String) -> PluginChain {
            FilterInputs.ports(
                "nftables", [FilterInputs.port(8080)], name: name, subnets: [subnet], bridge: bridge)
        }
        let a = chain("a", "10.1.2.0/24", "br0")
        var b = chain("b", "10.1.3.0/24", "br1")
        b.plugins[0]["isDefaultGateway"] = false
        b.plugins[0]["isGateway"] = true
        _ = try lab.warmedUp(a)
        let before = try lab.warmedUp(b)
        var killed = 0
        for round in 0..<Self.rounds / 4 {
            let what = "seed \(random.seed), round \(round)"
            let first = try lab.add(a, "c0", "eth0").orFail(what)
            let second = try lab.add(b, "c0", "eth1").orFail(what)
            var call = PluginCall("portmap", "DEL", input: a.input(1, previous: first).text())
            call.killAfter = UInt64(random.below(20_000_000))
            if try lab.run(call).outcome.status == -9 { killed += 1 }
            let holder = try lab.tool("nft", "get", "element", "inet", "swiftlet", "hostports4", "{ tcp . 8080 }")
            #expect(holder.contains("c0/eth0") || holder.contains("c0/eth1"), "\(what) \(holder)")
            try lab.delete(a, "c0", "eth0", previous: first).expectSilence(what)
            let heir = try lab.tool("nft", "get", "element", "inet", "swiftlet", "hostports4", "{ tcp . 8080 }")
            #expect(heir.contains("c0/eth1"), "\(what) \(heir)")
            try lab.check(b, "c0", second, "eth1").expectSilence(what)
            try lab.delete(b, "c0", "eth1", previous: second).expectSilence(what)
            try lab.expectReturn(to: before, what)
        }
        print("FilterCrashTests.handOver: \(killed) kills in \(Self.rounds / 4) rounds")
    }

    @Test("DEL waits for the iptables-restore that a killed ADD left", arguments: [false, true])
    func orphan(_ isFirst: Bool) throws {
        let lab = try Lab()
        let servers = try lab.serve("c0")
        var chain = FilterInputs.ports("iptables", [FilterInputs.port(8080)], subnets: ["10.1.2.0/24"])
        // Nobody has used iptables here before: nothing but the lock tells of the orphan.
        if isFirst { chain.plugins[0] = Inputs.bridge("1.0.0", ["10.1.2.0/24"], name: "net") }
        let before = isFirst ? nil : try lab.warmedUp(chain)
        let bridge = try lab.add(PluginChain("net", [chain.plugins[0]]), "c0").orFail()
        try lab.write(
            "/run/slow/iptables-restore",
            """
            #!/bin/sh
            cat > /run/slow/script
            touch /run/slow/started
            while [ ! -e /run/slow/go ]; do sleep 0.02; done
            exec /usr/sbin/iptables-restore "$@" < /run/slow/script
            """, mode: 0o755)
        try lab.write("/run/slow/configuration", chain.input(1, previous: bridge).text())
        try lab.script(
            """
            ln -s /usr/sbin/iptables-save /run/slow/
            PATH=/run/slow:$PATH CNI_COMMAND=ADD CNI_CONTAINERID=c0 CNI_NETNS=/run/netns/c0 CNI_IFNAME=eth0 \
                CNI_PATH=/run \(Plugins.directory)/portmap < /run/slow/configuration > /dev/null 2>&1 &
            plugin=$!
            while [ ! -e /run/slow/started ]; do sleep 0.02; done
            kill -9 $plugin
            wait $plugin || true
            """)
        let isDone = Mutex(false)
        let answers = try inParallel(2) { [chain] index in
            guard index == 0 else {
                // Long enough for a DEL that does not wait; one that does is done later however long this takes.
                try lab.script("sleep 0.5")
                #expect(isDone.withLock { !$0 }, "DEL did not wait")
                try lab.script("touch /run/slow/go")
                return [PluginAnswer]()
            }
            let answers = try lab.delete(chain, "c0", previous: bridge)
            isDone.withLock { $0 = true }
            return answers
        }
        for answer in answers { answer.expectSilence() }
        let rules = try lab.tool("iptables-save")
        #expect(!rules.contains("c0") && !rules.contains("10.1.2.2") && !rules.contains("CNI-DN-"), "\(rules)")
        if let before { try lab.expectReturn(to: before) }
        withExtendedLifetime(servers) {}
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
