import JSON
import TestSupport
import Testing

/// Who a bridge is to its neighbours: one MAC for life. And that it answers when ADD has ended.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference leaves it to the kernel and to chance"))
struct BridgeIdentityTests {
    private func mac(_ lab: Lab, _ bridge: String = "br0") throws -> String {
        try lab.link(bridge)?["address"]?.string ?? "none"
    }

    @Test("A bridge of ours has the same MAC whenever it is made, another one on another host and by another name")
    func derived() throws {
        let lab = try Lab(containers: 2)
        let config = Inputs.bridge("1.0.0")
        var seen: Set<String> = []
        for _ in 0..<3 {
            let first = try lab.add(config), second = try lab.add(config, containerID: "c1")
            seen.insert(try mac(lab))
            #expect(try first.result.interfaceMAC(0) == mac(lab))
            try lab.delete(first.config)
            try lab.delete(second.config, containerID: "c1")
            seen.insert(try mac(lab))
            try lab.tool("ip", "link", "delete", "br0")
        }
        #expect(seen.count == 1, "\(seen)")
        let other = try Lab()
        try other.add(config)
        #expect(try !seen.contains(mac(other)))
        try lab.add(Inputs.bridge("1.0.0", ["10.7.7.0/24"], name: "two", bridge: "br1"))
        #expect(try !seen.contains(mac(lab, "br1")))
    }

    /// How somebody else may have left a bridge: new, with a port whose MAC it has, without ports again; the MAC to keep, nil for
    /// one that is there.
    static let bridges: [(what: String, script: String)] = [
        ("new", "ip link add br0 type bridge"),
        ("with a MAC", "ip link add br0 address 02:00:00:00:00:77 type bridge"),
        (
            "with a port",
            """
            ip link add br0 type bridge; ip link add p0 address 02:00:00:00:00:10 type veth peer name p1
            ip link set p0 master br0 up; ip link set p1 up
            """
        ),
        ("with an address", "ip link add br0 type bridge; ip address add 10.1.2.1/24 dev br0"),
        ("layer 2 only", "ip link add br0 type bridge"),
    ]

    @Test("A bridge somebody else made keeps its MAC from then on", arguments: bridges.indices)
    func adopted(_ row: Int) throws {
        let lab = try Lab(containers: 6)
        try lab.script(Self.bridges[row].script)
        try lab.script("ip link set br0 up")
        let before = try mac(lab)
        let config = Inputs.bridge("1.0.0", row == 4 ? [] : ["10.1.2.0/24"])
        var left: [(String, Value)] = []
        var seen: Set<String> = []
        for number in 0..<6 {
            left.append(("c\(number)", try lab.add(config, containerID: "c\(number)").config))
            seen.insert(try mac(lab))
        }
        for (container, config) in left {
            try lab.delete(config, containerID: container)
            seen.insert(try mac(lab))
        }
        #expect(seen == [before], "\(Self.bridges[row].what)")
    }

    @Test("A bridge that has a container's MAC, as an earlier release or another suite left it, keeps that")
    func upgraded() throws {
        let lab = try Lab(containers: 4)
        try lab.script(
            """
            ip link add br0 type bridge; ip address add 10.1.2.1/24 dev br0; ip link set br0 up
            ip link add old0 address 02:00:00:00:00:01 type veth peer name eth9 netns \(lab.netns("c3"))
            ip link set old0 master br0 up
            """)
        try lab.script("ip address add 10.1.2.200/24 dev eth9; ip link set eth9 up", in: "c3")
        #expect(lab.pings("10.1.2.1", from: "c3"))
        let (config, _) = try lab.add(Inputs.bridge("1.0.0"))
        #expect(try mac(lab) == "02:00:00:00:00:01")
        try lab.tool("ip", "link", "delete", "old0")
        #expect(try mac(lab) == "02:00:00:00:00:01")
        #expect(lab.pings("10.1.2.1", from: "c0", seconds: 1))
        try lab.delete(config)
        #expect(try mac(lab) == "02:00:00:00:00:01")
    }

    @Test("The first container on a bridge finds it ready: the kernel takes some time to notice that it has a port")
    func operational() throws {
        let lab = try Lab()
        let config = Inputs.bridge("1.0.0")
        for _ in 0..<10 {
            let (again, _) = try lab.add(config)
            #expect(try lab.link("br0")?["operstate"]?.string == "UP")
            try lab.delete(again)
        }
    }

    @Test("Of two networks' IPv6 default routes the first is used", arguments: [false, true])
    func defaultRoutes(_ isDual: Bool) throws {
        let lab = try Lab()
        let subnets = [["2001:db8:1::/64"] + (isDual ? ["10.1.2.0/24"] : []), ["2001:db8:2::/64", "10.7.7.0/24"]]
        let first = try lab.add(Inputs.bridge("1.0.0", subnets[0], name: "one"))
        let second = try lab.add(
            Inputs.bridge("1.0.0", subnets[1], name: "two", bridge: "br1"), ifname: "eth1")
        let routes = try lab.tool("ip", "-6", "route", "show", "default", in: "c0")
        #expect(!routes.contains("nexthop"), "\(routes)")
        for number in 1...20 {
            let route = try lab.tool("ip", "-6", "route", "get", "2001:db8:99::\(number)", in: "c0")
            #expect(route.contains("dev eth0"), "\(route)")
        }
        try lab.run("bridge", "CHECK", first.config).expectSilence()
        try lab.run("bridge", "CHECK", ifname: "eth1", second.config).expectSilence()
        try lab.delete(first.config)
        let route = try lab.tool("ip", "-6", "route", "get", "2001:db8:99::1", in: "c0")
        #expect(route.contains("dev eth1"), "what is left takes over: \(route)")
        try lab.delete(second.config, ifname: "eth1")
    }
}
