import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netlink

@Suite("Neighbours, forwarding and namespace ids in fresh namespaces", .enabled(if: FreshNamespace.isPermitted))
struct NeighbourTests {
    private static let mac = MACAddress(number: 0x0242_0A01_0203)
    private static let otherMAC = MACAddress(number: 0x0242_0A01_0204)

    @Test("Neighbours are added, replaced, listed by link and removed", arguments: ["10.1.2.3", "2001:db8::3"])
    func neighbours(text: String) throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            for name in ["br0", "br1"] {
                try session.createLink(LinkSpec(name: name, kind: .bridge(BridgeState()), isUp: true))
            }
            let link = try #require(try session.link(named: "br0")).index
            let other = try #require(try session.link(named: "br1")).index
            let address = try #require(IPAddress(text))
            let entry = Neighbour(link: link, address: address, mac: Self.mac)
            try session.addNeighbour(entry)
            try session.addNeighbour(Neighbour(link: other, address: address, mac: Self.mac))
            #expect(try session.neighbours(family: address.family, link: link).filter { $0.state == 0x80 } == [entry])
            #expect(try session.neighbours(family: address.family).count { $0.state == 0x80 } == 2)
            #expect(try command("ip -j neighbour show dev br0").contains(#""lladdr":"02:42:0a:01:02:03""#))

            #expect { try session.addNeighbour(entry) } throws: { ($0 as? NetlinkError)?.isAlreadyThere == true }
            try session.replaceNeighbour(Neighbour(link: link, address: address, mac: Self.otherMAC))
            #expect(
                try session.neighbours(family: address.family, link: link).first { $0.address == address }?.mac
                    == Self.otherMAC)
            try session.removeNeighbour(entry)
            #expect(try !session.neighbours(family: address.family, link: link).contains { $0.address == address })
            #expect { try session.removeNeighbour(entry) } throws: { ($0 as? NetlinkError)?.isGone == true }
        }
    }

    @Test("A VXLAN's entries: remotes with port and VNI, several for the all-zero MAC, replace and remove")
    func vxlanForwarding() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            try session.createLink(
                LinkSpec(
                    name: "vx0",
                    kind: .vxlan(VXLANState(identifier: 4097, local: IPAddress("192.0.2.1"), learning: false))))
            let link = try #require(try session.link(named: "vx0")).index
            let entry = ForwardingEntry(
                link: link, mac: Self.mac, remote: IPAddress("192.0.2.9"), port: 4790, vni: 4098, state: 0xC0)
            try session.addForwarding(entry)
            #expect(try session.forwardingEntries(link: link) == [entry])
            let shown = try command("bridge -j fdb show dev vx0")
            for part in [#""mac":"02:42:0a:01:02:03""#, #""dst":"192.0.2.9""#, #""port":4790"#, #""vni":4098"#] {
                #expect(shown.contains(part), "\(part) in \(shown)")
            }
            #expect { try session.addForwarding(entry) } throws: { ($0 as? NetlinkError)?.isAlreadyThere == true }

            let moved = ForwardingEntry(link: link, mac: Self.mac, remote: IPAddress("192.0.2.10"), state: 0xC0)
            try session.replaceForwarding(moved)
            #expect(try session.forwardingEntries(link: link) == [moved])

            let flood = ["192.0.2.11", "192.0.2.12", "192.0.2.13"].map {
                ForwardingEntry(link: link, mac: .zero, remote: IPAddress($0), state: 0xC0)
            }
            for entry in flood { try session.appendForwarding(entry) }
            #expect(Set(try session.forwardingEntries(link: link).filter { $0.mac == .zero }) == Set(flood))
            try session.removeForwarding(flood[1])
            #expect(
                Set(try session.forwardingEntries(link: link).filter { $0.mac == .zero }) == [flood[0], flood[2]])
            try session.removeForwarding(moved)
            #expect { try session.removeForwarding(moved) } throws: { ($0 as? NetlinkError)?.isGone == true }
        }
    }

    @Test("A bridge's own entry on a port")
    func bridgeForwarding() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            try session.createLink(LinkSpec(name: "br0", kind: .bridge(BridgeState()), isUp: true))
            try session.createLink(LinkSpec(name: "veth0", kind: .veth(peer: .init(name: "veth1")), isUp: true))
            let bridge = try #require(try session.link(named: "br0")).index
            let port = try #require(try session.link(named: "veth0")).index
            try session.changeLink(index: port, LinkChange { $0.master = bridge })
            let entry = ForwardingEntry(link: port, mac: Self.mac, state: 0x40, flags: 0x04)
            try session.addForwarding(entry)
            let found = try session.forwardingEntries(link: port).filter { $0.mac == Self.mac }
            #expect(found.count == 1)
            #expect(found.first?.state == 0x40)
            #expect(try command("bridge -j fdb show dev veth0").contains(#""mac":"02:42:0a:01:02:03""#))
            try session.removeForwarding(entry)
            #expect(try !session.forwardingEntries(link: port).contains { $0.mac == Self.mac })
        }
    }

    @Test("Namespace ids are given, chosen by the kernel, read and refused twice")
    func namespaceIdentifiers() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let first = try FreshNamespace().open()
            let second = try FreshNamespace().open()
            #expect(try session.namespaceIdentifier(of: first) == nil)
            try session.assignNamespaceIdentifier(42, to: first)
            #expect(try session.namespaceIdentifier(of: first) == 42)
            try session.assignNamespaceIdentifier(to: second)
            let chosen = try #require(try session.namespaceIdentifier(of: second))
            #expect(chosen >= 0 && chosen != 42)
            do throws(NetlinkError) {
                try session.assignNamespaceIdentifier(43, to: first)
                Issue.record("a second id was taken")
            } catch {
                #expect(error.isAlreadyThere)
            }
        }
    }
}
