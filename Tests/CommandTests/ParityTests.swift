import JSON
import System
import TestSupport
import Testing

/// The same input to the reference plugins and to ours, in two fake hosts: the same answers and the same kernel state,
/// except for a listed set of differences.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: BridgeReleaseTests.isReferenceInstalled, "the reference plugins are not installed in /usr/lib/cni"))
struct ParityTests {
    /// One place where the kernel state may differ, and why.
    struct Difference: Sendable {
        let isMeant: @Sendable (String) -> Bool
        var isOfIPv4Alone = false
        let reason: String
    }

    static let differences: [Difference] = [
        Difference(
            isMeant: { $0.hasSuffix("/ifalias") }, reason: "our host veths carry the attachment's name as their alias"),
        Difference(isMeant: { $0.hasPrefix("file/run/") }, reason: "our locks live in /run"),
        Difference(
            isMeant: { $0.hasSuffix("/nodad") },
            reason: "our IPv6 addresses are usable at once, the gateway's of the reference only after a second or two"),
        Difference(
            isMeant: { $0.hasSuffix("/keep_addr_on_down") },
            reason: "IPv6 addresses survive a link that goes down, as with newer versions of the reference"),
        Difference(
            isMeant: { $0 == "host/link/br0/address" || $0.hasPrefix("host/fdb/") },
            reason: "our bridge has a MAC of its own from the start, the reference's only when it is a gateway"),
        Difference(
            isMeant: { $0 == "host/sysctl6/HOST-VETH/accept_ra" },
            reason: "our host veths have no link-local address, and what they receive is the bridge's"),
        Difference(
            isMeant: { $0 == "c0/sysctl6/eth0/accept_ra" },
            reason: "a container passes over router advertisements where its network has a gateway"),
        Difference(
            isMeant: { $0 == "c0/sysctl6/eth0/ndisc_notify" },
            reason:
                "neighbours that knew an IPv6 address by another MAC learn of it, as in newer versions of the reference"
        ),
        Difference(
            isMeant: { $0 == "c0/sysctl6/eth0/accept_dad" }, isOfIPv4Alone: true,
            reason: "with IPv4 addresses alone the kernel detects duplicates of the link-local one in its own time"),
    ]

    /// One input for both.
    struct Row: CustomTestStringConvertible, Sendable {
        let name: String
        let config: Value
        var testDescription: String { name }

        init(_ name: String, _ config: Value) {
            self.name = name
            self.config = config
        }
    }

    static let configs: [Row] = Plugins.versions.filter { $0 != "1.1.0" }.flatMap { version in
        [
            Row("\(version) IPv4", Inputs.bridge(version)),
            Row("\(version) IPv6", Inputs.bridge(version, ["2001:db8::/64"])),
            Row(
                "\(version) dual, hairpin, MTU",
                Inputs.bridge(
                    version, ["10.1.2.0/24", "2001:db8::/64"], more: [("hairpinMode", true), ("mtu", 1400)])
            ),
            Row(
                "\(version) gateway, no default route",
                Inputs.bridge(version).with(("isDefaultGateway", false), ("isGateway", true))
            ), Row("\(version) no gateway", Inputs.bridge(version).with(("isDefaultGateway", false))),
            Row("\(version) promiscuous", Inputs.bridge(version, more: [("promiscMode", true)])),
            Row(
                "\(version) routes and addresses asked for",
                Inputs.bridge(version).with(
                    ("ipam", Inputs.ipam(["10.1.2.0/24"], [("routes", [["dst": "10.9.0.0/16", "gw": "10.1.2.1"]])])),
                    ("args", ["cni": ["ips": ["10.1.2.99"], "mac": "02:00:00:00:00:07"]]))
            ),
        ] + (atLeast(version, "0.3.0") ? [Row("\(version) layer 2", Inputs.bridge(version, []))] : [])
    }

    @Test("ADD and DEL", arguments: configs)
    func life(_ row: Row) throws {
        let (theirs, ours) = (try Lab(), try Lab())
        let theirResult = try theirs.run(
            "\(Plugins.reference)/bridge", "ADD", path: Plugins.reference, row.config
        ).orFail("\(row.name): the reference")
        let ourResult = try ours.run("bridge", "ADD", row.config).orFail(row.name)
        #expect(masked(ourResult, ourResult).canonical == masked(theirResult, theirResult).canonical)
        try expectEqual(ours, ourResult, theirs, theirResult)

        try theirs.run(
            "\(Plugins.reference)/bridge", "DEL", path: Plugins.reference, row.config.with(("prevResult", theirResult))
        ).expectSilence()
        try ours.run("bridge", "DEL", row.config.with(("prevResult", ourResult))).expectSilence()
        try expectEqual(ours, ourResult, theirs, theirResult)
    }

    /// A text with the random names and MACs of a result replaced by what they stand for.
    private func mask(_ text: String, _ names: [(String, String)]) -> String {
        names.reduce(text) { $0.replacing($1.0, with: $1.1) }
    }

