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

    @Test("A bridge, a VXLAN and a macvlan are made as asked and read back alike by ip")
    func kinds() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let mac = try #require(MACAddress("02:42:0a:00:00:01"))
            try session.createLink(
                LinkSpec(name: "br0", kind: .bridge(BridgeState(ageingTime: 0)), mac: mac, mtu: 1450, isUp: true))
            let bridge = try #require(try session.link(named: "br0"))
            #expect(bridge.kind == "bridge")
            #expect(bridge.mac == mac)
            #expect(bridge.mtu == 1450)
            #expect(bridge.isUp)
            #expect(bridge.bridge == BridgeState(ageingTime: 0))
            let shown = try command("ip -j -d link show dev br0")
            #expect(shown.contains(#""ageing_time":0"#))
            #expect(shown.contains(#""address":"02:42:0a:00:00:01""#))

            let vxlan = VXLANState(
                identifier: 4097, port: 4790, local: IPAddress("192.0.2.1"), learning: false, proxy: true, l2Miss: true,
                l3Miss: true)
            try session.createLink(LinkSpec(name: "vx0", kind: .vxlan(vxlan)))
            #expect(try session.link(named: "vx0")?.vxlan == vxlan)
            let details = try command("ip -j -d link show dev vx0")
            for part in [
                #""id":4097"#, #""port":4790"#, #""local":"192.0.2.1""#, #""learning":false"#, #""proxy":true"#,
            ] {
                #expect(details.contains(part))
            }
            let vxlan6 = VXLANState(
                identifier: 4098, local: IPAddress("2001:db8::1"), group: IPAddress("ff05::100"), underlay: bridge.index
            )
            try session.createLink(LinkSpec(name: "vx6", kind: .vxlan(vxlan6)))
            #expect(try session.link(named: "vx6")?.vxlan == vxlan6)

            try session.createLink(LinkSpec(name: "mv0", kind: .macvlan(parent: bridge.index, mode: .bridge)))
            let macvlan = try #require(try session.link(named: "mv0"))
            #expect(macvlan.kind == "macvlan")
            #expect(macvlan.peer == bridge.index)
            #expect(try command("ip -j -d link show dev mv0").contains(#""mode":"bridge""#))
            #expect(Set(try session.links().map(\.name)) == ["lo", "br0", "vx0", "vx6", "mv0"])
        }
    }

    @Test("One change sets everything it names and leaves the rest alone")
    func change() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            try session.createLink(LinkSpec(name: "br0", kind: .bridge(BridgeState())))
            try session.createLink(LinkSpec(name: "veth0", kind: .veth(peer: .init(name: "veth1"))))
            let bridge = try #require(try session.link(named: "br0"))
            let before = try #require(try session.link(named: "veth0"))
            let mac = try #require(MACAddress("02:42:0a:00:00:02"))
            try session.changeLink(
                index: before.index,
                LinkChange {
                    $0.name = "eth9"
                    $0.mac = mac
                    $0.mtu = 1300
                    $0.transmitQueueLength = 77
                    $0.master = bridge.index
                    $0.alias = "pod 1"
                    $0.isUp = true
                    $0.isPromiscuous = true
                    $0.isAllMulticast = true
                })
            let link = try #require(try session.link(index: before.index))
            #expect(link.name == "eth9")
            #expect(link.mac == mac)
            #expect(link.mtu == 1300)
            #expect(link.transmitQueueLength == 77)
            #expect(link.master == bridge.index)
            #expect(link.alias == "pod 1")
            #expect(link.isUp && link.isPromiscuous && link.isAllMulticast)
            #expect(link.port != nil)
            let shown = try command("ip -j -d link show dev eth9")
            for part in [#""mtu":1300"#, #""txqlen":77"#, #""ifalias":"pod 1""#, #""master":"br0""#, "PROMISC"] {
                #expect(shown.contains(part))
            }

            try session.changeLink(
                index: link.index,
                LinkChange {
                    $0.master = 0
                    $0.alias = ""
                    $0.isPromiscuous = false
                })
            let after = try #require(try session.link(index: before.index))
            #expect(after.master == nil)
            #expect(after.alias == nil)
            #expect(after.port == nil)
            #expect(after.isUp && !after.isPromiscuous && after.isAllMulticast)
            #expect(after.mtu == 1300)
        }
    }

    @Test("A link moves to another namespace, and is renamed on the way")
    func move() throws {
        try inFreshNamespace { _ in
            let other = try FreshNamespace().open()
            let session = try RouteSession()
            try session.createLink(LinkSpec(name: "veth0", kind: .veth(peer: .init(name: "veth1"))))
            let link = try #require(try session.link(named: "veth1"))
            let descriptor = other.descriptor
            try session.changeLink(
                index: link.index,
                LinkChange {
                    $0.namespace = descriptor
                    $0.name = "eth0"
                })
            #expect(try session.link(named: "veth1") == nil)
            #expect(try RouteSession(in: other).link(named: "eth0")?.kind == "veth")
        }
    }

    @Test("Refusals carry the verb, the object, the errno and the kernel's words")
    func refusals() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let spec = LinkSpec(name: "br0", kind: .bridge(BridgeState()))
            try session.createLink(spec)
            #expect(throws: NetlinkError(operation: "create link", subject: "br0", errno: .fileExists)) {
                try session.createLink(spec)
            }
            let bridge = try #require(try session.link(named: "br0"))
            #expect(
                throws: NetlinkError(
                    operation: "change link", subject: "\(bridge.index)", errno: .invalidArgument,
                    kernelMessage: "mtu less than device minimum")
            ) {
                try session.changeLink(index: bridge.index, LinkChange { $0.mtu = 1 })
            }
            #expect(throws: NetlinkError(operation: "delete link", subject: "4711", errno: .noSuchDevice)) {
                try session.deleteLink(index: 4711)
            }
            #expect {
                try session.createLink(LinkSpec(name: "sixteen-letters-", kind: .bridge(BridgeState())))
            } throws: { ($0 as? NetlinkError)?.errno == .outOfRange }
            #expect {
                try session.createLink(LinkSpec(name: "a\0b", kind: .bridge(BridgeState())))
            } throws: { ($0 as? NetlinkError)?.errno == .invalidArgument }
        }
    }

    @Test("VLAN filtering is either there or refused with EOPNOTSUPP, never passed over in silence")
    func vlanFiltering() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            do {
                try session.createLink(LinkSpec(name: "br0", kind: .bridge(BridgeState(vlanFiltering: true))))
                #expect(try session.link(named: "br0")?.bridge?.vlanFiltering == true)
            } catch {
                let error = try #require(error as? NetlinkError)
                #expect(error.errno == .notSupported)
                #expect(try session.link(named: "br0") == nil)
                print("this kernel has no VLAN filtering: \(error)")
            }
            try session.createLink(LinkSpec(name: "br1", kind: .bridge(BridgeState())))
            let bridge = try #require(try session.link(named: "br1"))
            do {
                try session.changeLink(index: bridge.index, LinkChange { $0.vlanFiltering = true })
                #expect(try session.link(named: "br1")?.bridge?.vlanFiltering == true)
            } catch {
                let error = try #require(error as? NetlinkError)
                #expect(error.errno == .notSupported)
                print("this kernel has no VLAN filtering: \(error)")
            }
        }
    }
}
