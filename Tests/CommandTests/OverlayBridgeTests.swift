import JSON
import TestSupport
import Testing

/// The bridge in the overlay namespace as containers see it: who the gateway is.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has no such plugin"))
struct OverlayBridgeTests {
    private func gatewayMAC(_ host: Lab) throws -> String {
        let path = try OverlayInputs.namespace(host)
        let link = try Value(parsing: Array(try host.overlay(path, "ip", "-j", "link", "show", "br0").utf8))[0]
        return link?["address"]?.string ?? "none"
    }

    @Test("The gateway's MAC stays while containers come and go, and is another one on every host")
    func gatewayKeepsItsMAC() throws {
        let underlay = try Underlay(hosts: 2, containers: 8)
        let chain = OverlayInputs.daemonless(underlay)
        var seen: [Set<String>] = [[], []]
        for (index, host) in underlay.hosts.enumerated() {
            var results: [String: Value] = [:]
            for number in 0..<8 {
                let result = try host.add(chain, "c\(number)").orFail()
                results["c\(number)"] = result
                seen[index].insert(try gatewayMAC(host))
                #expect(result.interfaceMAC(0) == seen[index].first)
            }
            for number in [3, 0, 7, 1, 5, 2, 6] {
                try host.delete(chain, "c\(number)", previous: results["c\(number)"]).expectSilence()
                seen[index].insert(try gatewayMAC(host))
            }
            // The network's life on the host ends, and begins again.
            try host.delete(chain, "c4", previous: results["c4"]).expectSilence()
            #expect(try host.overlayRemains() == [])
            try host.add(chain, "c0").orFail()
            seen[index].insert(try gatewayMAC(host))
        }
        #expect(seen[0].count == 1 && seen[1].count == 1, "\(seen)")
        #expect(seen[0].isDisjoint(with: seen[1]))
    }

    @Test("A bridge of an earlier release gets its MAC, and its containers learn of it")
    func earlierBridgeIsTaken() throws {
        let underlay = try Underlay(hosts: 1, containers: 2)
        let host = underlay.hosts[0]
        let chain = OverlayInputs.daemonless(underlay, [("subnets", ["192.168.0.0/24", "fd00:2::/64"])])
        try host.add(chain, "c0").orFail()
        let own = try gatewayMAC(host)
        let path = try OverlayInputs.namespace(host)
        _ = try host.overlay(path, "ip", "link", "set", "br0", "address", "02:00:00:00:00:07")
        for gateway in ["192.168.0.1", "fd00:2::1"] {
            _ = try host.tool("ip", "neighbour", "flush", "all", in: "c0")
            #expect(host.pings(gateway, from: "c0"))
        }
        // Nothing is asked again soon: what the containers know is what they use.
        for gateway in ["192.168.0.1", "fd00:2::1"] {
            try host.tool(
                "ip", "neighbour", "replace", gateway, "lladdr", "02:00:00:00:00:07", "dev", "eth0", "nud", "reachable",
                in: "c0")
        }
        try host.add(chain, "c1").orFail()
        #expect(try gatewayMAC(host) == own)
        for gateway in ["192.168.0.1", "fd00:2::1"] {
            #expect(host.pings(gateway, from: "c0", seconds: 1), "\(gateway)")
            let entry = try host.tool("ip", "neighbour", "show", gateway, in: "c0")
            #expect(entry.contains(own), "\(entry)")
        }
    }

