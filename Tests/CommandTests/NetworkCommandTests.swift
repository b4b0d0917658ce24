import JSON
import System
import TestSupport
import Testing

/// `swiftlet network` and `swiftlet endpoint`, with a daemon that says what it is told.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct NetworkCommandTests {
    private static let socket = "/run/fake.sock"
    private let options = ["--socket", socket, "--conf-dir", "/run/net.d"]

    private static let demonet: Value = [
        "Name": "demonet", "Id": "13fb802253b6f0a44e17e2b65505490e0c80527e1d78c4f5c74375aff4bf882a", "Scope": "global",
        "Driver": "overlay", "Internal": false,
        "IPAM": ["Driver": "default", "Config": [["Subnet": "192.168.0.0/24", "Gateway": "192.168.0.1"]]],
        "Containers": ["box": ["Name": "C0", "IPv4Address": "192.168.0.100/24", "Host": "h1"]], "Options": [:],
    ]

    private func network(_ lab: Lab, _ arguments: String...) throws -> ChildOutcome {
        try lab.swiftlet(["network"] + arguments + options)
    }

    private func daemon(_ lab: Lab, _ answers: [String: (Int, Value)]) throws -> FakeControl {
        let known = ["GET /v1/networks": (200, [] as Value)]
        return try FakeControl(lab, at: Self.socket) { question in
            answers[question.line] ?? known[question.line] ?? (404, ["error": "no such thing", "remedy": "make one"])
        }
    }

    @Test("create announces an overlay, then writes its list")
    func createOverlay() throws {
        let lab = try Lab(containers: 0)
        let daemon = try daemon(lab, ["POST /v1/networks": (200, Self.demonet)])
        let created = try network(
            lab, "create", "-d", "overlay", "--subnet", "192.168.0.0/24", "--gateway", "192.168.0.1", "--ip-range",
            "192.168.0.64/26", "--aux-address", "router=192.168.0.70", "-o", "mtu=1400", "demonet")
        #expect(created.status == 0, "\(created.errorText)")
        #expect(created.text == (Self.demonet["Id"]?.string ?? "") + "\n")
        let question = try #require(daemon.asked.last)
        #expect(question.body?["network"]?.string == "demonet")
        let definition = try #require(question.body?["definition"])
        #expect(
            definition["subnets"] == [
                [
                    "subnet": "192.168.0.0/24", "gateway": "192.168.0.1", "ipRange": "192.168.0.64/26",
                    "exclude": ["192.168.0.70"],
                ]
            ])
        let list = try Value(parsing: Array(lab.read("/run/net.d/60-demonet.conflist").utf8))
        #expect(list["name"]?.string == "demonet" && list["plugins"]?[0]?["type"]?.string == "overlay-vxlan")
        // What the runtimes hand to the plugin is the definition that was announced.
        for member in definition.members { #expect(list["plugins"]?[0]?[member.key] == member.value) }
        #expect(list["plugins"]?[0]?["exclude"] == ["router": "192.168.0.70"])
        #expect(list["plugins"]?[1]?["type"]?.string == "gwbridge-nat")
        #expect(try lab.tool("stat", "-c", "%a", "/run/net.d/60-demonet.conflist") == "644\n")
    }

    @Test("a network defined differently elsewhere is not written here")
    func conflict() throws {
        let lab = try Lab(containers: 0)
        let words = "demonet is defined differently by h1 and h2"
        let daemon = try daemon(
            lab, ["POST /v1/networks": (409, ["error": .string(words), "remedy": "remove one", "code": 7])])
        let refused = try network(lab, "create", "-d", "overlay", "--subnet", "192.168.0.0/24", "demonet")
        #expect(refused.status == 1 && refused.errorText == "swiftlet: \(words); remove one\n")
        #expect(try lab.list("/run/net.d") == [])
        #expect(daemon.asked.map(\.line) == ["GET /v1/networks", "POST /v1/networks"])
    }

    @Test("what cannot be written is withdrawn")
    func withdrawn() throws {
        let lab = try Lab(containers: 0)
        try lab.writeNetwork("10-other.conflist", ["name": "demonet", "plugins": [["type": "null"]]])
        let daemon = try daemon(
            lab, ["POST /v1/networks": (200, Self.demonet), "DELETE /v1/networks/demonet": (200, [:])])
        let refused = try network(lab, "create", "-d", "overlay", "--subnet", "192.168.0.0/24", "demonet")
        #expect(refused.status == 1 && refused.errorText.contains("10-other.conflist already defines"))
        #expect(daemon.asked.map(\.line) == ["GET /v1/networks", "POST /v1/networks", "DELETE /v1/networks/demonet"])
    }

    @Test("without a daemon an overlay is not created, unless nobody is to be told")
    func noDaemon() throws {
        let lab = try Lab(containers: 0)
        let refused = try network(lab, "create", "-d", "overlay", "--subnet", "192.168.0.0/24", "demonet")
        #expect(refused.status == 2 && refused.errorText.contains("is swiftletd running?"))
        #expect(try lab.list("/run/net.d") == [])
        let written = try network(
            lab, "create", "-d", "overlay", "--subnet", "192.168.0.0/24", "--no-announce", "demonet")
        #expect(written.status == 0)
        #expect(try lab.list("/run/net.d") == ["60-demonet.conflist"])
        let listed = try network(lab, "ls")
        #expect(listed.status == 0 && listed.text.contains("demonet") && listed.errorText.contains("Only this host"))
    }

    @Test("a bridge without a subnet gets one that is free, needs no daemon, and works")
    func bridge() throws {
        let lab = try Lab()
        try lab.tool("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
        try lab.tool("ip", "address", "add", "172.18.9.1/24", "dev", "up0")
        try lab.tool("ip", "link", "set", "up0", "up")
        #expect(try network(lab, "create", "web", "--ipv6").status == 0)
        let other = try network(lab, "create", "-d", "bridge", "--internal", "back")
        #expect(other.status == 0 && other.text.count == 65)
        #expect(try network(lab, "create", "web").status == 1)
        let added = try lab.swiftlet(
            "cni", "add", "web", "c0", "--container-id", "box", "--name", "shop", "--conf-dir", "/run/net.d",
            "--plugin-dir", Plugins.directory)
        #expect(added.status == 0, "\(added.errorText)")
        #expect(try Value(parsing: added.output).addresses.first == "172.19.0.2/16")

        let document = try #require(try Value(parsing: network(lab, "inspect", "web").output)[0])
        #expect(document["Driver"]?.string == "bridge" && document["Scope"]?.string == "local")
        #expect(document["IPAM"]?["Config"]?[0] == ["Subnet": "172.19.0.0/16", "Gateway": "172.19.0.1"])
        let box = try #require(document["Containers"]?["box"])
        #expect(box["Name"]?.string == "shop" && box["IPv4Address"]?.string == "172.19.0.2/16")
        #expect(box["IPv6Address"]?.string?.hasPrefix("fd") == true)
        #expect(box["MacAddress"]?.string?.count == 17 && box["EndpointID"]?.string?.count == 64)
        let listed = try lab.swiftlet(["network", "ls", "--json"] + options)
        #expect(try Value(parsing: listed.output).elements.map { $0["Name"]?.string } == ["back", "web"])
        #expect(try Value(parsing: listed.output)[0]?["Internal"] == true)

        let busy = try network(lab, "rm", "web")
        #expect(busy.status == 1 && busy.errorText.contains("has containers here (box)"))
        #expect(
            try lab.swiftlet(
                "cni", "del", "web", "c0", "--container-id", "box", "--conf-dir", "/run/net.d", "--plugin-dir",
                Plugins.directory
            ).status == 0)
        let removed = try network(lab, "rm", "web", "back")
        #expect(removed.status == 0 && removed.text == "web\nback\n")
        #expect(try lab.list("/run/net.d") == [])
        #expect(try network(lab, "rm", "web").status == 2)
    }

    @Test("B6 a subnet that this host uses is refused at create and at ADD, with what it clashes")
    func overlap() throws {
        let lab = try Lab()
        try lab.tool("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
        try lab.tool("ip", "address", "add", "10.20.0.7/16", "dev", "up0")
        try lab.tool("ip", "address", "add", "fd00:20::7/64", "dev", "up0", "nodad")
        try lab.tool("ip", "link", "set", "up0", "up")
        try lab.tool("ip", "link", "set", "up1", "up")
        try lab.tool("ip", "route", "add", "10.30.1.0/25", "via", "10.20.0.1")
        try lab.tool("ip", "route", "add", "10.40.0.0/13", "via", "10.20.0.1")
        #expect(try network(lab, "create", "web", "--subnet", "10.5.0.0/24", "--subnet", "fd00:5::/64").status == 0)
        for driver in ["bridge", "overlay"] {
            for (subnets, words) in [
                (["10.20.5.0/24"], "subnet 10.20.5.0/24 overlaps with address 10.20.0.7/16 of up0"),
                (["10.0.0.0/8"], "subnet 10.0.0.0/8 overlaps with "),
                (["10.30.1.0/24"], "subnet 10.30.1.0/24 overlaps with the route to 10.30.1.0/25 by up0"),
                (["10.6.0.0/24", "fd00:20::/64"], "subnet fd00:20::/64 overlaps with address fd00:20::7/64 of up0"),
                (["10.5.0.128/25"], "overlaps with 10.5.0.0/24, which network web of /run/net.d/60-web.conflist uses"),
                (["10.6.0.0/24", "fd00:5::/80"], "overlaps with fd00:5::/64, which network web of"),
            ] {
                let refused = try network(
                    lab, ["create", "-d", driver, "--no-announce"] + subnets.flatMap { ["--subnet", $0] } + ["other"])
                #expect(refused.status == 1 && refused.errorText.contains(words), "\(driver): \(refused.errorText)")
            }
        }
        // A wider route, as to a VPN, is narrowed.
        #expect(try network(lab, "create", "narrow", "--subnet", "10.44.1.0/24").status == 0)
        #expect(try lab.list("/run/net.d") == ["60-narrow.conflist", "60-web.conflist"])
        let places = ["--conf-dir", "/run/net.d", "--plugin-dir", Plugins.directory]
        #expect(try lab.swiftlet(["cni", "add", "narrow", "c0"] + places).status == 0)
        #expect(try lab.swiftlet(["cni", "add", "web", "c0", "--ifname", "eth1"] + places).status == 0)
        for (ifname, name) in [("eth0", "narrow"), ("eth1", "web")] {
            #expect(try lab.swiftlet(["cni", "del", name, "c0", "--ifname", ifname] + places).status == 0)
        }
        // The bridge goes with the network, and the subnet is free again.
        #expect(try network(lab, "rm", "web").status == 0)
        #expect(try network(lab, "create", "again", "--subnet", "10.5.0.0/24").status == 0)
        #expect(try lab.swiftlet(["cni", "add", "again", "c0"] + places).status == 0)
    }

    private func network(_ lab: Lab, _ arguments: [String]) throws -> ChildOutcome {
        try lab.swiftlet(["network"] + arguments + options)
    }

    @Test("ls joins what the daemon knows and what is here; inspect shows the daemon's own words")
    func listing() throws {
        let lab = try Lab(containers: 0)
        try lab.writeNetwork("60-demonet.conflist", ["name": "demonet", "plugins": [["type": "overlay-vxlan"]]])
        try lab.writeNetwork("70-none.conflist", ["name": "none", "plugins": [["type": "null"]]])
        let endpointList: Value = [
            "endpoints": [
                [
                    "network": "demonet", "addresses": ["192.168.0.100/24"], "mac": "02:42:c0:a8:00:64",
                    "containerID": "box", "ifname": "eth0", "names": ["C0"], "aliases": ["db"], "host": "h1",
                    "status": "live",
                ]
            ]
        ]
        let daemon = try daemon(
            lab,
            [
                "GET /v1/networks": (200, ["networks": [Self.demonet]]),
                "GET /v1/networks/demonet": (200, Self.demonet),
                "GET /v1/endpoints": (200, endpointList), "GET /v1/endpoints?network=demonet": (200, endpointList),
            ])
        let listed = try network(lab, "ls").text.split(separator: "\n").map {
            $0.split(separator: " ").map(String.init)
        }
        #expect(
            listed == [
                ["NAME", "ID", "DRIVER", "SCOPE", "SUBNETS", "CONTAINERS", "FILE"],
                [
                    "demonet", "13fb802253b6", "overlay", "global", "192.168.0.0/24", "1",
                    "/run/net.d/60-demonet.conflist",
                ],
                ["none", listed.last?[1] ?? "", "null", "local", "-", "0", "/run/net.d/70-none.conflist"],
            ])
        #expect(try Value(parsing: network(lab, "inspect", "demonet").output) == [Self.demonet])
        let missing = try network(lab, "inspect", "nowhere")
        #expect(missing.status == 1 && missing.errorText == "swiftlet: no such thing; make one\n")
        let endpoints = try lab.swiftlet("endpoint", "ls", "--network", "demonet", "--socket", Self.socket)
        #expect(
            endpoints.text.split(separator: "\n").last?.split(separator: " ").map(String.init) == [
                "demonet", "192.168.0.100/24", "02:42:c0:a8:00:64", "box", "eth0", "C0,db", "h1", "live",
            ])
        #expect(daemon.asked.count == 5)
    }

    @Test("graph draws what the daemon knows", arguments: ["svg", "dot"])
    func graph(_ format: String) throws {
        let lab = try Lab(containers: 0)
        let daemon = try daemon(
            lab,
            [
                "GET /v1/members": (
                    200,
                    [
                        "members": [
                            ["name": "h1", "address": "192.0.2.11", "status": "alive"],
                            ["name": "h2", "address": "192.0.2.12", "status": "failed"],
                        ]
                    ]
                ),
                "GET /v1/networks": (200, ["networks": [Self.demonet.with(("VNI", 4711))]]),
                "GET /v1/endpoints": (
                    200,
                    [
                        "endpoints": [
                            [
                                "network": "demonet", "addresses": ["192.168.0.100/24"], "containerID": "box",
                                "names": ["C0"], "host": "h1", "status": "live",
                            ],
                            [
                                "network": "demonet", "addresses": ["192.168.0.7/24"],
                                "containerID": "0123456789012345678901234567890", "host": "h2", "status": "suspended",
                            ],
                        ]
                    ]
                ),
            ])
        let drawn = try lab.swiftlet("graph", "--format", format, "--socket", Self.socket)
        #expect(drawn.status == 0, "\(drawn.errorText)")
        for words in ["h1", "h2", "C0", "demonet", "VNI 4711", "192.168.0.100/24", "192.168.0.7/24", "0123456789"] {
            #expect(drawn.text.contains(words), "\(words)")
        }
        #expect(drawn.text.hasPrefix(format == "svg" ? "<svg " : "graph cluster {"))
        #expect(daemon.asked.count == 3)
    }
}
