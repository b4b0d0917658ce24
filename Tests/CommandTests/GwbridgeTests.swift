import JSON
import System
import TestSupport
import Testing

/// A container's way out over the host's gateway bridge, chained after another network and alone.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has no such plugin"))
struct GwbridgeTests {
    static let backends = FilterInputs.backends

    /// gwbridge-nat alone.
    static func alone(_ more: [(String, Value)] = [], name: String = "net", ports: [Value]? = nil) -> PluginChain {
        PluginChain(
            name, [.object(Object([("type", "gwbridge-nat"), ("capabilities", ["portMappings": true])] + more))],
            runtimeConfig: ports.map { ["portMappings": .array($0)] })
    }

    /// gwbridge-nat after a network without a way out.
    static func chained(
        _ more: [(String, Value)] = [], name: String = "inner", bridge: String = "br0", subnet: String = "10.1.2.0/24",
        hasWayOut: Bool = false, ports: [Value]? = nil
    ) -> PluginChain {
        var chain = alone(more, name: name, ports: ports)
        let inner = Inputs.bridge("1.0.0", [subnet], name: name, bridge: bridge).with(
            ("isDefaultGateway", .bool(hasWayOut)), ("isGateway", .bool(hasWayOut)))
        chain.plugins.insert(inner, at: 0)
        return chain
    }

