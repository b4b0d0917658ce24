import JSON
import System
import TestSupport
import Testing

/// DEL in every state the world can be in.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct BridgeReleaseTests {
    static let isReferenceInstalled = Files.exists("\(Plugins.reference)/bridge")

    /// What a runtime may say of the namespace on DEL, after what happened to it.
    enum Ending: String, CaseIterable, CustomTestStringConvertible {
        case normal = "the namespace is there"
        case empty = "CNI_NETNS is empty"
        case unset = "CNI_NETNS is not set"
        case gone = "the namespace is gone"
        case regularFile = "the namespace's path is a regular file"
        case directory = "the namespace's path is a directory"
        case otherProcFile = "the namespace's path is another file of /proc"
        case otherNamespace = "the namespace's path is a namespace of another kind"
        case interfaceGone = "the interface is gone"
        case interfaceRenamed = "the interface has another name"
        case bridgeGone = "the bridge is gone"
        var testDescription: String { rawValue }
        var referenceReleases: Bool { [.normal, .interfaceGone, .bridgeGone].contains(self) }
    }

    @Test("Everything is released", arguments: Ending.allCases, [true, false])
    func endings(_ ending: Ending, _ hasResult: Bool) throws {
        if Plugins.areReference && !ending.referenceReleases { return }
        let lab = try Lab(containers: 2)
        let plain = Inputs.bridge("1.0.0", ["10.1.2.0/24", "2001:db8::/64"])
        // A neighbour, to see that only the one is released.
        try lab.add(plain, containerID: "c1")
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        let (added, _) = try lab.add(plain)
        var netns: String? = "/run/netns/c0"
        switch ending {
        case .normal: break
        case .empty: netns = ""
        case .unset: netns = nil
        case .gone: try lab.removeContainer("c0")
        case .regularFile: netns = "/etc/hosts"
        case .directory: netns = "/run/netns"
        case .otherProcFile: netns = "/proc/meminfo"
        case .otherNamespace: netns = "/proc/self/ns/uts"
        case .interfaceGone: try lab.tool("ip", "link", "delete", "eth0", in: "c0")
        case .interfaceRenamed:
            try lab.tool("ip", "link", "set", "eth0", "down", in: "c0")
            try lab.tool("ip", "link", "set", "eth0", "name", "ens3", in: "c0")
        case .bridgeGone: try lab.tool("ip", "link", "delete", "br0")
        }
        for _ in 0..<2 {
            try lab.run("bridge", "DEL", netns: netns, hasResult ? added : plain).expectSilence(ending.rawValue)
            #expect(try lab.reservations("net").values.sorted() == ["c1\r\neth0", "c1\r\neth0"])
        }
        // A neighbour without its bridge differs in more than DEL could put right.
        func differences() throws -> [String] {
            if ending == .bridgeGone { return try lab.veths().count == 1 ? [] : try lab.veths() }
            let isGoing = { (name: String) in ending == .gone && name.hasPrefix("c0/") }
            return try lab.attachmentsOnly(bridges: ["br0"]).without(isGoing).differences(from: start.without(isGoing))
        }
        _ = try lab.eventually { try ending != .gone || differences().isEmpty }
        #expect(try differences() == [])
        if ending != .gone { #expect(try lab.linkNames(in: "c0") == ["lo"]) }
    }

    @Test(
        "DEL never refuses a configuration",
        .enabled(if: !Plugins.areReference, "the reference validates on DEL as on ADD"),
        arguments: [
            #"{"vlan":5000}"#, #"{"mtu":"1500"}"#, #"{"hairpinMode":true,"promiscMode":true}"#,
            #"{"ipMasq":true}"#, #"{"macspoofchk":true}"#, #"{"isGateway":"yes"}"#, #"{"vlanTrunk":7}"#,
            #"{"bridge":"far-too-long-a-name"}"#, #"{"bridge":7}"#, #"{"bridge":"br7"}"#, #"{"runtimeConfig":[]}"#,
            #"{"args":"x"}"#, #"{"prevResult":"nonsense"}"#, #"{"prevResult":{"cniVersion":"9.9.9"}}"#,
            #"{"dns":7}"#, #"{"ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.2.0/31"}]]}}"#,
            #"{"ipam":{"type":"host-local","subnet":"nonsense"}}"#, #"{"ipam":{"type":"host-local"}}"#,
        ])
    func brokenConfiguration(_ json: String) throws {
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        let (added, _) = try lab.add(Inputs.bridge("1.0.0"))
        var config = added
        for member in try Value(parsing: Array(json.utf8)).members { config[member.key] = member.value }
        try lab.run("bridge", "DEL", config).expectSilence(json)
        try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start)
    }

    @Test(
        "Links are removed even when the delegate is missing, and the delegate's fault is reported",
        .enabled(if: !Plugins.areReference, "the reference stops"))
    func missingDelegate() throws {
        let lab = try Lab()
        let (added, _) = try lab.add(Inputs.bridge("1.0.0"))
        try lab.run("bridge", "DEL", path: "/run/none", added.with(("ipam", ["type": "nowhere"]))).expectRefusal(
            containing: "nowhere")
        #expect(try lab.veths() == [] && lab.linkNames(in: "c0") == ["lo"])
        // host-local's files are known to us, its executable is not needed.
        try lab.run("bridge", "DEL", path: "/run/none", added).expectSilence()
        #expect(try lab.reservations("net") == [:])
    }

    @Test("DEL does not touch what is not ours", .enabled(if: !Plugins.areReference, "the reference deletes by name"))
    func foreignInterface() throws {
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        try lab.run("bridge", "DEL", ifname: "lo", Inputs.bridge("1.0.0")).expectSilence()
        try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start)
    }

    @Test(
        "Another network's interface of the same name stays",
        .enabled(if: !Plugins.areReference, "the reference deletes by name"), arguments: ["bridge", "overlay-vxlan"])
    func anotherNetwork(_ plugin: String) throws {
        let lab = try Lab()
        let (added, _) = try lab.add(Inputs.bridge("1.0.0", name: "a", bridge: "br1"))
        let before = try lab.world()
        var config = Inputs.bridge("1.0.0", ["10.7.0.0/24"], name: "b", bridge: "br2")
        if plugin != "bridge" {
            config = Value.object(
                Object([
                    ("cniVersion", "1.0.0"), ("name", "b"), ("type", .string(plugin)), ("subnet", "10.7.0.0/24"),
                    ("peers", ["192.0.2.1"]),
                ]))
        }
        try lab.run(plugin, "ADD", config).expectRefusal()
        try lab.run(plugin, "DEL", config).expectSilence()
        try lab.world().expectEqual(to: before)
        try lab.run("bridge", "CHECK", added).expectSilence()
    }

    @Test(
        "What the reference made, ours removes",
        .enabled(if: isReferenceInstalled, "the reference plugins are not installed"),
        .enabled(if: !Plugins.areReference, "both would be the same"),
        arguments: [nil, "", "/run/netns/c0"] as [String?])
    func referenceAdds(_ netns: String?) throws {
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        let config = Inputs.bridge("1.0.0", ["10.1.2.0/24", "2001:db8::/64"])
        let result = try lab.run("\(Plugins.reference)/bridge", "ADD", path: Plugins.reference, config).orFail()
        let added = config.with(("prevResult", result))
        try lab.run("bridge", "CHECK", added).expectSilence()
        try lab.run("bridge", "DEL", netns: netns, added).expectSilence()
        try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start)
    }

    @Test(
        "What ours made, the reference removes",
        .enabled(if: isReferenceInstalled, "the reference plugins are not installed"),
        .enabled(if: !Plugins.areReference, "both would be the same"))
    func referenceDeletes() throws {
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        let (added, _) = try lab.add(Inputs.bridge("1.0.0", ["10.1.2.0/24", "2001:db8::/64"]))
        try lab.run("\(Plugins.reference)/bridge", "CHECK", path: Plugins.reference, added).expectSilence()
        try lab.run("\(Plugins.reference)/bridge", "DEL", path: Plugins.reference, added).expectSilence()
        try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start)
    }
}
