import JSON
import System
import TestSupport
import Testing

/// `hostAccess`: the host has a part in the network while containers of its are on it.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has no such plugin"))
struct OverlayHostAccessTests {
    @Test("The host reaches its own and other hosts' containers and is reached; the last DEL takes it away")
    func reached() throws {
        let underlay = try Underlay(hosts: 2, containers: 2)
        let subnets: Value = ["192.168.0.0/24", "192.168.7.0/24", "fd00:2::/64"]
        var chain = OverlayInputs.daemonless(underlay, [("subnets", subnets), ("hostAccess", true)])
        let (one, two) = (underlay.hosts[0], underlay.hosts[1])
        let before = try one.warmedUp(chain)
        let first = try one.add(chain, "c0").orFail()
        // The second host keeps to itself.
        chain.plugins[0]["hostAccess"] = nil
        let second = try two.add(chain, "c0").orFail()
        chain.runtimeConfig = ["ips": ["192.168.7.9"]]
        try two.add(chain, "c1").orFail()
        chain.runtimeConfig = nil
        chain.plugins[0]["hostAccess"] = true
        let link = try #require(try one.linkNames().first { $0.hasPrefix("swh-") })
        #expect(try two.linkNames().contains { $0.hasPrefix("swh-") } == false)
        let words = try one.tool("ip", "-o", "-4", "addr", "show", link).split(separator: " ")
        let host = String(try #require(words.first { $0.hasPrefix("192.168.0.") && $0.hasSuffix("/24") }).dropLast(3))
        for address in [first, second].flatMap(\.addresses).map({ String($0.prefix { $0 != "/" }) }) + ["192.168.7.9"] {
            #expect(one.pings(address), "the host to \(address)")
        }
        #expect(one.pings(host, from: "c0"))
        #expect(two.pings(host, from: "c0"))
        #expect(two.pings(host, from: "c1"), "from another subnet")
        #expect(!two.pings(first.firstAddress, seconds: 1), "that host has no part in the network")
        // It stays with the others, whatever GC is told, and is the same.
        try one.add(chain, "c1").orFail()
        try one.collect(chain, keeping: [("c0", "eth0"), ("c1", "eth0")]).expectSilence()
        try one.delete(chain, "c0", previous: first).expectSilence()
        #expect(one.pings(second.firstAddress) && two.pings(host, from: "c0"))
        #expect(try one.reservations("demonet").count == 4)
        let third = try one.add(chain, "c0").orFail()
        try one.check(chain, "c0", third).expectSilence()
        try one.script("ip link set \(link) down")
        try one.check(chain, "c0", third).first?.expectRefusal(code: 999, containing: "hostAccess")
        try one.delete(chain, "c0").expectSilence()
        // What an ADD finds amiss it puts right; and the configuration may forget about it.
        try one.add(chain, "c0").orFail()
        #expect(one.pings(second.firstAddress))
        chain.plugins[0]["hostAccess"] = nil
        try one.delete(chain, "c0").expectSilence()
        try one.delete(chain, "c1").expectSilence()
        try one.expectReturn(to: before)
        #expect(try one.overlayRemains() == [] && one.reservations("demonet").isEmpty)
        #expect(try one.linkNames().contains { $0.hasPrefix("swh-") } == false)
    }

    @Test("GC without containers, and a namespace that is gone, leave nothing of the host's either")
    func collected() throws {
        let underlay = try Underlay(hosts: 1)
        let host = underlay.hosts[0]
        let chain = OverlayInputs.daemonless(underlay, [("hostAccess", true)])
        let before = try host.warmedUp(chain)
        try host.add(chain, "c0").orFail()
        try host.collect(chain).expectSilence()
        try host.expectReturn(to: before, "GC")
        try host.add(chain, "c0").orFail()
        try host.script("umount \(try OverlayInputs.namespace(host))")
        try host.delete(chain, "c0").expectSilence("unmounted")
        #expect(try host.overlayRemains() == [] && host.reservations("demonet").isEmpty)
        // Its link may still be on its way out.
        try host.removeContainer("c0")
        try host.addContainer("c0")
        try host.add(chain, "c0").orFail("again")
        try host.delete(chain, "c0").expectSilence("again")
        try host.expectReturn(to: before, "again")
    }

    @Test("Killed at any instant, DEL and GC clear the host's part too", arguments: ["ADD", "DEL"])
    func killed(_ command: String) throws {
        let underlay = try Underlay(hosts: 1)
        let host = underlay.hosts[0]
        // One address for the host, one for the container: a leaked reservation would make a later ADD fail.
        let chain = OverlayInputs.daemonless(underlay, [("hostAccess", true), ("ipRange", "192.168.0.8/31")])
        var random = SeededGenerator(for: "OverlayHostAccessTests.\(command)")
        var longest: UInt64 = 0
        for _ in 0..<2 {
            for verb in ["ADD", "DEL"] {
                let answer = try host.run("overlay-vxlan", verb, chain.input(0))
                #expect(answer.succeeded, "\(answer)")
                if verb == command { longest = max(longest, answer.outcome.duration) }
            }
        }
        for round in 0..<(Plugins.wantsLongRuns ? 200 : 30) {
            let what = "seed \(random.seed), round \(round)"
            if command == "DEL" { try host.add(chain, "c0").orFail(what) }
            var call = PluginCall("overlay-vxlan", command, input: chain.input(0).text())
            call.killAfter = UInt64.random(in: 0...longest, using: &random)
            _ = try host.run(call)
            if round % 2 == 0 {
                try host.delete(chain, "c0").expectSilence(what)
            } else {
                try host.collect(chain).expectSilence(what)
            }
            #expect(try host.overlayRemains() == [], "\(what)")
            #expect(try host.reservations("demonet").isEmpty, "\(what)")
            #expect(try host.linkNames().contains { $0.hasPrefix("swh-") } == false, "\(what)")
        }
    }
}
