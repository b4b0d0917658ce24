import JSON
import TestSupport
import Testing

/// A host that changes suites while containers run: what one made, the other removes.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: BridgeReleaseTests.isReferenceInstalled, "the reference plugins are not installed in /usr/lib/cni"))
struct FilterParityTests {
    /// bridge with masquerade and anti-spoofing, portmap, firewall; everything by iptables, as the reference does it.
    static func chain(_ backend: String = "iptables") -> PluginChain {
        PluginChain(
            "net",
            [
                FilterInputs.masquerading(backend, more: [("macspoofchk", true)]),
                ["type": "portmap", "capabilities": ["portMappings": true], "backend": .string(backend)],
                ["type": "firewall", "backend": .string(backend)],
            ],
            runtimeConfig: [
                "portMappings": [
                    FilterInputs.port(8080), FilterInputs.port(8080, 80, "udp"),
                    FilterInputs.port(8081, hostIP: "127.0.0.1"),
                ]
            ])
    }

    @Test("The reference adds, we remove", arguments: ["/run/netns/c0", ""], [true, false])
    func theirsThenOurs(_ netns: String, _ remembers: Bool) throws {
        let lab = try Lab()
        try lab.addOutside()
        // A socket keeps its namespace, and the namespace its links.
        var server: Responder? = try lab.serve("c0")
        let theirs = Self.chain().from(Plugins.reference)
        // Their own DEL leaves the shared chains, and no more.
        let before = try lab.warmedUp(theirs)
        let result = try lab.add(theirs, "c0").orFail()
        #expect(try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2")
        withExtendedLifetime(server) { server = nil }
        try lab.delete(Self.chain(""), "c0", netns: netns, previous: remembers ? result : nil).expectSilence()
        if netns.isEmpty, !remembers {
            // Nothing but the container's end leads to their veth, whose name is random.
            try lab.removeContainer("c0")
            try lab.addContainer("c0")
        }
        // Their firewall rules name addresses alone.
        let isUnowned = { (name: String) in !remembers && (name.contains("tables-save") || name.contains("/nft/")) }
        _ = try lab.eventually { try lab.veths() == [] }
        try lab.steadyWorld().without(isUnowned).expectEqual(to: before.without(isUnowned))
        let rules = try lab.tool("iptables-save") + lab.tool("ip6tables-save") + lab.tool("nft", "list", "ruleset")
        #expect(!rules.contains("name: \"net\"") && !rules.contains("cni-br-iface"), "\(rules)")
    }

    @Test("We add, the reference removes", .enabled(if: !Plugins.areReference, "two suites are needed"))
    func oursThenTheirs() throws {
        let lab = try Lab()
        try lab.addOutside()
        let server = try lab.serve("c0")
        let ours = Self.chain()
        let before = try lab.warmedUp(ours)
        let result = try lab.add(ours, "c0").orFail()
        #expect(try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2")
        for answer in try lab.delete(ours.from(Plugins.reference), "c0", previous: result) {
            answer.orFail("the reference's DEL")
        }
        withExtendedLifetime(server) {}
        // What only we know how to remove goes with our DEL or GC, whenever it comes.
        let left = try lab.steadyWorld().differences(from: before)
        print("FilterParityTests.oursThenTheirs: the reference leaves \(left.filter { $0.hasPrefix("+") }.count) facts")
        try lab.delete(ours, "c0", previous: result).expectSilence()
        try lab.expectReturn(to: before)
    }

    @Test("Ours comes where theirs still is", .enabled(if: !Plugins.areReference, "two suites are needed"))
    func sideBySide() throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        let servers = (try lab.serve("c0"), try lab.serve("c1"), try lab.serve("outside"))
        let theirs = Self.chain().from(Plugins.reference)
        var ours = Self.chain("")
        ours.runtimeConfig = ["portMappings": [FilterInputs.port(8090)]]
        let old = try lab.add(theirs, "c0").orFail()
        let new = try lab.add(ours, "c1").orFail()
        func expectBoth(_ what: String, old: Bool, _ location: SourceLocation = #_sourceLocation) throws {
            #expect(
                try lab.ask(.tcp, "192.0.2.1", 8090, from: "outside") == "c1 192.0.2.2", "\(what)",
                sourceLocation: location)
            #expect(
                try lab.ask(.tcp, "192.0.2.2", from: "c1") == "outside 192.0.2.1", "\(what)", sourceLocation: location)
            guard old else { return }
            #expect(
                try lab.ask(.tcp, "192.0.2.1", 8080, from: "outside") == "c0 192.0.2.2", "\(what)",
                sourceLocation: location)
            #expect(
                try lab.ask(.tcp, "192.0.2.2", from: "c0") == "outside 192.0.2.1", "\(what)", sourceLocation: location)
        }
        try expectBoth("both there", old: true)
        try lab.delete(Self.chain(""), "c0", previous: old).expectSilence()
        try expectBoth("the reference's container gone", old: false)
        try lab.delete(ours, "c1", previous: new).expectSilence()
        withExtendedLifetime(servers) {}
    }
}
