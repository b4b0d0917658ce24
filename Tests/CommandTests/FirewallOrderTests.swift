import JSON
import TestSupport
import Testing

/// The firewall plugin's rules stand where they have to, whatever else has come between them meanwhile: proved by who is
/// let through.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference never moves a rule"))
struct FirewallOrderTests {
    /// Networks "a" and "b" with a container each, the policy between them, and servers in the first two containers.
    private struct Town {
        let lab: Lab
        let chains: [PluginChain]
        let results: [Value]
        let servers: [Responder]

        init(backend: String, policy: String = "", more: [(String, Value)] = []) throws {
            lab = try Lab(containers: 3)
            try lab.addOutside()
            chains = [
                FirewallTests.chain("a", subnets(2), backend: backend, policy: policy, more: more),
                FirewallTests.chain("b", subnets(3), bridge: "br1", backend: backend, policy: policy, more: more),
            ]
            results = try [lab.add(chains[0], "c0").orFail(), lab.add(chains[1], "c1").orFail()]
            servers = try [lab.serve("c0"), lab.serve("c1"), lab.serve("outside")]
        }

        /// Whether c0 reaches c1, by family; all of them have to give one answer.
        func isOpen(expected: Bool) throws -> Bool? {
            let answers = try results[1].addresses.map { address in
                let plain = String(address.prefix { $0 != "/" })
                return try lab.ask(.tcp, plain, from: "c0", timeout: expected ? 10_000 : 200)?.hasPrefix("c1 ") == true
            }
            return answers.count == 2 && answers[0] == answers[1] ? answers[0] : nil
        }

        /// Whether c0 reaches outside, by family.
        func hasWayOut(expected: Bool) throws -> Bool? {
            let answers = try ["192.0.2.2", "2001:db8:ffff::2"].map { address in
                try lab.ask(.tcp, address, from: "c0", timeout: expected ? 10_000 : 200)?.hasPrefix("outside ") == true
            }
            return answers[0] == answers[1] ? answers[0] : nil
        }

        /// Runs the same for both families.
        func iptables(_ arguments: String...) throws {
            for tool in ["iptables", "ip6tables"] { for line in arguments { try lab.script("\(tool) \(line)") } }
        }

        /// The next ADD, of a third container on a network of its own with the policy.
        func add(backend: String, policy: String = "", more: [(String, Value)] = []) throws {
            let chain = FirewallTests.chain(
                "c", subnets(4), bridge: "br2", backend: backend, policy: policy, more: more)
            try lab.add(chain, "c2").orFail()
        }

        func check(_ backend: String, isHealthy: Bool, _ location: SourceLocation = #_sourceLocation) throws {
            let before = try lab.world()
            let answer = try lab.run("firewall", "CHECK", chains[0].input(1, previous: results[0]))
            if isHealthy {
                answer.expectSilence("CHECK", location)
            } else {
                answer.expectRefusal(code: nil, nil, "CHECK", location)
            }
            try lab.world().expectEqual(to: before, "CHECK writes", location)
        }
    }

    private static let entry = #"FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD"#
    private static let isolation = #"FORWARD -m comment --comment "CNI firewall plugin rules" -j CNI-ISOLATION-STAGE-1"#

    @Test("What accepts never gets in front of isolation", arguments: ["", "same-bridge"])
    func isolationFirst(_ next: String) throws {
        let town = try Town(backend: "iptables", policy: "same-bridge")
        #expect(try town.isOpen(expected: false) == false)
        if next.isEmpty {
            // The entry went; an ADD that knows nothing of policies puts it back.
            try town.iptables("-D \(Self.entry)")
        } else {
            try town.iptables("-D \(Self.isolation)", "-A \(Self.isolation)")
            #expect(try town.isOpen(expected: true) == true, "the order must matter")
        }
        try town.check("iptables", isHealthy: false)
        try town.add(backend: "iptables", policy: next)
        #expect(try town.isOpen(expected: false) == false)
        #expect(try town.hasWayOut(expected: true) == true)
        try town.check("iptables", isHealthy: true)
    }

    @Test("A rule that ends it all is no obstacle")
    func obstacle() throws {
        let town = try Town(backend: "iptables", policy: "same-bridge")
        try town.iptables("-I FORWARD 1 -j DROP")
        #expect(try town.hasWayOut(expected: false) == false)
        try town.check("iptables", isHealthy: false)
        try town.add(backend: "", policy: "same-bridge")
        #expect(try town.hasWayOut(expected: true) == true)
        #expect(try town.isOpen(expected: false) == false)
        try town.check("iptables", isHealthy: true)
    }

