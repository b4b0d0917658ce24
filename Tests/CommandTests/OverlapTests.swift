import JSON
import TestSupport
import Testing

/// B6: a bridge that would get an address of a subnet that the host uses elsewhere.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct OverlapTests {
    private func lab() throws -> Lab {
        let lab = try Lab()
        try lab.tool("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
        try lab.tool("ip", "link", "set", "up0", "up")
        try lab.tool("ip", "link", "set", "up1", "up")
        return lab
    }

    @Test(
        "B6 ADD is refused, says with what the subnet clashes, and leaves nothing",
        arguments: [
            (
                ["address", "add", "10.1.2.77/24", "dev", "up0"],
                "10.1.2.0/24 overlaps with address 10.1.2.77/24 of up0"
            ),
            (["address", "add", "10.1.0.1/16", "dev", "up0"], "overlaps with address 10.1.0.1/16 of up0"),
            (["address", "add", "10.1.2.9/32", "dev", "lo"], "overlaps with address 10.1.2.9/32 of lo"),
            (["route", "add", "10.1.2.128/25", "dev", "up0"], "overlaps with the route to 10.1.2.128/25 by up0"),
            (["route", "add", "10.1.2.0/24", "dev", "up0"], "overlaps with the route to 10.1.2.0/24 by up0"),
            (
                ["-6", "address", "add", "2001:db8::7/64", "dev", "up0", "nodad"],
                "2001:db8::/64 overlaps with address 2001:db8::7/64 of up0"
            ),
        ])
    func refused(_ preparation: [String], _ words: String) throws {
        let lab = try lab()
        try lab.tool("ip", preparation)
        let before = try lab.steadyWorld()
        let config = Inputs.bridge("1.0.0", ["10.1.2.0/24", "2001:db8::/64"])
        try beyondReference("the reference hands the addresses out") {
            try lab.run("bridge", "ADD", config).expectRefusal(code: 7, containing: words)
            try lab.expectReturn(to: before)
            #expect(try lab.reservations("net") == [:])
        }
    }

    @Test(
        "B6 two bridge networks on one subnet: the second is refused, the first goes on"
    )
    func twoNetworks() throws {
        let lab = try lab()
        try lab.addContainer("c1")
        let one = Inputs.bridge("1.0.0"), two = Inputs.bridge("1.0.0", name: "other", bridge: "br1")
        try lab.run("bridge", "ADD", one).orFail()
        try beyondReference("the reference hands the addresses out twice") {
            try lab.run("bridge", "ADD", containerID: "c1", netns: "/run/netns/c1", two).expectRefusal(
                code: 7, containing: "10.1.2.0/24 overlaps with address 10.1.2.1/24 of br0")
        }
        try lab.run("bridge", "ADD", containerID: "c1", netns: "/run/netns/c1", one).orFail()
        // Once it has its address, nothing is looked for any more.
        try lab.tool("ip", "route", "add", "10.1.2.200/32", "dev", "up0")
        try lab.addContainer("c2")
        try lab.run("bridge", "ADD", containerID: "c2", netns: "/run/netns/c2", one).orFail()
    }

    @Test("B6 what is no clash: a wider route, the subnet's own address as flannel has it, other tables, no gateway")
    func noClash() throws {
        let lab = try lab()
        try lab.tool("ip", "route", "add", "10.0.0.0/8", "dev", "up0")
        try lab.tool("ip", "address", "add", "10.1.2.0/32", "dev", "up0")
        try lab.tool("ip", "route", "add", "10.1.2.0/25", "dev", "up0", "table", "77")
        try lab.run("bridge", "ADD", Inputs.bridge("1.0.0")).orFail()
        let plain: Value = [
            "cniVersion": "1.0.0", "name": "plain", "type": "bridge", "bridge": "br1",
            "ipam": ["type": "host-local", "ranges": [[["subnet": "10.1.2.0/24"]]]],
        ]
        try lab.addContainer("c1")
        try lab.run("bridge", "ADD", containerID: "c1", netns: "/run/netns/c1", plain).orFail()
    }

    @Test("B6 gwbridge-nat with a subnet that the host uses")
    func gateway() throws {
        let lab = try lab()
        try lab.tool("ip", "address", "add", "172.30.4.1/16", "dev", "up0")
        let config: Value = [
            "cniVersion": "1.0.0", "name": "net", "type": "gwbridge-nat", "subnet": "172.30.0.0/16",
        ]
        let before = try lab.steadyWorld()
        try lab.run("gwbridge-nat", "ADD", config).expectRefusal(
            code: 7, containing: "172.30.0.0/16 overlaps with address 172.30.4.1/16 of up0")
        try lab.expectReturn(to: before)
    }
}
