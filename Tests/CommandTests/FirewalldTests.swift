import JSON
import System
import TestSupport
import Testing

/// The firewall plugin with a bus that is no help, and with addresses that others left in firewalld's zones.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference fails with such a bus"))
struct FirewalldTests {
    @Test("A bus that refuses or hangs costs a moment and no container", arguments: FakeBus.Trouble.allCases)
    func trouble(_ trouble: FakeBus.Trouble) throws {
        let bus = try FakeBus(trouble)
        let lab = try Lab()
        let (_, previous) = try lab.add(Inputs.bridge("1.0.0", FilterInputs.dual))
        let config = FirewallTests.chain(backend: "").input(1, previous: previous)
        func run(_ command: String, _ more: [(String, Value)] = []) throws -> PluginAnswer {
            var input = config
            for (key, value) in more { input[key] = value }
            var call = PluginCall("firewall", command, input: input.text())
            call.environment = [("DBUS_SYSTEM_BUS_ADDRESS", bus.address)]
            return try lab.run(call)
        }
        try run("STATUS", [("cniVersion", "1.1.0")]).expectSilence()
        _ = try run("ADD").orFail()
        #expect(try lab.tool("nft", "list", "table", "inet", "swiftlet").contains("10.1.2.2 comment"))
        try run("CHECK").expectSilence()
        try run("DEL").expectSilence()
        #expect(try !lab.tool("nft", "list", "table", "inet", "swiftlet").contains("10.1.2.2 comment"))
        try run("GC", [("cniVersion", "1.1.0"), ("cni.dev/valid-attachments", [])]).expectSilence()
        try run("ADD", [("backend", "firewalld")]).expectRefusal(code: 101, containing: "firewalld")
    }

    @Test("Sources go without prevResult and by GC, and the next owner does not inherit the zone")
    func leftovers() throws {
        let firewalld = try FakeFirewalld()
        let lab = try Lab()
        let (_, previous) = try lab.add(Inputs.bridge("1.0.0", FilterInputs.dual))
        let config = FirewallTests.chain(backend: "").input(1, previous: previous)
        func run(_ command: String, _ input: Value, containerID: String? = "c0") throws -> PluginAnswer {
            var call = PluginCall("firewall", command, containerID: containerID, input: input.text())
            call.environment = [("DBUS_SYSTEM_BUS_ADDRESS", firewalld.address)]
            return try lab.run(call)
        }
        let both = ["10.1.2.2/32", "2001:db8::2/128"]
        _ = try run("ADD", config).orFail()
        #expect(firewalld.sources["trusted"] == both)
        try run("DEL", config.with(("prevResult", nil))).expectSilence()
        #expect(firewalld.sources["trusted"] == [])

        _ = try run("ADD", config).orFail()
        let newest = config.with(("cniVersion", "1.1.0"), ("prevResult", nil))
        let own: Value = [["containerID": "c0", "ifname": "eth0"]]
        try run("GC", newest.with(("cni.dev/valid-attachments", own))).expectSilence()
        #expect(firewalld.sources["trusted"] == both)
        try run("GC", newest.with(("cni.dev/valid-attachments", []))).expectSilence()
        #expect(firewalld.sources["trusted"] == [])

        // A container that has the address next, in another zone.
        _ = try run("ADD", config).orFail()
        _ = try run("ADD", config.with(("firewalldZone", "public")), containerID: "c1").orFail()
        #expect(firewalld.sources == ["trusted": [], "public": both])
        // The late DEL of the first is not about it any more.
        try run("DEL", config).expectSilence()
        #expect(firewalld.sources == ["trusted": [], "public": both])
        try run("DEL", config.with(("firewalldZone", "public")), containerID: "c1").expectSilence()
        #expect(firewalld.sources == ["trusted": [], "public": []])
    }

    @Test(
        "Rule text with a line break or an option of its own is refused with its place",
        arguments: [
            ("portmap", "conditionsV4", ["-s", "10.0.0.1\n-A INPUT -j ACCEPT"], "conditionsV4[1]"),
            ("portmap", "conditionsV6", ["-j", "ACCEPT"], "conditionsV6[0]"),
            ("portmap", "externalSetMarkChain", "X\nY", "externalSetMarkChain"),
            ("firewall", "iptablesAdminChainName", "MINE\n-P INPUT DROP", "iptablesAdminChainName"),
            ("firewall", "iptablesAdminChainName", "-X", "iptablesAdminChainName"),
        ] as [(String, String, Value, String)])
    func injection(_ plugin: String, _ key: String, _ value: Value, _ path: String) throws {
        let lab = try Lab()
        let (_, previous) = try lab.add(Inputs.bridge("1.0.0"))
        let config: Value = [
            "cniVersion": "1.0.0", "name": "net", "type": .string(plugin), "backend": "iptables",
            "prevResult": previous,
            "runtimeConfig": ["portMappings": [FilterInputs.port(8080)]],
        ]
        let before = try lab.world()
        try lab.run(plugin, "ADD", config.with((key, value))).expectRefusal(code: 7, containing: path)
        try lab.world().expectEqual(to: before)
        try lab.run(plugin, "DEL", config.with((key, value))).expectSilence()
    }
}
