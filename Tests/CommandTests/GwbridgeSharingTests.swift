import JSON
import System
import TestSupport
import Testing

/// One way out for each container and gateway bridge: whoever comes first makes it, whoever goes last takes it along.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has no such plugin"))
struct GwbridgeSharingTests {
    /// A network with an own bridge and no way out of its own, then the gateway.
    static func network(_ number: Int, _ more: [(String, Value)] = [], ports: [Value]? = nil) -> PluginChain {
        GwbridgeTests.chained(
            more, name: "net\(number)", bridge: "br\(number)", subnet: "10.1.\(number).0/24", ports: ports)
    }

    /// Attaches a container to networks in order, as eth0, eth1, …
    static func join(_ lab: Lab, _ chains: [PluginChain], _ container: String = "c0") throws -> [Value] {
        try chains.enumerated().map { try lab.add($1, container, "eth\($0)").orFail("\($1.name)") }
    }

    static func names(_ result: Value) -> [String] {
        (result["interfaces"]?.elements ?? []).compactMap { $0["name"]?.string }
    }

    static let permutations = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]

    /// The state after one container with all networks has come and gone.
    static func warmedUp(_ lab: Lab, _ chains: [PluginChain]) throws -> World {
        let results = try join(lab, chains)
        for (index, chain) in chains.enumerated() {
            try lab.delete(chain, "c0", "eth\(index)", previous: results[index]).expectSilence("warm up")
        }
        return try lab.steadyWorld()
    }

    @Test("Networks made with the defaults share one interface")
    func defaults() throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        let results = try Self.join(lab, [Self.network(0), Self.network(1), Self.network(2, [("interface", "out7")])])
        #expect(try lab.linkNames(in: "c0") == ["eth0", "eth1", "eth2", "gw0", "lo"])
        #expect(try lab.routes(in: "c0").filter { $0.hasPrefix("default") } == ["default via 172.18.0.1"])
        for result in results {
            #expect(Self.names(result).suffix(3).first == "swiftlet-gw" && Self.names(result).last == "gw0")
            #expect(result.addresses.last == results[0].addresses.last)
            #expect(result["ips"]?[1]?["interface"]?.integer == 5)
            #expect(result.destinations == ["0.0.0.0/0"])
        }
        // Docker's address of the interface: 02:42 and the IPv4 address.
        let address = try #require(results[0].addresses.last?.plain)
        let parts = address.split(separator: ".").compactMap { UInt8($0) }.map { byte in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0" + text : text
        }
        #expect(try lab.link("gw0", in: "c0")?["address"]?.string == "02:42:" + parts.joined(separator: ":"))
        let server = try lab.serve("outside")
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
        for (index, result) in results.enumerated() {
            try lab.check(Self.network(index), "c0", result, "eth\(index)").expectSilence("\(index)")
        }
        // Another container has its own.
        let other = try lab.add(Self.network(1), "c1", "eth0").orFail()
        #expect(other.addresses.last != results[0].addresses.last)
        withExtendedLifetime(server) {}
    }

    @Test(
        "Whoever goes first, the others keep interface, address and ports", arguments: GwbridgeTests.backends,
        permutations)
    func orders(_ backend: String, _ order: [Int]) throws {
        let lab = try Lab()
        try lab.addOutside()
        let ports: [[Int64]] = [[8080, 8081], [8080, 8082], [8083]]
        let chains = ports.enumerated().map { index, ports in
            Self.network(index, [("ipMasqBackend", .string(backend))], ports: ports.map { FilterInputs.port($0) })
        }
        // Beside them a network of the plain kind, and one that has no way out.
        let plain = PluginChain("plain", [FilterInputs.masquerading(backend, ["10.1.3.0/24"], bridge: "br3")])
        var closed = Self.network(4, ports: [FilterInputs.port(8099)])
        closed.plugins[0]["internal"] = true
        for chain in [plain, closed] {
            try lab.delete(chain, "c0", "eth7", previous: lab.add(chain, "c0", "eth7").orFail()).expectSilence()
        }
        let before = try Self.warmedUp(lab, chains)
        let beside = try lab.add(plain, "c0", "eth8").orFail()
        let shut = try lab.add(closed, "c0", "eth9").orFail()
        #expect(shut.addresses.count == 1)
        let results = try Self.join(lab, chains)
        let address = results[0].addresses.last
        let servers = (try lab.serve("outside"), try lab.serve("c0"))
        var left = Set(0..<3)
        for (position, index) in order.enumerated() {
            // A plain network's default route is preferred whichever came first; answers to clients go by it, too.
            if position == 1 { try lab.delete(plain, "c0", "eth8", previous: beside).expectSilence() }
            for other in left {
                try lab.check(chains[other], "c0", results[other], "eth\(other)").expectSilence("\(order) \(other)")
            }
            let isRemembered = position != 1
            try lab.delete(chains[index], "c0", "eth\(index)", previous: isRemembered ? results[index] : nil)
                .expectSilence("\(order)")
            left.remove(index)
            #expect(try lab.linkNames(in: "c0").contains("gw0") == !left.isEmpty, "\(order) after \(index)")
            #expect(
                try lab.reservations("swiftlet-gwbridge").keys.sorted()
                    == (left.isEmpty ? [] : [address?.plain ?? "?"]), "\(order) after \(index)")
            if position == 0 { continue }
            let wanted = Set(left.flatMap { ports[$0] })
            for port in [8080, 8081, 8082, 8083, 8099] {
                let isWanted = wanted.contains(Int64(port))
                let answer = try lab.ask(
                    .tcp, "192.0.2.1", UInt16(port), from: "outside", timeout: isWanted ? 10_000 : 150)
                #expect((answer == "c0 192.0.2.2") == isWanted, "\(order) after \(index): port \(port)")
            }
            if !left.isEmpty { #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1") }
        }
        try lab.delete(closed, "c0", "eth9", previous: shut).expectSilence()
        withExtendedLifetime(servers) {}
        try lab.expectReturn(to: before, "\(order)")
    }

    @Test(
        "Networks that contradict each other are told so by name",
        arguments: [
            ([("icc", true)], "icc is true and false"),
            ([("snatAddress", "192.0.2.1")], "snatAddress is 192.0.2.1 and"),
            ([("subnet", "10.77.0.0/24")], "subnet is 10.77.0.0/24 and 172.18.0.0/16"), ([("ipMasq", false)], "ipMasq"),
        ] as [([(String, Value)], String)])
    func contradictions(_ row: (keys: [(String, Value)], words: String)) throws {
        let lab = try Lab()
        try lab.addOutside()
        let first = try lab.add(Self.network(0, ports: [FilterInputs.port(8080)]), "c0").orFail()
        let second = Self.network(1, row.keys)
        let inner = try lab.add(PluginChain("net1", [second.plugins[0]]), "c0", "eth1").orFail()
        let before = try lab.world().withoutBookkeeping()
        let answer = try lab.run("gwbridge-nat", "ADD", ifname: "eth1", second.input(1, previous: inner))
        answer.expectRefusal(code: 7, containing: row.words)
        answer.expectRefusal(containing: "networks \"net1\" and \"net0\"")
        try lab.world().withoutBookkeeping().expectEqual(to: before)
        // A port cannot lead to two places either; the same mapping twice is one.
        for (port, succeeds) in [(Int64(81), false), (80, true)] {
            let published = Self.network(1, ports: [FilterInputs.port(8080, port)])
            let answer = try lab.run("gwbridge-nat", "ADD", ifname: "eth1", published.input(1, previous: inner))
            if succeeds { answer.orFail() } else { answer.expectRefusal(code: 7, containing: "hostPort 8080") }
        }
        try lab.check(Self.network(0, ports: [FilterInputs.port(8080)]), "c0", first).expectSilence()
        // The same attachment once more is refused and leaves all as it is.
        let again = try lab.run("gwbridge-nat", "ADD", ifname: "eth1", Self.network(1).input(1, previous: inner))
        again.expectRefusal(code: 103, containing: "already")
        try lab.check(Self.network(0, ports: [FilterInputs.port(8080)]), "c0", first).expectSilence()
    }

    @Test("With the namespace gone either DEL clears", arguments: [[0, 1], [1, 0]], [true, false])
    func namespaceGone(_ order: [Int], _ remembers: Bool) throws {
        let lab = try Lab()
        let chains = [
            Self.network(0, ports: [FilterInputs.port(8080)]), Self.network(1, ports: [FilterInputs.port(8081)]),
        ]
        let before = try Self.warmedUp(lab, chains).without(prefixes: "c0/")
        let results = try Self.join(lab, chains)
        try lab.removeContainer("c0")
        _ = try lab.eventually { try lab.veths() == [] }
        for index in order {
            try lab.delete(
                chains[index], "c0", "eth\(index)", netns: "", previous: remembers ? results[index] : nil
            ).expectSilence("\(order)")
        }
        try lab.expectReturn(to: before)
    }

    @Test("The namespace still there, but not told of")
    func namespaceUntold() throws {
        let lab = try Lab()
        let chains = [Self.network(0), Self.network(1)]
        let before = try Self.warmedUp(lab, chains)
        let results = try Self.join(lab, chains)
        try lab.delete(chains[0], "c0", "eth0", netns: "").expectSilence()
        try lab.check(chains[1], "c0", results[1], "eth1").expectSilence()
        try lab.delete(chains[1], "c0", "eth1", netns: "").expectSilence()
        try lab.expectReturn(to: before)
    }

    @Test("GC of one network leaves the others' use", arguments: GwbridgeTests.backends)
    func collected(_ backend: String) throws {
        let lab = try Lab(containers: 2)
        let keys: [(String, Value)] = [("ipMasqBackend", .string(backend))]
        let chains = [
            Self.network(0, keys, ports: [FilterInputs.port(8080)]),
            Self.network(1, keys, ports: [FilterInputs.port(8081)]),
        ]
        // GC of a network that has nobody left takes its chains, too.
        _ = try Self.warmedUp(lab, chains)
        for chain in chains { try lab.collect(chain).expectSilence() }
        let before = try lab.steadyWorld()
        let results = try Self.join(lab, chains)
        let other = try lab.add(chains[1].with(ports: nil), "c1").orFail()
        try lab.collect(chains[0]).expectSilence()
        #expect(try lab.linkNames(in: "c0") == ["eth1", "gw0", "lo"])
        try lab.check(chains[1], "c0", results[1], "eth1").expectSilence()
        try lab.collect(chains[1], keeping: [("c1", "eth0")]).expectSilence()
        #expect(try lab.linkNames(in: "c0") == ["lo"])
        try lab.check(chains[1].with(ports: nil), "c1", other).expectSilence()
        try lab.delete(chains[1].with(ports: nil), "c1", previous: other).expectSilence()
        for chain in chains { try lab.collect(chain).expectSilence() }
        try lab.expectReturn(to: before)
    }

    @Test("CHECK of either network sees what is broken")
    func checked() throws {
        let lab = try Lab()
        let chains = [Self.network(0, ports: [FilterInputs.port(8080)]), Self.network(1)]
        let results = try Self.join(lab, chains)
        for damage in [
            "ip -n c0 link set gw0 down", "nft flush map inet swiftlet hostports4",
            "nft flush map inet swiftlet masquerade4",
            "ip -n c0 link delete gw0",
        ] {
            try lab.script(damage)
            for (index, chain) in chains.enumerated() {
                let answer = try lab.run(
                    "gwbridge-nat", "CHECK", ifname: "eth\(index)", chain.input(1, previous: results[index]))
                answer.expectRefusal(nil, "\(damage): \(chain.name)")
            }
            if damage.hasSuffix("down") {
                try lab.script("ip -n c0 link set gw0 up; ip -n c0 route add default via 172.18.0.1 metric 512")
            }
        }
    }

    @Test("After a reboot the same ADD gets the same address, and DEL of the others finds nothing")
    func reboot() throws {
        let lab = try Lab()
        let chains = [Self.network(0, ports: [FilterInputs.port(8080)]), Self.network(1)]
        let before = try Self.warmedUp(lab, chains)
        let first = try Self.join(lab, chains)
        try lab.removeContainer("c0")
        _ = try lab.eventually { try lab.veths() == [] }
        try lab.script("rm -rf /run/swiftlet; nft delete table inet swiftlet; nft delete table bridge swiftlet || true")
        for bridge in ["br0", "br1", "swiftlet-gw"] { try lab.tool("ip", "link", "delete", bridge) }
        try lab.addContainer("c0")
        for (index, chain) in chains.enumerated() {
            // The inner network's reservation is the `bridge` plugin's matter.
            let inner = try lab.add(
                PluginChain(chain.name, [chain.plugins[0]].map { $0.with(("ipam", [:])) }), "c0", "eth\(index)"
            ).orFail()
            let answer = try lab.run("gwbridge-nat", "ADD", ifname: "eth\(index)", chain.input(1, previous: inner))
            #expect(answer.orFail("\(chain.name)").addresses.last == first[0].addresses.last)
        }
        for index in [1, 0] { try lab.delete(chains[index], "c0", "eth\(index)").expectSilence() }
        try lab.expectReturn(to: before)
    }
}
