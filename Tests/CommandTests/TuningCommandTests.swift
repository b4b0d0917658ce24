import JSON
import System
import TestSupport
import Testing

/// `tuning` through its executable, behind `bridge`.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct TuningCommandTests {
    /// Debian's version knows no queue length and no IFNAME, and shows the MAC as it is spelt.
    static let everything: [(String, Value)] =
        [("mtu", 1400), ("promisc", true), ("allmulti", true)]
        + (Plugins.areReference
            ? [("mac", "c2:11:22:33:44:55"), ("sysctl", ["net.ipv4.conf.all.log_martians": "1"])]
            : [
                ("mac", "C2:11:22:33:44:55"), ("txQLen", 500),
                ("sysctl", ["net.ipv4.conf.all.log_martians": "1", "net.ipv4.conf.IFNAME.arp_filter": "1"]),
            ])
    static let directory = "/run/cni/tuning"

    static func config(_ version: String, _ more: [(String, Value)] = everything, previous: Value? = nil) -> Value {
        var config = Object([("cniVersion", .string(version)), ("name", "net"), ("type", "tuning")])
        for (key, value) in more { config[key] = value }
        config["prevResult"] = previous
        return .object(config)
    }

    /// What of a world tuning may change: all but the files.
    private static func kernel(_ world: World) -> World { world.without { $0.hasPrefix("file/") } }

    private func parameter(_ lab: Lab, _ key: String) throws -> String {
        try lab.inside("c0") { try Sysctl.read(key) }
    }

    @Test("Everything is set, shown, checked and restored", arguments: Plugins.versions)
    func everything(_ version: String) throws {
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge(version)).result
        let start = try lab.world()
        let (added, result) = try lab.add(Self.config(version, previous: previous), plugin: "tuning")
        let link = try #require(try lab.link("eth0", in: "c0"))
        #expect(link["address"]?.string == "c2:11:22:33:44:55" && link["mtu"]?.integer == 1400)
        #expect(link.hasFlag("PROMISC") && link.hasFlag("ALLMULTI"))
        #expect(try parameter(lab, "net/ipv4/conf/all/log_martians") == "1")
        try beyondReference("came with 1.2.0 and 1.3.0") {
            #expect(link["txqlen"]?.integer == 500)
            let filter = try parameter(lab, "net/ipv4/conf/eth0/arp_filter")
            #expect(filter == "1")
        }
        if atLeast(version, "0.3.0") {
            #expect(result.interfaceMAC(2) == "c2:11:22:33:44:55" && result.interfaceMAC(1) == previous.interfaceMAC(1))
        } else {
            #expect(result.canonical == previous.canonical)
        }
        #expect(result["interfaces"]?[2]?["mtu"]?.integer == (atLeast(version, "1.1.0") ? 1400 : nil))
        if atLeast(version, "0.4.0") {
            try lab.run("tuning", "CHECK", added).expectSilence()
            try lab.tool("ip", "link", "set", "eth0", "mtu", "1300", in: "c0")
            try lab.run("tuning", "CHECK", added).expectRefusal()
        }
        try lab.delete(added, plugin: "tuning")
        // Parameters go with the namespace.
        let end = try lab.world().without { $0.contains("sysctl") }
        end.expectEqual(to: start.without { $0.contains("sysctl") })
        #expect(try lab.inside { FileTree.files(below: Self.directory) }.isEmpty)
        try lab.delete(added, plugin: "tuning")
    }

    @Test("podman's empty tuning hands the result on", arguments: Plugins.versions)
    func empty(_ version: String) throws {
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge(version)).result
        let start = try lab.world()
        let (added, result) = try lab.add(Self.config(version, [], previous: previous), plugin: "tuning")
        #expect(result.canonical == previous.canonical)
        if atLeast(version, "0.4.0") { try lab.run("tuning", "CHECK", added).expectSilence() }
        try lab.delete(added, plugin: "tuning")
        try lab.world().expectEqual(to: start)
        try lab.run("tuning", "ADD", Self.config(version, [])).expectRefusal(containing: "Required prevResult missing")
    }

    @Test("MAC: config < CNI_ARGS < runtimeConfig < args.cni")
    func precedence() throws {
        let macs = (1...4).map { "c2:00:00:00:00:0\($0)" }
        for count in 1...4 {
            let lab = try Lab()
            var more: [(String, Value)] = [("mac", .string(macs[0]))]
            if count > 2 { more.append(("runtimeConfig", ["mac": .string(macs[2])])) }
            if count > 3 { more.append(("args", ["cni": ["mac": .string(macs[3])]])) }
            let previous = try lab.add(Inputs.bridge("1.0.0")).result
            let arguments = count > 1 ? "IgnoreUnknown=1;MAC=\(macs[1])" : nil
            let (_, result) = try lab.add(
                Self.config("1.0.0", more, previous: previous), arguments: arguments, plugin: "tuning")
            #expect(try lab.link("eth0", in: "c0")?["address"]?.string == macs[count - 1])
            #expect(result.interfaceMAC(2) == macs[count - 1])
        }
    }

    @Test(
        "A refused configuration changes nothing",
        arguments: [
            (#"{"sysctl":{"kernel.hostname":"x"}}"#, "invalid net sysctl key: \"kernel.hostname\""),
            (#"{"mtu":1300,"sysctl":{"net.ipv4.nothing":"x"}}"#, "net/ipv4/nothing"),
            (#"{"mtu":1300,"sysctl":{"net.ipv4.ip_forward":"1","net.ipv4.conf.all.arp_filter":"x"}}"#, "arp_filter"),
            (#"{"mtu":9000000,"txQLen":5,"mac":"02:00:00:00:00:09"}"#, "change link"), (#"{"mac":"nonsense"}"#, "mac"),
            (#"{"sysctl":{"net.core.x":"1","net.core.x":"2"}}"#, "duplicated sysctl keys are not allowed"),
            (#"{"mtu":1300,"dataDir":"/proc/nowhere"}"#, "/proc/nowhere"),
        ])
    func refused(_ row: (json: String, refusal: String)) throws {
        if Plugins.areReference { return }
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge("1.0.0")).result
        let start = try lab.world()
        // As text: a repeated key does not survive being a value.
        let head = Self.config("1.0.0", [], previous: previous).text().dropLast()
        let input = head + "," + row.json.dropFirst()
        try lab.run(PluginCall("tuning", "ADD", input: String(input))).expectRefusal(containing: row.refusal)
        try lab.world().expectEqual(to: start)
        try lab.run(PluginCall("tuning", "DEL", input: String(input))).expectSilence()
    }

    @Test("args.cni.sysctl needs no sysctl", .enabled(if: !Plugins.areReference, "the reference dies of it"))
    func argsAlone() throws {
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge("1.0.0")).result
        let args: Value = ["cni": ["sysctl": ["net.ipv4.conf.all.log_martians": "1"]]]
        try lab.add(Self.config("1.0.0", [("args", args)], previous: previous), plugin: "tuning")
        #expect(try parameter(lab, "net/ipv4/conf/all/log_martians") == "1")
    }

    @Test("The allow-list", .enabled(if: !Plugins.areReference, "its messages are older"))
    func allowList() throws {
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge("1.1.0")).result
        let config = Self.config("1.1.0", previous: previous)
        let status = PluginCall("tuning", "STATUS", containerID: nil, ifname: nil, netns: nil, input: config.text())
        try lab.run(status).expectSilence()
        try lab.tool("mount", "-t", "tmpfs", "tmpfs", "/etc")
        let path = "/etc/cni/tuning/allowlist.conf"
        try lab.write(path, "^net.ipv4.conf.IFNAME.[a-z_]*$\nlog_martians\n")
        try lab.run("tuning", "ADD", config).orFail()
        try lab.run("tuning", "ADD", config.with(("allowlistAnchored", true))).expectRefusal(
            code: 7,
            "Sysctl net.ipv4.conf.all.log_martians is not allowed. Only the following sysctls are allowed: "
                + "[^net.ipv4.conf.IFNAME.[a-z_]*$ log_martians]")
        try lab.write(path, "net.*\nnet.[\n")
        for command in ["ADD", "STATUS"] {
            try lab.run("tuning", command, config).expectRefusal(
                code: command == "ADD" ? 7 : 50, containing: "\(path) line 2: \"net.[\"")
        }
        try lab.delete(config, plugin: "tuning")
    }

    @Test("DEL when the namespace is empty, gone, or never was one", arguments: ["", "/run/netns/gone", "/etc/hosts"])
    func deleteWithoutNamespace(_ netns: String) throws {
        if Plugins.areReference { return }
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge("1.0.0")).result
        let (added, _) = try lab.add(Self.config("1.0.0", previous: previous), plugin: "tuning")
        #expect(try lab.list("\(Self.directory)/net") == ["c0:eth0.json"])
        for text in [added, added.with(("mtu", "x"))] {
            try lab.delete(text, netns: netns, plugin: "tuning")
            #expect(try lab.list("\(Self.directory)/net") == [])
        }
    }

    @Test(
        "What the reference plugin tuned is restored",
        .enabled(if: !Plugins.areReference && Files.exists("\(Plugins.reference)/tuning"), "no reference plugin"))
    func referenceBackup() throws {
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge("1.0.0")).result
        let start = Self.kernel(try lab.world())
        let more: [(String, Value)] = [
            ("mac", "c2:11:22:33:44:55"), ("mtu", 1400), ("promisc", true), ("allmulti", true),
        ]
        let config = Self.config("1.0.0", more, previous: previous)
        let (added, _) = try lab.add(config, plugin: "\(Plugins.reference)/tuning")
        #expect(try lab.list(Self.directory) == ["c0_eth0.json"])
        try lab.run("tuning", "CHECK", added).expectSilence()
        try lab.delete(added, plugin: "tuning")
        #expect(try lab.list(Self.directory) == [])
        // The reference plugin sets the link down to change its MAC: the routes went with that.
        let end = Self.kernel(try lab.world())
        end.without { $0.contains("/route") }.expectEqual(to: start.without { $0.contains("/route") })
    }

    @Test("GC keeps what is valid", .enabled(if: !Plugins.areReference, "the reference has no GC"))
    func garbage() throws {
        let lab = try Lab(containers: 2)
        let config = Inputs.bridge("1.1.0")
        for id in lab.containers {
            let previous = try lab.add(config, containerID: id).result
            try lab.add(Self.config("1.1.0", previous: previous), containerID: id, plugin: "tuning")
        }
        func collect(_ more: [(String, Value)]) throws {
            let input = Self.config("1.1.0", more).text()
            try lab.run(PluginCall("tuning", "GC", containerID: nil, ifname: nil, netns: nil, input: input))
                .expectSilence()
        }
        try collect([])
        #expect(try lab.list("\(Self.directory)/net") == ["c0:eth0.json", "c1:eth0.json"])
        let valid: Value = [["containerID": "c1", "ifname": "eth0"]]
        try collect([("cni.dev/valid-attachments", valid)])
        #expect(try lab.list("\(Self.directory)/net") == ["c1:eth0.json"])
        try collect([("cni.dev/valid-attachments", [])])
        #expect(try lab.list("\(Self.directory)/net") == [])
    }

    @Test("Routes and addresses survive a new MAC", .enabled(if: !Plugins.areReference, "the reference loses them"))
    func routesSurvive() throws {
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge("1.0.0", ["10.1.2.0/24", "2001:db8::/64"])).result
        let before = try (lab.routes(in: "c0"), lab.addresses("eth0", in: "c0"))
        try lab.add(Self.config("1.0.0", [("mac", "c2:11:22:33:44:55")], previous: previous), plugin: "tuning")
        #expect(try lab.routes(in: "c0") == before.0 && lab.addresses("eth0", in: "c0") == before.1)
    }

    @Test("What podman 4.3.1 sent is answered as the reference answered", arguments: ["eth0", "eth1"])
    func captured(_ interface: String) throws {
        let lab = try Lab()
        let start = try lab.world()
        let answer = try lab.run(
            PluginCall(
                "tuning", "ADD", ifname: interface, arguments: "IgnoreUnknown=1;K8S_POD_NAME=x",
                input: Golden.text("podman-4.3.1/\(interface)-tuning-ADD.in")))
        let expected = try Value(parsing: Golden.bytes("podman-4.3.1/\(interface)-tuning-ADD.out"))
        #expect(answer.orFail().canonical == expected.canonical)
        let delete = PluginCall(
            "tuning", "DEL", ifname: interface, input: try Golden.text("podman-4.3.1/\(interface)-tuning-DEL.in"))
        try lab.run(delete).expectSilence()
        try lab.world().expectEqual(to: start)
    }
}
