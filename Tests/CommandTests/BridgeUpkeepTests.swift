import JSON
import TestSupport
import Testing

/// GC and STATUS of `bridge`, and the keys of our own.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has neither GC nor STATUS nor these keys"))
struct BridgeUpkeepTests {
    private func collect(_ lab: Lab, _ config: Value) throws -> PluginAnswer {
        try lab.run(PluginCall("bridge", "GC", containerID: nil, ifname: nil, netns: nil, input: config.text()))
    }

    private func status(_ lab: Lab, _ config: Value) throws -> PluginAnswer {
        try lab.run(PluginCall("bridge", "STATUS", containerID: nil, ifname: nil, netns: nil, input: config.text()))
    }

    private static func attachment(_ id: String, _ ifname: String = "eth0") -> Value {
        ["containerID": .string(id), "ifname": .string(ifname)]
    }

    @Test(
        "GC removes links and addresses of what is not valid",
        arguments: ["cni.dev/valid-attachments", "cni.dev/attachments"])
    func collectsInvalid(_ key: String) throws {
        let lab = try Lab(containers: 3)
        let config = Inputs.bridge("1.1.0")
        try lab.add(config)
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        try lab.add(config, ifname: "eth1")
        try lab.add(config, containerID: "c1")
        try lab.add(Inputs.bridge("1.1.0", ["10.3.0.0/24"], name: "other", bridge: "br1"), containerID: "c2")
        let other = try lab.attachmentsOnly(bridges: ["br0", "br1"])
        let valid: Value = [Self.attachment("c0"), Self.attachment("c9")]
        try collect(lab, config.with((key, valid))).expectSilence()
        #expect(try lab.reservations("net") == ["10.1.2.2": "c0\r\neth0"])
        #expect(try lab.veths().count == 2)
        #expect(try lab.linkNames(in: "c0") == ["eth0", "lo"] && lab.linkNames(in: "c1") == ["lo"])
        #expect(try lab.linkNames(in: "c2") == ["eth0", "lo"] && lab.reservations("other").count == 1)
        // The kept one was not touched.
        let kept = start.without { !$0.hasPrefix("c0/") && !$0.hasPrefix("file/") }
        let now = try lab.attachmentsOnly(bridges: ["br0"]).without {
            (!$0.hasPrefix("c0/") && !$0.hasPrefix("file/")) || $0.contains("/networks/other/")
        }
        now.expectEqual(to: kept)
        let end = try lab.attachmentsOnly(bridges: ["br0", "br1"])
        #expect(end.differences(from: other).allSatisfy { $0.hasPrefix("- ") })
        try collect(lab, config.with((key, valid))).expectSilence()
        try lab.attachmentsOnly(bridges: ["br0", "br1"]).expectEqual(to: end)
    }

