import JSON
import System
import TestSupport
import Testing

/// `bandwidth` through its executable, behind `bridge`.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct BandwidthCommandTests {
    static let versions = Plugins.versions.filter { atLeast($0, "0.3.0") }
    static let both: [(String, Value)] = [
        ("ingressRate", 8_000_000), ("ingressBurst", 1_600_000), ("egressRate", 16_000_000), ("egressBurst", 800_000),
    ]

    static func config(_ version: String, _ more: [(String, Value)] = both, previous: Value? = nil) -> Value {
        var config = Object([("cniVersion", .string(version)), ("name", "net"), ("type", "bandwidth")])
        for (key, value) in more { config[key] = value }
        config["prevResult"] = previous
        return .object(config)
    }

    /// The token bucket at the root of a link, as tc tells it: rate in bytes a second, burst, latency.
    private func bucket(_ lab: Lab, _ name: String) throws -> String? {
        let all = try lab.query("tc", ["-j", "qdisc", "show", "dev", name]).elements
        guard let found = all.first(where: { $0["kind"]?.string == "tbf" }), let options = found["options"] else {
            return nil
        }
        return "\(options["rate"]?.integer ?? 0) \(options["burst"]?.integer ?? 0) \(options["lat"]?.integer ?? 0)"
    }

    private func ifbs(_ lab: Lab) throws -> [String] { try lab.linkNames().filter { $0.hasPrefix("bwp") } }

    @Test("Limits in both directions", arguments: versions)
    func both(_ version: String) throws {
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge(version)).result
        let start = try lab.world()
        let (added, result) = try lab.add(Self.config(version, previous: previous), plugin: "bandwidth")
        let veth = previous.interfaceName(1), ifb = try #require(try ifbs(lab).first)
        #expect(result["interfaces"]?.elements.count == 4 && result.interfaceName(3) == ifb)
        #expect(result.interfaceMAC(3) == (try lab.link(ifb)?["address"]?.string))
        #expect(try lab.link(ifb)?["mtu"] == lab.link(veth)?["mtu"] && lab.link(ifb)?.hasFlag("UP") == true)
        #expect(try bucket(lab, veth) == "1000000 200000 25000")
        #expect(try bucket(lab, ifb) == "2000000 100000 25000")
        #expect(try lab.tool("tc", "filter", "show", "dev", veth, "ingress").contains("to device \(ifb)"))
        try lab.tool("ping", "-c", "1", "-W", "5", "10.1.2.1", in: "c0")
        if atLeast(version, "0.4.0") {
            try lab.run("bandwidth", "CHECK", added).expectSilence()
            let other = added.with(("egressRate", 8_000_000))
            try lab.run("bandwidth", "CHECK", other).expectRefusal()
        }
        try lab.delete(added, plugin: "bandwidth")
        #expect(try ifbs(lab) == [])
        try beyondReference("the reference leaves the qdiscs") {
            #expect(try bucket(lab, veth) == nil)
            #expect(try lab.tool("tc", "qdisc", "show", "dev", veth, "ingress").isEmpty)
            try lab.world().expectEqual(to: start)
            try lab.tool("ping", "-c", "1", "-W", "5", "10.1.2.1", in: "c0")
        }
        try lab.delete(added, plugin: "bandwidth")
        try lab.delete(Inputs.bridge(version).with(("prevResult", result)))
    }

    @Test("Where the limits come from")
    func sources() throws {
        let runtime: (String, Value) = (
            "RuntimeConfig", ["bandWidth": ["IngressRate": 80000, "IngressBurst": 4_294_967_295]]
        )
        let rows: [(more: [(String, Value)], rate: String)] = [
            ([runtime], "10000 "), ([runtime, ("ingressRate", 160000), ("ingressBurst", 80000)], "20000 "),
        ]
        for row in rows {
            let lab = try Lab()
            let previous = try lab.add(Inputs.bridge("1.0.0")).result
            let (added, result) = try lab.add(Self.config("1.0.0", row.more, previous: previous), plugin: "bandwidth")
            #expect(result.canonical == previous.canonical)
            #expect(try bucket(lab, previous.interfaceName(1))?.hasPrefix(row.rate) == true)
            try lab.run("bandwidth", "CHECK", added).expectSilence()
        }
    }

    @Test("Without limits the result is handed on", arguments: versions)
    func none(_ version: String) throws {
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge(version)).result
        let start = try lab.world()
        let (added, result) = try lab.add(Self.config(version, [], previous: previous), plugin: "bandwidth")
        #expect(result.canonical == previous.canonical)
        if atLeast(version, "0.4.0") {
            try beyondReference("the reference dies of CHECK without limits") {
                try lab.run("bandwidth", "CHECK", added).expectSilence()
            }
        }
        try lab.delete(added, plugin: "bandwidth")
        try lab.world().expectEqual(to: start)
        try beyondReference("the reference dies of a missing result") {
            try lab.run("bandwidth", "ADD", Self.config(version, [])).expectRefusal(
                code: 7, containing: "must be called as chained plugin")
        }
        try lab.run("bandwidth", "ADD", Self.config(version)).expectRefusal(
            containing: "must be called as chained plugin")
    }

    @Test(
        "Limits that make no sense",
        arguments: [
            (#"{"ingressRate":8}"#, "if rate is set, burst must also be set"),
            (#"{"egressBurst":8}"#, "if burst is set, rate must also be set"),
            (#"{"ingressRate":8,"ingressBurst":34359738360}"#, "burst cannot be more than 4GB"),
            (#"{"ingressRate":-8,"ingressBurst":8}"#, "ingressRate"), (#"{"egressRate":"8"}"#, "egressRate"),
        ])
    func nonsense(_ row: (json: String, refusal: String)) throws {
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge("1.0.0")).result
        let start = try lab.world()
        let more = try Value(parsing: Array(row.json.utf8)).members.map { ($0.key, $0.value) }
        try lab.run("bandwidth", "ADD", Self.config("1.0.0", more, previous: previous)).expectRefusal(
            containing: row.refusal)
        try lab.world().expectEqual(to: start)
    }

    @Test("Versions before 0.3.0 are refused", arguments: ["0.1.0", "0.2.0"])
    func oldVersions(_ version: String) throws {
        let answer = try Lab().run("bandwidth", "ADD", Self.config(version))
        answer.expectRefusal(code: 1, containing: "incompatible CNI versions")
    }

    @Test("Not behind a veth")
    func noVeth() throws {
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge("1.0.0")).result
        let start = try lab.world()
        let config = Self.config("1.0.0", previous: previous)
        try lab.run("bandwidth", "ADD", ifname: "lo", config).expectRefusal(
            containing: "container interface lo has no veth peer")
        try lab.run("bandwidth", "ADD", ifname: "eth9", config).expectRefusal(
            containing: "container interface eth9 has no veth peer")
        let stranger = Self.config("1.0.0", previous: ["cniVersion": "1.0.0", "interfaces": [["name": "veth0"]]])
        try lab.run("bandwidth", "ADD", stranger).expectRefusal(
            containing: "no veth peer of container interface found in host ns")
        try lab.world().expectEqual(to: start)
    }

    @Test("Two interfaces of one container", .enabled(if: !Plugins.areReference, "the reference refuses the second"))
    func twoInterfaces() throws {
        let lab = try Lab()
        let bridge = Inputs.bridge("1.0.0")
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        var added: [Value] = []
        for name in ["eth0", "eth1"] {
            let previous = try lab.add(bridge, ifname: name).result
            added.append(
                try lab.add(Self.config("1.0.0", previous: previous), ifname: name, plugin: "bandwidth").config)
        }
        #expect(try ifbs(lab).count == 2)
        try lab.delete(added[1], ifname: "eth1", plugin: "bandwidth")
        try lab.run("bandwidth", "CHECK", added[0]).expectSilence()
        try lab.delete(added[0], plugin: "bandwidth")
        for name in ["eth0", "eth1"] { try lab.delete(bridge, ifname: name) }
        try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start)
    }

    /// Sends so many bytes over TCP from one place to an address of another, and gives the seconds until all were there.
    private func transfer(_ lab: Lab, _ bytes: Int, from client: String?, to server: String?, _ address: String) throws
        -> Double
    {
        let enter = { (place: String?) in place.map { "nsenter --net=/run/netns/\($0) " } ?? "" }
        let text = try lab.script(
            """
            cat >/run/send.py <<'END'
            import socket, sys
            s = socket.create_connection((sys.argv[1], 9000), 20)
            s.sendall(bytes(int(sys.argv[2])))
            s.shutdown(socket.SHUT_WR)
            s.recv(1)
            END
            cat >/run/receive.py <<'END'
            import socket, sys, time
            listener = socket.create_server((sys.argv[1], 9000))
            print("ready", flush=True)
            s = listener.accept()[0]
            began, count = time.monotonic(), 0
            while True:
                part = s.recv(1 << 16)
                if not part: break
                count += len(part)
            print(count, time.monotonic() - began)
            END
            \(enter(server))/usr/bin/python3 /run/receive.py \(address) >/run/received </dev/null &
            until grep -q ready /run/received; do sleep 0.02; done
            \(enter(client))/usr/bin/python3 /run/send.py \(address) \(bytes) </dev/null
            wait
            tail -n 1 /run/received
            """)
        let words = text.split(whereSeparator: \.isWhitespace)
        #expect(words.first == "\(bytes)", "\(text)")
        return words.last.flatMap { Double($0) } ?? 0
    }

    @Test(
        "Traffic is as slow as it is to be, each interface and direction by itself",
        .enabled(if: Files.exists("/usr/bin/python3")))
    func traffic() throws {
        let lab = try Lab()
        // A megabyte in a second, two kilobytes of which at once; eth1 is limited in one direction alone.
        let slow: [(String, Value)] = [("Rate", 8_000_000), ("Burst", 160_000)]
        let limits: [[(String, Value)]] = [
            slow.map { ("ingress\($0)", $1) } + slow.map { ("egress\($0)", $1) }, slow.map { ("egress\($0)", $1) },
        ]
        var added: [Value] = []
        for (index, name) in ["eth0", "eth1"].enumerated() {
            let bridge = Inputs.bridge("1.0.0", ["10.1.\(index).0/24"], name: name, bridge: "br\(index)").with(
                ("isDefaultGateway", .bool(index == 0)), ("isGateway", true))
            let previous = try lab.add(bridge, ifname: name).result
            added.append(
                try lab.add(
                    Self.config("1.0.0", limits[index], previous: previous).with(("name", .string(name))), ifname: name,
                    plugin: "bandwidth"
                ).config)
        }
        let rows: [(String?, String?, String, Bool)] = [
            ("c0", nil, "10.1.0.1", true), (nil, "c0", "10.1.0.2", true), ("c0", nil, "10.1.1.1", true),
            (nil, "c0", "10.1.1.2", false),
        ]
        // Only the least time is a promise: the machine may be as busy as it likes.
        for (client, server, address, isLimited) in rows {
            let seconds = try transfer(lab, 300_000, from: client, to: server, address)
            if isLimited { #expect(seconds > 0.2, "\(address) from \(client ?? "the host")") }
        }
        func sent(_ interface: Int) throws -> [Int64] {
            let names = [
                added[interface]["prevResult"]?.interfaceName(1) ?? "?",
                added[interface]["prevResult"]?.interfaceName(3) ?? "?",
            ]
            return try names.map { name in
                try lab.query("tc", ["-j", "-s", "qdisc", "show", "dev", name]).elements.first {
                    $0["kind"]?.string == "tbf"
                }?["bytes"]?.integer ?? -1
            }
        }
        let counts = try [sent(0), sent(1)]
        #expect(counts[0].allSatisfy { $0 > 300_000 } && counts[1][0] == -1 && counts[1][1] > 300_000, "\(counts)")
        try lab.delete(added[1], ifname: "eth1", plugin: "bandwidth")
        #expect(try transfer(lab, 300_000, from: "c0", to: nil, "10.1.0.1") > 0.2, "eth0's limits went with eth1's")
        try lab.run("bandwidth", "CHECK", added[0]).expectSilence()
    }

    @Test("DEL finds the ifb without the namespace", arguments: ["", "/run/netns/gone", "/etc/hosts"], [true, false])
    func deleteWithoutNamespace(_ netns: String, _ hasResult: Bool) throws {
        if Plugins.areReference, netns == "/etc/hosts" { return }
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge("1.0.0")).result
        let (added, _) = try lab.add(Self.config("1.0.0", previous: previous), plugin: "bandwidth")
        let config = hasResult ? added : Self.config("1.0.0", [("egressRate", "nonsense")])
        if Plugins.areReference, !hasResult { return }
        for _ in 0..<2 {
            try lab.delete(config, netns: netns, plugin: "bandwidth")
            #expect(try ifbs(lab) == [])
        }
    }

    @Test("A failed ADD leaves nothing", .enabled(if: !Plugins.areReference, "the reference leaves the ifb"))
    func rollback() throws {
        for arguments in [
            ["root", "handle", "1:", "tbf", "rate", "8mbit", "burst", "9999", "latency", "9ms"], ["ingress"],
        ] {
            let lab = try Lab()
            let previous = try lab.add(Inputs.bridge("1.0.0")).result
            try lab.tool("tc", ["qdisc", "add", "dev", previous.interfaceName(1)] + arguments)
            let start = try lab.world(), qdiscs = try lab.tool("tc", "qdisc")
            let config = Self.config("1.0.0", previous: previous)
            try lab.run("bandwidth", "ADD", config).expectRefusal(code: 103, containing: "already has a qdisc")
            try lab.world().expectEqual(to: start)
            #expect(try lab.tool("tc", "qdisc") == qdiscs)
            try lab.delete(config, plugin: "bandwidth")
            #expect(try lab.tool("tc", "qdisc") == qdiscs)
        }
    }

    @Test("GC removes the ifbs of what is not valid", .enabled(if: !Plugins.areReference, "the reference has no GC"))
    func garbage() throws {
        let lab = try Lab(containers: 2)
        let config = Inputs.bridge("1.1.0")
        for id in lab.containers {
            let previous = try lab.add(config, containerID: id).result
            try lab.add(Self.config("1.1.0", previous: previous), containerID: id, plugin: "bandwidth")
        }
        try lab.tool("ip", "link", "add", "bwp0123456789ab", "type", "ifb")
        func collect(_ more: [(String, Value)]) throws {
            let input = Self.config("1.1.0", more).text()
            try lab.run(PluginCall("bandwidth", "GC", containerID: nil, ifname: nil, netns: nil, input: input))
                .expectSilence()
        }
        try collect([])
        #expect(try ifbs(lab).count == 3)
        try collect([("cni.dev/valid-attachments", [["containerID": "c1", "ifname": "eth0"]])])
        let left = try ifbs(lab)
        #expect(left.count == 2)
        let alias = try lab.query("ip", ["-j", "link", "show"]).elements.compactMap { $0["ifalias"]?.string }
        #expect(alias.contains("swiftlet net c1 eth0"))
        try collect([("cni.dev/valid-attachments", [])])
        #expect(try ifbs(lab) == ["bwp0123456789ab"])
    }

    @Test("STATUS tries the kernel", .enabled(if: !Plugins.areReference, "the reference has no STATUS"))
    func status() throws {
        let lab = try Lab()
        let start = try lab.world()
        let rows: [[(String, Value)]] = [[], Self.both, [("capabilities", ["bandwidth": true])]]
        for more in rows {
            let input = Self.config("1.1.0", more).text()
            let answer = try lab.run(
                PluginCall("bandwidth", "STATUS", containerID: nil, ifname: nil, netns: nil, input: input))
            if answer.succeeded {
                answer.expectSilence()
            } else {
                answer.expectRefusal(code: 50, containing: "CONFIG_")
            }
        }
        try lab.world().expectEqual(to: start)
    }

    @Test(
        "What the reference plugin made is checked and removed",
        .enabled(if: !Plugins.areReference && Files.exists("\(Plugins.reference)/bandwidth"), "no reference plugin"))
    func referenceDevice() throws {
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge("1.0.0")).result
        let config = Self.config("1.0.0", previous: previous)
        let (added, _) = try lab.add(config, plugin: "\(Plugins.reference)/bandwidth")
        let theirs = try (bucket(lab, previous.interfaceName(1)), ifbs(lab).first.flatMap { try bucket(lab, $0) })
        try lab.run("bandwidth", "CHECK", added).expectSilence()
        try lab.delete(added, plugin: "bandwidth")
        #expect(try ifbs(lab) == [])
        // And the numbers are the same.
        let other = try Lab()
        let again = try other.add(Inputs.bridge("1.0.0")).result
        try other.add(Self.config("1.0.0", previous: again), plugin: "bandwidth")
        let ours = try (bucket(other, again.interfaceName(1)), ifbs(other).first.flatMap { try bucket(other, $0) })
        #expect(ours == theirs)
    }
}
