import JSON
import System
import TestSupport
import Testing

extension Lab {
    /// One link as `ip -d link show` tells it, nil when there is none.
    func link(_ name: String, in container: String? = nil) throws -> Value? {
        try query("ip", ["-j", "-d", "link", "show"], in: container).elements.first { $0["ifname"]?.string == name }
    }

    /// The names of the links, sorted.
    func linkNames(in container: String? = nil) throws -> [String] {
        try query("ip", ["-j", "link", "show"], in: container).elements.compactMap { $0["ifname"]?.string }.sorted()
    }

    /// The host's veths.
    func veths() throws -> [String] { try linkNames().filter { $0.hasPrefix("veth") } }

    /// The addresses of a link with prefix length, newest first as the kernel lists them, link-local ones left out.
    func addresses(_ name: String, in container: String? = nil) throws -> [String] {
        let all = try query("ip", ["-j", "addr", "show"], in: container).elements
        guard let link = all.first(where: { $0["ifname"]?.string == name }) else { return [] }
        return (link["addr_info"]?.elements ?? []).filter { $0["scope"]?.string != "link" }.map {
            "\($0["local"]?.string ?? "?")/\($0["prefixlen"]?.integer ?? -1)"
        }
    }

    /// The routes of the main table as "destination via gateway".
    func routes(in container: String? = nil) throws -> [String] {
        try ["-4", "-6"].flatMap { family in
            try query("ip", ["-j", family, "route", "show"], in: container).elements.compactMap { route in
                let destination = route["dst"]?.string ?? "?"
                if destination.hasPrefix("fe80:") || route["type"]?.string == "multicast" { return nil }
                return destination + (route["gateway"]?.string.map { " via \($0)" } ?? "")
            }
        }.sorted()
    }

    /// A flag of a bridge port, nil when the link is no port.
    func portFlag(_ name: String, _ flag: String) throws -> Bool? {
        try query("bridge", ["-j", "-d", "link"]).elements.first { $0["ifname"]?.string == name }?[flag]?.bool
    }

    /// Runs ADD and fails the test unless it succeeds; gives the configuration for CHECK and DEL, and the result.
    @discardableResult
    func add(
        _ config: Value, containerID: String = "c0", ifname: String = "eth0", arguments: String? = nil,
        plugin: String = "bridge", _ location: SourceLocation = #_sourceLocation
    ) throws -> (config: Value, result: Value) {
        let answer = try run(
            plugin, "ADD", containerID: containerID, ifname: ifname, netns: netns(containerID), arguments: arguments,
            config)
        let result = answer.orFail("ADD", location)
        return (config.with(("prevResult", result)), result)
    }

    /// Runs DEL and fails the test unless it succeeds in silence.
    func delete(
        _ config: Value, containerID: String = "c0", ifname: String = "eth0", netns path: String? = nil,
        plugin: String = "bridge", _ location: SourceLocation = #_sourceLocation
    ) throws {
        try run(
            plugin, "DEL", containerID: containerID, ifname: ifname, netns: path ?? netns(containerID), config
        ).expectSilence("DEL", location)
    }

    /// Waits until `condition` holds; what a dying namespace takes with it goes in the kernel's own time.
    func eventually(_ condition: () throws -> Bool) throws -> Bool {
        let deadline = Deadline(milliseconds: 30_000)
        while try !condition() {
            guard deadline.remainingMilliseconds > 0 else { return false }
            pause(milliseconds: 50)
        }
        return true
    }

    /// Whether this kernel filters VLANs on bridges (`CONFIG_BRIDGE_VLAN_FILTERING`), found by trying.
    static let filtersVLANs: Bool = {
        guard let lab = try? Lab(containers: 0) else { return false }
        return (try? lab.tool("ip", "link", "add", "probe", "type", "bridge", "vlan_filtering", "1")) != nil
    }()
}

extension World {
    /// Fails the test with the differences unless both are equal.
    func expectEqual(to other: World, _ what: String = "", _ location: SourceLocation = #_sourceLocation) {
        let differences = differences(from: other)
        #expect(differences.isEmpty, "\(what) \(differences)", sourceLocation: location)
    }
}

extension Value {
    /// The name of the interface at `index` of a result.
    func interfaceName(_ index: Int) -> String { self["interfaces"]?[index]?["name"]?.string ?? "none" }

    /// The MAC of the interface at `index` of a result.
    func interfaceMAC(_ index: Int) -> String { self["interfaces"]?[index]?["mac"]?.string ?? "none" }

    /// Whether `ip link` lists `flag`.
    func hasFlag(_ flag: String) -> Bool { self["flags"]?.elements.contains(.string(flag)) ?? false }
}
