import JSON
import TestSupport
import Testing

/// Networks over several hosts.
enum OverlayInputs {
    /// A network without a daemon over the hosts of an underlay, chained with a gateway when `gateway` says so.
    static func daemonless(
        _ underlay: Underlay, _ more: [(String, Value)] = [], name: String = "demonet", ipv6: Bool = false,
        gateway: Bool = false
    ) -> PluginChain {
        let peers = underlay.hosts.indices.map { Value.string(underlay.address($0, ipv6: ipv6)) }
        var object = Object([("type", "overlay-vxlan"), ("peers", .array(peers))])
        if !more.contains(where: { $0.0 == "subnets" || $0.0 == "subnet" }) { object["subnet"] = "192.168.0.0/24" }
        for (key, value) in more { object[key] = value == .null ? nil : value }
        var plugins: [Value] = [.object(object)]
        if gateway { plugins.append(["type": "gwbridge-nat", "interface": "eth1"]) }
        return PluginChain(name, plugins)
    }

    /// The overlay namespace's path of a network in the usual cluster, from its name alone.
    static func namespace(_ lab: Lab) throws -> String {
        let names = try lab.list("/run/swiftlet/netns").filter { $0.hasPrefix("1-") }
        return "/run/swiftlet/netns/" + (names.first ?? "none")
    }
}

extension Lab {
    /// Runs a tool in an overlay namespace.
    func overlay(_ path: String, _ command: String...) throws -> String {
        try tool("nsenter", ["--net=\(path)"] + command)
    }

    /// What is left of overlays on the host: namespaces and packet filter.
    func overlayRemains() throws -> [String] {
        try list("/run/swiftlet/netns").filter { $0.hasPrefix("1-") }
            + (tool("nft", "list", "ruleset").contains("vteps") ? ["filter"] : [])
    }
}

extension Value {
    /// The first address of a result without its prefix length.
    var firstAddress: String { String((addresses.first ?? "").prefix { $0 != "/" }) }
}
