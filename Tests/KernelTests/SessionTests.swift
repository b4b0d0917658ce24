import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netlink

@Suite("Batches, large dumps and notifications", .enabled(if: FreshNamespace.isPermitted))
struct SessionTests {
    @Test("A failing request in the middle of a batch fails alone")
    func batch() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let bridge = LinkSpec(name: "br0", kind: .bridge(BridgeState()))
            let results = session.perform([
                .createLink(bridge), .createLink(bridge), .deleteLink(index: 4711),
                .createLink(LinkSpec(name: "br1", kind: .bridge(BridgeState()))),
            ])
            #expect(results[0] == nil)
            #expect(results[1] == NetlinkError(operation: "create link", subject: "br0", errno: .fileExists))
            #expect(results[2] == NetlinkError(operation: "delete link", subject: "4711", errno: .noSuchDevice))
            #expect(results[3] == nil)
            #expect(Set(try session.links().map(\.name)) == ["lo", "br0", "br1"])
        }
    }

    @Test("A batch of a thousand: no acknowledgement is lost, and the dump has them all")
    func thousandNeighbours() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            try session.createLink(LinkSpec(name: "br0", kind: .bridge(BridgeState()), isUp: true))
            let link = try #require(try session.link(named: "br0")).index
            let entries = (1...1000).map { number in
                Neighbour(
                    link: link, address: .v4(IPv4Address(rawValue: 0x0A00_0000 + UInt32(number))),
                    mac: MACAddress(locallyAdministered: UInt64(number)))
            }
            let results = session.perform(entries.map { .replaceNeighbour($0) })
            #expect(results.allSatisfy { $0 == nil })
            // The kernel may put entries for IGMP there by itself; they are not permanent.
            let found = try session.neighbours(family: .ipv4, link: link).filter { $0.state == 0x80 }
            #expect(found.count == entries.count)
            #expect(Set(found).symmetricDifference(entries).isEmpty)
        }
    }

    @Test("A thousand links are listed, by ip as well")
    func thousandLinks() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let requests = (0..<500).map { number in
                RouteRequest.createLink(
                    LinkSpec(name: "a\(number)", kind: .veth(peer: .init(name: "b\(number)"))))
            }
            #expect(session.perform(requests).allSatisfy { $0 == nil })
            let names = try session.links().map(\.name)
            #expect(names.count == 1001)
            #expect(Set(names).count == 1001)
            let shown = try command("ip -o link show")
            #expect(shown.split(separator: "\n").count == 1001)
        }
    }

    @Test("Dumps stay whole while another process adds and removes links")
    func restlessTable() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let expected = Set((0..<100).map { "fixed\($0)" })
            let requests = expected.map { RouteRequest.createLink(LinkSpec(name: $0, kind: .bridge(BridgeState()))) }
            #expect(session.perform(requests).allSatisfy { $0 == nil })
            // Goes on by itself, ends by itself and leaves a link named "done" as its last act.
            let script = """
                (i=0; while [ $i -lt 60 ]; do
                    echo "link add restless type bridge"; echo "link delete restless"; i=$((i+1))
                done; echo "link add done type bridge") | timeout 20 ip -batch - >/dev/null 2>&1 &
                """
            let environment = Environment([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")])
            _ = try Spawn.run("/bin/sh", arguments: ["sh", "-c", script], environment: environment)
            let deadline = monotonicNanoseconds() + 30_000_000_000
            var dumps = 0
            var isDone = false
            while !isDone, monotonicNanoseconds() < deadline {
                do throws(NetlinkError) {
                    let names = try session.links().map(\.name)
                    let fixed = names.filter { $0.hasPrefix("fixed") }
                    #expect(fixed.count == expected.count)
                    #expect(Set(fixed) == expected)
                    isDone = names.contains("done")
                    dumps += 1
                } catch {
                    // Six dumps in a row in which the table changed: allowed, and told.
                    #expect(error.errno == .resourceTemporarilyUnavailable)
                }
            }
            #expect(isDone)
            #expect(dumps > 1)
        }
    }

    @Test("Notifications tell of links, addresses, routes, neighbours and forwarding entries in order")
    func notifications() throws {
        try inFreshNamespace { namespace in
            let monitor = try RouteMonitor(in: namespace.open())
            #expect(try monitor.receive(milliseconds: 0).isEmpty)
            let session = try RouteSession()
            try session.createLink(LinkSpec(name: "br0", kind: .bridge(BridgeState()), isUp: true))
            let link = try #require(try session.link(named: "br0")).index
            let address = InterfaceAddress(link: link, prefix: try #require(IPPrefix("10.1.2.1/24")))
            try session.addAddress(address)
            let route = Route(destination: .any(.ipv4), gateway: IPAddress("10.1.2.254"), link: link)
            try session.addRoute(route)
            try session.removeRoute(route)
            let neighbour = Neighbour(link: link, address: try #require(IPAddress("10.1.2.3")), mac: .zero)
            try session.addNeighbour(neighbour)
            try session.removeNeighbour(neighbour)
            try session.removeAddress(address)
            try session.createLink(LinkSpec(name: "veth0", kind: .veth(peer: .init(name: "veth1"))))
            let port = try #require(try session.link(named: "veth0")).index
            try session.changeLink(index: port, LinkChange { $0.master = link })
            let forwarding = ForwardingEntry(link: port, mac: MACAddress(locallyAdministered: 9), flags: 0x04)
            try session.addForwarding(forwarding)
            try session.changeLink(index: port, LinkChange { $0.master = 0 })
            try session.deleteLink(index: link)

            var seen: [RouteNotification] = []
            while !seen.contains(where: { if case .linkRemoved = $0 { true } else { false } }) {
                let more = try monitor.receive(milliseconds: 5000)
                if more.isEmpty { break }
                seen += more
            }
            func position(_ matches: (RouteNotification) -> Bool) -> Int { seen.firstIndex(where: matches) ?? -1 }
            let positions = [
                position { if case .link(let found) = $0 { found.name == "br0" } else { false } },
                position { if case .address(let found) = $0 { found.prefix == address.prefix } else { false } },
                position { $0 == .route(route) },
                position { $0 == .routeRemoved(route) },
                position { $0 == .neighbour(neighbour) },
                position {
                    if case .neighbourRemoved(let found) = $0 { found.address == neighbour.address } else { false }
                },
                position { if case .addressRemoved(let found) = $0 { found.prefix == address.prefix } else { false } },
                position { if case .forwarding(let found) = $0 { found.mac == forwarding.mac } else { false } },
                position { if case .forwardingRemoved(let found) = $0 { found.mac == forwarding.mac } else { false } },
                position { if case .linkRemoved(let found) = $0 { found.index == link } else { false } },
            ]
            #expect(!positions.contains(-1), "\(seen)")
            #expect(positions == positions.sorted())
            let removed = seen.filter { if case .linkRemoved = $0 { true } else { false } }
            #expect(removed.count == 1, "leaving the bridge is not the port's end")
        }
    }

    @Test("A session made from outside works inside, and outlives the opener's handle")
    func sessionInOtherNamespace() throws {
        try inFreshNamespace { _ in
            let inner = try FreshNamespace()
            let session = try RouteSession(in: inner.open())
            try session.createLink(LinkSpec(name: "inside", kind: .bridge(BridgeState())))
            #expect(try RouteSession().link(named: "inside") == nil)
            #expect(try inner.run { try command("ip -j link show dev inside").contains("inside") })
            #expect(try session.parameter("net/ipv4/conf/inside/forwarding") == "0")
        }
    }
}
