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

    @Test(
        "Masquerading is refused by name", .enabled(if: !Plugins.areReference, "the reference does it"),
        arguments: interfaces)
    func masquerade(_ interface: String) throws {
        let lab = try Lab()
        let start = try lab.world()
        let answer = try lab.run(call("\(interface)-bridge-ADD", "bridge", netns: lab.netns("c0")))
        answer.expectRefusal(code: 2, containing: "ipMasq")
        #expect(answer.words.contains("true"))
        try lab.world().expectEqual(to: start)
    }

    @Test("Without masquerading bridge answers as the reference did", arguments: interfaces)
    func bridge(_ interface: String) throws {
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: ["cni-podman1", "cni-podman2"])
        let name = "\(interface)-bridge"
        var add = try call("\(name)-ADD", "bridge", netns: lab.netns("c0"))
        if !Plugins.areReference { add.input = add.input.replacing("\"ipMasq\":true", with: "\"ipMasq\":false") }
        let answer = try lab.run(add)
        let result = answer.orFail()
        #expect(try Self.masked(result) == captured("\(name)-ADD"))
        #expect(try lab.linkNames(in: "c0") == [interface, "lo"])
        if interface == "eth0" {
            #expect(try lab.link("eth0", in: "c0")?["address"]?.string == "02:11:22:33:44:55")
            #expect(try lab.link("eth0", in: "c0")?["mtu"]?.integer == 1400)
        }
        #expect(try lab.portFlag(result.interfaceName(1), "hairpin") == true)
        // As captured: with ipMasq, and with the result of another host.
        let delete = try call("\(name)-DEL", "bridge", netns: lab.netns("c0"))
        for _ in 0..<2 { try lab.run(delete).expectSilence() }
        let end = try lab.attachmentsOnly(bridges: ["cni-podman1", "cni-podman2"])
        end.without { $0.contains("tables") || $0.contains("/nft/") }.expectEqual(to: start)
    }

    @Test("Both networks of one container, in podman's order")
    func both() throws {
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: ["cni-podman1", "cni-podman2"])
        for interface in Self.interfaces {
            var add = try call("\(interface)-bridge-ADD", "bridge", netns: lab.netns("c0"))
            if !Plugins.areReference { add.input = add.input.replacing("\"ipMasq\":true", with: "\"ipMasq\":false") }
            let result = try lab.run(add).orFail()
            #expect(try Self.masked(result) == captured("\(interface)-bridge-ADD"))
        }
        #expect(try lab.linkNames(in: "c0") == ["eth0", "eth1", "lo"])
        for interface in Self.interfaces {
            try lab.run(call("\(interface)-bridge-DEL", "bridge", netns: lab.netns("c0"))).expectSilence()
        }
        let end = try lab.attachmentsOnly(bridges: ["cni-podman1", "cni-podman2"])
        end.without { $0.contains("tables") || $0.contains("/nft/") }.expectEqual(to: start)
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
