import JSON
import TestSupport
import Testing

/// What was seen to leak or to fail with the reference plugins, probed on ours.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "these are the reference's defects"))
struct LeakProbeTests {
    @Test("DEL without a namespace removes the veth, as ctr and nerdctl call it")
    func emptyNamespace() throws {
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        // nerdctl calls DEL with an empty path before every ADD and again afterwards.
        let config = Inputs.bridge("1.0.0")
        try lab.run("bridge", "DEL", netns: "", config).expectSilence()
        let (added, _) = try lab.add(config)
        try lab.run("bridge", "DEL", netns: "", added).expectSilence()
        #expect(try lab.veths() == [])
        try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start)
    }

    @Test("DEL after the container's interface went leaves nothing")
    func interfaceGone() throws {
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        let (added, _) = try lab.add(Inputs.bridge("1.0.0"))
        try lab.tool("ip", "link", "delete", "eth0", in: "c0")
        try lab.delete(added)
        try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start)
    }

    @Test("DEL of eth1 leaves eth0 of the same container working")
    func secondInterface() throws {
        let lab = try Lab()
        let config = Inputs.bridge("1.0.0")
        let (first, _) = try lab.add(config)
        let (second, _) = try lab.add(
            config.with(("isDefaultGateway", false), ("isGateway", true)), ifname: "eth1")
        try lab.delete(second, ifname: "eth1")
        try lab.run("bridge", "CHECK", first).expectSilence()
        try lab.tool("ping", "-c1", "-W2", "10.1.2.1", in: "c0")
    }

    @Test("A second network with another subnet on the same bridge fails without a trace")
    func secondNetwork() throws {
        let lab = try Lab(containers: 2)
        try lab.add(Inputs.bridge("1.0.0", ["10.6.0.0/24"]))
        let start = try lab.world().withoutBookkeeping()
        let other = Inputs.bridge("1.0.0", ["10.7.0.0/24"], name: "other")
        for _ in 0..<2 {
            try lab.run("bridge", "ADD", containerID: "c1", netns: lab.netns("c1"), other).expectRefusal(
                containing: "\"br0\" already has an IP address different from 10.7.0.1/24")
            try lab.world().withoutBookkeeping().expectEqual(to: start)
        }
    }

    @Test("A missing delegate leaves no veth")
    func missingDelegate() throws {
        let lab = try Lab()
        let start = try lab.world().withoutBookkeeping()
        let answer = try lab.run("bridge", "ADD", path: "/run/none", Inputs.bridge("1.0.0"))
        answer.expectRefusal(containing: "failed to find plugin \"host-local\" in path [/run/none]")
        try lab.world().withoutBookkeeping().expectEqual(to: start)
    }

    @Test("An empty reservation is free")
    func emptyReservation() throws {
        let lab = try Lab()
        try lab.write("/var/lib/cni/networks/net/10.1.2.2", "")
        try lab.write("/var/lib/cni/networks/net/10.1.2.9", "")
        let answer = try lab.run("bridge", "ADD", arguments: "IP=10.1.2.9", Inputs.bridge("1.0.0"))
        #expect(answer.orFail().addresses == ["10.1.2.9/24"])
    }

    @Test("DEL with a regular file for a namespace releases the address")
    func regularFile() throws {
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        let (added, _) = try lab.add(Inputs.bridge("1.0.0"))
        try lab.delete(added, netns: "/etc/hosts")
        #expect(try lab.reservations("net") == [:])
        try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start)
    }

    @Test("CHECK works on layer 2")
    func layer2Check() throws {
        let lab = try Lab()
        let (added, _) = try lab.add(Inputs.bridge("1.0.0", []))
        try lab.run("bridge", "CHECK", added).expectSilence()
    }

    @Test("A failed ADD can be repeated")
    func retry() throws {
        let lab = try Lab()
        let config = Inputs.bridge("1.0.0", ["10.1.2.0/30"])
        try lab.write("/var/lib/cni/networks/net/10.1.2.2", "other\r\neth0")
        try lab.run("bridge", "ADD", config).expectRefusal()
        try lab.tool("rm", "/var/lib/cni/networks/net/10.1.2.2")
        let (added, _) = try lab.add(config)
        try lab.run("bridge", "ADD", config).expectRefusal(containing: "already exists")
        // The refused second ADD did not take anything from the first.
        try lab.run("bridge", "CHECK", added).expectSilence()
        #expect(try lab.reservations("net") == ["10.1.2.2": "c0\r\neth0"])
    }

    @Test("MAC in CNI_ARGS does not upset the delegate")
    func arguments() throws {
        let lab = try Lab()
        let answer = try lab.run("bridge", "ADD", arguments: "MAC=02:00:00:00:00:07", Inputs.bridge("1.0.0"))
        #expect(answer.orFail().interfaceMAC(2) == "02:00:00:00:00:07")
    }
}
