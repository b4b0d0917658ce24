import NetworkTypes
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
        #expect(plan.script.text == Self.golden)
    }

    private static let golden = #"""
        *filter
        -N CNI-ADMIN
        -N CNI-FORWARD
        -A CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j CNI-ADMIN
        -I FORWARD 1 -m comment --comment "CNI firewall plugin rules" -j CNI-FORWARD
        -A CNI-FORWARD -d 10.1.0.5/32 -m comment --comment "ee26b0dd4af7e749-172db481cdb55af3 test icee6giejone/eth0" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A CNI-FORWARD -s 10.1.0.5/32 -m comment --comment "ee26b0dd4af7e749-172db481cdb55af3 test icee6giejone/eth0" -j ACCEPT
        -N CNI-ISOLATION-STAGE-1
        -A CNI-ISOLATION-STAGE-1 -m comment --comment "CNI firewall plugin rules" -j RETURN
        -N CNI-ISOLATION-STAGE-2
        -A CNI-ISOLATION-STAGE-2 -m comment --comment "CNI firewall plugin rules" -j RETURN
        -I FORWARD 1 -m comment --comment "CNI firewall plugin rules" -j CNI-ISOLATION-STAGE-1
        -I CNI-ISOLATION-STAGE-1 1 -i br0 ! -o br0 -m comment --comment "CNI firewall plugin rules (ingressPolicy: isolated)" -j CNI-ISOLATION-STAGE-2
        -I CNI-ISOLATION-STAGE-1 1 -i br0 -o br0 -m comment --comment "CNI firewall plugin rules (ingressPolicy: isolated)" -j DROP
        -I CNI-ISOLATION-STAGE-2 1 -o br0 -m comment --comment "CNI firewall plugin rules (ingressPolicy: isolated)" -j DROP
        COMMIT
        *nat
        :CNI-022110f36292712c8bb50a90 - [0:0]
        -A CNI-022110f36292712c8bb50a90 -d 10.1.0.0/24 -m comment --comment "name: \"test\" id: \"icee6giejonei6so\" if: \"eth0\"" -j ACCEPT
        -A CNI-022110f36292712c8bb50a90 ! -d 224.0.0.0/4 -m comment --comment "name: \"test\" id: \"icee6giejonei6so\" if: \"eth0\"" -j MASQUERADE
        -A POSTROUTING -s 10.1.0.5/32 -m comment --comment "name: \"test\" id: \"icee6giejonei6so\" if: \"eth0\"" -j CNI-022110f36292712c8bb50a90
        -N CNI-HOSTPORT-DNAT
        -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
        -A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
        -N CNI-HOSTPORT-SETMARK
        -A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
        -N CNI-HOSTPORT-MASQ
        -A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
        -I POSTROUTING 1 -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
        :CNI-DN-022110f36292712c8bb50 - [0:0]
        -A CNI-HOSTPORT-DNAT -m comment --comment "dnat name: \"test\" id: \"icee6giejonei6so\"" -m multiport -p tcp --destination-ports 8080,8081 -i eth7 -j CNI-DN-022110f36292712c8bb50
        -A CNI-HOSTPORT-DNAT -m comment --comment "dnat name: \"test\" id: \"icee6giejonei6so\"" -m multiport -p udp --destination-ports 53 -i eth7 -j CNI-DN-022110f36292712c8bb50
        -A CNI-DN-022110f36292712c8bb50 -p tcp --dport 8080 -s 10.1.0.0/24 -j CNI-HOSTPORT-SETMARK
        -A CNI-DN-022110f36292712c8bb50 -p tcp --dport 8080 -s 127.0.0.1 -j CNI-HOSTPORT-SETMARK
        -A CNI-DN-022110f36292712c8bb50 -p tcp --dport 8080 -j DNAT --to-destination 10.1.0.5:80
        -A CNI-DN-022110f36292712c8bb50 -p tcp --dport 8081 -d 192.0.2.1 -s 10.1.0.0/24 -j CNI-HOSTPORT-SETMARK
        -A CNI-DN-022110f36292712c8bb50 -p tcp --dport 8081 -d 192.0.2.1 -s 127.0.0.1 -j CNI-HOSTPORT-SETMARK
        -A CNI-DN-022110f36292712c8bb50 -p tcp --dport 8081 -d 192.0.2.1 -j DNAT --to-destination 10.1.0.5:80
        -A CNI-DN-022110f36292712c8bb50 -p udp --dport 53 -s 10.1.0.0/24 -j CNI-HOSTPORT-SETMARK
        -A CNI-DN-022110f36292712c8bb50 -p udp --dport 53 -s 127.0.0.1 -j CNI-HOSTPORT-SETMARK
        -A CNI-DN-022110f36292712c8bb50 -p udp --dport 53 -j DNAT --to-destination 10.1.0.5:53
        COMMIT

        """#

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