    @Test("GC of everything, and of containers whose namespace is gone", arguments: [[], nil] as [Value])
    func collectsAll(_ empty: Value) throws {
        let lab = try Lab(containers: 2)
        let config = Inputs.bridge("1.1.0", ["10.1.2.0/24", "2001:db8::/64"])
        let start = try lab.attachmentsOnly(bridges: ["br0"]).without { $0.hasPrefix("c1/") }
        try lab.add(config)
        try lab.add(config, containerID: "c1")
        try lab.removeContainer("c1")
        try collect(lab, config.with(("cni.dev/valid-attachments", empty))).expectSilence()
        try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start)
    }

    @Test("Without a list of valid attachments none is known to be invalid")
    func collectsNothing() throws {
        let lab = try Lab()
        let config = Inputs.bridge("1.1.0")
        try lab.add(config)
        let start = try lab.world()
        try collect(lab, config).expectSilence()
        try lab.world().expectEqual(to: start)
    }

    @Test("STATUS is honest")
    func honestStatus() throws {
        let lab = try Lab()
        let config = Inputs.bridge("1.1.0", ["10.1.2.0/30"])
        let start = try lab.world().withoutBookkeeping()
        try status(lab, config).expectSilence()
        try status(lab, Inputs.bridge("1.1.0", [])).expectSilence()
        try lab.world().withoutBookkeeping().expectEqual(to: start, "STATUS changed something")
        let (added, _) = try lab.add(config)
        let exhausted = try status(lab, config)
        exhausted.expectRefusal(code: 50)
        #expect(exhausted.words.contains("10.1.2.1-10.1.2.2"), "\(exhausted)")
        try lab.delete(added)
        try status(lab, config).expectSilence()
        try lab.tool("ip", "link", "delete", "br0")
        try lab.tool("ip", "link", "add", "br0", "type", "veth", "peer", "name", "peer0")
        try status(lab, config).expectRefusal(containing: "\"br0\" already exists but is not a bridge")
        try status(lab, config.with(("bridge", "br1"), ("ipMasq", true))).expectSilence()
        try status(lab, config.with(("bridge", "br1"), ("ipam", ["type": "nowhere"]))).expectRefusal(
            containing: "nowhere")
    }

    @Test(
        "Containers of a network without communication reach the gateway, not each other", arguments: [true, false],
        [false, true])
    func noCommunication(_ isIsolated: Bool, _ filtersBridged: Bool) throws {
        let lab = try Lab(containers: 2)
        try lab.filterBridged(filtersBridged)
        let config = Inputs.bridge("1.1.0", FilterInputs.dual, more: [("icc", .bool(!isIsolated))])
        let results = try lab.containers.map { try lab.add(config, containerID: $0).result }
        let servers = try [lab.serve(nil), lab.serve("c1")]
        for (family, gateway) in ["10.1.2.1", "2001:db8::1"].enumerated() {
            let (own, peer) = (results[0].addresses[family].plain, results[1].addresses[family].plain)
            #expect(try lab.ask(.tcp, gateway, from: "c0") == "host \(own)")
            for transport in Transport.allCases {
                let answer = try lab.ask(transport, peer, from: "c0", timeout: isIsolated ? 250 : 10_000)
                #expect(answer == (isIsolated ? nil : "c1 \(own)"))
            }
        }
        withExtendedLifetime(servers) {}
    }

    @Test("An internal network has no way out")
    func internalNetwork() throws {
        let lab = try Lab()
        var config = Inputs.bridge("1.1.0", ["10.1.2.0/24", "2001:db8::/64"], more: [("internal", true)])
        config["isDefaultGateway"] = nil
        config["isGateway"] = true
        config["ipam"] = Inputs.ipam(
            ["10.1.2.0/24", "2001:db8::/64"], [("routes", [["dst": "0.0.0.0/0"], ["dst": "::/0"]])])
        let (added, result) = try lab.add(config)
        #expect(result.addresses == ["10.1.2.2/24", "2001:db8::2/64"])
        #expect(!result.destinations.contains("0.0.0.0/0") && !result.destinations.contains("::/0"))
        #expect(try lab.routes(in: "c0") == ["10.1.2.0/24", "2001:db8::/64"])
        let facts = try lab.world().facts
        #expect(facts["host/sysctl4/ip_forward"] == "0" && facts["host/sysctl6/all/forwarding"] == "0")
        #expect(try Set(lab.addresses("br0")) == ["10.1.2.1/24", "2001:db8::1/64"])
        try lab.run("bridge", "CHECK", added).expectSilence()
        try lab.delete(added)
    }

    @Test("The bridge's name comes from the network's", arguments: ["net", "a-long-network-name", "n"])
    func derivedName(_ network: String) throws {
        let lab = try Lab()
        let (added, result) = try lab.add(Inputs.bridge("1.1.0", name: network, bridge: nil))
        let name = result.interfaceName(0)
        #expect(name.hasPrefix("br-") && name.utf8.count <= 15)
        if network.count <= 12 { #expect(name == "br-\(network)") }
        #expect(try lab.link(name) != nil)
        // The same network finds it again, another one gets another.
        let other = try lab.add(
            Inputs.bridge("1.1.0", ["10.4.0.0/24"], name: "x\(network)", bridge: nil), ifname: "eth1")
        #expect(other.result.interfaceName(0) != name)
        try lab.delete(added)
        #expect(try lab.add(Inputs.bridge("1.1.0", name: network, bridge: nil)).result.interfaceName(0) == name)
    }

    @Test("Host veths are named and marked after their attachment")
    func names() throws {
        let lab = try Lab(containers: 2)
        let config = Inputs.bridge("1.1.0")
        let (added, first) = try lab.add(config)
        let name = first.interfaceName(1)
        #expect(name.count == 15 && name.hasPrefix("veth"))
        #expect(name.dropFirst(4).allSatisfy { "abcdefghijklmnopqrstuvwxyz234567".contains($0) })
        let alias = try lab.link(name)?["ifalias"]?.string ?? ""
        #expect(["net", "c0", "eth0"].allSatisfy { alias.split(separator: " ").contains(Substring($0)) }, "\(alias)")
        try lab.delete(added)
        #expect(try lab.add(config).result.interfaceName(1) == name)
        #expect(try lab.add(config, ifname: "eth1").result.interfaceName(1) != name)
        #expect(try lab.add(config, containerID: "c1").result.interfaceName(1) != name)
        // Another host gives it the same name: nothing but the attachment counts.
        #expect(try Lab().add(config).result.interfaceName(1) == name)
    }

    @Test("Two attachments of one container to one network", arguments: Plugins.versions)
    func twoAttachments(_ version: String) throws {
        let lab = try Lab()
        let config = Inputs.bridge(version)
        let (first, _) = try lab.add(config)
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        let second = try lab.run("bridge", "ADD", ifname: "eth1", config).orFail()
        #expect(second.addresses == ["10.1.2.3/24"])
        if atLeast(version, "0.4.0") {
            try lab.run("bridge", "CHECK", first).expectSilence()
            try lab.run("bridge", "CHECK", ifname: "eth1", config.with(("prevResult", second))).expectSilence()
        }
        try lab.delete(config.with(("prevResult", second)), ifname: "eth1", netns: "")
        try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start)
        if atLeast(version, "0.4.0") { try lab.run("bridge", "CHECK", first).expectSilence() }
        try lab.delete(first)
        #expect(try lab.veths() == [] && lab.reservations("net") == [:])
    }

    @Test("host-local in process and as a program of its own give the same", arguments: Plugins.versions)
    func delegateByExec(_ version: String) throws {
        let (inProcess, byExec) = (try Lab(), try Lab())
        // What is not recognised as ours is run as a program.
        try byExec.write(
            "/run/plugins/host-local",
            "#!/bin/sh\necho $CNI_COMMAND >> /run/calls\nexec \(Plugins.directory)/host-local\n", mode: 0o755)
        let config = Inputs.bridge(version, ["10.1.2.0/30", "2001:db8::/64"])
        var worlds: [World] = []
        for (lab, path) in [(inProcess, Plugins.directory), (byExec, "/run/plugins")] {
            let result = try lab.run("bridge", "ADD", path: path, config).orFail()
            #expect(result.addresses == ["10.1.2.2/30", "2001:db8::2/64"])
            worlds.append(try lab.attachmentsOnly(bridges: ["br0"]))
            let full = try lab.run("bridge", "ADD", containerID: "c1", ifname: "eth1", path: path, config)
            full.expectRefusal(containing: "no IP addresses available in range set: 10.1.2.1-10.1.2.2")
            try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: worlds[worlds.count - 1])
            let added = config.with(("prevResult", result))
            if atLeast(version, "0.4.0") { try lab.run("bridge", "CHECK", path: path, added).expectSilence() }
            if atLeast(version, "1.1.0") {
                try lab.run("bridge", "STATUS", path: path, config).expectRefusal(code: 50)
            }
            try lab.run("bridge", "DEL", path: path, added).expectSilence()
            #expect(try lab.reservations("net") == [:])
        }
        worlds[1].expectEqual(to: worlds[0])
        let calls = try byExec.read("/run/calls")
        #expect(calls.hasPrefix("ADD\nADD\n") && calls.hasSuffix("DEL\n"), "\(calls)")
    }

    @Test("Many containers at once, cold")
    func parallel() throws {
        let ids = (0..<8).map { "c\($0)" }
        let lab = try Lab(containers: ids.count)
        let config = Inputs.bridge("1.1.0", ["10.1.2.0/24", "2001:db8::/64"])
        func together(_ command: String) throws {
            // One shell starts them all; each has its own environment.
            let script = ids.map { id in
                "CNI_COMMAND=\(command) CNI_CONTAINERID=\(id) CNI_NETNS=/run/netns/\(id) CNI_IFNAME=eth0"
                    + " CNI_PATH=\(Plugins.directory) \(Plugins.directory)/bridge < /run/config > /run/\(id).out"
                    + " || echo \(id) >> /run/failed &"
            }
            try lab.write("/run/config", config.text())
            try lab.tool("sh", "-c", script.joined(separator: "\n") + "\nwait")
            let failed = (try? lab.read("/run/failed"))?.split(separator: "\n") ?? []
            for id in failed { Issue.record("\(command) \(id): \(try lab.read("/run/\(id).out"))") }
        }
        try together("ADD")
        #expect(try lab.veths().count == ids.count)
        #expect(try lab.reservations("net").count == 2 * ids.count)
        #expect(try Set(lab.addresses("br0")) == ["10.1.2.1/24", "2001:db8::1/64"])
        for id in ids { #expect(try lab.addresses("eth0", in: id).count == 2) }
        try together("DEL")
        #expect(try lab.veths() == [] && lab.reservations("net") == [:])
    }
}
