import JSON
import System
import TestSupport
import Testing

/// Who reaches whom through the host.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference's back end is compared in FilterParityTests"))
struct FirewallTests {
    static let backends = FilterInputs.backends

    /// bridge and firewall.
    static func chain(
        _ name: String = "net", _ subnets: [String] = FilterInputs.dual, bridge: String = "br0", backend: String = "",
        policy: String = "", more: [(String, Value)] = []
    ) -> PluginChain {
        var firewall: Value = ["type": "firewall", "backend": .string(backend), "ingressPolicy": .string(policy)]
        for (key, value) in more { firewall[key] = value }
        return PluginChain(
            name,
            [
                FilterInputs.masquerading(
                    ["iptables", "nftables"].contains(backend) ? backend : "", subnets, name: name, bridge: bridge),
                firewall,
            ])
    }

    struct Row: CustomTestStringConvertible, Sendable {
        let policy: String
        let backend: String
        let filtersBridged: Bool
        var testDescription: String { "\(policy), \(backend), bridge-nf-call-iptables \(filtersBridged ? 1 : 0)" }
    }

    static let rows = ["open", "same-bridge", "isolated"].flatMap { policy in
        backends.flatMap { backend in
            [false, true].filter { !$0 || Lab.canFilterBridged }.map {
                Row(policy: policy, backend: backend, filtersBridged: $0)
            }
        }
    }

    @Test("Two networks with two containers each", arguments: rows)
    func policies(_ row: Row) throws {
        let lab = try Lab(containers: 4)
        try lab.addOutside()
        try lab.filterBridged(row.filtersBridged)
        let first = Self.chain("a", ["10.1.2.0/24", "2001:db8:2::/64"], backend: row.backend, policy: row.policy)
        let second = Self.chain(
            "b", ["10.1.3.0/24", "2001:db8:3::/64"], bridge: "br1", backend: row.backend, policy: row.policy)
        let before = (try lab.warmedUp(first), try lab.warmedUp(second, "c2")).1
        var results: [Value] = []
        for index in 0..<4 { results.append(try lab.add(index < 2 ? first : second, "c\(index)").orFail()) }
        let servers = try (lab.containers + ["outside"]).map { try lab.serve($0) }
        func plain(_ container: Int, _ family: Int) -> String {
            let addresses = results[container].addresses
            return addresses.indices.contains(family) ? String(addresses[family].prefix { $0 != "/" }) : "?"
        }
        // iptables sees what stays on the bridge only where the kernel shows it bridged packets.
        let within = row.policy != "isolated" || (row.backend == "iptables" && !row.filtersBridged)
        for family in 0..<2 {
            for (from, to, isOpen) in [
                (0, 1, within), (2, 3, within), (0, 2, row.policy == "open"), (3, 1, row.policy == "open"),
            ] {
                let answer = try lab.ask(.tcp, plain(to, family), from: "c\(from)", timeout: isOpen ? 10_000 : 200)
                let isSeen = answer?.hasPrefix("c\(to) ") == true
                #expect(isSeen == isOpen, "c\(from) to c\(to), family \(family): \(answer ?? "nothing")")
            }
        }
        for container in ["c0", "c3"] {
            #expect(try lab.ask(.tcp, "192.0.2.2", from: container) == "outside 192.0.2.1")
            #expect(try lab.ask(.tcp, "2001:db8:ffff::2", from: container) == "outside 2001:db8:ffff::1")
        }
        for (index, result) in results.enumerated() {
            let chain = index < 2 ? first : second
            try lab.check(chain, "c\(index)", result).expectSilence()
            try lab.delete(chain, "c\(index)", previous: result).expectSilence()
        }
        withExtendedLifetime(servers) {}
        try lab.expectReturn(to: before)
    }

