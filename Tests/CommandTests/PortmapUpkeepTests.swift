import JSON
import TestSupport
import Testing

/// portmap's other commands, and its configuration.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference's back ends are compared in FilterParityTests"))
struct PortmapUpkeepTests {
    static let backends = FilterInputs.backends

    @Test("GC removes the ports that belong to nobody", arguments: backends)
    func collected(_ backend: String) throws {
        let town = try PortmapTests.Town()
        let lab = town.lab
        func chain(_ port: Int64) -> PluginChain {
            FilterInputs.ports(backend, [FilterInputs.port(port), FilterInputs.port(port, 80, "udp")])
        }
        let kept = try lab.add(chain(8080), "c0").orFail()
        let before = try lab.steadyWorld()
        try lab.add(chain(8090), "c1").orFail()
        try lab.collect(chain(8080), keeping: [("c0", "eth0")]).expectSilence()
        #expect(try town.ask(8080) == "c0 192.0.2.2")
        #expect(try town.ask(8090, expectsNothing: true) == nil)
        try lab.check(chain(8080), "c0", kept).expectSilence()
        try lab.expectReturn(to: before)
    }

    @Test(
        "CHECK sees what is missing and repairs nothing",
        arguments: [
            ("nftables", "nft delete element inet swiftlet hostports4 { tcp . 8080 }"),
            ("nftables", "nft delete element inet swiftlet hostports6 { tcp . 8080 }"),
            ("nftables", "nft delete element inet swiftlet hairpin4 { 10.1.2.2 }"),
            ("nftables", "nft flush chain inet swiftlet hostports"), ("nftables", "nft flush table inet swiftlet"),
            ("iptables", "iptables -t nat -F PREROUTING"), ("iptables", "iptables -t nat -F CNI-HOSTPORT-DNAT"),
            ("iptables", "ip6tables -t nat -F CNI-HOSTPORT-DNAT"),
            (
                "iptables",
                "for c in $(iptables -t nat -S | sed -n 's/^-N \\(CNI-DN.*\\)/\\1/p'); do iptables -t nat -F $c; done"
            ),
            ("iptables", "iptables -t nat -F CNI-HOSTPORT-MASQ"),
            ("iptables", "iptables -t nat -F CNI-HOSTPORT-SETMARK"),
        ])
    func check(_ row: (backend: String, damage: String)) throws {
        let lab = try Lab()
        let chain = FilterInputs.ports(row.backend, [FilterInputs.port(8080)])
        let result = try lab.add(chain, "c0").orFail()
        let healthy = try lab.world()
        try lab.check(chain, "c0", result).expectSilence()
        try lab.world().expectEqual(to: healthy)
        try lab.script(row.damage)
        let damaged = try lab.world()
        try lab.run("portmap", "CHECK", chain.input(1, previous: result)).expectRefusal(code: nil, nil, row.damage)
        try lab.world().expectEqual(to: damaged)
        try lab.delete(chain, "c0", previous: result).expectSilence()
    }

    @Test("STATUS", arguments: backends + [""])
    func status(_ backend: String) throws {
        try Lab().status(FilterInputs.ports(backend, [])).expectSilence()
    }

    @Test("No mappings, no change", arguments: Plugins.versions.filter { atLeast($0, "0.3.0") })
    func untouched(_ version: String) throws {
        let lab = try Lab()
        let (_, result) = try lab.add(Inputs.bridge(version, FilterInputs.dual))
        let before = try lab.world()
        for runtime: Value in [nil, [:], ["portMappings": []], ["portMappings": nil]] {
            let config: Value = [
                "cniVersion": .string(version), "name": "net", "type": "portmap", "prevResult": result,
                "runtimeConfig": runtime,
            ]
            let answer = try lab.run("portmap", "ADD", config).orFail()
            #expect(answer.canonical == result.canonical)
        }
        try lab.world().expectEqual(to: before)
    }

    @Test("The previous result is handed on", arguments: Plugins.versions)
    func result(_ version: String) throws {
        let lab = try Lab()
        let subnets = ["10.1.2.0/24"]
        let (_, previous) = try lab.add(Inputs.bridge(version, subnets))
        let config: Value = [
            "cniVersion": .string(version), "name": "net", "type": "portmap", "prevResult": previous,
            "runtimeConfig": ["portMappings": [FilterInputs.port(8080)]],
        ]
        let answer = try lab.run("portmap", "ADD", config).orFail()
        #expect(answer.canonical == previous.canonical)
    }

