import JSON
import TestSupport
import Testing

/// CHECK after ADD: quiet while all is as it was made, an error as soon as anything of it changed.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct BridgeCheckTests {
    /// One disturbance: where it happens, the command, and whether the reference notices it too.
    struct Disturbance: CustomTestStringConvertible, Sendable {
        let place: String?
        let command: String
        var config: [(String, Value)] = []
        var referenceNotices = false
        var layer2 = true
        var testDescription: String { "\(place ?? "host"): \(command)" }
    }

    static let disturbances: [Disturbance] = [
        Disturbance(place: "c0", command: "ip address del 10.1.2.2/24 dev eth0", referenceNotices: true, layer2: false),
        Disturbance(
            place: "c0", command: "ip address del 2001:db8::2/64 dev eth0", referenceNotices: true, layer2: false),
        Disturbance(place: "c0", command: "ip route del default", referenceNotices: true, layer2: false),
        Disturbance(place: "c0", command: "ip -6 route del default", referenceNotices: true, layer2: false),
        Disturbance(place: "c0", command: "ip route del 10.1.2.0/24", referenceNotices: true, layer2: false),
        Disturbance(place: "c0", command: "ip link set eth0 address 02:00:00:00:00:99", referenceNotices: true),
        Disturbance(place: "c0", command: "ip link set eth0 down"),
        Disturbance(place: "c0", command: "ip link set eth0 mtu 1300", config: [("mtu", 1400)]),
        Disturbance(place: "c0", command: "ip link del eth0", referenceNotices: true),
        Disturbance(place: nil, command: "ip link set VETH address 02:00:00:00:00:99"),
        Disturbance(place: nil, command: "ip link set VETH mtu 1300", config: [("mtu", 1400)]),
        Disturbance(place: nil, command: "ip link set VETH nomaster", referenceNotices: true),
        Disturbance(place: nil, command: "ip link set VETH down"),
        Disturbance(place: nil, command: "ip link set VETH name other0 down", referenceNotices: true),
        Disturbance(place: nil, command: "bridge link set dev VETH hairpin off", config: [("hairpinMode", true)]),
        Disturbance(place: nil, command: "bridge link set dev VETH hairpin on"),
        Disturbance(place: nil, command: "bridge link set dev VETH isolated off", config: [("portIsolation", true)]),
        Disturbance(place: nil, command: "bridge link set dev VETH isolated off", config: [("icc", false)]),
        Disturbance(place: nil, command: "bridge link set dev VETH isolated on"),
        Disturbance(
            place: nil, command: "ip link set br0 promisc off", config: [("promiscMode", true)], referenceNotices: true),
        Disturbance(place: nil, command: "ip link set br0 down"),
        Disturbance(place: nil, command: "ip link set br0 address 02:00:00:00:00:99", referenceNotices: true),
        Disturbance(place: nil, command: "ip link del br0", referenceNotices: true),
        Disturbance(place: nil, command: "ip address del 10.1.2.1/24 dev br0", layer2: false),
        Disturbance(place: nil, command: "ip address del 2001:db8::1/64 dev br0", layer2: false),
        Disturbance(place: nil, command: "sysctl -w net.ipv4.ip_forward=0", layer2: false),
        Disturbance(place: nil, command: "rm /var/lib/cni/networks/net/10.1.2.2", layer2: false),
    ]

    @Test("Changes are noticed", arguments: disturbances)
    func changes(_ disturbance: Disturbance) throws {
        if Plugins.areReference && !disturbance.referenceNotices { return }
        try expectNoticed(
            disturbance, Inputs.bridge("1.0.0", ["10.1.2.0/24", "2001:db8::/64"], more: disturbance.config))
    }

    @Test(
        "Changes are noticed on layer 2 too", .enabled(if: !Plugins.areReference, "the reference cannot CHECK there"),
        arguments: disturbances.filter(\.layer2))
    func layer2Changes(_ disturbance: Disturbance) throws {
        try expectNoticed(disturbance, Inputs.bridge(Plugins.versions.last ?? "1.0.0", [], more: disturbance.config))
    }

    private func expectNoticed(_ disturbance: Disturbance, _ config: Value) throws {
        let lab = try Lab()
        let (added, result) = try lab.add(config)
        try lab.run("bridge", "CHECK", added).expectSilence("before")
        let words = disturbance.command.replacing("VETH", with: result.interfaceName(1)).split(separator: " ").map(
            String.init)
        let changed = words.joined(separator: " ")
        if words[0] == "ip", words.contains("name") {
            // A link must be down to get another name.
            try lab.tool("ip", "link", "set", words[3], "down")
            try lab.tool("ip", "link", "set", words[3], "name", "other0")
            try lab.tool("ip", "link", "set", "other0", "up")
        } else {
            try lab.tool(words[0], Array(words.dropFirst()), in: disturbance.place)
        }
        let start = try lab.world()
        try lab.run("bridge", "CHECK", added).expectRefusal(nil, changed)
        try lab.world().expectEqual(to: start, "CHECK changed something")
        // DEL copes with every one of them, and the next life is a good one.
        try lab.delete(added)
        #expect(try lab.reservations("net") == [:] && lab.linkNames(in: "c0") == ["lo"])
    }

    @Test("Later plugins may send the default route elsewhere")
    func otherDefaultRoute() throws {
        let lab = try Lab()
        let (added, _) = try lab.add(Inputs.bridge("1.0.0"))
        try lab.tool("ip", "route", "replace", "default", "via", "10.1.2.77", in: "c0")
        try lab.tool("ip", "address", "add", "10.7.7.7/32", "dev", "eth0", in: "c0")
        try lab.run("bridge", "CHECK", added).expectSilence()
    }

    @Test("What prevResult must be", arguments: Plugins.versions.filter { atLeast($0, "0.4.0") })
    func previousResult(_ version: String) throws {
        let lab = try Lab(containers: 2)
        let config = Inputs.bridge(version)
        let (added, result) = try lab.add(config)
        try lab.run("bridge", "CHECK", config).expectRefusal(containing: "Required prevResult missing")
        try lab.run("bridge", "CHECK", netns: lab.netns("c1"), added).expectRefusal(
            containing: "doesn't match configured netns: /run/netns/c1")
        try lab.run("bridge", "CHECK", containerID: "c1", added).expectRefusal()
        try lab.run("bridge", "CHECK", netns: "/run/netns/gone", added).expectRefusal()
        // The form podman and others hand over: the single range spelt as ranges, the result with its own version.
        let ranges = added.with(
            (
                "ipam",
                [
                    "type": "host-local", "ranges": [[["subnet": "10.1.2.0/24", "rangeStart": "10.1.2.1"]]],
                    "dataDir": "",
                ]
            ))
        try lab.run("bridge", "CHECK", ranges).expectSilence()
        for broken in [
            "text", ["cniVersion": .string(version), "interfaces": "none"],
            result.with(("interfaces", [])),
        ] as [Value] {
            try lab.run("bridge", "CHECK", config.with(("prevResult", broken))).expectRefusal(nil, broken.text())
        }
    }
}
