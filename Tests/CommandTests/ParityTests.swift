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
        let reason: String
    }

    static let differences: [Difference] = [
        Difference(
            isMeant: { $0.hasSuffix("/ifalias") }, reason: "our host veths carry the attachment's name as their alias"),
        Difference(
            isMeant: { $0.hasPrefix("file/run/") }, reason: "our locks live in /run"),
        Difference(
            isMeant: { $0.hasPrefix("file/") && ($0.split(separator: "/").last?.hasPrefix(".") ?? false) },
            reason: "host-local's derived index"),
        Difference(
            isMeant: { $0.hasPrefix("c0/sysctl4/") && $0.hasSuffix("/arp_notify") },
            reason: "Debian's version announced addresses with a library of its own instead of arp_notify"),
        Difference(
            isMeant: { $0.hasSuffix("/accept_dad") || $0.hasSuffix("/enhanced_dad") },
            reason: "duplicate address detection is off on the container's interface in the newer reference too"),
        Difference(
            isMeant: { $0.hasSuffix("/keep_addr_on_down") },
            reason: "addresses are set after the link is up or kept by this parameter; only the newer reference sets it"
        ),
        Difference(
            isMeant: { $0.hasPrefix("host/sysctl") && $0.hasSuffix("/accept_ra") },
            reason: "the reference also writes it on links where it is 0 already in effect by forwarding"),
    ]

    static let configs: [(name: String, config: Value)] = Plugins.versions.filter { $0 != "1.1.0" }.flatMap { version in
        [
            ("\(version) IPv4", Inputs.bridge(version)),
            ("\(version) IPv6", Inputs.bridge(version, ["2001:db8::/64"])),
            (
                "\(version) dual, hairpin, MTU",
                Inputs.bridge(
                    version, ["10.1.2.0/24", "2001:db8::/64"], more: [("hairpinMode", true), ("mtu", 1400)])
            ),
            (
                "\(version) gateway, no default route",
                Inputs.bridge(version).with(("isDefaultGateway", false), ("isGateway", true))
            ), ("\(version) no gateway", Inputs.bridge(version).with(("isDefaultGateway", false))),
            ("\(version) promiscuous", Inputs.bridge(version, more: [("promiscMode", true)])),
            (
                "\(version) routes and addresses asked for",
                Inputs.bridge(version).with(
                    ("ipam", Inputs.ipam(["10.1.2.0/24"], [("routes", [["dst": "10.9.0.0/16", "gw": "10.1.2.1"]])])),
                    ("args", ["cni": ["ips": ["10.1.2.99"], "mac": "02:00:00:00:00:07"]]))
            ),
        ] + (atLeast(version, "0.3.0") ? [("\(version) layer 2", Inputs.bridge(version, []))] : [])
    }

    @Test("ADD and DEL", arguments: configs)
    func life(_ row: (name: String, config: Value)) throws {
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
        if let mac = try lab.link(bridge)?["address"]?.string { names.append((mac, "BRIDGE-MAC")) }
        for veth in try lab.veths() {
            if let mac = try lab.link(veth)?["address"]?.string { names.append((mac, "HOST-MAC")) }
            names.append((veth, "HOST-VETH"))
        }
        if let mac = try lab.link("eth0", in: "c0")?["address"]?.string { names.append((mac, "CONTAINER-MAC")) }
        return names
    }

    private func masked(_ result: Value, _ source: Value) -> Value {
        var names: [(String, String)] = []
        for (index, interface) in (source["interfaces"]?.elements ?? []).enumerated() {
            if let mac = interface["mac"]?.string, mac != "02:00:00:00:00:07" { names.append((mac, "MAC\(index)")) }
            if index == 1, let name = interface["name"]?.string { names.append((name, "HOST-VETH")) }
        }
        return (try? Value(parsing: Array(mask(result.text(), names).utf8))) ?? nil
    }

    private func expectEqual(
        _ ours: Lab, _ ourResult: Value, _ theirs: Lab, _ theirResult: Value,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        let (ourNames, theirNames) = (try names(ours), try names(theirs))
        func plain(_ world: World, _ names: [(String, String)]) -> World {
            World(
                Dictionary(
                    world.facts.map { (mask($0.key, names), mask($0.value, names)) }, uniquingKeysWith: { $0 + $1 })
            ).without { name in Self.differences.contains { $0.isMeant(name) } }
        }
        let differences = plain(try ours.world(), ourNames).differences(from: plain(try theirs.world(), theirNames))
        #expect(differences == [], sourceLocation: location)
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
            Inputs.hostLocal(version).with(("args", ["cni": ["ips": ["10.99.2.77"]]])),
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
            return name.hasPrefix("file/var/")
                && (World.isAddress(String(last)) || last.hasPrefix("last_reserved_ip"))
        }.map { "\($0.key)=\($0.value)" }.sorted()
    }
}
