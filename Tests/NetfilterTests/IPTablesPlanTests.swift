import NetworkTypes
import TestSupport
import Testing

@testable import Netfilter

@Suite("iptables plans")
struct IPTablesPlanTests {
    private let owner = FilterOwner(network: "test", containerID: "icee6giejonei6so", interfaceName: "eth0")

    @Test("Chains are named as the reference plugins name them")
    func names() {
        #expect(owner.portChain == "CNI-DN-022110f36292712c8bb50")
        #expect(IPTablesNames.masqueradeChain(network: "test", containerID: "1234") == "CNI-2bbe0c48b91a7d1b8a6753a8")
        let other = FilterOwner(network: "unit-test", containerID: "one", interfaceName: "eth0")
        #expect(other.tag == "6fd94d501e58f0aa-287fc69eff0574a2")
    }

    @Test("Everything, from nothing")
    func everything() throws {
        let address = try #require(IPPrefix("10.1.0.5/24"))
        let mappings = [
            PortMapping(.tcp, hostPort: 8080, containerPort: 80),
            PortMapping(.tcp, hostAddress: IPAddress("192.0.2.1"), hostPort: 8081, containerPort: 80),
            PortMapping(.udp, hostAddress: IPAddress("0.0.0.0"), hostPort: 53, containerPort: 53),
            PortMapping(.udp, hostAddress: IPAddress("2001:db8::1"), hostPort: 54, containerPort: 53),
        ]
        var plan = IPTablesPlan(.ipv4, present: IPTablesDump())
        try plan.add(
            [
                .masquerade(Masquerade(addresses: [address])),
                .portForward(PortForward(mappings, to: [address], conditions4: ["-i", "eth7"])),
                .firewall(Firewall(addresses: [address.address], ingress: .isolated, bridge: "br0")),
            ], for: owner)
        let text = plan.script.text
        #expect(try text == golden("netfilter/container.iptables", text))
    }

    @Test("Ports go fifteen to a rule, by protocol")
    func groups() {
        let mappings =
            (1...17).map { PortMapping(.udp, hostPort: $0, containerPort: $0) }
            + [PortMapping(.tcp, hostPort: 1, containerPort: 1)]
        let groups = IPTablesPlan.groups(mappings)
        #expect(groups.map(\.transport) == [.tcp, .udp, .udp])
        #expect(groups.map(\.ports.count) == [1, 15, 2])
    }

    @Test("Words survive being written and read")
    func quoting() {
        let words = ["-m", "comment", "--comment", "name: \"a b\" id: \"c\\d\"", "-j", "X"]
        #expect(IPTablesDump.words(IPTablesRule(words).text) == words)
        #expect(IPTablesDump.words("-A X --comment \"\" -j Y") == ["-A", "X", "--comment", "", "-j", "Y"])
    }
}
