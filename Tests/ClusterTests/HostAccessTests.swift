import JSON
import System
import TestSupport
import Testing

/// `hostAccess` with the daemon: the host's address is an endpoint like any other, and keeps nothing alive.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct HostAccessTests {
    @Test func hostsReachContainersOfOthers() throws {
        let hosts = try Hosts()
        let network = OverlayHost.network("demonet", [("hostAccess", true)])
        // The third host keeps to itself.
        let addresses = try hosts.hosts.map {
            try $0.connect("c\($0.index)", $0.index < 2 ? network : OverlayHost.network())
        }
        let own = try hosts.hosts[..<2].map { try Self.address($0) }
        #expect(Set(addresses + own).count == 5)
        for host in hosts.hosts[..<2] {
            for address in addresses + own { #expect(host.lab.pings(address), "\(host.name) \(address)") }
        }
        #expect(!hosts[2].lab.pings(addresses[0], seconds: 1))
        for host in hosts.hosts {
            for address in own { #expect(host.lab.pings(address, from: "c\(host.index)"), "\(host.name) \(address)") }
            #expect(try host.get("/v1/networks/demonet")["Containers"]?.members.count == 5)
        }
        // A fixed address is the container's, not the host's; another container changes nothing for the host.
        try hosts[0].disconnect("c0", network)
        #expect(try hosts[0].connect("fixed", ip: "192.168.0.100", network) == "192.168.0.100")
        #expect(hosts[0].lab.pings(addresses[1]) && hosts[0].lab.pings("192.168.0.100"))
        #expect(try Self.hasLink(hosts[0]))
        // A daemon that is away learns when it is back that the last container has gone.
        hosts[1].stop("KILL")
        try hosts[1].disconnect("c1", network)
        #expect(try Self.reservations(hosts[1]) == [])
        #expect(try !Self.hasLink(hosts[1]))
        try hosts[1].startDaemon()
        // And one that is there sees that it went without a DEL; the address comes back with that.
        try hosts[0].lab.removeContainer("fixed")
        try hosts.eventually("the network is left") { try hosts[0].leftovers() == [] }
        #expect(try !Self.hasLink(hosts[0]))
        try hosts[0].disconnect("fixed", network)
        try hosts.eventually("the hosts' endpoints are gone") { try hosts[2].endpoints().count == 1 }
        for host in hosts.hosts[..<2] {
            try hosts.eventually("nothing is left on \(host.name)") { try host.leftovers() == [] }
            #expect(try Self.reservations(host) == [], "\(host.name)")
            #expect(try !Self.hasLink(host), "\(host.name)")
        }
        try hosts[2].disconnect("c2")
    }

    private static func reservations(_ host: OverlayHost) throws -> [String] {
        try host.lab.list("/var/lib/cni/networks/demonet").filter { $0.hasPrefix("192") }
    }

    private static func hasLink(_ host: OverlayHost) throws -> Bool {
        try host.lab.tool("ip", "-o", "link").contains("swh-")
    }

    private static func address(_ host: OverlayHost) throws -> String {
        let words = try host.lab.tool("ip", "-o", "-4", "addr", "show", "swh-fa17f1198b").split(separator: " ")
        return String(try #require(words.first { $0.hasPrefix("192.168.0.") && $0.hasSuffix("/24") }).dropLast(3))
    }
}
