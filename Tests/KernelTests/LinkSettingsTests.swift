import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netlink

@Suite("What address families keep about links", .enabled(if: FreshNamespace.isPermitted))
struct LinkSettingsTests {
    @Test("A summary is what the link itself says, in the session's namespace")
    func summary() throws {
        try inFreshNamespace { _ in
            let container = try FreshNamespace()
            let inner = try container.open()
            let session = try RouteSession()
            let mac = try #require(MACAddress("02:42:0a:01:02:03"))
            let peer = LinkSpec.VethPeer(name: "eth0", mac: mac, mtu: 1400, namespace: inner.descriptor)
            try session.createLink(LinkSpec(name: "veth0", kind: .veth(peer: peer)))
            let inside = try RouteSession(in: inner)
            let link = try #require(try inside.link(named: "eth0"))
            #expect(
                try inside.summary(ofLink: "eth0")
                    == LinkSummary(index: link.index, mtu: 1400, mac: mac, isRunning: false))
            #expect(try session.summary(ofLink: "eth0") == nil)
            #expect(try session.summary(ofLink: "veth0")?.index == session.link(named: "veth0")?.index)
            #expect(try session.summary(ofLink: "lo") == LinkSummary(index: 1, mtu: 65536, mac: nil, isRunning: false))
            #expect(try session.summary(ofLink: String(repeating: "x", count: 16)) == nil)
        }
    }

    @Test("A bridge keeps the MAC it was given, another one has its ports'")
    func fixedMACs() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            func isFixed() throws -> Bool {
                try session.hasFixedMAC(bridge: #require(try session.link(named: "br0")))
            }
            try session.createLink(LinkSpec(name: "br0", kind: .bridge(BridgeState())))
            #expect(try !isFixed())
            let bridge = try #require(try session.link(named: "br0"))
            let mac = try #require(MACAddress("02:00:00:00:00:01"))
            try session.createLink(LinkSpec(name: "veth0", kind: .veth(peer: .init(name: "veth1")), mac: mac))
            let port = try #require(try session.link(named: "veth0"))
            try session.changeLink(index: port.index, LinkChange { $0.master = bridge.index })
            for name in ["veth0", "veth1", "br0"] {
                let link = try #require(try session.link(named: name))
                try session.changeLink(index: link.index, LinkChange { $0.isUp = true })
            }
            #expect(try session.awaitLink(index: bridge.index, milliseconds: 5000) { $0.isOperational })
            #expect(try session.link(named: "br0")?.mac == mac && !isFixed())
            let own = try #require(MACAddress("02:00:00:00:00:02"))
            try session.changeLink(index: bridge.index, LinkChange { $0.mac = own })
            #expect(try isFixed())
        }
    }

    @Test("No link-local address, announcements, 127.0.0.0/8 by the link")
    func families() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            try session.createLink(LinkSpec(name: "veth0", kind: .veth(peer: .init(name: "veth1"))))
            let link = try #require(try session.link(named: "veth0"))
            #expect(!link.routesLocalnet)
            try session.changeLink(
                index: link.index,
                LinkChange {
                    $0.isUp = true
                    $0.addressGeneration = IPv6AddressGeneration.none
                    $0.announcesAddresses = true
                })
            #expect(try session.parameter("net/ipv4/conf/veth0/arp_notify") == "1")
            #expect(try session.parameter("net/ipv6/conf/veth0/addr_gen_mode") == "1")
            #expect(try session.parameter("net/ipv6/conf/veth1/addr_gen_mode") == "0")
            let other = try #require(try session.link(named: "veth1"))
            try session.changeLink(index: other.index, LinkChange { $0.isUp = true })
            // The one with an address shows that there was time for it.
            #expect(try session.awaitAddresses(link: other.index, milliseconds: 20_000) { !$0.isEmpty })
            #expect(try session.addresses(link: link.index).isEmpty)
            try session.setParameter("net/ipv4/conf/veth0/route_localnet", "1")
            #expect(try session.link(named: "veth0")?.routesLocalnet == true)
            #expect(try session.link(named: "veth1")?.routesLocalnet == false)
            try session.changeLink(
                index: link.index,
                LinkChange {
                    $0.addressGeneration = .eui64
                    $0.announcesAddresses = false
                })
            #expect(try session.parameter("net/ipv4/conf/veth0/arp_notify") == "0")
            #expect(try session.parameter("net/ipv6/conf/veth0/addr_gen_mode") == "0")
        }
    }

    @Test("A link whose MTU is too small for IPv6 takes the rest of the change")
    func withoutIPv6() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let peer = LinkSpec.VethPeer(name: "veth1", mtu: 1000)
            try session.createLink(LinkSpec(name: "veth0", kind: .veth(peer: peer), mtu: 1000))
            let link = try #require(try session.link(named: "veth0"))
            try session.changeLink(
                index: link.index,
                LinkChange {
                    $0.isUp = true
                    $0.alias = "small"
                    $0.addressGeneration = IPv6AddressGeneration.none
                })
            let changed = try #require(try session.link(named: "veth0"))
            #expect(changed.isUp && changed.alias == "small")
        }
    }

    @Test("Forwarding is what the parameters say", arguments: [AddressFamily.ipv4, .ipv6])
    func forwarding(_ family: AddressFamily) throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let key = family == .ipv4 ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding"
            for value in ["1", "0", "1"] {
                try session.setParameter(key, value)
                #expect(try session.forwards(family) == (value == "1"))
            }
        }
    }
}
