import JSON
import System
import TestSupport
import Testing

/// All executables, 100 000 calls in the long run: always an answer in time, never a signal, and what an ADD made its DEL
/// takes away.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct FuzzExecutablesTests {
    private static let plugins = [
        "bridge", "host-local", "null", "loopback", "portmap", "firewall", "gwbridge-nat", "tuning", "bandwidth",
        "overlay-vxlan",
    ]
    private static var calls: Int { (Plugins.wantsLongRuns ? 100_000 : 220) / (plugins.count + 1) }

    private static func previous(_ interface: String) -> Value {
        [
            "cniVersion": "1.0.0",
            "interfaces": [["name": "veth0"], ["name": .string(interface), "sandbox": "/run/netns/c0"]],
            "ips": [["address": "10.1.2.9/24", "gateway": "10.1.2.1", "interface": 1]],
            "routes": [["dst": "0.0.0.0/0"]],
        ]
    }

    /// A right configuration to begin with.
    private static func base(_ plugin: String) -> Value {
        let plain: Value = ["cniVersion": "1.0.0", "name": "net", "type": .string(plugin)]
        switch plugin {
        case "bridge": return Inputs.bridge("1.0.0", ["10.1.2.0/24", "2001:db8::/64"])
        case "host-local": return Inputs.hostLocal("1.0.0", ["10.1.2.0/24", "2001:db8::/64"])
        case "portmap":
            let mapping: Value = ["hostPort": 8080, "containerPort": 80, "protocol": "tcp"]
            return plain.with(
                ("runtimeConfig", ["portMappings": [mapping]]), ("snat", true), ("prevResult", previous("eth0")))
        case "firewall": return plain.with(("ingressPolicy", "same-bridge"), ("prevResult", previous("eth0")))
        case "gwbridge-nat": return plain.with(("subnet", "172.30.0.0/16"), ("icc", true))
        case "tuning":
            return plain.with(
                ("sysctl", ["net.ipv4.conf.eth0.arp_notify": "1"]), ("mtu", 1400), ("promisc", true),
                ("prevResult", previous("eth0")))
        case "bandwidth":
            return plain.with(
                ("ingressRate", 1_000_000), ("ingressBurst", 100_000), ("egressRate", 1_000_000),
                ("egressBurst", 100_000), ("prevResult", previous("eth0")))
        case "overlay-vxlan":
            return plain.with(
                ("subnet", "192.168.0.0/24"), ("peers", ["192.0.2.1", "192.0.2.2"]), ("ipam", ["type": "host-local"]))
        default: return plain
        }
    }

    private func lab(_ plugin: String) throws -> Lab {
        let lab = try Lab()
        try lab.tool("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
        try lab.tool("ip", "address", "add", "192.0.2.1/24", "dev", "up0")
        for end in ["up0", "up1"] { try lab.tool("ip", "link", "set", end, "up") }
        if ["portmap", "firewall", "tuning", "bandwidth"].contains(plugin) {
            try lab.tool("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "eth0", "netns", "c0")
        }
        return lab
    }

    @Test("D every plugin", arguments: plugins)
    func plugin(_ plugin: String) throws {
        if Plugins.areReference { return }
        var mutator = Mutator(random: SeededGenerator(for: "FuzzExecutablesTests.\(plugin)"))
        let lab = try lab(plugin)
        let base = Self.base(plugin)
        let links = try lab.linkNames(), inside = try lab.linkNames(in: "c0")
        for run in 0..<Self.calls {
            let call = mutator.call(plugin, base: base)
            let what = "seed \(mutator.random.seed), run \(run): \(call.command ?? "-") \(call.input.prefix(600))"
            let answer = try lab.run(call)
            expectAnswer(answer, what)
            guard call.command == "ADD", answer.succeeded else { continue }
            var delete = call
            delete.command = "DEL"
            let gone = try lab.run(delete)
            expectAnswer(gone, what)
            #expect(gone.succeeded, "\(what) \(gone)")
        }
        // What the containers of a network share stays by design: bridges.
        for link in try lab.query("ip", ["-j", "link", "show", "type", "bridge"]).elements {
            if let name = link["ifname"]?.string { try lab.tool("ip", "link", "delete", name) }
        }
        let what = "seed \(mutator.random.seed)"
        #expect(try lab.linkNames() == links, "\(what)")
        #expect(try lab.linkNames(in: "c0") == inside, "\(what)")
        let networks = (try? lab.list("/var/lib/cni/networks")) ?? []
        let files = try networks.flatMap { network in try lab.reservations(network).map { "\(network)/\($0.key)" } }
        #expect(files == [], "\(what)")
    }

    @Test("D the command line")
    func commandLine() throws {
        if Plugins.areReference { return }
        var mutator = Mutator(random: SeededGenerator(for: "FuzzExecutablesTests.swiftlet"))
        let lab = try lab("swiftlet")
        let words = [
            "cni", "network", "endpoint", "add", "del", "check", "gc", "status", "ls", "create", "inspect", "rm",
            "demo",
            "c0", "--subnet", "10.7.0.0/24", "10.7.0.0", "fd00::/64", "-d", "bridge", "overlay", "--no-announce", "-o",
            "mtu=70", "mtu=", "=", "--ip", "10.7.0.9", "--mac", "x", "--publish", "80:80", "--args", "A=b;C", "--json",
            "--name", "", "é", "../x", "--internal", "--ipv6", "--capability", "{}", "{", "--help", "members", "keys",
            "--ifname", "--container-id", "join", "leave", "tags", "--set", "event", "query", "graph", "--gateway",
            String(repeating: "a", count: 300),
        ]
        let list: Value = [
            "cniVersion": "1.1.0", "name": "demo", "plugins": [Self.base("bridge").with(("name", nil))],
        ]
        for run in 0..<Self.calls {
            try lab.writeNetwork("50-demo.conflist", run % 2 == 0 ? list : mutator.mutated(list))
            let first = mutator.random.pick(["cni", "network", "cni", "network", "members", "keys", "endpoint", "x"])
            var arguments = [first ?? "cni"]
            for _ in 0..<(1 + mutator.random.below(7)) { arguments.append(mutator.random.pick(words) ?? "") }
            arguments += ["--socket", "/run/none.sock"]
            if first == "cni" || first == "network" { arguments += ["--conf-dir", "/run/net.d"] }
            if first == "cni" { arguments += ["--plugin-dir", Plugins.directory] }
            let outcome = try lab.swiftlet(arguments)
            let what = "seed \(mutator.random.seed), run \(run): \(arguments)"
            #expect(!outcome.timedOut && [0, 1, 2, 64].contains(outcome.status), "\(what) \(outcome.status)")
            #expect(outcome.status == 0 || !outcome.errorText.isEmpty, "\(what)")
            if run % 50 == 49 { try lab.tool("rm", "-rf", "/run/net.d") }
        }
    }

    private func expectAnswer(_ answer: PluginAnswer, _ what: String) {
        let status = answer.outcome.status
        #expect(!answer.outcome.timedOut && (status == 0 || status == 1), "\(what) \(answer)")
        if answer.outcome.output.isEmpty {
            #expect(status == 0, "\(what) \(answer)")
        } else if status == 1 {
            #expect(answer.code != nil && !answer.message.isEmpty, "\(what) \(answer)")
            // A bug of ours, whatever came in; CHECK says with it that something is not as it was.
            if !what.contains(": CHECK ") { #expect(answer.code != 999, "\(what) \(answer)") }
        }
    }
}
