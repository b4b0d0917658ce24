import JSON
import System
import TestSupport
import Testing

/// `swiftlet reload`: what running containers lost with a firewall's reload comes back without them being attached anew.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has no such command"))
struct ReloadTests {
    private static let places = ["--conf-dir", "/run/net.d", "--plugin-dir", Plugins.directory]

    private static func network(_ backend: String) -> Value {
        [
            "cniVersion": "1.0.0", "name": "demo",
            "plugins": [
                [
                    "type": "bridge", "bridge": "br0", "isDefaultGateway": true, "ipMasq": true, "macspoofchk": true,
                    "ipMasqBackend": .string(backend),
                    "ipam": ["type": "host-local", "ranges": [[["subnet": "10.1.2.0/24"]]]],
                ],
                ["type": "portmap", "backend": .string(backend), "capabilities": ["portMappings": true]],
                ["type": "firewall", "backend": .string(backend), "ingressPolicy": "isolated"],
            ],
        ]
    }

    private func cni(_ lab: Lab, _ arguments: String...) throws -> ChildOutcome {
        try lab.swiftlet(["cni"] + arguments + Self.places)
    }

    private func add(_ lab: Lab, _ container: String, _ ports: String) throws {
        let outcome = try cni(lab, "add", "demo", container, "--publish", ports)
        #expect(outcome.status == 0, "\(outcome.errorText)")
    }

    @Test(
        "Masquerade, ports and firewall come back", arguments: FilterInputs.backends,
        ["nft flush ruleset", "nft flush table inet swiftlet", "iptables -t nat -F", "iptables -F"])
    func comesBack(_ backend: String, _ damage: String) throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        let servers = (try lab.serve("outside"), try lab.serve("c0"))
        try lab.writeNetwork("10-demo.conflist", Self.network(backend))
        try add(lab, "c0", "8080:80")
        try add(lab, "c1", "8081:80")
        let whole = try lab.swiftlet("reload")
        #expect(whole.status == 0 && whole.output.isEmpty, "\(whole.text) \(whole.errorText)")
        try lab.script("\(damage) || true")
        let isHit = damage == "nft flush ruleset" || (backend == "nftables") == damage.hasPrefix("nft")
        let outcome = try lab.swiftlet("reload")
        #expect(outcome.status == 0, "\(outcome.errorText)")
        #expect(outcome.text.contains("restored demo") == isHit, "\(outcome.text)")
        for container in ["c0", "c1"] {
            let checked = try cni(lab, "check", "demo", container)
            #expect(checked.status == 0, "\(checked.errorText)")
        }
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
        #expect(try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2")
        for container in ["c0", "c1"] { #expect(try cni(lab, "del", "demo", container).status == 0) }
        withExtendedLifetime(servers) {}
    }

    @Test("Nothing comes back of a container that has gone, and of others' containers nothing is made")
    func gone() throws {
        let lab = try Lab(containers: 2)
        try lab.writeNetwork("10-demo.conflist", Self.network("nftables"))
        try add(lab, "c0", "8080:80")
        try add(lab, "c1", "8081:80")
        // A reboot takes everything but what is on the disk.
        try lab.script("ip netns delete c0; nft flush ruleset")
        let outcome = try lab.swiftlet("reload")
        #expect(outcome.status == 0, "\(outcome.errorText)")
        let ruleset = try lab.tool("nft", "list", "ruleset")
        #expect(!ruleset.contains("10.1.2.2") && ruleset.contains("10.1.2.3"))
        // Links without our mark are another suite's.
        func ports() throws -> [String] { try lab.linkNames().filter { $0.hasPrefix("veth") } }
        #expect(try lab.eventually { try ports().count == 1 })
        let link = try #require(try ports().first)
        try lab.script("ip link set \(link) alias theirs; nft flush ruleset")
        #expect(try lab.swiftlet("reload").status == 0)
        #expect(try lab.tool("nft", "list", "ruleset").isEmpty)
    }

    @Test("A container that no runtime remembers is told of")
    func forgotten() throws {
        let lab = try Lab()
        try lab.writeNetwork("10-demo.conflist", Self.network("nftables"))
        try add(lab, "c0", "8080:80")
        try lab.script("rm /var/lib/cni/results/*")
        let outcome = try lab.swiftlet("reload")
        #expect(outcome.status == 1)
        #expect(outcome.errorText.contains("swiftlet demo") && outcome.errorText.contains("attach its container again"))
    }

    @Test("The gateway bridge's masquerade and ports come back, and the VTEP filter of an overlay without a daemon")
    func gatewayAndOverlay() throws {
        let lab = try Lab()
        try lab.addOutside()
        let servers = (try lab.serve("outside"), try lab.serve("c0"))
        try lab.writeNetwork(
            "10-demo.conflist",
            [
                "cniVersion": "1.0.0", "name": "demo",
                "plugins": [
                    [
                        "type": "overlay-vxlan", "peers": ["192.0.2.1", "192.0.2.9"], "subnet": "10.9.0.0/24",
                    ],
                    ["type": "gwbridge-nat", "capabilities": ["portMappings": true]],
                ],
            ])
        try add(lab, "c0", "8080:80")
        let before = try lab.tool("nft", "list", "ruleset")
        try lab.script("nft flush ruleset")
        let outcome = try lab.swiftlet("reload")
        #expect(outcome.status == 0, "\(outcome.errorText)")
        #expect(outcome.text.contains("overlay-vxlan, gwbridge-nat"), "\(outcome.text)")
        #expect(cni(of: try lab.tool("nft", "list", "ruleset")) == cni(of: before))
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
        #expect(try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2")
        // Chains that stay and rules that are gone are no filter either.
        try lab.script("nft flush table inet swiftlet")
        #expect(try cni(lab, "check", "demo", "c0").status == 1)
        #expect(try lab.swiftlet("reload").status == 0)
        let checked = try cni(lab, "check", "demo", "c0")
        #expect(checked.status == 0, "\(checked.errorText)")
        withExtendedLifetime(servers) {}
    }

    /// A listing without counters, in an order of its own.
    private func cni(of ruleset: String) -> [Substring] {
        ruleset.split(separator: "\n").filter { !$0.contains("counter") }.sorted()
    }

    @Test("firewalld's zone has the container again")
    func zones() throws {
        let firewalld = try FakeFirewalld()
        let variables = [("DBUS_SYSTEM_BUS_ADDRESS", firewalld.address)]
        let lab = try Lab()
        try lab.writeNetwork("10-demo.conflist", Self.network(""))
        let added = try lab.swiftlet(["cni", "add", "demo", "c0"] + Self.places, environment: variables)
        #expect(added.status == 0, "\(added.errorText)")
        #expect(firewalld.sources["trusted"] == ["10.1.2.2/32"])
        firewalld.reload()
        #expect(firewalld.sources["trusted"] == [])
        let outcome = try lab.swiftlet(["reload"], environment: variables)
        #expect(outcome.text.contains("firewall"), "\(outcome.errorText)")
        #expect(firewalld.sources["trusted"] == ["10.1.2.2/32"])
    }
}
