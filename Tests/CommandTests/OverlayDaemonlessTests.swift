import JSON
import System
import TestSupport
import Testing

/// Networks whose hosts know each other from the configuration: real executables on several hosts on one wire.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has no such plugin"))
struct OverlayDaemonlessTests {
    @Test("Two hosts, one subnet: what Docker's overlay shows", arguments: [1500, 9001])
    func walkthrough(_ mtu: Int) throws {
        let underlay = try Underlay(hosts: 2, containers: 2, mtu: mtu)
        let chain = OverlayInputs.daemonless(underlay, gateway: true)
        var fixed = chain
        fixed.runtimeConfig = ["ips": ["192.168.0.100"]]
        let (one, two) = (underlay.hosts[0], underlay.hosts[1])
        let result = try one.add(fixed, "c0").orFail("ADD on the first host")
        let other = try two.add(chain, "c0").orFail("ADD on the second host")
        #expect(result.firstAddress == "192.168.0.100" && result.gateways.first == "192.168.0.1")
        // The second half of the subnet is the second host's.
        #expect(other.firstAddress == "192.168.0.128")
        let eth0 = try #require(try one.link("eth0", in: "c0"))
        #expect(eth0["address"]?.string == "02:42:c0:a8:00:64" && eth0["mtu"]?.integer == Int64(mtu - 50))
        #expect(try one.routes(in: "c0").filter { $0.hasPrefix("default") } == ["default via 172.18.0.1"])
        #expect(try one.linkNames(in: "c0") == ["eth0", "eth1", "lo"])
        #expect(one.pings(other.firstAddress, from: "c0"))
        #expect(two.pings("192.168.0.100", from: "c0", bytes: mtu - 50 - 28, isWhole: true))
        #expect(!one.pings("192.168.0.100", seconds: 1), "the host has no part in the network")
        let server = try two.serve("c0")
        for transport in Transport.allCases {
            #expect(try one.ask(transport, other.firstAddress, from: "c0") == "c0 192.168.0.100")
        }
        withExtendedLifetime(server) {}
        let path = try OverlayInputs.namespace(one)
        let vxlan = try one.overlay(path, "ip", "-d", "link", "show", "vxlan0")
        #expect(vxlan.contains("dstport 4789") && vxlan.contains("local 192.0.2.1"), "\(vxlan)")
        #expect(try one.overlay(path, "ip", "addr", "show", "br0").contains("192.168.0.1/24"))
        for (host, result) in [(one, result), (two, other)] {
            try host.check(chain, "c0", result).expectSilence()
            try host.delete(chain, "c0", previous: result).expectSilence()
            try host.delete(chain, "c0", previous: result).expectSilence()
            #expect(try host.overlayRemains() == [])
            #expect(try host.reservations("demonet").isEmpty)
        }
    }

    @Test("IPv6, dual stack and two subnets")
    func subnets() throws {
        let underlay = try Underlay(hosts: 2, containers: 3)
        let subnets: Value = ["192.168.0.0/24", "192.168.7.0/24", "fd00:2::/64"]
        let chain = OverlayInputs.daemonless(underlay, [("subnets", subnets)])
        let (one, two) = (underlay.hosts[0], underlay.hosts[1])
        let first = try one.add(chain, "c0").orFail()
        #expect(first.addresses.count == 2 && first.destinations == ["192.168.7.0/24"])
        var far = chain
        far.runtimeConfig = ["ips": ["192.168.7.9"]]
        let second = try two.add(far, "c1").orFail()
        #expect(second.firstAddress == "192.168.7.9" && second.destinations == ["192.168.0.0/24"])
        #expect(one.pings("192.168.7.9", from: "c0"), "between subnets, by the gateway")
        let ipv6 = String((second.addresses.last ?? "").prefix { $0 != "/" })
        #expect(one.pings(ipv6, from: "c0"))
        #expect(one.pings("192.168.0.1", from: "c0") && two.pings("192.168.7.1", from: "c1"))
        let only6 = OverlayInputs.daemonless(underlay, [("subnet", "fd00:3::/64")], name: "six")
        let third = try one.add(only6, "c2").orFail()
        let fourth = try two.add(only6, "c2").orFail()
        #expect(third.firstAddress.hasPrefix("fd00:3::") && third.firstAddress != fourth.firstAddress)
        #expect(one.pings(fourth.firstAddress, from: "c2"))
        for (host, container, chain, result) in [
            (one, "c0", chain, first), (two, "c1", chain, second), (one, "c2", only6, third),
            (two, "c2", only6, fourth),
        ] {
            try host.check(chain, container, result).expectSilence()
            try host.delete(chain, container, previous: result).expectSilence()
        }
        #expect(try one.overlayRemains() == [] && two.overlayRemains() == [])
    }