    @Test("Whoever else filters in front stays there")
    func neighbours() throws {
        let town = try Town(backend: "iptables")
        try town.iptables("-N POLICY", "-I FORWARD 1 -j POLICY")
        try town.lab.script("iptables -A POLICY -s 10.1.2.0/24 -d 10.1.3.0/24 -j DROP")
        try town.lab.script("ip6tables -A POLICY -s 2001:db8:2::/64 -d 2001:db8:3::/64 -j DROP")
        try town.check("iptables", isHealthy: true)
        try town.add(backend: "iptables")
        #expect(try town.isOpen(expected: false) == false)
        #expect(try town.hasWayOut(expected: true) == true)
    }

    @Test("The administrator's chain is asked before any container is accepted")
    func adminFirst() throws {
        let town = try Town(backend: "iptables")
        try town.iptables(
            "-A CNI-ADMIN -p tcp --dport 80 -j REJECT --reject-with tcp-reset", "-I CNI-FORWARD 1 -i br0 -j ACCEPT")
        #expect(try town.hasWayOut(expected: true) == true, "the order must matter")
        try town.check("iptables", isHealthy: false)
        try town.add(backend: "iptables")
        #expect(try town.hasWayOut(expected: false) == false)
        try town.check("iptables", isHealthy: true)
    }

    @Test("In nf_tables no place in iptables' chains is in front of isolation")
    func tables() throws {
        let town = try Town(backend: "nftables", policy: "same-bridge")
        try town.iptables("-I FORWARD 1 -j ACCEPT")
        #expect(try town.isOpen(expected: false) == false)
        #expect(try town.hasWayOut(expected: true) == true)
        // In our own chain there is one: CHECK tells, and whoever has to look puts it right.
        try town.check("nftables", isHealthy: true)
        try town.lab.script("nft insert rule inet swiftlet forward accept")
        #expect(try town.isOpen(expected: true) == true, "the order must matter")
        try town.check("nftables", isHealthy: false)
        try town.add(backend: "nftables", policy: "same-bridge")
        #expect(try town.isOpen(expected: false) == false)
        try town.check("nftables", isHealthy: true)
        // What our table accepts another one may still drop: the host's word is the last.
        try town.lab.script(
            """
            nft add table inet host
            nft 'add chain inet host forward { type filter hook forward priority -10; policy drop; }'
            """)
        #expect(try town.hasWayOut(expected: false) == false)
    }

    @Test("A port reached from within is rewritten before the subnet's traffic is let go")
    func hairpin() throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        // Else the bridge itself would translate the answers back.
        try lab.filterBridged(false)
        let server = try lab.serve("c0")
        let chain = FilterInputs.ports("iptables", [FilterInputs.port(8080)])
        let result = try lab.add(chain, "c0").orFail()
        let jump = #"POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ"#
        for tool in ["iptables", "ip6tables"] { try lab.script("\(tool) -t nat -D \(jump); \(tool) -t nat -A \(jump)") }
        try lab.run("portmap", "CHECK", chain.input(1, previous: result)).expectRefusal(code: nil)
        try lab.add(FilterInputs.ports("iptables", [FilterInputs.port(8081)]), "c1").orFail()
        for host in ["192.0.2.1", "2001:db8:ffff::1"] {
            let seen = host.contains(":") ? "c0 2001:db8::1" : "c0 10.1.2.1"
            #expect(try lab.ask(.tcp, host, 8080, from: "c0") == seen)
            #expect(try lab.ask(.tcp, host, 8080, from: "c1") == seen)
        }
        try lab.check(chain, "c0", result).expectSilence()
        withExtendedLifetime(server) {}
    }

    @Test("GC of a network without containers lifts its isolation", arguments: FilterInputs.backends)
    func lifted(_ backend: String) throws {
        let town = try Town(backend: backend, policy: "isolated")
        #expect(try town.isOpen(expected: false) == false)
        let other = try town.lab.tool("iptables-save") + town.lab.tool("nft", "list", "ruleset")
        #expect(other.contains("br0") && other.contains("br1"))
        try town.lab.delete(town.chains[0], "c0", previous: town.results[0]).expectSilence()
        try town.lab.collect(town.chains[0]).expectSilence()
        let left =
            try ["iptables-save", "ip6tables-save"].map { try town.lab.tool($0) }.joined()
            + town.lab.tool("nft", "list", "ruleset")
        #expect(!left.contains("br0") && left.contains("br1"), "\(left)")
        try town.lab.check(town.chains[1], "c1", town.results[1]).expectSilence()
    }
}

private func subnets(_ number: Int) -> [String] { ["10.1.\(number).0/24", "2001:db8:\(number)::/64"] }