    @Test("A host that forwards nothing by itself", arguments: ["", "iptables"])
    func forwardPolicyDrop(_ backend: String) throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        try lab.script("iptables -P FORWARD DROP; ip6tables -P FORWARD DROP")
        let servers = try ["outside", "c0", "c1"].map { try lab.serve($0) }
        func chain(_ port: Int64) -> PluginChain {
            var chain = FilterInputs.ports(backend, [FilterInputs.port(port), FilterInputs.port(port, 80, "udp")])
            chain.plugins.append(["type": "firewall", "backend": .string(backend)])
            return chain
        }
        let unfiltered = PluginChain(
            "net", Array(chain(8080).plugins.prefix(2)), runtimeConfig: chain(8080).runtimeConfig)
        let withoutFirewall = try lab.add(unfiltered, "c0").orFail()
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0", timeout: 250) == nil, "the policy must bite")
        #expect(try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside", timeout: 250) == nil, "the policy must bite")
        try lab.delete(unfiltered, "c0", previous: withoutFirewall).expectSilence()
        let first = try lab.add(chain(8080), "c0").orFail()
        let second = try lab.add(chain(8081), "c1").orFail()
        for transport in Transport.allCases {
            #expect(try lab.ask(transport, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
            #expect(try lab.ask(transport, "2001:db8:ffff::2", from: "c0") == "outside 2001:db8:ffff::1")
            #expect(try lab.ask(transport, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2")
            #expect(try lab.ask(transport, "2001:db8:ffff::1", 8080, from: "outside") == "c0 2001:db8:ffff::2")
            #expect(try lab.ask(transport, "192.0.2.1", 8081, from: "c0") == "c1 10.1.2.1", "a sibling's port")
        }
        // What was not published stays unreachable, though outside has a route.
        #expect(try lab.ask(.tcp, first.addresses[0].plain, from: "outside", timeout: 250) == nil)
        #expect(try lab.ask(.tcp, first.addresses[1].plain, from: "outside", timeout: 250) == nil)
        try lab.delete(chain(8080), "c0", previous: first).expectSilence()
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c1") == "outside 192.0.2.1", "shared parts went with c0")
        #expect(try lab.ask(.tcp, "192.0.2.1", 8081, from: "outside") == "c1 192.0.2.2", "shared parts went with c0")
        try lab.check(chain(8081), "c1", second).expectSilence()
        withExtendedLifetime(servers) {}
    }

    @Test("The administrator's chain comes first and is left alone", arguments: ["CNI-ADMIN", "NOMAD-ADMIN"])
    func adminChain(_ name: String) throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        let chain = Self.chain(
            backend: "iptables", more: name == "CNI-ADMIN" ? [] : [("iptablesAdminChainName", .string(name))])
        let server = try lab.serve("outside")
        let first = try lab.add(chain, "c0").orFail()
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
        try lab.script("iptables -A \(name) -d 192.0.2.2 -p tcp --dport 80 -j REJECT --reject-with tcp-reset")
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == nil)
        try lab.add(chain, "c1").orFail()
        try lab.delete(chain, "c0", previous: first).expectSilence()
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c1") == nil)
        #expect(try lab.ask(.udp, "192.0.2.2", from: "c1") == "outside 192.0.2.1")
        withExtendedLifetime(server) {}
    }

    @Test("The administrator's chain of the nftables back end")
    func adminChainOfTables() throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        let chain = Self.chain(backend: "nftables")
        let server = try lab.serve("outside")
        let first = try lab.add(chain, "c0").orFail()
        try lab.script("nft add rule inet swiftlet admin ip daddr 192.0.2.2 tcp dport 80 reject with tcp reset")
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == nil)
        try lab.add(chain, "c1").orFail()
        try lab.check(chain, "c0", first).expectSilence()
        try lab.delete(chain, "c0", previous: first).expectSilence()
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c1") == nil)
        #expect(try lab.ask(.udp, "192.0.2.2", from: "c1") == "outside 192.0.2.1")
        withExtendedLifetime(server) {}
    }

    @Test(
        "CHECK sees what is missing and repairs nothing",
        arguments: [
            ("nftables", "nft delete element inet swiftlet containers4 { 10.1.2.2 }"),
            ("nftables", "nft delete element inet swiftlet containers6 { 2001:db8::2 }"),
            ("nftables", "nft flush chain inet swiftlet forward"),
            ("nftables", "nft flush map inet swiftlet bridge_pairs"),
            ("iptables", "iptables -F CNI-FORWARD"), ("iptables", "ip6tables -F CNI-FORWARD"),
            ("iptables", "iptables -F FORWARD"), ("iptables", "iptables -F CNI-ISOLATION-STAGE-1"),
            ("iptables", "iptables -F; iptables -X"), ("iptables", "iptables -F CNI-ISOLATION-STAGE-2"),
        ])
    func check(_ row: (backend: String, damage: String)) throws {
        let lab = try Lab()
        let chain = Self.chain(backend: row.backend, policy: "same-bridge")
        let result = try lab.add(chain, "c0").orFail()
        let healthy = try lab.world()
        try lab.check(chain, "c0", result).expectSilence()
        try lab.world().expectEqual(to: healthy)
        try lab.script(row.damage)
        let damaged = try lab.world()
        try lab.run("firewall", "CHECK", chain.input(1, previous: result)).expectRefusal(code: nil, nil, row.damage)
        try lab.world().expectEqual(to: damaged)
        try lab.delete(chain, "c0", previous: result).expectSilence(row.damage)
    }

    @Test("DEL finds the rules whatever it is told", arguments: backends)
    func removal(_ backend: String) throws {
        let lab = try Lab()
        let chain = Self.chain(backend: backend, policy: "isolated")
        let before = try lab.warmedUp(chain)
        var automatic = chain
        automatic.plugins[1]["backend"] = ""
        var invalid = chain
        invalid.plugins[1]["ingressPolicy"] = "sometimes"
        for (what, other, remembers) in [
            ("as it was", chain, true), ("no prevResult", chain, false), ("another back end", automatic, true),
            ("invalid", invalid, true),
        ] {
            for netns in ["/run/netns/c0", ""] {
                let result = try lab.add(chain, "c0").orFail(what)
                try lab.delete(other, "c0", netns: netns, previous: remembers ? result : nil).expectSilence(what)
                try lab.expectReturn(to: before, "\(backend): \(what), netns \"\(netns)\"")
            }
        }
    }

    @Test("ADD twice is ADD once", arguments: backends)
    func repeated(_ backend: String) throws {
        let lab = try Lab()
        let chain = Self.chain(backend: backend, policy: "same-bridge")
        let result = try lab.add(chain, "c0").orFail()
        let once = try lab.world()
        let again = try lab.run("firewall", "ADD", chain.input(1, previous: result)).orFail()
        #expect(again.canonical == result.canonical)
        try lab.world().expectEqual(to: once)
    }

    @Test("GC removes what belongs to nobody", arguments: backends)
    func collected(_ backend: String) throws {
        let lab = try Lab(containers: 2)
        let chain = Self.chain(backend: backend, policy: "same-bridge")
        let kept = try lab.add(chain, "c0").orFail()
        let before = try lab.steadyWorld()
        try lab.add(chain, "c1").orFail()
        try lab.collect(chain, keeping: [("c0", "eth0")]).expectSilence()
        try lab.check(chain, "c0", kept).expectSilence()
        try lab.expectReturn(to: before)
    }

    @Test("STATUS", arguments: backends + ["", "unheard-of"])
    func status(_ backend: String) throws {
        try Lab().status(Self.chain(backend: backend)).expectSilence()
    }

    @Test("firewalld is asked for and is not there")
    func firewalldAway() throws {
        let lab = try Lab()
        let (_, previous) = try lab.add(Inputs.bridge("1.0.0"))
        let before = try lab.world()
        let config = Self.chain(backend: "firewalld").input(1, previous: previous)
        try lab.run("firewall", "ADD", config).expectRefusal(containing: "firewalld")
        try lab.world().expectEqual(to: before)
        try lab.run("firewall", "DEL", config).expectSilence()
    }

    @Test("A firewalld that runs is told over the bus, and nothing of it is left", arguments: ["firewalld", ""])
    func firewalldRuns(_ backend: String) throws {
        let firewalld = try FakeFirewalld()
        let lab = try Lab()
        let (_, previous) = try lab.add(Inputs.bridge("1.0.0", FilterInputs.dual))
        let config = Self.chain(backend: backend).input(1, previous: previous)
        func run(_ command: String, _ version: String = "1.0.0") throws -> PluginAnswer {
            var call = PluginCall("firewall", command, input: config.with(("cniVersion", .string(version))).text())
            call.environment = [("DBUS_SYSTEM_BUS_ADDRESS", firewalld.address)]
            return try lab.run(call)
        }
        let before = try lab.world()
        try run("CHECK").expectRefusal(code: nil)
        for _ in 0..<2 {
            #expect(try run("ADD").orFail().canonical == previous.canonical)
            #expect(firewalld.sources == ["trusted": ["10.1.2.2/32", "2001:db8::2/128"], "public": []])
            try run("CHECK").expectSilence()
        }
        for _ in 0..<2 {
            try run("DEL").expectSilence()
            #expect(firewalld.sources == ["trusted": [], "public": []])
        }
        try run("STATUS", "1.1.0").expectSilence()
        try lab.world().expectEqual(to: before)
    }

    @Test("What is wrong is said")
    func contradictions() throws {
        let lab = try Lab()
        let (_, previous) = try lab.add(Inputs.bridge("1.0.0"))
        let config = Self.chain().input(1, previous: previous)
        try lab.run("firewall", "ADD", config.with(("ingressPolicy", "sometimes"))).expectRefusal(
            containing: "unknown ingress policy: \"sometimes\"")
        let bare = previous.with(("interfaces", nil), ("ips", [["address": "10.1.2.2/24"]]))
        try lab.run("firewall", "ADD", config.with(("ingressPolicy", "same-bridge"), ("prevResult", bare)))
            .expectRefusal(
                containing:
                    "interface needs to be set for ingress policy \"same-bridge\", make sure to chain \"firewall\" plugin with \"bridge\""
            )
        try lab.run("firewall", "ADD", Self.chain().input(1)).expectRefusal(containing: "prevResult")
        try lab.run("firewall", "DEL", Self.chain().input(1)).expectSilence()
    }

    @Test("The previous result is handed on", arguments: Plugins.versions.filter { atLeast($0, "0.4.0") })
    func result(_ version: String) throws {
        let lab = try Lab()
        let (_, previous) = try lab.add(Inputs.bridge(version, FilterInputs.dual))
        let config: Value = [
            "cniVersion": .string(version), "name": "net", "type": "firewall", "prevResult": previous,
        ]
        #expect(try lab.run("firewall", "ADD", config).orFail().canonical == previous.canonical)
    }

    @Test("Without any environment it tells its name, as nerdctl asks")
    func about() throws {
        let outcome = try Lab().inside {
            try ChildProcess.run("\(Plugins.directory)/firewall", environment: Environment())
        }
        #expect(outcome.status == 0 && outcome.output.isEmpty)
        let words = outcome.errorText.split(separator: "\n").first?.split(separator: " ") ?? []
        #expect(words.count == 4 && words.prefix(3) == ["CNI", "firewall", "plugin"])
        // nerdctl keeps networks apart from 1.1.0 on, and knows "isolated" from 1.7.1 on.
        let version = (words.last ?? "").prefix { $0 != "+" && $0 != "-" }
        #expect(version.hasPrefix("v") && atLeast(String(version.dropFirst()), "1.7.1"), "\(outcome.errorText)")
    }
}
