import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netlink

@Suite("Routes and rules in a fresh namespace", .enabled(if: FreshNamespace.isPermitted))
struct RouteTests {
    /// A bridge that is up with an address of each family. Returns its index.
    private static func makeLink(_ session: RouteSession) throws -> Int32 {
        try session.createLink(LinkSpec(name: "br0", kind: .bridge(BridgeState()), isUp: true))
        let index = try #require(try session.link(named: "br0")).index
        for text in ["10.1.2.1/24", "2001:db8::1/64"] {
            try session.addAddress(InterfaceAddress(link: index, prefix: try #require(IPPrefix(text)), flags: 0x02))
        }
        return index
    }

    @Test("IPv4 routes are read back as they were asked for")
    func routesIPv4() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let link = try Self.makeLink(session)
            let gateway = try #require(IPAddress("10.1.2.254"))
            let routes = [
                Route(destination: .any(.ipv4), gateway: gateway, link: link),
                Route(destination: try #require(IPPrefix("10.9.0.0/16")), link: link),
                Route(
                    destination: try #require(IPPrefix("10.8.0.0/16")), gateway: gateway, link: link, metric: 50,
                    table: 1000, source: IPAddress("10.1.2.1"), mtu: 1300, advertisedMSS: 1260, routingProtocol: 4),
                Route(destination: try #require(IPPrefix("10.7.0.0/16")), link: link, table: 100, scope: 0),
                Route(
                    destination: try #require(IPPrefix("10.6.0.0/16")), gateway: IPAddress("2001:db8::9"), link: link),
            ]
            for route in routes { try session.addRoute(route) }
            let found = try session.routes(family: .ipv4)
            for route in routes { #expect(found.contains(route)) }
            #expect(!found.contains { $0.destination.length == 32 }, "the local table must not show")
            let shown = try command("ip -j -d route show table 1000")
            for part in [
                #""dst":"10.8.0.0/16""#, #""gateway":"10.1.2.254""#, #""metric":50"#, #""prefsrc":"10.1.2.1""#,
                #""mtu":1300"#, #""advmss":1260"#, #""protocol":"static""#,
            ] { #expect(shown.contains(part), "\(part)") }
            #expect(try command("ip -j route show default").contains(#""gateway":"10.1.2.254","dev":"br0""#))

            for route in routes { try session.removeRoute(route) }
            let left = try session.routes(family: .ipv4)
            for route in routes { #expect(!left.contains { $0.destination == route.destination }) }
            for route in routes {
                #expect { try session.removeRoute(route) } throws: { ($0 as? NetlinkError)?.isGone == true }
            }
        }
    }

    @Test("Routes by several gateways coexist; the very same twice is EEXIST", arguments: [AddressFamily.ipv4, .ipv6])
    func severalGateways(family: AddressFamily) throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let link = try Self.makeLink(session)
            let gateways = family == .ipv4 ? ["10.1.2.2", "10.1.2.3"] : ["2001:db8::2", "2001:db8::3"]
            let routes = gateways.map { Route(destination: .any(family), gateway: IPAddress($0), link: link) }
            for route in routes { try session.addRoute(route) }
            var expected = routes
            // One metric would make one route with two next hops of them.
            if family == .ipv6 { expected[1].metric = 1025 }
            #expect(Set(try session.routes(family: family).filter { $0.destination.length == 0 }) == Set(expected))
            let used = try command("ip -j route get \(family == .ipv4 ? "192.0.2.1" : "2001:db8:9::1")")
            #expect(used.contains(#""gateway":"\#(gateways[0])""#), "\(used)")
            #expect {
                try session.addRoute(routes[1])
            } throws: { ($0 as? NetlinkError)?.isAlreadyThere == true }
            try session.removeRoute(routes[0])
            #expect(try session.routes(family: family).filter { $0.destination.length == 0 } == [expected[1]])
        }
    }

    @Test("IPv6 routes are read back as they were asked for")
    func routesIPv6() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let link = try Self.makeLink(session)
            let routes = [
                Route(destination: .any(.ipv6), gateway: IPAddress("2001:db8::fe"), link: link),
                Route(destination: try #require(IPPrefix("2001:db8:9::/48")), link: link, metric: 50, table: 1000),
                Route(
                    destination: try #require(IPPrefix("2001:db8:8::/48")), gateway: IPAddress("2001:db8::fe"),
                    link: link, source: IPAddress("2001:db8::1"), mtu: 1300),
            ]
            for route in routes { try session.addRoute(route) }
            let found = try session.routes(family: .ipv6)
            for route in routes { #expect(found.contains(route)) }
            #expect(try command("ip -6 -j route show table 1000").contains(#""dst":"2001:db8:9::/48""#))
            for route in routes { try session.removeRoute(route) }
            let left = try session.routes(family: .ipv6)
            for route in routes { #expect(!left.contains { $0.destination == route.destination }) }
        }
    }

    @Test("A route that cannot be is refused in the kernel's words")
    func unreachableGateway() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let link = try Self.makeLink(session)
            let route = Route(destination: .any(.ipv4), gateway: IPAddress("192.0.2.1"), link: link)
            #expect(
                throws: NetlinkError(
                    operation: "add route", subject: "0.0.0.0/0 via 192.0.2.1 on link \(link)",
                    errno: Errno(rawValue: 101), kernelMessage: "Nexthop has invalid gateway")
            ) { try session.addRoute(route) }
        }
    }

    @Test("Rules are added, listed, refused twice and removed", arguments: [AddressFamily.ipv4, .ipv6])
    func rules(family: AddressFamily) throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let texts = family == .ipv4 ? ("10.1.0.0/16", "10.2.0.0/16") : ("2001:db8:1::/48", "2001:db8:2::/48")
            let rule = RoutingRule(
                family: family, priority: 100, source: IPPrefix(texts.0), destination: IPPrefix(texts.1),
                inputInterface: "br0", mark: 0x2000, table: 1000)
            try session.addRule(rule)
            #expect(try session.rules(family: family).contains(rule))
            let shown = try command("ip \(family == .ipv4 ? "-4" : "-6") -j rule show")
            #expect(shown.contains(#""priority":100"#))
            #expect(shown.contains(#""fwmark":"0x2000""#))
            #expect(shown.contains(#""table":"1000""#))
            #expect { try session.addRule(rule) } throws: { ($0 as? NetlinkError)?.isAlreadyThere == true }
            try session.removeRule(rule)
            #expect(try !session.rules(family: family).contains(rule))
            #expect { try session.removeRule(rule) } throws: { ($0 as? NetlinkError)?.isGone == true }
        }
    }
}
