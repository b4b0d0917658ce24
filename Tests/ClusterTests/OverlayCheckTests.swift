import JSON
import TestSupport
import Testing

/// CHECK of a container on a network that daemons keep: what somebody broke is named, by the daemon or without it.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct OverlayCheckTests {
    private static func check(_ host: OverlayHost, _ container: String, _ result: Value) throws -> PluginAnswer {
        var config = OverlayHost.network()
        config["prevResult"] = result
        return try host.lab.run(
            "overlay-vxlan", "CHECK", containerID: container, netns: host.lab.netns(container), config)
    }

    @Test func damageIsNamed() throws {
        let hosts = try Hosts()
        let (one, two) = (hosts[0], hosts[1])
        let result = try #require(try one.add("c0", OverlayHost.network()).document)
        let other = try two.connect("c1")
        try hosts.eventually("the hosts know each other") { try one.entries()[other] != nil }
        let mac = String(try #require(try one.entries()[other]).prefix { $0 != " " })
        let chain = "vteps-fa17f1198b"
        let damages: [(what: String, words: String, breaking: () throws -> Void)] = [
            (
                "an entry deleted", "vxlan0 sends frames for \(mac) to nowhere",
                { _ = try one.overlay("bridge", "fdb", "del", mac, "dev", "vxlan0", "self", "dst", two.address) }
            ),
            (
                "an entry to another host", "to 192.0.2.77, not to \(two.address)",
                { _ = try one.overlay("bridge", "fdb", "replace", mac, "dev", "vxlan0", "self", "dst", "192.0.2.77") }
            ),
            (
                "a neighbour deleted", "no neighbour \(other)",
                { _ = try one.overlay("ip", "neighbour", "del", other, "dev", "vxlan0") }
            ),
            (
                "another MTU", "vxlan0 has MTU 1300",
                { _ = try one.overlay("ip", "link", "set", "vxlan0", "mtu", "1300") }
            ),
            (
                "the filter flushed", "the packet filter",
                { _ = try one.lab.tool("nft", "flush", "chain", "inet", "swiftlet", chain) }
            ),
            (
                "the filter gone", "the packet filter",
                { _ = try one.lab.tool("nft", "delete", "table", "inet", "swiftlet") }
            ),
        ]
        for damage in damages {
            try hosts.eventually("CHECK is content before \(damage.what)") {
                try Self.check(one, "c0", result).succeeded
            }
            try damage.breaking()
            let answer = try Self.check(one, "c0", result)
            #expect(!answer.succeeded && answer.message.contains(damage.words), "\(damage.what): \(answer)")
        }
        try hosts.eventually("the daemon has mended it all") { try Self.check(one, "c0", result).succeeded }

        // What is there must agree with itself while the daemon is away.
        one.stop("KILL")
        #expect(try Self.check(one, "c0", result).succeeded)
        for (number, damage) in damages.enumerated() where number != 2 {
            try damage.breaking()
            let answer = try Self.check(one, "c0", result)
            #expect(!answer.succeeded, "\(damage.what), without the daemon: \(answer)")
            try one.startDaemon()
            try hosts.eventually("the daemon mends it") { try Self.check(one, "c0", result).succeeded }
            one.stop("KILL")
        }
        try one.startDaemon()
        for host in [(one, "c0"), (two, "c1")] { try host.0.disconnect(host.1) }
    }

    @Test func aBusyNetworkIsNoDamage() throws {
        let hosts = try Hosts()
        let (one, two) = (hosts[0], hosts[1])
        let result = try #require(try one.add("c0", OverlayHost.network()).document)
        // Containers come and go on another host; what is on its way to the kernel is no difference.
        for _ in 0..<15 {
            _ = try two.connect("c1")
            #expect(try Self.check(one, "c0", result).succeeded)
            try two.disconnect("c1")
            #expect(try Self.check(one, "c0", result).succeeded)
        }
        try one.disconnect("c0")
    }
}
