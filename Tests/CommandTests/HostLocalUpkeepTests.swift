import JSON
import TestSupport
import Testing

/// GC, STATUS and the keys of our own of `host-local`; the reference has none of them.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has neither GC nor STATUS"))
struct HostLocalUpkeepTests {
    static let directory = "/var/lib/cni/networks/net"
    let config = Inputs.hostLocal("1.1.0")

    private func labWithThree() throws -> Lab {
        let lab = try Lab()
        for id in ["c0", "c1", "c2"] { try lab.run("host-local", "ADD", containerID: id, config).orFail() }
        return lab
    }

    private func collect(_ lab: Lab, _ more: (String, Value)...) throws -> PluginAnswer {
        var request = config
        for (key, value) in more { request[key] = value }
        return try lab.run(
            PluginCall("host-local", "GC", containerID: nil, ifname: nil, netns: nil, input: request.text()))
    }

    private static func attachment(_ id: String, _ ifname: String = "eth0") -> Value {
        ["containerID": .string(id), "ifname": .string(ifname)]
    }

    @Test("GC keeps what is valid", arguments: ["cni.dev/valid-attachments", "cni.dev/attachments"])
    func collectsInvalid(_ key: String) throws {
        let lab = try labWithThree()
        try lab.run("host-local", "ADD", containerID: "c0", ifname: "eth1", config).orFail()
        try lab.write("\(Self.directory)/10.1.2.100", "old")
        try lab.write("\(Self.directory)/10.1.2.101", "c2")
        let valid: Value = [Self.attachment("c0"), Self.attachment("c2")]
        try collect(lab, (key, valid)).expectSilence()
        #expect(
            try lab.reservations("net")
                == ["10.1.2.2": "c0\r\neth0", "10.1.2.4": "c2\r\neth0", "10.1.2.101": "c2"])
        // A second time there is nothing to do.
        try collect(lab, (key, valid)).expectSilence()
        #expect(try lab.reservations("net").count == 3)
        #expect(try lab.read("\(Self.directory)/last_reserved_ip.0") == "10.1.2.5")
    }

    @Test("An empty list of valid attachments means none is valid")
    func collectsAll() throws {
        // CRI-O says null when the network has no containers.
        for empty in [[], nil] as [Value] {
            let lab = try labWithThree()
            try collect(lab, ("cni.dev/valid-attachments", empty)).expectSilence()
            #expect(try lab.reservations("net") == [:])
        }
    }

    @Test("Without a list nothing is known to be invalid")
    func collectsNothing() throws {
        let lab = try labWithThree()
        try collect(lab).expectSilence()
        #expect(try lab.reservations("net").count == 3)
    }

    @Test("GC leaves other networks alone")
    func collectsOwnNetwork() throws {
        let lab = try labWithThree()
        try lab.run("host-local", "ADD", Inputs.hostLocal("1.1.0", name: "other")).orFail()
        try collect(lab, ("cni.dev/valid-attachments", [])).expectSilence()
        #expect(try lab.reservations("other").count == 1)
    }

    @Test("GC refuses a list it cannot read")
    func malformedList() throws {
        for value in ["text", [["containerID": 1]], ["c0"], [:]] as [Value] {
            let lab = try labWithThree()
            try collect(lab, ("cni.dev/valid-attachments", value)).expectRefusal(nil, value.text())
            #expect(try lab.reservations("net").count == 3)
        }
    }

    @Test("GC works with a configuration that no longer validates")
    func collectsWithBrokenConfiguration() throws {
        let lab = try labWithThree()
        try collect(
            lab, ("cni.dev/valid-attachments", []), ("ipam", ["type": "host-local", "ranges": [[["subnet": "x"]]]])
        ).expectSilence()
        #expect(try lab.reservations("net") == [:])
    }

    private func status(_ lab: Lab, _ config: Value) throws -> PluginAnswer {
        try lab.run(PluginCall("host-local", "STATUS", containerID: nil, ifname: nil, netns: nil, input: config.text()))
    }

    @Test("STATUS says when no address is left")
    func exhausted() throws {
        let lab = try Lab()
        let small = Inputs.hostLocal("1.1.0", ["10.1.2.0/30"])
        try status(lab, small).expectSilence()
        #expect(try lab.list(Self.directory).filter(World.isAddress) == [])
        try lab.run("host-local", "ADD", small).orFail()
        let answer = try status(lab, small)
        answer.expectRefusal(code: 50)
        #expect(answer.words.contains("10.1.2.1-10.1.2.2"), "\(answer)")
        try lab.run("host-local", "DEL", small).expectSilence()
        try status(lab, small).expectSilence()
    }

    @Test("STATUS says when the store cannot be written")
    func unwritable() throws {
        let lab = try Lab()
        // Root may write anywhere but on a read-only file system.
        try lab.tool("mount", "-t", "tmpfs", "-o", "ro", "tmpfs", "/var/lib/cni")
        let answer = try status(lab, config)
        answer.expectRefusal(code: 50)
        #expect(answer.words.contains("/var/lib/cni"), "\(answer)")
        try lab.run("host-local", "ADD", config).expectRefusal(containing: "/var/lib/cni")
    }

    @Test("STATUS refuses a configuration ADD would refuse")
    func statusOfInvalid() throws {
        let lab = try Lab()
        try status(lab, Inputs.hostLocal("1.1.0", ["10.1.2.0/31"])).expectRefusal(containing: "too small")
    }

    @Test("Excluded addresses are never handed out")
    func exclusions() throws {
        let lab = try Lab()
        let config = Inputs.hostLocal(
            "1.1.0", ["10.1.2.0/29", "2001:db8:1::/64"],
            ipam: [("exclude", ["10.1.2.2", "10.1.2.4/31", "2001:db8:1::/126"])])
        #expect(
            try lab.run("host-local", "ADD", config).orFail().addresses == ["10.1.2.3/29", "2001:db8:1::4/64"])
        #expect(
            try lab.run("host-local", "ADD", containerID: "c1", config).orFail().addresses
                == ["10.1.2.6/29", "2001:db8:1::5/64"])
        try lab.run("host-local", "ADD", containerID: "c2", config).expectRefusal(
            containing: "no IP addresses available in range set")
        try lab.run("host-local", "ADD", containerID: "c2", arguments: "IP=10.1.2.5", config).expectRefusal()
        #expect(try lab.reservations("net").count == 4)
        try status(lab, config).expectRefusal(code: 50)
    }

    @Test("A repeated ADD may get the same address back")
    func reuse() throws {
        let lab = try Lab()
        let config = Inputs.hostLocal("1.1.0", ipam: [("onDuplicate", "reuse")])
        let first = try lab.run("host-local", "ADD", config).orFail()
        let second = try lab.run("host-local", "ADD", config).orFail()
        #expect(first == second && first.addresses == ["10.1.2.2/24"])
        #expect(try lab.reservations("net") == ["10.1.2.2": "c0\r\neth0"])
        #expect(try lab.run("host-local", "ADD", containerID: "c1", config).orFail().addresses == ["10.1.2.3/24"])
        let unknown = Inputs.hostLocal("1.1.0", ipam: [("onDuplicate", "perhaps")])
        try lab.run("host-local", "ADD", containerID: "c2", unknown).expectRefusal(containing: "onDuplicate")
    }
}