    private func names(_ lab: Lab, _ bridge: String = "br0") throws -> [(String, String)] {
        var names: [(String, String)] = []
        if let mac = try lab.link(bridge)?["address"]?.string, mac != "00:00:00:00:00:00" { names.append((mac, "MAC")) }
        for veth in try lab.veths() {
            if let mac = try lab.link(veth)?["address"]?.string { names.append((mac, "MAC")) }
            names.append((veth, "HOST-VETH"))
        }
        if let mac = try lab.link("eth0", in: "c0")?["address"]?.string { names.append((mac, "MAC")) }
        return names
    }

    private func masked(_ result: Value, _ source: Value) -> Value {
        var names: [(String, String)] = []
        for (index, interface) in (source["interfaces"]?.elements ?? []).enumerated() {
            if let mac = interface["mac"]?.string, mac != "02:00:00:00:00:07" { names.append((mac, "MAC")) }
            if index == 1, let name = interface["name"]?.string { names.append((name, "HOST-VETH")) }
        }
        var masked = (try? Value(parsing: Array(mask(result.text(), names).utf8))) ?? nil
        // Newer versions of the reference leave an empty one out of results since 1.0.0; Debian's prints it.
        if masked["dns"] == [:] { masked["dns"] = nil }
        return masked
    }

    private func expectEqual(
        _ ours: Lab, _ ourResult: Value, _ theirs: Lab, _ theirResult: Value,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        let (ourNames, theirNames) = (try names(ours), try names(theirs))
        let hasIPv6 = ourResult.addresses.contains { $0.contains(":") }
        func plain(_ world: World, _ names: [(String, String)]) -> World {
            World(
                Dictionary(
                    world.facts.map { (mask($0.key, names), mask($0.value, names)) }, uniquingKeysWith: { $0 + $1 })
            ).without { name in
                Self.differences.contains { $0.isMeant(name) && !($0.isOfIPv4Alone && hasIPv6) }
            }
        }
        plain(try ours.world(), ourNames).expectEqual(
            to: plain(try theirs.world(), theirNames), "reference -> ours", location)
    }

    @Test("Either bridge works with either host-local", arguments: Plugins.versions.filter { $0 != "1.1.0" })
    func mixed(_ version: String) throws {
        let config = Inputs.bridge(version, ["10.1.2.0/24", "2001:db8::/64"])
        for (bridge, path) in [("bridge", Plugins.reference), ("\(Plugins.reference)/bridge", Plugins.directory)] {
            let lab = try Lab()
            let start = try lab.attachmentsOnly(bridges: ["br0"])
            let result = try lab.run(bridge, "ADD", path: path, config).orFail(bridge)
            #expect(result.addresses == ["10.1.2.2/24", "2001:db8::2/64"])
            let added = config.with(("prevResult", result))
            if atLeast(version, "0.4.0") { try lab.run(bridge, "CHECK", path: path, added).expectSilence(bridge) }
            try lab.run(bridge, "DEL", path: path, added).expectSilence(bridge)
            try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start, bridge)
        }
    }

    @Test("host-local answers to the byte", arguments: Plugins.versions.filter { $0 != "1.1.0" })
    func hostLocal(_ version: String) throws {
        let (theirs, ours) = (try Lab(), try Lab())
        let configs = [
            Inputs.hostLocal(version), Inputs.hostLocal(version, ["10.1.2.0/24", "2001:db8::/64"], name: "dual"),
            Inputs.hostLocal(
                version, ipam: [("routes", [["dst": "0.0.0.0/0"], ["dst": "10.0.0.0/8", "gw": "10.1.2.9"]])]),
            Inputs.hostLocal(version, ["10.1.2.0/29"], name: "small"),
            Inputs.hostLocal(version, ["10.1.2.0/31"], name: "wrong"),
            Inputs.hostLocal(version).with(("args", ["cni": ["ips": ["10.1.2.77"]]])),
            Inputs.hostLocal(version, name: "outside").with(("args", ["cni": ["ips": ["10.99.2.77"]]])),
        ]
        for round in 0..<3 {
            for (index, config) in configs.enumerated() {
                let id = "c\(round)\(index)"
                let their = try theirs.run(
                    "\(Plugins.reference)/host-local", "ADD", containerID: id, path: Plugins.reference, config)
                let our = try ours.run("host-local", "ADD", containerID: id, config)
                #expect(our.outcome.status == their.outcome.status, "\(our)")
                if their.succeeded && !atLeast(version, "1.0.0") { #expect(our.outcome.text == their.outcome.text) }
                if their.succeeded {
                    #expect(our.document?.addresses == their.document?.addresses)
                    #expect(our.document?.destinations == their.document?.destinations)
                } else {
                    #expect(our.words.contains(their.message), "ours: \(our.words), theirs: \(their.words)")
                }
                #expect(
                    try reservationsAndPointers(ours) == reservationsAndPointers(theirs), "\(round) \(config.text())")
            }
        }
    }

    private func reservationsAndPointers(_ lab: Lab) throws -> [String] {
        try lab.world().facts.filter { name, _ in
            guard let last = name.split(separator: "/").last else { return false }
            // The reference takes an address before it sees that another one cannot be had: its pointer moves.
            return name.hasPrefix("file/var/") && !name.contains("/outside/")
                && (World.isAddress(String(last)) || last.hasPrefix("last_reserved_ip"))
        }.map { "\($0.key)=\($0.value)" }.sorted()
    }
}
