import JSON
import System
import TestSupport
import Testing

/// Containers leave the host under its address, and with nobody else's MAC: seen by those they talk to.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference's back ends are compared in FilterParityTests"))
struct MasqueradeTests {
    static let backends = FilterInputs.backends + [""]

    @Test("Outside sees the host, siblings see the container", arguments: backends, [false, true])
    func traffic(_ backend: String, _ filtersBridged: Bool) throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        try lab.filterBridged(filtersBridged)
        let config = FilterInputs.masquerading(backend)
        let before = try lab.warmedUp(config)
        let outside = try lab.serve("outside")
        let (first, _) = try lab.add(config)
        let (second, _) = try lab.add(config, containerID: "c1")
        let servers = (try lab.serve("c0"), try lab.serve("c1", group: "239.1.2.3"))
        for transport in Transport.allCases {
            #expect(try lab.ask(transport, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
            #expect(try lab.ask(transport, "2001:db8:ffff::2", from: "c0") == "outside 2001:db8:ffff::1")
            #expect(try lab.ask(transport, "10.1.2.4", from: "c0") == "c1 10.1.2.3")
            #expect(try lab.ask(transport, "2001:db8::4", from: "c0") == "c1 2001:db8::3")
            #expect(try lab.ask(transport, "10.1.2.3", from: "outside") == "c0 192.0.2.2")
            #expect(try lab.ask(transport, "10.1.2.3", from: nil) == "c0 10.1.2.1")
        }
        #expect(try lab.ask(.udp, "239.1.2.3", from: "c0") == "c1 10.1.2.3")
        try lab.run("bridge", "CHECK", first).expectSilence()
        try lab.delete(first)
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c1") == "outside 192.0.2.1")
        try lab.delete(second, containerID: "c1")
        try lab.delete(second, containerID: "c1")
        withExtendedLifetime((outside, servers)) {}
        try lab.expectReturn(to: before)
    }

    @Test("Without ipMasq outside sees the container")
    func plain() throws {
        let lab = try Lab()
        try lab.addOutside()
        let outside = try lab.serve("outside")
        try lab.add(FilterInputs.masquerading().with(("ipMasq", false)))
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 10.1.2.2")
        withExtendedLifetime(outside) {}
    }

    @Test(
        "Two attachments of a container to one network keep apart", arguments: FilterInputs.backends, ["eth0", "eth1"])
    func twoAttachments(_ backend: String, _ gone: String) throws {
        let lab = try Lab()
        try lab.addOutside()
        let config = FilterInputs.masquerading(backend, ["10.1.2.0/24"]).with(
            ("isDefaultGateway", false), ("isGateway", true))
        let before = try lab.warmedUp(config)
        let outside = try lab.serve("outside")
        let added = ["eth0": try lab.add(config).config, "eth1": try lab.add(config, ifname: "eth1").config]
        let kept = gone == "eth0" ? "eth1" : "eth0"
        try lab.delete(added[gone] ?? config, ifname: gone)
        try lab.run("bridge", "CHECK", ifname: kept, added[kept] ?? config).expectSilence()
        try lab.tool("ip", "route", "add", "default", "via", "10.1.2.1", in: "c0")
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1")
        try lab.delete(added[kept] ?? config, ifname: kept)
        withExtendedLifetime(outside) {}
        try lab.expectReturn(to: before)
    }

    @Test("DEL finds the rules whatever it is told", arguments: FilterInputs.backends)
    func removal(_ backend: String) throws {
        let lab = try Lab()
        let config = FilterInputs.masquerading(backend, more: [("macspoofchk", true)])
        let before = try lab.warmedUp(config)
        let ways: [(String, (Value) throws -> Void)] = [
            ("no prevResult", { _ in try lab.delete(config) }),
            ("no netns", { try lab.delete($0, netns: "") }),
            ("no netns, no prevResult", { _ in try lab.delete(config, netns: "") }),
            (
                "interface gone",
                {
                    try lab.tool("ip", "link", "delete", "eth0", in: "c0")
                    try lab.delete($0)
                }
            ),
            ("ipMasq switched off", { try lab.delete($0.with(("ipMasq", false), ("macspoofchk", false))) }),
            (
                "another back end",
                { try lab.delete($0.with(("ipMasqBackend", backend == "iptables" ? "nftables" : ""))) }
            ),
            (
                "netns gone",
                {
                    try lab.removeContainer("c0")
                    try lab.delete($0)
                    try lab.addContainer("c0")
                }
            ),
        ]
        for (what, way) in ways {
            try way(try lab.add(config).config)
            try lab.expectReturn(to: before, "\(backend): \(what)")
        }
    }

    @Test("A late DEL does not take the next container's rule", arguments: FilterInputs.backends)
    func reused(_ backend: String) throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        let config = FilterInputs.masquerading(backend, ["10.1.2.0/30"])
        let outside = try lab.serve("outside")
        let (old, _) = try lab.add(config)
        try lab.removeContainer("c0")
        try lab.tool("rm", "/var/lib/cni/networks/net/10.1.2.2")
        let (new, result) = try lab.add(config, containerID: "c1")
        #expect(result.addresses == ["10.1.2.2/30"])
        try lab.delete(old)
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c1") == "outside 192.0.2.1")
        try lab.run("bridge", "CHECK", containerID: "c1", netns: "/run/netns/c1", new).expectSilence()
        try lab.delete(old, netns: "")
        #expect(try lab.ask(.udp, "192.0.2.2", from: "c1") == "outside 192.0.2.1")
        withExtendedLifetime(outside) {}
    }

    @Test("GC removes what belongs to nobody", arguments: FilterInputs.backends)
    func collected(_ backend: String) throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        let config = FilterInputs.masquerading(backend, more: [("macspoofchk", true)])
        let outside = try lab.serve("outside")
        try lab.add(config, containerID: "c1")
        let before = try lab.steadyWorld()
        try lab.add(config)
        // Another network of the same container is none of this GC's business.
        let other = FilterInputs.masquerading(backend, ["10.1.9.0/24"], name: "other", bridge: "br1")
        let foreign = try lab.add(other.with(("isDefaultGateway", false)), ifname: "eth1")
        let chain = PluginChain("net", [config])
        try lab.collect(chain, keeping: [("c1", "eth0")]).expectSilence()
        #expect(try lab.ask(.tcp, "192.0.2.2", from: "c1") == "outside 192.0.2.1")
        try lab.run("bridge", "CHECK", ifname: "eth1", foreign.config).expectSilence()
        try lab.delete(foreign.config, ifname: "eth1")
        try lab.collect(PluginChain("other", [other])).expectSilence()
        try lab.expectReturn(to: before)
        withExtendedLifetime(outside) {}
    }

    @Test(
        "CHECK sees what is missing and repairs nothing",
        arguments: [
            ("nftables", "nft delete element inet swiftlet masquerade4 { 10.1.2.2 }"),
            ("nftables", "nft delete element inet swiftlet masquerade6 { 2001:db8::2 }"),
            ("nftables", "nft flush table inet swiftlet"), ("nftables", "nft delete table inet swiftlet"),
            ("nftables", "nft flush chain inet swiftlet postrouting"),
            ("nftables", "nft flush set bridge swiftlet bound_macs"), ("nftables", "nft flush table bridge swiftlet"),
            ("iptables", "iptables -t nat -F POSTROUTING"), ("iptables", "ip6tables -t nat -F POSTROUTING"),
            ("iptables", "for c in $(iptables -t nat -S | sed -n 's/^-N //p'); do iptables -t nat -F $c; done"),
        ])
    func check(_ row: (backend: String, damage: String)) throws {
        let lab = try Lab()
        let (added, _) = try lab.add(FilterInputs.masquerading(row.backend, more: [("macspoofchk", true)]))
        let healthy = try lab.world()
        try lab.run("bridge", "CHECK", added).expectSilence(row.damage)
        try lab.world().expectEqual(to: healthy)
        try lab.script(row.damage)
        let damaged = try lab.world()
        try lab.run("bridge", "CHECK", added).expectRefusal(code: nil, nil, row.damage)
        try lab.world().expectEqual(to: damaged)
        try lab.delete(added)
        #expect(try lab.linkNames(in: "c0") == ["lo"])
    }

    @Test("A container sends with its own MAC alone", arguments: [false, true])
    func spoofed(_ filtersBridged: Bool) throws {
        let lab = try Lab(containers: 2)
        try lab.filterBridged(filtersBridged)
        let config = Inputs.bridge("1.0.0", FilterInputs.dual, more: [("macspoofchk", true)])
        let before = try lab.warmedUp(config)
        let (added, result) = try lab.add(config)
        try lab.add(config.with(("macspoofchk", false)), containerID: "c1")
        let server = try lab.serve("c1")
        func answer(isV6: Bool = false, timeout: Int = 10_000) throws -> String? {
            try lab.tool("ip", "neigh", "flush", "all", in: "c1")
            return try lab.ask(.udp, isV6 ? "2001:db8::4" : "10.1.2.4", from: "c0", timeout: timeout)
        }
        func change(_ address: String, of container: String) throws {
            try lab.tool("ip", "link", "set", "eth0", "address", address, in: container)
        }
        #expect(try answer() == "c1 10.1.2.3")
        #expect(try answer(isV6: true) == "c1 2001:db8::3")
        try change("02:00:00:00:00:09", of: "c0")
        #expect(try answer(timeout: 600) == nil)
        #expect(try answer(isV6: true, timeout: 600) == nil)
        try change(result.interfaceMAC(2), of: "c0")
        #expect(try answer() == "c1 10.1.2.3")
        #expect(try answer(isV6: true) == "c1 2001:db8::3")
        // Whose port is not bound may.
        try change("02:00:00:00:00:0a", of: "c1")
        try lab.tool("ip", "neigh", "flush", "all", in: "c0")
        #expect(try answer() == "c1 10.1.2.3")
        #expect(try answer(isV6: true) == "c1 2001:db8::3")
        withExtendedLifetime(server) {}
        try lab.delete(added)
        try lab.delete(config, containerID: "c1")
        try lab.expectReturn(to: before)
    }

    @Test("STATUS says whether the back end is there")
    func status() throws {
        let lab = try Lab()
        for backend in Self.backends {
            try lab.status(PluginChain("net", [FilterInputs.masquerading(backend)])).expectSilence(backend)
        }
    }
}