    @Test("CHECK without a daemon names what somebody broke; the next ADD mends it")
    func damages() throws {
        let underlay = try Underlay(hosts: 2, containers: 9)
        let host = underlay.hosts[0]
        let chain = OverlayInputs.daemonless(underlay)
        let result = try host.add(chain, "c0").orFail()
        let path = try OverlayInputs.namespace(host)
        let vteps = "vteps-\(path.suffix(10))"
        func fdb(_ words: String...) -> () throws -> Void {
            { _ = try host.tool("nsenter", ["--net=\(path)", Lab.find("bridge") ?? "bridge", "fdb"] + words) }
        }
        func nft(_ words: String...) -> () throws -> Void { { _ = try host.tool("nft", words) } }
        let zero = "00:00:00:00:00:00"
        let damages: [(words: String, breaking: () throws -> Void)] = [
            ("vxlan0 does not send to 192.0.2.2", fdb("del", zero, "dev", "vxlan0", "self", "dst", "192.0.2.2")),
            ("vxlan0 sends to 192.0.2.77", fdb("append", zero, "dev", "vxlan0", "self", "dst", "192.0.2.77")),
            (
                "to 192.0.2.78, no host of the network",
                fdb("add", "02:42:c0:a8:00:99", "dev", "vxlan0", "self", "dst", "192.0.2.78")
            ),
            (
                "vxlan0 has MTU 1300, not 1450",
                { _ = try host.overlay(path, "ip", "link", "set", "vxlan0", "mtu", "1300") }
            ),
            ("the packet filter's rules", nft("flush", "chain", "inet", "swiftlet", vteps)),
            ("the packet filter's rules", nft("flush", "chain", "inet", "swiftlet", "vxlan")),
            ("does not let VXLAN from 192.0.2", nft("flush", "set", "inet", "swiftlet", "vteps4-\(path.suffix(10))")),
            ("lets anybody's VXLAN in", nft("delete", "table", "inet", "swiftlet")),
        ]
        for (number, damage) in damages.enumerated() {
            try host.check(chain, "c0", result).expectSilence("before \(damage.words)")
            try damage.breaking()
            let answer = try #require(try host.check(chain, "c0", result).first)
            #expect(!answer.succeeded && answer.message.contains(damage.words), "\(damage.words): \(answer)")
            try host.add(chain, "c\(number + 1)").orFail()
            // Nobody but who has put it there takes a foreign entry of one container away.
            if number == 2 { try fdb("del", "02:42:c0:a8:00:99", "dev", "vxlan0", "self", "dst", "192.0.2.78")() }
        }
        try host.check(chain, "c0", result).expectSilence()
    }

    @Test("A container cannot make itself the router of another one", arguments: ["192.168.0.0/24", "fd00:2::/64"])
    func advertisements(_ subnet: String) throws {
        let underlay = try Underlay(hosts: 1, containers: 2)
        let host = underlay.hosts[0]
        let chain = OverlayInputs.daemonless(underlay, [("subnet", .string(subnet))])
        for container in ["c0", "c1"] { try host.add(chain, container).orFail() }
        // An announcement of a prefix and of a default route, to all nodes (RFC 4861, 4.2).
        let prefix = "20010db80bad00000000000000000000"
        let message = "86000000400007080000000000000000" + "030440c000000e1000000e1000000000" + prefix
        let script = """
            import socket
            s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
            s.setsockopt(41, socket.IPV6_MULTICAST_HOPS, 255)
            i = socket.if_nametoindex('eth0')
            s.setsockopt(41, socket.IPV6_MULTICAST_IF, i)
            s.sendto(bytes.fromhex('\(message)'), ('ff02::1', 0, 0, i))
            """
        #expect(
            try host.eventually {
                try host.tool("ip", "-6", "address", "show", "dev", "eth0", "scope", "link", in: "c1")
                    .contains("tentative") == false
            })
        try host.tool("python3", "-c", script, in: "c1")
        // What it would have done it would have done at once; an answer that came later shows that it came by.
        #expect(host.pings(subnet.contains(":") ? "fd00:2::1" : "192.168.0.1", from: "c0"))
        #expect(try host.tool("ip", "-6", "route", "show", "default", in: "c0").isEmpty)
        #expect(try !host.tool("ip", "-6", "address", "show", "dev", "eth0", in: "c0").contains("2001:db8:bad"))
    }

    @Test("No link that only carries frames has a link-local address, the bridge has")
    func linkLocal() throws {
        let underlay = try Underlay(hosts: 1, containers: 1)
        let host = underlay.hosts[0]
        try host.add(OverlayInputs.daemonless(underlay, [("hostAccess", true)]), "c0").orFail()
        let path = try OverlayInputs.namespace(host)
        let links = try Value(parsing: Array(try host.overlay(path, "ip", "-j", "-6", "address", "show").utf8))
        let names = links.elements.filter { !($0["addr_info"]?.elements ?? []).isEmpty }.compactMap {
            $0["ifname"]?.string
        }
        #expect(Set(names) == ["lo", "br0"], "\(names)")
        #expect(try host.tool("sysctl", "-n", "net.ipv4.conf.swh-\(path.suffix(10)).arp_notify").hasPrefix("1"))
    }
}
