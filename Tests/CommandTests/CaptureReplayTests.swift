import JSON
import TestSupport
import Testing

/// What podman 4.3.1 really sent to the reference plugins, sent to ours.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct CaptureReplayTests {
    static let folder = "podman-4.3.1"
    static let interfaces = ["eth0", "eth1"]

    /// A captured call with the container's namespace and the plugins' directory put in their place.
    private func call(_ name: String, _ plugin: String, netns: String) throws -> PluginCall {
        var variables: [String: String] = [:]
        for line in try Golden.text("\(Self.folder)/\(name).env").split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            variables[String(parts[0])] = String(parts[1])
        }
        let captured = variables["CNI_NETNS"] ?? ""
        let input = try Golden.text("\(Self.folder)/\(name).in").replacing(captured, with: netns)
        return PluginCall(
            plugin, variables["CNI_COMMAND"], containerID: variables["CNI_CONTAINERID"],
            ifname: variables["CNI_IFNAME"],
            netns: netns, arguments: variables["CNI_ARGS"], input: input)
    }

    private func captured(_ name: String, netns: String = "") throws -> Value {
        var result = try Value(parsing: Golden.bytes("\(Self.folder)/\(name).out"))
        result = try Self.masked(result)
        return result
    }

    /// The result without what is random: the host veth's name, and MACs nobody asked for.
    private static func masked(_ result: Value) throws -> Value {
        var copy = result
        copy["interfaces"] = result["interfaces"].map { interfaces in
            .array(
                interfaces.elements.enumerated().map { index, interface in
                    var interface = interface
                    if index == 1 { interface["name"] = "veth" }
                    if interface["mac"]?.string != "02:11:22:33:44:55" { interface["mac"] = "mac" }
                    if interface["sandbox"] != nil { interface["sandbox"] = "sandbox" }
                    return interface
                })
        }
        return copy
    }

    @Test("VERSION as podman asks it of every plugin")
    func version() throws {
        let lab = try Lab()
        for plugin in ["bridge", "host-local", "loopback"] {
            var call = PluginCall(
                plugin, "VERSION", containerID: "", ifname: "dummy", netns: "dummy", arguments: "", path: "dummy")
            call.input = try Golden.text("\(Self.folder)/VERSION.in")
            let document = try lab.run(call).orFail()
            let expected = try Value(parsing: Golden.bytes("\(Self.folder)/VERSION.out"))
            for version in expected["supportedVersions"]?.elements ?? [] {
                #expect(document["supportedVersions"]?.elements.contains(version) == true)
            }
        }
    }

    @Test("host-local answers as the reference did, to the byte", arguments: interfaces)
    func hostLocal(_ interface: String) throws {
        let lab = try Lab()
        let name = "\(interface)-host-local"
        let answer = try lab.run(call("\(name)-ADD", "host-local", netns: lab.netns("c0")))
        #expect(answer.succeeded, "\(answer)")
        let expected = try Golden.text("\(Self.folder)/\(name)-ADD.out")
        #expect(answer.outcome.text == expected)
        let network = interface == "eth0" ? "multi" : "back"
        #expect(try lab.reservations(network).count == 1)
        try lab.run(call("\(name)-DEL", "host-local", netns: lab.netns("c0"))).expectSilence()
        #expect(try lab.reservations(network) == [:])
    }

    /// Host state without what the packet filter keeps for all containers; leftovers are FilterLeakTests' business.
    private func links(_ lab: Lab) throws -> World {
        try lab.attachmentsOnly(bridges: ["cni-podman1", "cni-podman2"]).without {
            $0.contains("tables") || $0.contains("/nft/")
        }
    }

    @Test("bridge answers as the reference did", arguments: interfaces)
    func bridge(_ interface: String) throws {
        let lab = try Lab()
        let start = try links(lab)
        let name = "\(interface)-bridge"
        let result = try lab.run(call("\(name)-ADD", "bridge", netns: lab.netns("c0"))).orFail()
        #expect(try Self.masked(result) == captured("\(name)-ADD"))
        #expect(try lab.linkNames(in: "c0") == [interface, "lo"])
        if interface == "eth0" {
            #expect(try lab.link("eth0", in: "c0")?["address"]?.string == "02:11:22:33:44:55")
            #expect(try lab.link("eth0", in: "c0")?["mtu"]?.integer == 1400)
        }
        #expect(try lab.portFlag(result.interfaceName(1), "hairpin") == true)
        // As captured: with the result of another host.
        let delete = try call("\(name)-DEL", "bridge", netns: lab.netns("c0"))
        for _ in 0..<2 { try lab.run(delete).expectSilence() }
        try links(lab).expectEqual(to: start)
    }

    @Test("Both networks of one container with all plugins, in podman's order")
    func both() throws {
        let lab = try Lab()
        let start = try links(lab)
        try lab.addOutside()
        let server = try lab.serve("c0")
        for interface in Self.interfaces {
            for plugin in ["bridge", "portmap", "firewall"] {
                let name = "\(interface)-\(plugin)-ADD"
                let result = try lab.run(call(name, plugin, netns: lab.netns("c0"))).orFail(name)
                #expect(try Self.masked(result) == captured(name), "\(name)")
            }
        }
        #expect(try lab.linkNames(in: "c0") == ["eth0", "eth1", "lo"])
        #expect(try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2")
        for interface in Self.interfaces.reversed() {
            for plugin in ["firewall", "portmap", "bridge"] {
                try lab.run(call("\(interface)-\(plugin)-DEL", plugin, netns: lab.netns("c0"))).expectSilence(plugin)
            }
        }
        try lab.removeContainer("outside")
        withExtendedLifetime(server) {}
        let isUplink = { (name: String) in name.contains("/up0") || name.hasPrefix("outside/") }
        _ = try lab.eventually { try lab.link("up0") == nil }
        try links(lab).without(isUplink).expectEqual(to: start)
    }

    @Test("DEL of what another host added succeeds")
    func deleteOnly() throws {
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: [])
        for interface in Self.interfaces {
            for netns in [lab.netns("c0"), "/run/netns/gone"] {
                try lab.run(call("\(interface)-bridge-DEL", "bridge", netns: netns)).expectSilence()
                try lab.run(call("\(interface)-host-local-DEL", "host-local", netns: netns)).expectSilence()
            }
        }
        #expect(
            try lab.attachmentsOnly(bridges: []).without { $0.contains("tables") || $0.contains("/nft/") }.differences(
                from: start) == [])
    }
}
