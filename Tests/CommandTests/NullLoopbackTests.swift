import JSON
import TestSupport
import Testing

/// `loopback` (reference behaviour) and `null` (ours).
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct NullLoopbackTests {
    private static func config(_ plugin: String, _ version: String) -> Value {
        ["cniVersion": .string(version), "name": "net", "type": .string(plugin)]
    }

    private func isUp(_ lab: Lab) throws -> Bool { try lab.link("lo", in: "c0")?.hasFlag("UP") == true }

    @Test("loopback sets lo up and down", arguments: Plugins.versions)
    func loopback(_ version: String) throws {
        let lab = try Lab()
        let start = try lab.world()
        let config = Self.config("loopback", version)
        // Whatever interface name and arguments say, it is lo; go-cni says "lo", others "eth0".
        let result = try lab.run("loopback", "ADD", ifname: "lo", arguments: "none", config).orFail()
        #expect(try isUp(lab))
        if atLeast(version, "0.3.0") {
            #expect(result.addresses == ["127.0.0.1/8", "::1/128"])
            #expect(
                result["interfaces"]?.elements.count == 1 && result.interfaceName(0) == "lo"
                    && result.interfaceMAC(0) == "00:00:00:00:00:00")
            #expect(result["interfaces"]?[0]?["sandbox"]?.string == "/run/netns/c0")
            #expect(result["ips"]?.elements.allSatisfy { $0["interface"]?.integer == 0 } == true)
        } else {
            #expect(result.addresses == ["127.0.0.1/8", "::1/128"])
        }
        let added = config.with(("prevResult", result))
        if atLeast(version, "0.4.0") {
            try lab.run("loopback", "CHECK", ifname: "lo", added).expectSilence()
            try lab.tool("ip", "link", "set", "lo", "down", in: "c0")
            try lab.run("loopback", "CHECK", ifname: "lo", added).expectRefusal(
                containing: "loopback interface is down")
            try lab.tool("ip", "link", "set", "lo", "up", in: "c0")
        }
        let again = try lab.run("loopback", "ADD", ifname: "eth0", config)
        #expect(again.orFail().canonical == result.canonical)
        try lab.run("loopback", "DEL", ifname: "lo", added).expectSilence()
        #expect(try !isUp(lab))
        // The kernel leaves 127.0.0.1 on a `lo` that goes down.
        try lab.world().without(prefixes: "c0/address/lo/").expectEqual(to: start)
        for netns in [nil, "", "/run/netns/gone"] as [String?] {
            try lab.run("loopback", "DEL", ifname: "lo", netns: netns, added).expectSilence()
        }
        try lab.run("loopback", "ADD", netns: "/run/netns/gone", config).expectRefusal(containing: "/run/netns/gone")
    }

    @Test("loopback hands the previous result on", arguments: Plugins.versions.filter { atLeast($0, "0.3.0") })
    func chained(_ version: String) throws {
        let lab = try Lab()
        let previous = try lab.add(Inputs.bridge(version)).result
        let config = Self.config("loopback", version).with(("prevResult", previous))
        #expect(try lab.run("loopback", "ADD", config).orFail().canonical == previous.canonical)
        #expect(try isUp(lab))
    }

    @Test("loopback refuses addresses that are not of the loopback range")
    func strangeAddress() throws {
        let lab = try Lab()
        try lab.tool("ip", "address", "add", "10.5.5.5/32", "dev", "lo", in: "c0")
        let answer = try lab.run("loopback", "ADD", Self.config("loopback", "1.0.0"))
        #expect(answer.outcome.status == 1 || answer.document?.addresses == ["127.0.0.1/8", "::1/128"], "\(answer)")
    }

    @Test("loopback and eth0 at the same time")
    func concurrent() throws {
        for _ in 0..<5 {
            let lab = try Lab()
            try lab.write("/run/bridge.json", Inputs.bridge("1.0.0").text())
            try lab.write("/run/loopback.json", Self.config("loopback", "0.3.1").text())
            let script = [("bridge", "eth0"), ("loopback", "lo")].map { plugin, ifname in
                "CNI_COMMAND=ADD CNI_CONTAINERID=c0 CNI_NETNS=/run/netns/c0 CNI_IFNAME=\(ifname)"
                    + " CNI_PATH=\(Plugins.directory) \(Plugins.directory)/\(plugin) < /run/\(plugin).json"
                    + " > /run/\(plugin).out || touch /run/failed &\n"
            }
            try lab.tool("sh", "-c", script.joined() + "wait")
            #expect(try lab.list("/run").contains("failed") == false)
            #expect(try isUp(lab) && lab.addresses("eth0", in: "c0") == ["10.1.2.2/24"])
        }
    }

    @Test("null sets lo up and nothing else", .enabled(if: !Plugins.areReference, "ours"), arguments: Plugins.versions)
    func null(_ version: String) throws {
        let lab = try Lab()
        let start = try lab.world()
        let config = Self.config("null", version)
        let answer = try lab.run("null", "ADD", config)
        guard atLeast(version, "0.3.0") else {
            answer.expectRefusal(containing: "cannot convert: no valid IP addresses")
            try lab.world().expectEqual(to: start)
            try lab.run("null", "DEL", config).expectSilence()
            return
        }
        let result = answer.orFail()
        #expect(result["cniVersion"]?.string == version)
        #expect(result.addresses == [] && result["routes"] == nil)
        #expect(try isUp(lab))
        let changes = try lab.world().differences(from: start)
        #expect(
            changes.allSatisfy { $0.contains("c0/link/lo/") || $0.contains("c0/address/lo/") }, "\(changes)")
        #expect(try lab.linkNames(in: "c0") == ["lo"] && lab.routes(in: "c0") == [])
        let added = config.with(("prevResult", result))
        if atLeast(version, "0.4.0") {
            try lab.run("null", "CHECK", added).expectSilence()
            try lab.tool("ip", "link", "set", "lo", "down", in: "c0")
            try lab.run("null", "CHECK", added).expectRefusal()
        }
        for netns in ["/run/netns/c0", "", nil, "/run/netns/gone", "/etc/hosts"] as [String?] {
            try lab.run("null", "DEL", netns: netns, added).expectSilence()
        }
        try lab.run("null", "ADD", netns: "/etc/hosts", config).expectRefusal(containing: "/etc/hosts")
        #expect(try lab.world().facts.keys.allSatisfy { !$0.hasPrefix("file/var") })
    }

    @Test(
        "GC and STATUS have nothing to say", .enabled(if: !Plugins.areReference, "the reference has neither"),
        arguments: ["null", "loopback"])
    func upkeep(_ plugin: String) throws {
        let lab = try Lab()
        let start = try lab.world()
        for command in ["GC", "STATUS"] {
            let config = Self.config(plugin, "1.1.0").with(("cni.dev/valid-attachments", []))
            try lab.run(PluginCall(plugin, command, containerID: nil, ifname: nil, netns: nil, input: config.text()))
                .expectSilence()
        }
        try lab.world().expectEqual(to: start)
    }
}