    @Test("Alone it is a network", arguments: backends + [""])
    func alone(_ backend: String) throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        let chain = Self.alone([("ipMasqBackend", .string(backend))], ports: [FilterInputs.port(8080)])
        let before = try lab.warmedUp(chain)
        let result = try lab.add(chain, "c0").orFail()
        #expect(result.addresses == ["172.18.0.3/16"] && result.gateways == ["172.18.0.1"])
        #expect(result.destinations == ["0.0.0.0/0"])
        #expect((0..<3).map(result.interfaceName).last == "eth0" && result.interfaceName(0) == "swiftlet-gw")
        #expect(try lab.addresses("swiftlet-gw") == ["172.18.0.1/16"])
        let servers = (try lab.serve("outside"), try lab.serve("c0"))
        for transport in Transport.allCases {
            #expect(try lab.ask(transport, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
        }
        #expect(try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2")
        #expect(try lab.ask(.tcp, "127.0.0.1", 8080, from: nil) == "c0 172.18.0.1")
        let healthy = try lab.world()
        try lab.check(chain, "c0", result).expectSilence()
        try lab.world().expectEqual(to: healthy)
        try lab.delete(chain, "c0", previous: result).expectSilence()
        try lab.delete(chain, "c0", previous: result).expectSilence()
        #expect(try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside", timeout: 250) == nil)
        withExtendedLifetime(servers) {}
        try lab.expectReturn(to: before)
    }

    @Test(
        "Containers are kept apart unless icc is on", arguments: backends,
        [(false, false), (false, true), (true, false), (true, true)])
    func communication(_ backend: String, _ row: (isOn: Bool, filtersBridged: Bool)) throws {
        let isOn = row.isOn
        let lab = try Lab(containers: 2)
        try lab.filterBridged(row.filtersBridged)
        let chain = Self.alone([("icc", .bool(isOn)), ("ipMasqBackend", .string(backend))])
        for container in lab.containers { try lab.add(chain, container).orFail() }
        let servers = try lab.containers.map { try lab.serve($0) }
        func ask() throws -> String? { try lab.ask(.tcp, "172.18.0.3", from: "c0", timeout: isOn ? 10_000 : 300) }
        #expect(try ask() == (isOn ? "c1 172.18.0.2" : nil))
        // The same by way of the host.
        for (container, peer) in [("c0", "172.18.0.3"), ("c1", "172.18.0.2")] {
            try lab.tool("ip", "route", "add", "\(peer)/32", "via", "172.18.0.1", in: container)
        }
        #expect(try ask() == (isOn ? "c1 172.18.0.2" : nil), "routed by the host")
        // What one publishes on the host's address is published for the other, too, as in Docker.
        try lab.delete(chain, "c1").expectSilence()
        let published = chain.with(ports: [FilterInputs.port(8080)])
        let result = try lab.add(published, "c1").orFail()
        let address = try #require(result.addresses.first?.plain)
        let again = try lab.serve("c1", port: 81)
        try lab.tool("ip", "address", "add", "192.0.2.77/32", "dev", "lo")
        // Where bridged packets pass the IP packet filter, what is translated stays on the bridge, which keeps them apart.
        let passes = isOn || !(row.filtersBridged && Lab.canFilterBridged)
        let answer = try lab.ask(.tcp, "192.0.2.77", 8080, from: "c0", timeout: passes ? 10_000 : 300)
        #expect((answer?.hasPrefix("c1 ") == true) == passes, "a published port")
        #expect(try lab.ask(.udp, "192.0.2.77", 8080, from: "c0", timeout: 300) == nil, "another protocol")
        try lab.tool("ip", "route", "add", "\(address)/32", "via", "172.18.0.1", in: "c0")
        #expect(
            try lab.ask(.tcp, address, 81, from: "c0", timeout: isOn ? 10_000 : 300) == (isOn ? "c1 172.18.0.2" : nil))
        try lab.check(published, "c1", result).expectSilence()
        withExtendedLifetime(again) {}
        // The host itself reaches both.
        #expect(try lab.ask(.tcp, "172.18.0.2", from: nil) == "c0 172.18.0.1")
        withExtendedLifetime(servers) {}
    }

    @Test("Chained it comes after the other network", arguments: backends)
    func chained(_ backend: String) throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        let chain = Self.chained([("ipMasqBackend", .string(backend))], ports: [FilterInputs.port(8080)])
        let before = try lab.warmedUp(chain)
        let result = try lab.add(chain, "c0").orFail()
        let names = (result["interfaces"]?.elements ?? []).compactMap { $0["name"]?.string }
        #expect(
            names.count == 6 && names[0] == "br0" && names[2] == "eth0" && names[3] == "swiftlet-gw"
                && names[5] == "gw0")
        #expect(result.addresses.count == 2 && result.addresses[1] == "172.18.0.3/16")
        #expect(result["ips"]?[0]?["interface"]?.integer == 2 && result["ips"]?[1]?["interface"]?.integer == 5)
        #expect(try lab.linkNames(in: "c0") == ["eth0", "gw0", "lo"])
        #expect(try lab.routes(in: "c0").contains("default via 172.18.0.1"))
        let other = try lab.add(chain.with(ports: nil), "c1").orFail()
        let servers = (try lab.serve("outside"), try lab.serve("c0"), try lab.serve("c1"))
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
        #expect(try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2")
        // The inner network is untouched.
        let peer = String((other.addresses.first ?? "").prefix { $0 != "/" })
        #expect(try lab.ask(.tcp, peer, from: "c0")?.hasPrefix("c1 10.1.2.") == true)
        try lab.check(chain, "c0", result).expectSilence()
        try lab.delete(chain, "c0", previous: result).expectSilence()
        try lab.delete(chain.with(ports: nil), "c1", previous: other).expectSilence()
        withExtendedLifetime(servers) {}
        try lab.expectReturn(to: before)
    }

    @Test("A network with a way out keeps it")
    func wayOut() throws {
        let lab = try Lab()
        let result = try lab.add(Self.chained(hasWayOut: true), "c0").orFail()
        #expect(try lab.routes(in: "c0").filter { $0.hasPrefix("default") } == ["default via 10.1.2.1"])
        #expect(result.destinations == ["0.0.0.0/0"])
        #expect(try lab.linkNames(in: "c0") == ["eth0", "gw0", "lo"])
    }

    @Test("A network that is to have no way out gets none")
    func internalNetwork() throws {
        let lab = try Lab()
        var chain = Self.chained(ports: [FilterInputs.port(8080)])
        chain.plugins[0]["internal"] = true
        chain.plugins[0]["isGateway"] = true
        let result = try lab.add(chain, "c0").orFail()
        #expect(result.addresses == ["10.1.2.2/24"])
        #expect(try lab.linkNames(in: "c0") == ["eth0", "lo"])
        #expect(try lab.routes(in: "c0") == ["10.1.2.0/24"])
        #expect(try !lab.linkNames().contains("swiftlet-gw"))
        try lab.check(chain, "c0", result).expectSilence()
        try lab.delete(chain, "c0", previous: result).expectSilence()
        #expect(try lab.linkNames(in: "c0") == ["lo"])
    }

    @Test("The pool is one that nothing of the host is in")
    func pools() throws {
        let lab = try Lab()
        try lab.addOutside()
        try lab.script(
            """
            ip route add 172.18.0.0/16 via 192.0.2.2
            ip route add 172.19.128.0/24 via 192.0.2.2
            ip address add 172.20.3.4/32 dev lo
            """)
        let result = try lab.add(Self.alone(), "c0").orFail()
        #expect(result.addresses == ["172.21.0.2/16"])
        // Once there, the bridge keeps its subnet.
        try lab.delete(Self.alone(), "c0", previous: result).expectSilence()
        try lab.tool("ip", "route", "delete", "172.18.0.0/16")
        #expect(try lab.add(Self.alone(), "c0").orFail().addresses == ["172.21.0.3/16"])
        let named = Self.alone([("subnet", "10.200.0.0/24"), ("bridge", "gw1"), ("interface", "out9")], name: "named")
        let other = try lab.add(named.with(ports: nil), "c0", "eth1").orFail("a second gateway")
        #expect(other.addresses.first?.hasPrefix("10.200.0.") == true && other.interfaceName(2) == "out9")
    }

    @Test("snatAddress", arguments: backends)
    func sourceAddress(_ backend: String) throws {
        let lab = try Lab()
        try lab.addOutside()
        try lab.tool("ip", "address", "add", "192.0.2.9/24", "dev", "up0")
        let server = try lab.serve("outside")
        let chain = Self.alone([("snatAddress", "192.0.2.9"), ("ipMasqBackend", .string(backend))])
        let result = try lab.add(chain, "c0").orFail()
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.9")
        try lab.check(chain, "c0", result).expectSilence()
        try lab.delete(chain, "c0", previous: result).expectSilence()
        withExtendedLifetime(server) {}
    }

    @Test("internal has no way out, ipMasq off shows the container")
    func withoutNAT() throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        let server = try lab.serve("outside")
        try lab.add(Self.alone([("internal", true)]), "c0").orFail()
        #expect(try lab.routes(in: "c0") == ["172.18.0.0/16"])
        try lab.tool("ip", "route", "add", "default", "via", "172.18.0.1", in: "c0")
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0", timeout: 250) != "outside 192.0.2.1")
        try lab.add(Self.alone([("ipMasq", false)]), "c1").orFail()
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c1") == "outside 172.18.0.3")
        withExtendedLifetime(server) {}
    }

    @Test("Several networks of a container share its gateway")
    func severalNetworks() throws {
        let lab = try Lab()
        try lab.addOutside()
        let server = try lab.serve("outside")
        let first = Self.chained(name: "a")
        let second = Self.chained([("interface", "gw1")], name: "b", bridge: "br1", subnet: "10.1.3.0/24")
        let one = try lab.add(first, "c0", "eth0").orFail()
        let two = try lab.add(second, "c0", "eth1")
        two.orFail("the second network")
        #expect(try lab.linkNames(in: "c0") == ["eth0", "eth1", "gw0", "lo"])
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
        try lab.delete(second, "c0", "eth1", previous: two.document).expectSilence()
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
        try lab.check(first, "c0", one).expectSilence()
        #expect(try lab.linkNames(in: "c0") == ["eth0", "gw0", "lo"])
        withExtendedLifetime(server) {}
    }

    @Test("DEL finds everything whatever it is told", arguments: backends)
    func removal(_ backend: String) throws {
        let lab = try Lab()
        let chain = Self.chained([("ipMasqBackend", .string(backend))], ports: [FilterInputs.port(8080)])
        let before = try lab.warmedUp(chain)
        for (what, netns, remembers) in [
            ("no netns", "", true), ("no prevResult", "/run/netns/c0", false), ("neither", "", false),
            ("netns gone", "/run/netns/gone", false),
        ] {
            let result = try lab.add(chain, "c0").orFail(what)
            if netns.isEmpty { try lab.removeContainer("c0") }
            try lab.delete(chain.with(ports: nil), "c0", netns: netns, previous: remembers ? result : nil)
                .expectSilence(what)
            if netns.isEmpty { try lab.addContainer("c0") }
            try lab.expectReturn(to: before, "\(backend): \(what)")
        }
    }

    @Test("GC removes what belongs to nobody", arguments: backends)
    func collected(_ backend: String) throws {
        let lab = try Lab(containers: 2)
        let chain = Self.alone([("ipMasqBackend", .string(backend))], ports: nil)
        // iptables' shared chains stay; they are there before. Ours go with the last that needs them.
        if backend == "iptables" { _ = try lab.warmedUp(chain.with(ports: [FilterInputs.port(8080)])) }
        let kept = try lab.add(chain, "c0").orFail()
        let before = try lab.steadyWorld().without(prefixes: "c1/")
        try lab.add(chain.with(ports: [FilterInputs.port(8080)]), "c1").orFail()
        try lab.collect(chain, keeping: [("c0", "eth0")]).expectSilence()
        try lab.check(chain, "c0", kept).expectSilence()
        #expect(try lab.linkNames(in: "c1") == ["lo"])
        try lab.steadyWorld().without(prefixes: "c1/").expectEqual(to: before)
    }

    @Test("STATUS, and a bridge's name that is taken")
    func status() throws {
        let lab = try Lab()
        try lab.status(Self.alone()).expectSilence()
        try lab.tool("ip", "link", "add", "swiftlet-gw", "type", "veth", "peer", "name", "peer0")
        for answer in try lab.status(Self.alone()) { answer.expectRefusal(code: 50, containing: "not a bridge") }
        let before = try lab.world()
        try lab.add(Self.alone(), "c0").expectRefusal(containing: "not a bridge")
        try lab.world().withoutBookkeeping().expectEqual(to: before.withoutBookkeeping())
    }

    @Test(
        "What is wrong is said, and nothing is left",
        arguments: [
            (#"{"subnet":"10.0.0.1/24"}"#, "host bits"), (#"{"subnet":"::/64"}"#, "subnet"), (#"{"mtu":10}"#, "mtu"),
            (#"{"snatAddress":"x"}"#, "snatAddress"), (#"{"interface":"a/b"}"#, "interface"), (#"{"icc":1}"#, "icc"),
            (#"{"interface":"eth0"}"#, "eth0"), (#"{"ipMasqBackend":"x"}"#, "unknown ipmasq backend \"x\""),
            (#"{"runtimeConfig":{"portMappings":[{"hostPort":0,"containerPort":1}]}}"#, "Invalid host port number: 0"),
        ])
    func contradictions(_ row: (json: String, words: String)) throws {
        let lab = try Lab()
        let chain = Self.chained()
        let previous = try lab.add(PluginChain("inner", [chain.plugins[0]]), "c0").orFail()
        let before = try lab.steadyWorld()
        var config = chain.input(1, previous: previous)
        for member in try Value(parsing: Array(row.json.utf8)).members { config[member.key] = member.value }
        try lab.run("gwbridge-nat", "ADD", config).expectRefusal(containing: row.words)
        try lab.steadyWorld().expectEqual(to: before)
    }
}

extension PluginChain {
    /// The list with other port mappings, or none.
    func with(ports: [Value]?) -> PluginChain {
        var copy = self
        copy.runtimeConfig = ports.map { ["portMappings": .array($0)] }
        return copy
    }
}
