import JSON
import System
import TestSupport
import Testing

/// What a network can be told, and traffic through each, with a daemon on every host.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct OverlayTrafficTests {
    @Test("Two subnets, both families, large packets; multicast on another port; strangers are dropped")
    func shapes() throws {
        // h3 has a daemon and is a member of the cluster, but not of demonet.
        let hosts = try Hosts(3, mtu: 9001)
        try subnets(hosts)
        try replication(hosts)
        try strangers(hosts, stranger: 2)
    }

    @Test("Hosts that reach each other by IPv6 alone")
    func overIPv6() throws {
        let hosts = try Hosts(3, ipv6: true)
        for host in hosts.hosts { try host.lab.tool("ip", "-4", "address", "flush", "dev", "up0") }
        let network = OverlayHost.network("demonet", [("port", 8472), ("vni", 4711)])
        let addresses = try hosts.hosts[..<2].map { try $0.connect("c0", network) }
        #expect(try hosts[0].lab.tool("ip", "-o", "link", "show", "eth0", in: "c0").contains("mtu 1430"))
        #expect(hosts[0].lab.pings(addresses[1], from: "c0", bytes: 1430 - 28, isWhole: true))
        #expect(!hosts[0].lab.pings(addresses[1], from: "c0", bytes: 1430 - 27, isWhole: true, seconds: 1))
        let vxlan = try hosts[0].overlay("ip", "-d", "link", "show", "vxlan0")
        #expect(vxlan.contains("vxlan id 4711 local fd00:1::1") && vxlan.contains("dstport 8472"), "\(vxlan)")
        #expect(try hosts[0].entries()[addresses[1]]?.hasSuffix(" fd00:1::2") == true)
        try strangers(hosts, stranger: 2, port: 8472)
        for host in hosts.hosts[..<2] {
            try host.disconnect("c0", network)
            #expect(try host.leftovers() == [], "\(host.name)")
        }
    }

    // MARK: -

    static let subnets: [Value] = ["192.168.0.0/24", "192.168.7.0/24", "fd00:2::/64"]

    private func subnets(_ hosts: Hosts) throws {
        let network = OverlayHost.network("demonet", [("subnets", .array(Self.subnets)), ("subnet", .null)])
        let (one, two) = (hosts[0], hosts[1])
        let first = try one.addresses("c0", ips: [], network)
        let second = try two.addresses("c0", ips: [], network)
        let far = try two.addresses("far", ips: ["192.168.7.9", "fd00:2::77"], network)
        #expect(first.count == 2 && second.count == 2 && far == ["192.168.7.9", "fd00:2::77"])
        #expect(Set(first + second + far).count == 6)
        let link = try one.lab.tool("ip", "-o", "link", "show", "eth0", in: "c0")
        #expect(link.contains("mtu 8951"), "\(link)")
        // An IPv6 echo's head is 20 bytes longer.
        for (address, largest) in [(second[0], 8951 - 28), (second[1], 8951 - 48)] {
            #expect(one.lab.pings(address, from: "c0", bytes: largest, isWhole: true), "\(address) \(largest)")
            #expect(!one.lab.pings(address, from: "c0", bytes: largest + 1, isWhole: true, seconds: 1), "\(address)")
        }
        // From subnet to subnet by the gateway, which is on every host.
        #expect(one.lab.pings("192.168.7.9", from: "c0", bytes: 8951 - 28, isWhole: true))
        #expect(two.lab.pings(first[0], from: "far") && one.lab.pings("fd00:2::77", from: "c0"))
        #expect(one.lab.pings("192.168.0.1", from: "c0") && two.lab.pings("192.168.7.1", from: "far"))
        let server = try two.lab.serve("c0")
        for transport in Transport.allCases {
            #expect(try one.lab.ask(transport, second[0], from: "c0") == "c0 \(first[0])", "\(transport)")
            #expect(try one.lab.ask(transport, second[1], from: "c0") == "c0 \(first[1])", "\(transport)")
        }
        withExtendedLifetime(server) {}
        let shown = try hosts[2].get("/v1/networks/demonet")
        #expect(shown["IPAM"]?["Config"]?.elements.count == 3 && shown["EnableIPv6"]?.bool == true)
        try two.disconnect("far", network)
        // Nobody asked for broadcast here.
        try answerBroadcasts(two)
        #expect(try heard(one, "192.168.0.255", waiting: 1) == [])
    }

    /// Broadcast and multicast reach every member, head-end replicated, by a port of their own.
    private func replication(_ hosts: Hosts) throws {
        let network = OverlayHost.network(
            "loud", [("subnet", "10.9.0.0/24"), ("multicast", true), ("port", 8472)])
        for host in hosts.hosts { try host.lab.addContainer("loud") }
        let addresses = try hosts.hosts.map { try $0.addresses("loud", ips: [], network)[0] }
        for host in hosts.hosts { try answerBroadcasts(host, "loud") }
        try hosts.eventually("broadcast reaches all") {
            try heard(hosts[0], "10.9.0.255", "loud", waiting: 1) == Set(addresses[1...])
        }
        for host in hosts.hosts {
            try host.lab.tool("ip", "route", "add", "224.0.0.0/4", "dev", "eth0", in: "loud")
        }
        for host in hosts.hosts[1...] {
            let server = try host.lab.serve("loud", port: 5000, as: host.name, group: "239.9.9.9")
            let answer = try hosts[0].lab.ask(.udp, "239.9.9.9", 5000, from: "loud")
            #expect(answer == "\(host.name) \(addresses[0])")
            withExtendedLifetime(server) {}
        }
        for host in hosts.hosts { try host.disconnect("loud", network) }
    }

    private func answerBroadcasts(_ host: OverlayHost, _ container: String = "c0") throws {
        try host.lab.script("echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts", in: container)
    }

    /// Who else answers an echo request to all.
    private func heard(_ host: OverlayHost, _ address: String, _ container: String = "c0", waiting seconds: Int) throws
        -> Set<String>
    {
        let text = try host.lab.script("ping -n -b -c 2 -i 0.2 -W \(seconds) \(address) 2>&1 || true", in: container)
        let own = try host.lab.tool("ip", "-o", "-4", "address", "show", "eth0", in: container)
        return Set(
            text.split(separator: "\n").compactMap { line in
                let words = line.split { $0 == " " || $0 == ":" }
                guard words.count > 3, words[1] == "bytes", words[2] == "from" else { return nil }
                return String(words[3])
            }
        ).filter { !own.contains(" \($0)/") }
    }

    /// A host that is on the wire, and knows everything, sends VXLAN to a member of a network that it is not on.
    private func strangers(_ hosts: Hosts, stranger: Int, port: Int = 4789) throws {
        let (target, foreign) = (hosts[0], hosts[stranger])
        let vni = try target.get("/v1/networks/demonet")["VNI"]?.integer ?? 0
        let address = try target.lab.tool("ip", "-o", "-4", "address", "show", "eth0", in: "c0")
            .split { $0 == " " || $0 == "/" }.first { $0.hasPrefix("192.168.0.") }.map(String.init)
        let victim = try #require(address)
        let link = try target.lab.tool("ip", "-o", "link", "show", "eth0", in: "c0").split(separator: " ")
        let mac = try #require(link.firstIndex(of: "link/ether").map { String(link[$0 + 1]) })
        try foreign.lab.script(
            """
            ip link add fake type vxlan id \(vni) dstport \(port) local \(foreign.address) remote \(target.address) \
                nolearning
            echo 1 >/proc/sys/net/ipv6/conf/fake/disable_ipv6
            ip address add 192.168.0.200/24 dev fake
            ip link set fake address 02:42:c0:a8:00:c8 up
            ip neighbour replace \(victim) lladdr \(mac) dev fake nud permanent
            """)
        try target.lab.script(
            "ip neighbour replace 192.168.0.200 lladdr 02:42:c0:a8:00:c8 dev eth0 nud permanent", in: "c0")
        let before = try requestsSeen(target)
        let filter = "udp dst port \(port) and src host \(foreign.address)"
        try target.lab.script(
            """
            timeout 60 tcpdump --immediate-mode -lnn -i up0 -c 3 -T vxlan '\(filter)' \
                >/run/capture 2>/run/capture.errors </dev/null &
            for i in $(seq 300); do grep -q listening /run/capture.errors && break; sleep 0.02; done
            """)
        #expect(throws: LabError.self) {
            try foreign.lab.tool("ping", "-n", "-q", "-c", "3", "-i", "0.1", "-W", "1", victim)
        }
        // They came as far as the host's door, and not through it.
        try hosts.eventually("they are captured") {
            try target.lab.read("/run/capture").components(of: "192.168.0.200 > \(victim): ICMP echo request") == 3
        }
        #expect(try target.lab.read("/run/capture").contains("vni \(vni)"))
        #expect(try requestsSeen(target) == before)
        let chain = try target.lab.tool("nft", "list", "chain", "inet", "swiftlet", "vteps-fa17f1198b")
        let words = chain.split(separator: " ").map(String.init)
        let dropped = words.firstIndex(of: "packets").flatMap { Int(words[$0 + 1]) } ?? 0
        #expect(dropped >= 3, "\(chain)")
        #expect(try target.metric("swiftletd_vxlan_dropped_total{network=\"demonet\"}") >= dropped)
        // As a member it would be heard: what was sent is right in all else.
        let family = foreign.address.contains(":") ? 6 : 4
        let element = "{ \(foreign.address) }"
        try target.lab.tool("nft", "add", "element", "inet", "swiftlet", "vteps\(family)-fa17f1198b", element)
        _ = foreign.lab.pings(victim, seconds: 1)
        #expect(try requestsSeen(target) == before + 1)
        try foreign.lab.tool("ip", "link", "delete", "fake")
    }

    /// The echo requests that have reached the container.
    private func requestsSeen(_ host: OverlayHost) throws -> Int {
        let rows = try host.lab.tool("cat", "/proc/net/snmp", in: "c0").split(separator: "\n")
            .filter { $0.hasPrefix("Icmp: ") }.map { $0.split(separator: " ").map(String.init) }
        guard rows.count == 2, let place = rows[0].firstIndex(of: "InEchos") else { throw LabError("snmp: \(rows)") }
        return Int(rows[1][place]) ?? -1
    }
}

extension String {
    /// How often a text occurs.
    fileprivate func components(of text: String) -> Int {
        split(separator: "\n").filter { $0.contains(text) }.count
    }
}
