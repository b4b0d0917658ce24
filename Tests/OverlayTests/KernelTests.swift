import Netfilter
import Netlink
import NetworkTypes
import Overlay
import System
import TestSupport
import Testing

@Suite("An overlay in the kernel", .enabled(if: FreshNamespace.isPermitted), .serialized)
struct OverlayKernelTests {
    static func segment(_ underlay: Underlay, _ host: Int, ipv6: Bool = false, mtu: UInt32 = 1450) throws
        -> OverlaySegment
    {
        let local = try #require(IPAddress(underlay.address(host, ipv6: ipv6)))
        let gateway = try #require(IPPrefix("192.168.0.1/24"))
        return OverlaySegment(vni: 5000, local: local, mtu: mtu, gateways: [gateway])
    }

    /// Connects a container by hand. Equivalent: `ip link add …`.
    static func connect(
        _ host: Lab, _ identity: NetworkIdentity, _ container: String, _ address: String, mtu: Int = 1450
    )
        throws
    {
        let mac = NetworkIdentity.containerMAC(try #require(IPPrefix(address)).address)
        try host.script(
            """
            nsenter --net=\(identity.namespacePath) ip link add veth1 mtu \(mtu) type veth peer name eth0 mtu \(mtu) \
                address \(mac) netns \(host.netns(container))
            nsenter --net=\(identity.namespacePath) ip link set veth1 master br0 up
            """)
        try host.script("ip address add \(address) dev eth0; ip link set eth0 up", in: container)
    }

    @Test("Two hosts' containers reach each other by static entries, and only so", arguments: [false, true])
    func crossing(_ ipv6: Bool) throws {
        let underlay = try Underlay(hosts: 2)
        let identity = NetworkIdentity(network: "demonet")
        for (index, host) in underlay.hosts.enumerated() {
            let segment = try Self.segment(underlay, index, ipv6: ipv6, mtu: ipv6 ? 1430 : 1450)
            try host.inside { () throws in
                _ = try OverlayNetwork.prepare(identity, segment, host: try RouteSession())
                let again = try OverlayNetwork.prepare(identity, segment, host: try RouteSession())
                #expect(try again.apply(segment).isEmpty)
            }
            try Self.connect(host, identity, "c0", "192.168.0.\(index + 2)/24", mtu: ipv6 ? 1430 : 1450)
        }
        #expect(!underlay.hosts[0].pings("192.168.0.3", from: "c0", seconds: 1))
        for (index, host) in underlay.hosts.enumerated() {
            let address = try #require(IPAddress("192.168.0.\(3 - index)"))
            let vtep = try #require(IPAddress(underlay.address(1 - index, ipv6: ipv6)))
            let endpoint = RemoteEndpoint(
                addresses: [address], mac: NetworkIdentity.containerMAC(address), vtep: vtep)
            try host.inside { () throws in
                let network = try #require(try OverlayNetwork.open(identity, host: try RouteSession()))
                #expect(try network.program(PeerEntries([endpoint])) == 3)
                #expect(try network.program(PeerEntries([endpoint])) == 0)
                #expect(try network.containerPorts().map(\.name) == ["veth1"])
            }
        }
        #expect(underlay.hosts[0].pings("192.168.0.3", from: "c0"))
        #expect(underlay.hosts[0].pings("192.168.0.3", from: "c0", bytes: (ipv6 ? 1430 : 1450) - 28, isWhole: true))
        let listing = try underlay.hosts[0].tool(
            "nsenter", "--net=\(identity.namespacePath)", "ip", "-d", "link", "show", "vxlan0")
        #expect(listing.contains("proxy") && listing.contains("nolearning") && listing.contains("l2miss l3miss"))
        // A namespace in use stays, an unused one goes and its VNI with it.
        try underlay.hosts[0].inside { () throws in
            #expect(try OverlayNetwork.remove(identity) == false)
            #expect(try OverlayNetwork.remove(identity, force: true))
            #expect(try OverlayNamespaces().names().isEmpty)
        }
        let segment = try Self.segment(underlay, 0, ipv6: ipv6)
        try underlay.hosts[0].inside { () throws in
            _ = try OverlayNetwork.prepare(identity, segment, host: try RouteSession())
            #expect(try OverlayNetwork.remove(identity))
        }
    }

    @Test("What others have left is adopted, what differs is changed, a taken VNI is named")
    func adopted() throws {
        let underlay = try Underlay(hosts: 1, containers: 0)
        let host = underlay.hosts[0]
        let identity = NetworkIdentity(network: "demonet")
        let segment = try Self.segment(underlay, 0)
        try host.inside { () throws in
            let namespaces = OverlayNamespaces()
            try Files.makeDirectories(namespaces.directory, mode: 0o755)
            // A file without a namespace, then a namespace without links.
            try Files.rewrite(namespaces.path(identity), with: [])
            #expect(try namespaces.names() == [identity.namespaceName])
            _ = try namespaces.make(identity)
            let network = try OverlayNetwork.prepare(identity, segment, host: try RouteSession())
            try network.stack.setParameter("net/ipv4/conf/br0/arp_notify", "1")
            // Something else of the bridge's name.
            if let link = try network.stack.link(named: "br0") { try network.stack.deleteLink(index: link.index) }
            try network.stack.createLink(LinkSpec(name: "br0", kind: .veth(peer: .init(name: "other"))))
            var jumbo = segment
            jumbo.mtu = 8951
            let changes = try network.apply(jumbo)
            #expect(changes.first == .remove(link: "br0") && !changes.contains(.createVXLAN))
            #expect(try network.stack.link(named: "vxlan0")?.mtu == 8951)
            #expect(try network.apply(jumbo).isEmpty)
            // The same VNI and port under another name.
            let other = NetworkIdentity(network: "other")
            do {
                _ = try OverlayNetwork.prepare(other, segment, host: try RouteSession())
                Issue.record("two VXLANs share a VNI")
            } catch {
                let holder = "vxlan0 in \(identity.namespacePath)"
                #expect(error as? OverlayError == .busyVNI(5000, port: 4789, holder: holder))
            }
            var elsewhere = segment
            elsewhere.port = 8472
            let second = try OverlayNetwork.prepare(other, elsewhere, host: try RouteSession())
            #expect(try second.apply(elsewhere).isEmpty)
        }
    }

    @Test("A VNI that was another namespace's a moment ago is waited for")
    func busy() throws {
        let underlay = try Underlay(hosts: 1, containers: 0)
        let segment = try Self.segment(underlay, 0)
        try underlay.hosts[0].inside { () throws in
            let namespaces = OverlayNamespaces()
            for number in 0..<5 {
                let identity = NetworkIdentity(network: "net\(number)")
                _ = try OverlayNetwork.prepare(identity, segment, host: try RouteSession())
                // Without removing its links first, as when somebody unmounts it.
                try namespaces.remove(identity)
            }
        }
    }

    @Test("20 000 endpoints are programmed at once")
    func many() throws {
        let underlay = try Underlay(hosts: 1, containers: 0)
        var segment = try Self.segment(underlay, 0)
        segment.gateways = []
        let endpoints = (0..<20000).map { PeerEntriesTests.endpoint($0 + 2, on: 2 + $0 % 5) }
        try underlay.hosts[0].inside { [segment] in
            let network = try OverlayNetwork.prepare(
                NetworkIdentity(network: "big"), segment, host: try RouteSession())
            let start = monotonicNanoseconds()
            #expect(try network.program(PeerEntries(endpoints)) == 60000)
            let programmed = monotonicNanoseconds()
            #expect(try network.program(PeerEntries(endpoints)) == 0)
            let compared = monotonicNanoseconds()
            print(
                "20 000 endpoints: programmed in \((programmed - start) / 1_000_000) ms, "
                    + "compared in \((compared - programmed) / 1_000_000) ms")
            #expect(try network.program(PeerEntries()) == 60000)
        }
    }

    @Test("VXLAN from hosts that are no members is dropped and counted", arguments: [false, true])
    func filtered(_ ipv6: Bool) throws {
        let underlay = try Underlay(hosts: 2)
        let identity = NetworkIdentity(network: "demonet")
        for (index, host) in underlay.hosts.enumerated() {
            let segment = try Self.segment(underlay, index, ipv6: ipv6)
            let address = try #require(IPAddress("192.168.0.\(3 - index)"))
            let vtep = try #require(IPAddress(underlay.address(1 - index, ipv6: ipv6)))
            try host.inside { () throws in
                let network = try OverlayNetwork.prepare(identity, segment, host: try RouteSession())
                let endpoint = RemoteEndpoint(
                    addresses: [address], mac: NetworkIdentity.containerMAC(address), vtep: vtep)
                try network.program(PeerEntries([endpoint]))
            }
            try Self.connect(host, identity, "c0", "192.168.0.\(index + 2)/24")
        }
        let peer = try #require(IPAddress(underlay.address(1, ipv6: ipv6)))
        let host = underlay.hosts[0]
        #expect(host.pings("192.168.0.3", from: "c0"))
        try host.inside { () throws in
            let filter = try VTEPFilter()
            try filter.set(identity, vni: 5000, port: 4789, members: [peer])
            try filter.set(identity, vni: 5000, port: 4789, members: [peer])
            #expect(try filter.members(identity) == [peer])
        }
        let listing = try host.tool("nft", "list", "table", "inet", "swiftlet")
        #expect(listing.contains("udp dport 4789 @th,96,24"), "\(listing)")
        #expect(host.pings("192.168.0.3", from: "c0"))
        func dropped() throws -> UInt64? { try host.inside { try VTEPFilter().dropped(identity) } }
        #expect(try dropped() == 0)
        try host.inside { try VTEPFilter().set(identity, vni: 5000, port: 4789, members: []) }
        #expect(!host.pings("192.168.0.3", from: "c0", seconds: 1))
        #expect(try dropped() ?? 0 > 0)
        // Other networks' packets, and other ports', are not its business.
        try host.inside { () throws in
            let filter = try VTEPFilter()
            try filter.set(identity, vni: 5001, port: 4789, members: [])
            #expect(try filter.shortIdentifiers() == [identity.shortIdentifier])
        }
        #expect(host.pings("192.168.0.3", from: "c0"))
        try host.inside { try VTEPFilter().remove(identity) }
        #expect(try host.tool("nft", "list", "tables") == "")
    }

    @Test("Networks share the filter's chain and leave what is not theirs")
    func shared() throws {
        let lab = try Lab(containers: 0)
        let member = try #require(IPAddress("192.0.2.2"))
        try lab.inside { () throws in
            let (one, two) = (NetworkIdentity(network: "one"), NetworkIdentity(network: "two"))
            let filter = try VTEPFilter()
            try filter.remove(one)
            try filter.set(one, vni: 1, port: 4789, members: [member])
            try filter.set(two, vni: 2, port: 4789, members: [member])
            let owner = FilterOwner(network: "net", containerID: "c0", interfaceName: "eth0")
            let address = try #require(IPPrefix("10.1.0.2/24"))
            let firewall = Firewall(addresses: [address.address])
            try NFTables().add([.firewall(firewall)], for: owner)
            try filter.remove(one)
            #expect(try filter.shortIdentifiers() == [two.shortIdentifier])
            try NFTables().check([.firewall(firewall)], of: owner)
            try filter.remove(two)
            try NFTables().check([.firewall(firewall)], of: owner)
            #expect(try filter.members(one) == nil)
        }
        let listing = try lab.tool("nft", "list", "table", "inet", "swiftlet")
        #expect(!listing.contains("vteps"))
    }
}