    @Test("IPv6 underlay, another port, a given VNI")
    func underlays() throws {
        let underlay = try Underlay(hosts: 2)
        let more: [(String, Value)] = [("port", 8472), ("vni", 4711)]
        let chain = OverlayInputs.daemonless(underlay, more, ipv6: true)
        let results = try underlay.hosts.map { try $0.add(chain, "c0").orFail() }
        #expect(try underlay.hosts[0].link("eth0", in: "c0")?["mtu"]?.integer == 1430)
        #expect(underlay.hosts[0].pings(results[1].firstAddress, from: "c0", bytes: 1430 - 28, isWhole: true))
        let path = try OverlayInputs.namespace(underlay.hosts[0])
        let vxlan = try underlay.hosts[0].overlay(path, "ip", "-d", "link", "show", "vxlan0")
        #expect(vxlan.contains("vxlan id 4711 local fd00:1::1") && vxlan.contains("dstport 8472"), "\(vxlan)")
        for (host, result) in zip(underlay.hosts, results) {
            try host.check(chain, "c0", result).expectSilence()
            try host.delete(chain, "c0", previous: result).expectSilence()
            #expect(try host.overlayRemains() == [])
        }
    }

    @Test("Multicast and broadcast cross hosts; a multicast group of the underlay carries a network")
    func multicast() throws {
        let underlay = try Underlay(hosts: 2)
        let (one, two) = (underlay.hosts[0], underlay.hosts[1])
        for chain in [
            OverlayInputs.daemonless(underlay, [("multicast", true)]),
            OverlayInputs.daemonless(
                underlay, [("peers", .null), ("group", "239.1.1.1"), ("interface", "up0")], name: "grouped"),
        ] {
            let results = try underlay.hosts.enumerated().map { index, host in
                var own = chain
                own.plugins[0]["ipRange"] = .string("192.168.0.\(64 * (index + 1))/26")
                return try host.add(own, "c0").orFail(chain.name)
            }
            #expect(one.pings(results[1].firstAddress, from: "c0"))
            try one.tool("ip", "route", "add", "224.0.0.0/4", "dev", "eth0", in: "c0")
            let server = try two.serve("c0", port: 5000, group: "239.9.9.9")
            #expect(try one.ask(.udp, "239.9.9.9", 5000, from: "c0")?.hasPrefix("c0 ") == true, "\(chain.name)")
            withExtendedLifetime(server) {}
            for (host, result) in zip(underlay.hosts, results) {
                try host.delete(chain, "c0", previous: result).expectSilence()
                #expect(try host.overlayRemains() == [])
            }
        }
    }

    @Test("VXLAN from a host that is no member is dropped and counted")
    func strangers() throws {
        let underlay = try Underlay(hosts: 3)
        var chain = OverlayInputs.daemonless(underlay)
        let all = chain
        chain.plugins[0]["peers"] = ["192.0.2.1", "192.0.2.2"]
        let (one, two, stranger) = (underlay.hosts[0], underlay.hosts[1], underlay.hosts[2])
        let first = try one.add(chain, "c0").orFail()
        let second = try two.add(chain, "c0").orFail()
        // The stranger knows everything, and counts itself in.
        var foreign = all
        foreign.runtimeConfig = ["ips": ["192.168.0.200"]]
        try stranger.add(foreign, "c0").orFail()
        #expect(one.pings(second.firstAddress, from: "c0"))
        #expect(!stranger.pings(first.firstAddress, from: "c0", seconds: 1))
        let rules = try one.tool("nft", "list", "table", "inet", "swiftlet")
        let counted = rules.split(separator: "\n").first { $0.contains("counter packets") && $0.contains("drop") }
        #expect(counted.map { !$0.contains("packets 0 ") } == true, "\(rules)")
        // Named in the configuration, it is a member with the next ADD.
        try one.add(all, "c0", "eth5").orFail()
        #expect(try one.tool("nft", "list", "table", "inet", "swiftlet").contains("192.0.2.3"))
        #expect(stranger.pings(first.firstAddress, from: "c0"))
    }

    @Test("Several networks of one container, and none of it mixes")
    func severalNetworks() throws {
        let underlay = try Underlay(hosts: 2)
        let a = OverlayInputs.daemonless(underlay, name: "a")
        let b = OverlayInputs.daemonless(underlay, [("subnet", "192.168.9.0/24")], name: "b")
        let first = try underlay.hosts[0].add(a, "c0", "eth0").orFail()
        let second = try underlay.hosts[0].add(b, "c0", "eth1").orFail()
        let peer = try underlay.hosts[1].add(b, "c0", "eth0").orFail()
        #expect(underlay.hosts[0].pings(peer.firstAddress, from: "c0"))
        #expect(!underlay.hosts[1].pings(first.firstAddress, from: "c0", seconds: 1))
        #expect(try underlay.hosts[0].overlayRemains().count == 3)
        try underlay.hosts[0].delete(a, "c0", "eth0", previous: first).expectSilence()
        #expect(try underlay.hosts[0].overlayRemains().count == 2)
        #expect(underlay.hosts[0].pings(peer.firstAddress, from: "c0"))
        try underlay.hosts[0].check(b, "c0", second, "eth1").expectSilence()
    }

    @Test("internal has no way out, whatever comes after it")
    func isInternal() throws {
        let underlay = try Underlay(hosts: 1)
        let host = underlay.hosts[0]
        let chain = OverlayInputs.daemonless(underlay, [("internal", true)], gateway: true)
        let result = try host.add(chain, "c0").orFail()
        #expect(try host.linkNames(in: "c0") == ["eth0", "lo"])
        #expect(try host.routes(in: "c0") == ["192.168.0.0/24"])
        try host.check(chain, "c0", result).expectSilence()
        try host.delete(chain, "c0", previous: result).expectSilence()
        #expect(try host.overlayRemains() == [])
        #expect(try host.linkNames().contains("swiftlet-gw") == false)
    }
}
