import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netlink

@Suite("Addresses and parameters in a fresh namespace", .enabled(if: FreshNamespace.isPermitted))
struct AddressTests {
    @Test("Addresses of both families are added, listed by link, refused twice and removed")
    func addresses() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            try session.createLink(LinkSpec(name: "br0", kind: .bridge(BridgeState()), isUp: true))
            try session.createLink(LinkSpec(name: "br1", kind: .bridge(BridgeState())))
            let index = try #require(try session.link(named: "br0")).index
            let other = try #require(try session.link(named: "br1")).index
            let v4 = InterfaceAddress(link: index, prefix: try #require(IPPrefix("10.1.2.1/24")))
            let pointToPoint = InterfaceAddress(link: index, prefix: try #require(IPPrefix("10.9.9.0/31")))
            let v6 = InterfaceAddress(link: index, prefix: try #require(IPPrefix("2001:db8::1/64")), flags: 0x02)
            let elsewhere = InterfaceAddress(link: other, prefix: try #require(IPPrefix("10.1.3.1/24")))
            for address in [v4, pointToPoint, v6, elsewhere] { try session.addAddress(address) }

            let found = try session.addresses(link: index)
            #expect(found.allSatisfy { $0.link == index })
            for address in [v4, pointToPoint, v6] {
                #expect(found.contains { $0.prefix == address.prefix && !$0.isTentative && !$0.isDuplicate })
            }
            #expect(!found.contains { $0.prefix == elsewhere.prefix })
            #expect(try session.addresses(link: nil).contains { $0.prefix == elsewhere.prefix && $0.link == other })

            let shown = try command("ip -j address show dev br0")
            #expect(shown.contains(#""local":"10.1.2.1","prefixlen":24,"broadcast":"10.1.2.255""#))
            #expect(shown.contains(#""local":"10.9.9.0","prefixlen":31,"scope""#))
            #expect(shown.contains(#""local":"2001:db8::1","prefixlen":64"#))

            #expect {
                try session.addAddress(v4)
            } throws: { ($0 as? NetlinkError)?.isAlreadyThere == true }
            try session.removeAddress(v4)
            try session.removeAddress(v6)
            #expect(try !command("ip -j address show dev br0").contains("10.1.2.1"))
            #expect {
                try session.removeAddress(v4)
            } throws: {
                let error = $0 as? NetlinkError
                return error?.isGone == true && error?.subject == "10.1.2.1/24 on link \(index)"
            }
        }
    }

    @Test("An interface that does not exist is told to be gone")
    func goneInterface() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let address = InterfaceAddress(link: 4711, prefix: try #require(IPPrefix("10.1.2.1/24")))
            #expect { try session.addAddress(address) } throws: { ($0 as? NetlinkError)?.isGone == true }
            #expect(
                throws: NetlinkError(operation: "list addresses of", subject: "link 4711", errno: .noSuchDevice)
            ) { try session.addresses(link: 4711) }
        }
    }

    @Test("Parameters are those of the session's namespace, from inside and from outside")
    func parameters() throws {
        try inFreshNamespace { _ in
            let own = try RouteSession()
            let inner = try FreshNamespace()
            let session = try RouteSession(in: inner.open())
            let key = "net/ipv4/conf/all/arp_ignore"
            #expect(try own.parameter(key) == "0")
            let first = try session.exchangeParameters(
                [(key, "1"), ("net/ipv6/conf/all/forwarding", "1"), ("net/ipv4/conf/all/arp_filter", "0")],
                passingOverFailures: false)
            #expect(first.map(\.key) == [key, "net/ipv6/conf/all/forwarding"], "only what was different is replaced")
            #expect(first.map(\.value) == ["0", "0"])
            #expect(try session.parameter(key) == "1")
            #expect(try inner.run { try command("cat /proc/sys/net/ipv6/conf/all/forwarding") } == "1\n")
            #expect(try own.parameter(key) == "0")
            try own.setParameter(key, "2")
            #expect(try own.parameter(key) == "2")
            #expect(try session.parameter(key) == "1")

            #expect(throws: SystemError("open", "/proc/sys/net/nothing", .noSuchFileOrDirectory)) {
                try session.exchangeParameters([(key, "0"), ("net/nothing", "1")], passingOverFailures: false)
            }
            #expect(try session.parameter(key) == "1", "what came before the failure is taken back")
            let rest = try session.exchangeParameters([("net/nothing", "1"), (key, "0")], passingOverFailures: true)
            #expect(rest.map(\.key) == [key], "what cannot be written is passed over")
        }
    }
}
