import JSON
import System
import TestSupport
import Testing

/// What the packet filter's suites share: configurations, and a host whose shared parts are made.
enum FilterInputs {
    /// The back ends a configuration can name.
    static let backends = ["nftables", "iptables"]
    static let dual = ["10.1.2.0/24", "2001:db8::/64"]

    /// A bridge that masquerades.
    static func masquerading(
        _ backend: String = "", _ subnets: [String] = dual, name: String = "net", bridge: String = "br0",
        more: [(String, Value)] = []
    ) -> Value {
        Inputs.bridge(
            "1.0.0", subnets, name: name, bridge: bridge,
            more: [("ipMasq", true), ("ipMasqBackend", .string(backend)), ("hairpinMode", true)] + more)
    }

    /// One port mapping as podman writes it.
    static func port(_ host: Int64, _ container: Int64 = 80, _ transport: String = "tcp", hostIP: String? = nil)
        -> Value
    {
        var mapping: Value = [
            "hostPort": .integer(host), "containerPort": .integer(container), "protocol": .string(transport),
        ]
        if let hostIP { mapping["hostIP"] = .string(hostIP) }
        return mapping
    }

    /// bridge and portmap.
    static func ports(
        _ backend: String, _ mappings: [Value], name: String = "net", subnets: [String] = dual,
        bridge: String = "br0", more: [(String, Value)] = []
    ) -> PluginChain {
        var portmap: Value = ["type": "portmap", "capabilities": ["portMappings": true], "backend": .string(backend)]
        for (key, value) in more { portmap[key] = value }
        return PluginChain(
            name, [masquerading(backend, subnets, name: name, bridge: bridge), portmap],
            runtimeConfig: ["portMappings": .array(mappings)])
    }
}

extension Lab {
    /// The state that an attachment must give back: everything but reservations' bookkeeping and the bridges, with what
    /// the back ends keep for all containers counted in. Take it after a first attachment has come and gone.
    func steadyWorld(_ bridges: [String] = ["br0", "br1", "br2", "swiftlet-gw"]) throws -> World {
        try attachmentsOnly(bridges: bridges)
    }

    /// Fails the test unless the host gets back to `before`.
    func expectReturn(to before: World, _ what: String = "", _ location: SourceLocation = #_sourceLocation) throws {
        // What a namespace takes with it goes in the kernel's own time.
        _ = try eventually { try steadyWorld() == before }
        try steadyWorld().expectEqual(to: before, what, location)
    }

    /// Lets an attachment come and go and gives the state after.
    func warmedUp(_ chain: PluginChain, _ containerID: String = "c0") throws -> World {
        let result = try add(chain, containerID).orFail("warm up")
        for answer in try delete(chain, containerID, previous: result) { answer.expectSilence("warm up") }
        return try steadyWorld()
    }

    /// As ``warmedUp(_:_:)`` for one plugin.
    func warmedUp(_ config: Value, plugin: String = "bridge") throws -> World {
        let added = try add(config, plugin: plugin).config
        try delete(added, plugin: plugin)
        return try steadyWorld()
    }

    /// Whether bridged packets pass the IP packet filter. Does nothing on kernels without the choice.
    func filterBridged(_ isOn: Bool) throws {
        try script(
            """
            for family in iptables ip6tables; do
                file=/proc/sys/net/bridge/bridge-nf-call-$family
                if [ -e $file ]; then echo \(isOn ? 1 : 0) > $file; fi
            done
            """)
    }

    /// Whether the kernel can make bridged packets pass the IP packet filter.
    static let canFilterBridged = Files.exists("/proc/sys/net/bridge/bridge-nf-call-iptables")
}

extension PluginAnswer {
    /// The address of a family on the attachment's own interface.
    func address(_ isV6: Bool = false) -> String {
        let all = (document ?? nil).addresses.filter { $0.contains(":") == isV6 }
        return String((all.first ?? "?").prefix { $0 != "/" })
    }
}

extension String {
    /// An address without its prefix length.
    var plain: String { String(prefix { $0 != "/" }) }
}

extension [PluginAnswer] {
    /// Fails the test unless all succeeded in silence.
    func expectSilence(_ what: String = "", _ location: SourceLocation = #_sourceLocation) {
        for answer in self { answer.expectSilence(what, location) }
    }
}
