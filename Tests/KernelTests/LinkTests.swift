import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netlink

@Suite("Links in a fresh namespace", .enabled(if: FreshNamespace.isPermitted))
struct LinkTests {
    @Test("A fresh namespace has lo alone, and it is not the host's")
    func loopbackOnly() throws {
        try inFreshNamespace { namespace in
            let session = try RouteSession()
            let links = try session.links()
            #expect(links.map(\.name) == ["lo"])
            #expect(try session.link(named: "lo")?.index == 1)
            #expect(try session.link(index: 1)?.name == "lo")
            #expect(try session.link(named: "nothere") == nil)
            #expect(try session.link(index: 4711) == nil)
            try session.changeLink(index: 1, LinkChange { $0.isUp = true })
            #expect(try session.link(named: "lo")?.isUp == true)
        }
    }

    @Test("A veth's peer is born in another namespace with its name, address and MTU")
    func vethAcrossNamespaces() throws {
        try inFreshNamespace { host in
            let container = try FreshNamespace()
            let inner = try container.open()
            let session = try RouteSession()
            let mac = try #require(MACAddress("02:42:0a:01:02:03"))
            let peer = LinkSpec.VethPeer(name: "eth0", mac: mac, mtu: 1400, namespace: inner.descriptor)
            try session.createLink(LinkSpec(name: "veth0", kind: .veth(peer: peer), mtu: 1400, isUp: true))

            let inside = try RouteSession(in: inner)
            let eth0 = try #require(try inside.link(named: "eth0"))
            #expect(eth0.mac == mac)
            #expect(eth0.mtu == 1400)
            #expect(eth0.kind == "veth")
            #expect(eth0.isUp == false)
            let veth0 = try #require(try session.link(named: "veth0"))
            #expect(veth0.isUp)
            #expect(veth0.peer == eth0.index)
            #expect(veth0.peerNamespace == (try session.namespaceIdentifier(of: inner)))
            #expect(veth0.peerNamespace != nil)
            #expect(eth0.peer == veth0.index)
            #expect(try container.run { try command("ip -j link show dev eth0").contains("02:42:0a:01:02:03") })

            try session.deleteLink(index: veth0.index)
            #expect(try inside.link(named: "eth0") == nil)
        }
    }
}