    @Test("containerd's way to write mappings, protocol lists, no protocol, many ports")
    func spellings() throws {
        let town = try PortmapTests.Town(containers: 1)
        let mappings: [Value] = [
            ["HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""],
            ["HostPort": 8081, "ContainerPort": 80, "Protocol": "TCP", "HostIP": "192.0.2.1"],
            ["hostPort": 8082, "containerPort": 80], ["hostPort": 8083, "containerPort": 80, "protocol": "tcp,udp"],
        ]
        for backend in Self.backends {
            let many = (0..<40).map { FilterInputs.port(9000 + $0) }
            let chain = FilterInputs.ports(backend, mappings + many)
            let result = try town.lab.add(chain, "c0").orFail(backend)
            for port: UInt16 in [8080, 8081, 8082, 8083, 9000, 9014, 9015, 9039] {
                #expect(try town.ask(port) == "c0 192.0.2.2", "\(backend) \(port)")
            }
            #expect(try town.ask(8083, .udp) == "c0 192.0.2.2")
            #expect(try town.ask(8082, .udp, expectsNothing: true) == nil)
            try town.lab.check(chain, "c0", result).expectSilence(backend)
            try town.lab.delete(chain, "c0", previous: result).expectSilence(backend)
        }
    }

    @Test("SCTP: an association's first packets, both ways, translated", arguments: backends)
    func sctp(_ backend: String) throws {
        let town = try PortmapTests.Town()
        let lab = town.lab
        let servers = try [("c0", 2905), ("c1", 2905), ("outside", 2906)].map { try lab.serveSCTP($0.0, port: $0.1) }
        let chain = FilterInputs.ports(
            backend,
            [FilterInputs.port(8080, 2905, "sctp"), FilterInputs.port(8081, 2905, "sctp", hostIP: "192.0.2.1")])
        let before = try lab.warmedUp(chain)
        func ask(_ port: UInt16, from place: String? = "outside", at address: String = "192.0.2.1") throws -> String? {
            try lab.askSCTP(address, port, from: place)
        }
        func isSilent(_ port: UInt16, at address: String = "192.0.2.1") throws -> Bool {
            try lab.askSCTP(address, port, from: "outside", timeout: 250) == nil
        }
        // Nobody answers yet, but the kernel remembers the client's port from now on.
        #expect(try isSilent(8080))
        #expect(try isSilent(8080, at: "2001:db8:ffff::1"))
        let result = try lab.add(chain, "c0").orFail()
        for place in ["outside", nil, "c0"] {
            let seen = place == "outside" ? "c0 192.0.2.2" : place == nil ? "c0 192.0.2.1" : "c0 10.1.2.1"
            #expect(try ask(8080, from: place) == seen, "from \(place ?? "the host")")
            #expect(try ask(8081, from: place) == seen, "from \(place ?? "the host")")
        }
        #expect(try ask(8080, from: nil, at: "127.0.0.1") == "c0 10.1.2.1")
        #expect(try ask(8080, at: "2001:db8:ffff::1") == "c0 2001:db8:ffff::2")
        #expect(try ask(8080, from: "c0", at: "2001:db8:ffff::1") == "c0 2001:db8::1")
        #expect(try ask(2906, from: "c0", at: "192.0.2.2") == "outside 192.0.2.1", "not masqueraded")
        #expect(try ask(2906, from: "c0", at: "2001:db8:ffff::2") == "outside 2001:db8:ffff::1", "not masqueraded")
        #expect(try isSilent(8081, at: "2001:db8:ffff::1"))
        #expect(try isSilent(2905))
        try lab.check(chain, "c0", result).expectSilence()
        try lab.delete(chain, "c0", previous: result).expectSilence()
        // The client keeps its port: what the kernel remembers of it must have gone, too.
        #expect(try isSilent(8080))
        #expect(try isSilent(8080, at: "2001:db8:ffff::1"))
        let next = try lab.add(chain, "c1").orFail()
        #expect(try ask(8080) == "c1 192.0.2.2")
        #expect(try ask(8080, at: "2001:db8:ffff::1") == "c1 2001:db8:ffff::2")
        try lab.delete(chain, "c1", previous: next).expectSilence()
        try lab.expectReturn(to: before)
        withExtendedLifetime(servers) {}
    }

    @Test("nerdctl finds the ports in use, by which it chooses free ones, in iptables")
    func usedPorts() throws {
        let lab = try Lab(containers: 2)
        let ports: [Int64] = [8080, 8081, 8082]
        let chain = FilterInputs.ports("iptables", ports.map { FilterInputs.port($0) })
        try lab.add(chain, "c0").orFail()
        let other = FilterInputs.ports("iptables", [FilterInputs.port(8090, hostIP: "127.0.0.1")])
        try lab.add(other, "c1").orFail()
        // It lists this chain and takes what follows the option.
        let listed = try lab.tool("iptables", "-t", "nat", "-S", "CNI-HOSTPORT-DNAT").split(
            whereSeparator: \.isWhitespace)
        let used = listed.indices.filter { listed[$0] == "--dports" && $0 + 1 < listed.endIndex }.flatMap {
            listed[$0 + 1].split(separator: ",").compactMap { Int64($0) }
        }
        #expect(used.sorted() == ports + [8090])
    }

    @Test(
        "What is wrong is said",
        arguments: [
            (#"{"runtimeConfig":{"portMappings":[{"hostPort":0,"containerPort":80}]}}"#, "Invalid host port number: 0"),
            (
                #"{"runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":0}]}}"#,
                "Invalid container port number: 0"
            ),
            (#"{"runtimeConfig":{"portMappings":[{"hostPort":65536,"containerPort":80}]}}"#, "65536"),
            (#"{"runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":65536}]}}"#, "65536"),
            (#"{"runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":80,"protocol":"icmp"}]}}"#, "icmp"),
            (#"{"runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":80,"hostIP":"x"}]}}"#, "x"),
            (#"{"runtimeConfig":{"portMappings":[{"hostPort":"80","containerPort":80}]}}"#, "hostPort"),
            (#"{"backend":"ipfw"}"#, "unrecognized backend \"ipfw\""),
            (#"{"markMasqBit":32}"#, "MasqMarkBit must be between 0 and 31"),
            (
                #"{"markMasqBit":3,"externalSetMarkChain":"X"}"#,
                "Cannot specify externalSetMarkChain and markMasqBit"
            ),
            (
                #"{"backend":"iptables","conditionsV4":["ip","saddr","1.2.3.4"],"conditionsV6":["ip6","saddr","::1"]}"#,
                "iptables backend was requested but configuration contains nftables-specific options "
                    + "[conditionsV4 conditionsV6]"
            ),
            (
                #"{"backend":"nftables","externalSetMarkChain":"X","conditionsV4":["-s","1.2.3.4"],"conditionsV6":["!","-s","::1"]}"#,
                "nftables backend was requested but configuration contains iptables-specific options "
                    + "[externalSetMarkChain conditionsV4 conditionsV6]"
            ), (#"{"snat":"no"}"#, "snat"),
        ])
    func contradictions(_ row: (json: String, words: String)) throws {
        let lab = try Lab()
        let (_, previous) = try lab.add(Inputs.bridge("1.0.0"))
        let before = try lab.world()
        var config: Value = [
            "cniVersion": "1.0.0", "name": "net", "type": "portmap", "prevResult": previous,
            "runtimeConfig": ["portMappings": [FilterInputs.port(8080)]],
        ]
        for member in try Value(parsing: Array(row.json.utf8)).members { config[member.key] = member.value }
        let answer = try lab.run("portmap", "ADD", config)
        answer.expectRefusal(containing: row.words)
        #expect(answer.message.hasPrefix("failed to parse config: "), "\(answer)")
        try lab.world().expectEqual(to: before)
        try lab.run("portmap", "DEL", config).expectSilence()
    }

    @Test("Without a previous result ADD and CHECK are refused, DEL is not")
    func alone() throws {
        let lab = try Lab()
        let config = FilterInputs.ports("", [FilterInputs.port(8080)]).input(1)
        try lab.run("portmap", "ADD", config).expectRefusal(containing: "must be called as chained plugin")
        try lab.run("portmap", "CHECK", config).expectRefusal()
        try lab.run("portmap", "DEL", config).expectSilence()
    }
}
