import NetworkTypes
import TestSupport
import Testing

@testable import Netfilter

@Suite("nftables layout")
struct LayoutTests {
    private let owner = FilterOwner(network: "demo", containerID: "c1", interfaceName: "eth0")
    private let addresses = ["10.5.0.2/24", "2001:db8:5::2/64"].compactMap { IPPrefix($0) }

    /// The files are what `nft list table` printed of a kernel that the suite had filled.
    @Test("the tables, before any container, as nft lists them")
    func tables() throws {
        #expect(try Golden.text("netfilter/inet-swiftlet.nft") == BaseLayout.inetTable.nftText)
        #expect(try Golden.text("netfilter/bridge-swiftlet.nft") == BaseLayout.bridgeTable.nftText)
    }

    private func text(_ rules: FilterRule...) throws -> [String] {
        let entries = try Entries(rules, for: owner)
        return entries.entries.map { "\($0.set.name) \($0.element.nftText)" }
            + entries.chains.map { "\($0.name): " + $0.rules.map(\.nftText).joined(separator: "; ") }
    }

    private let comment = #"comment "26c669cd0814ac40-f4d01f2ef4b92245 demo c1/eth0""#

    @Test("masquerade: an element per address, a chain per network")
    func masquerade() throws {
        let lines = try text(.masquerade(Masquerade(addresses: addresses)))
        #expect(
            lines == [
                "masquerade4 10.5.0.2 \(comment) : goto masquerade-26c669cd0814ac40-395d772363a33931",
                "masquerade6 2001:db8:5::2 \(comment) : goto "
                    + "masquerade-26c669cd0814ac40-\(SHA512.hex("2001:db8:5::/64", length: 16))",
                "masquerade-26c669cd0814ac40-395d772363a33931: ip daddr 10.5.0.0/24 return; ip daddr 224.0.0.0/4 return; "
                    + "masquerade",
                "masquerade-26c669cd0814ac40-\(SHA512.hex("2001:db8:5::/64", length: 16)): "
                    + "ip6 daddr 2001:db8:5::/64 return; ip6 daddr ff00::/8 return; masquerade",
            ])
    }

    @Test("an address to leave with makes another chain")
    func source() throws {
        let source = try #require(IPAddress("192.0.2.7"))
        let lines = try text(.masquerade(Masquerade(addresses: [addresses[0]], source: source)))
        #expect(lines.last?.hasSuffix("ip daddr 224.0.0.0/4 return; snat ip to 192.0.2.7") == true, "\(lines)")
        #expect(try lines.last != text(.masquerade(Masquerade(addresses: [addresses[0]]))).last)
    }

    @Test("ports: an element per mapping, by address where one is given, of the address's family only")
    func ports() throws {
        let forward = PortForward(
            [
                PortMapping(.tcp, hostPort: 8080, containerPort: 80),
                PortMapping(.udp, hostAddress: IPAddress("192.0.2.1"), hostPort: 53, containerPort: 5353),
                PortMapping(.tcp, hostAddress: IPAddress("::"), hostPort: 81, containerPort: 80),
            ], to: addresses)
        let lines = try text(.portForward(forward))
        #expect(lines.contains("hostports4 tcp . 8080 \(comment) : 10.5.0.2 . 80"))
        #expect(lines.contains("hostports6 tcp . 8080 \(comment) : 2001:db8:5::2 . 80"))
        #expect(lines.contains("hostip_hostports4 192.0.2.1 . udp . 53 \(comment) : 10.5.0.2 . 5353"))
        #expect(lines.contains("hostports6 tcp . 81 \(comment) : 2001:db8:5::2 . 80"))
        #expect(!lines.contains { $0.hasPrefix("hostports4 tcp . 81") || $0.hasPrefix("hostip_hostports6") })
        #expect(lines.filter { $0.hasPrefix("hairpin4 10.5.0.2") || $0.hasPrefix("hairpin6 2001:db8:5::2") }.count == 2)
    }

    @Test("conditions make a chain of the owner's own")
    func conditions() throws {
        let forward = PortForward(
            [PortMapping(.tcp, hostPort: 8080, containerPort: 80)], to: [addresses[0]], sourceRewrite: .none,
            conditions4: ["ip saddr 192.0.2.0/24", "iifname != eth7"])
        let lines = try text(.portForward(forward))
        #expect(lines.count == 2)
        #expect(lines[0] == "conditional_hostports4 tcp . 8080 \(comment) : jump hostports-\(owner.tag)")
        #expect(lines[1].contains("ip saddr 192.0.2.0/24 iifname != \"eth7\" dnat ip to 10.5.0.2:80"), "\(lines[1])")
        #expect(throws: NetfilterError.self) {
            try text(
                .portForward(
                    PortForward(forward.mappings, to: [addresses[0]], conditions4: ["meta skuid 0"])))
        }
    }

    @Test("policies are the network's, addresses and ports the container's")
    func firewall() throws {
        let isolated = Firewall(addresses: [addresses[0].address], ingress: .isolated, bridge: "br0", port: "vethx")
        #expect(
            try text(.firewall(isolated)) == [
                "containers4 10.5.0.2 \(comment)",
                #"bridge_pairs "br0" . "br0" comment "26c669cd0814ac40 demo" : drop"#,
                #"bridges "br0" comment "26c669cd0814ac40 demo""#, "isolated_ports \"vethx\" \(comment)",
            ])
        let open = Firewall(addresses: [addresses[0].address])
        #expect(try text(.firewall(open)) == ["containers4 10.5.0.2 \(comment)"])
    }

    @Test("a bound port takes frames of one MAC")
    func antiSpoof() throws {
        let mac = try #require(MACAddress("02:42:0a:05:00:02"))
        #expect(
            try text(.antiSpoof(AntiSpoof(link: "vethx", mac: mac))) == [
                "bound_macs \"vethx\" . 02:42:0a:05:00:02 \(comment)", "bound_ports \"vethx\" \(comment)",
            ])
    }
}
