import Attachment
import CNI
import FirewallPlugin
import GwbridgeNATPlugin
import Netfilter
import Netlink
import NetworkTypes
import PluginKit
import PortmapPlugin
import TestSupport
import Testing

/// What a bridge plugin hands to the plugins after it.
private func bridged() -> CNIResult {
    var result = CNIResult()
    result.interfaces = [
        .init(name: "br0", mac: "02:00:00:00:00:01"), .init(name: "vethx", mac: "02:00:00:00:00:02"),
        .init(name: "eth0", mac: "02:00:00:00:00:03", sandbox: "/run/netns/c1"),
    ]
    result.addresses = offer(ipv6: "2001:db8::5/64").addresses.map {
        .init(interface: 2, address: $0.address, gateway: $0.address.first.next)
    }
    return result
}

@Suite struct PortmapTests {
    let host = BridgeFaultTests.host()
    var plugin: PortmapCommands { PortmapCommands(system: host) }

    private func json(_ mappings: String, _ keys: String = "") -> String {
        let tail = keys.isEmpty ? "" : ",\(keys)"
        return
            #"{"cniVersion":"1.0.0","name":"n","type":"portmap","runtimeConfig":{"portMappings":[\#(mappings)]}\#(tail)}"#
    }

    private func forward(_ json: String) throws -> PortForward? {
        _ = try plugin.add(request(.add, json, previous: bridged()))
        let owner = FilterOwner(network: "n", containerID: "c1", interfaceName: "eth0")
        for case .portForward(let forward) in host.filter.rules[owner] ?? [] { return forward }
        return nil
    }

    @Test("PM1 the container's own addresses are used; keys come in any case")
    func parse() throws {
        let forward = try forward(json(#"{"HostPort":8080,"ContainerPort":80,"Protocol":"TCP","HostIP":"127.0.0.1"}"#))
        #expect(forward?.addresses.map(\.description) == ["10.1.2.5/24", "2001:db8::5/64"])
        #expect(
            forward?.mappings == [
                PortMapping(.tcp, hostAddress: IPAddress("127.0.0.1"), hostPort: 8080, containerPort: 80)
            ])
        #expect(forward?.sourceRewrite == .hairpin)
    }

    @Test("an address on no interface in particular is the container's; the host's own is not")
    func missingIndex() throws {
        var previous = bridged()
        previous.addresses[0].interface = nil
        previous.addresses[1].interface = 0
        _ = try plugin.add(
            request(.add, json(#"{"hostPort":1,"containerPort":1,"protocol":"tcp"}"#), previous: previous))
        guard case .portForward(let forward)? = host.filter.rules.values.first?.first else {
            Issue.record("no rule")
            return
        }
        #expect(forward.addresses.map(\.description) == ["10.1.2.5/24"])
    }

    @Test("lists of protocols, snat and masqAll")
    func variants() throws {
        #expect(
            try forward(json(#"{"hostPort":53,"containerPort":53,"protocol":"tcp,udp"}"#))?.mappings.map(\.transport)
                == [.tcp, .udp])
        let one = #"{"hostPort":53,"containerPort":53,"protocol":"tcp"}"#
        #expect(try forward(json(one, #""snat":false"#))?.sourceRewrite == PortForward.SourceRewrite.none)
        #expect(try forward(json(one, #""masqAll":true"#))?.sourceRewrite == .all)
    }

    @Test(
        "what is refused, in the reference's words",
        arguments: [
            (#"{"hostPort":0,"containerPort":80}"#, "", "failed to parse config: Invalid host port number: 0"),
            (#"{"hostPort":80,"containerPort":0}"#, "", "failed to parse config: Invalid container port number: 0"),
            (#"{"hostPort":70000,"containerPort":1}"#, "", "failed to parse config: Invalid host port number: 70000"),
            (#"{"hostPort":80,"containerPort":80,"protocol":"icmp"}"#, "", "use tcp, udp or sctp"),
            (#"{"hostPort":80,"containerPort":80,"hostIP":"nowhere"}"#, "", "is not an IP address"),
            ("", #""backend":"ebtables""#, #"unrecognized backend "ebtables""#),
            ("", #""markMasqBit":32"#, "MasqMarkBit must be between 0 and 31"),
            (
                "", #""markMasqBit":5,"externalSetMarkChain":"X""#,
                "Cannot specify externalSetMarkChain and markMasqBit"
            ),
            (
                "", #""backend":"iptables","conditionsV4":["ip saddr"],"conditionsV6":["ip6 saddr"]"#,
                "iptables backend was requested but configuration contains nftables-specific options "
                    + "[conditionsV4 conditionsV6]"
            ),
            (
                "", #""backend":"nftables","externalSetMarkChain":"X","conditionsV4":["-s"],"conditionsV6":["!"]"#,
                "nftables backend was requested but configuration contains iptables-specific options "
                    + "[externalSetMarkChain conditionsV4 conditionsV6]"
            ),
        ])
    func refusals(_ mapping: String, _ keys: String, _ words: String) throws {
        let before = host.world
        let error = #expect(throws: CNIError.self) {
            try plugin.add(request(.add, json(mapping, keys), previous: bridged()))
        }
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
        #expect(host.world == before)
    }

    @Test("no mappings: the previous result, and nothing else")
    func nothing() throws {
        #expect(try plugin.add(request(.add, json(""), previous: bridged())) == bridged())
        #expect(host.filter.rules.isEmpty)
        let error = #expect(throws: CNIError.self) { try plugin.add(request(.add, json(""))) }
        #expect(error?.message == "must be called as chained plugin")
    }

    @Test("ports in use are refused with their holder's name")
    func conflicts() throws {
        let text = json(#"{"hostPort":8080,"containerPort":80,"protocol":"tcp"}"#)
        _ = try plugin.add(request(.add, text, previous: bridged()))
        let error = #expect(throws: (any Error).self) {
            try plugin.add(request(.add, text, containerID: "c2", previous: bridged()))
        }
        #expect(error.map { ErrorMapping.cniError($0).message.contains("c1/eth0") } == true)
        host.holders[9090] = "process 42 (nginx)"
        let taken = #expect(throws: CNIError.self) {
            try plugin.add(
                request(.add, json(#"{"hostPort":9090,"containerPort":80}"#), containerID: "c3", previous: bridged()))
        }
        #expect(taken?.message == "hostPort 9090/tcp is in use by process 42 (nginx)")
    }

    @Test("datagrams' connections are forgotten on ADD and DEL")
    func forgets() throws {
        let text = json(#"{"hostPort":53,"containerPort":53,"protocol":"udp"}"#)
        _ = try plugin.add(request(.add, text, previous: bridged()))
        #expect(host.forgotten == [ConnectionMatch(.udp, originalPort: 53)])
        try plugin.delete(request(.delete, text, previous: bridged()))
        #expect(host.forgotten.count == 2)
        #expect(host.filter.rules.isEmpty)
    }
}

@Suite struct FirewallTests {
    let host = BridgeFaultTests.host()
    private let directory = try? TemporaryDirectory()
    var plugin: FirewallCommands { FirewallCommands(system: host, marks: directory?.path) }
    let owner = FilterOwner(network: "n", containerID: "c1", interfaceName: "eth0")

    private func json(_ keys: String = "") -> String {
        #"{"cniVersion":"1.0.0","name":"n","type":"firewall"\#(keys.isEmpty ? "" : ",\(keys)")}"#
    }

    @Test("rules carry the addresses, the bridge and the policy")
    func rules() throws {
        let text = json(#""ingressPolicy":"isolated","iptablesAdminChainName":"MINE""#)
        #expect(try plugin.add(request(.add, text, previous: bridged())) == bridged())
        let addresses = bridged().addresses.map(\.address.address)
        #expect(
            host.filter.rules[owner] == [
                .firewall(
                    Firewall(
                        addresses: addresses, ingress: .isolated, bridge: "br0", port: "vethx", adminChain: "MINE"))
            ])
        try plugin.check(request(.check, text, previous: bridged()))
        try plugin.delete(request(.delete, text, previous: bridged()))
        #expect(host.filter.rules.isEmpty)
        #expect(throws: (any Error).self) { try plugin.check(request(.check, text, previous: bridged())) }
    }

    @Test("firewalld is told of the addresses where it runs")
    func firewalld() throws {
        let zones = FakeZones()
        host.zones = zones
        _ = try plugin.add(request(.add, json(), previous: bridged()))
        #expect(zones.sources == ["trusted": ["10.1.2.5/32", "2001:db8::5/128"]])
        #expect(host.filter.rules.isEmpty)
        try plugin.check(request(.check, json(), previous: bridged()))
        zones.sources["trusted"]?.remove("10.1.2.5/32")
        #expect(throws: CNIError.self) { try plugin.check(request(.check, json(), previous: bridged())) }
        try plugin.delete(request(.delete, json(), previous: bridged()))
        #expect(zones.sources["trusted"] == [])
        // With a policy the packet filter is needed, too.
        _ = try plugin.add(
            request(.add, json(#""ingressPolicy":"same-bridge","firewalldZone":"work""#), previous: bridged()))
        #expect(zones.sources["work"]?.count == 2)
        #expect(
            host.filter.rules[owner] == [
                .firewall(
                    Firewall(
                        addresses: bridged().addresses.map(\.address.address), accepts: false, ingress: .sameBridge,
                        bridge: "br0", port: "vethx"))
            ])
    }

    @Test("what is refused")
    func refusals() throws {
        let unknown = #expect(throws: (any Error).self) {
            try plugin.add(request(.add, json(#""ingressPolicy":"closed""#), previous: bridged()))
        }
        #expect(unknown.map { ErrorMapping.cniError($0).message } == #"unknown ingress policy: "closed""#)
        let alone = #expect(throws: CNIError.self) { try plugin.add(request(.add, json())) }
        #expect(alone?.message == "missing prevResult from earlier plugin")
        var bare = bridged()
        bare.interfaces = []
        bare.addresses = bare.addresses.map { .init(address: $0.address) }
        let bridgeless = #expect(throws: CNIError.self) {
            try plugin.add(request(.add, json(#""ingressPolicy":"same-bridge""#), previous: bare))
        }
        #expect(bridgeless?.message.hasPrefix("interface needs to be set for ingress policy") == true)
        let missing = #expect(throws: CNIError.self) {
            try plugin.add(request(.add, json(#""backend":"firewalld""#), previous: bridged()))
        }
        #expect(missing?.code == 101)
    }
}

/// Fail at step k, for every k, for the chained plugins.
@Suite struct ChainFaultTests {
    static let portmap = #"""
        {"cniVersion":"1.0.0","name":"n","type":"portmap","runtimeConfig":{"portMappings":[
        {"hostPort":8080,"containerPort":80,"protocol":"tcp"},{"hostPort":53,"containerPort":53,"protocol":"udp"}]}}
        """#
    static let firewall = #"{"cniVersion":"1.0.0","name":"n","type":"firewall","ingressPolicy":"same-bridge"}"#
    static let gateway = #"""
        {"cniVersion":"1.0.0","name":"n","type":"gwbridge-nat","dataDir":"/tmp","subnet":"172.30.0.0/24",
        "runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}}
        """#

    private func loop(_ json: String, _ plugin: (FakeHost) -> any PluginCommands) throws -> Int {
        var step = 0
        while true {
            step += 1
            let host = BridgeFaultTests.host()
            let before = host.world
            host.kernel.failingChange = step
            do {
                _ = try plugin(host).add(request(.add, json, previous: bridged()))
            } catch {
                try #require(host.kernel.changes >= step, "step \(step): \(error)")
                host.kernel.failingChange = nil
                #expect(host.world == before, "failed at step \(step): \(host.kernel.log.suffix(3))")
                continue
            }
            host.kernel.failingChange = nil
            if host.kernel.changes < step {
                try plugin(host).delete(request(.delete, json, previous: bridged()))
                #expect(host.filter.rules.isEmpty && host.kernel.namespaces[7]?.links.isEmpty == true)
                return step
            }
            // A step that may fail without harm: the next round starts from nothing again.
            try plugin(host).delete(request(.delete, json, previous: bridged()))
        }
    }

    @Test func portmapLeavesNothing() throws {
        #expect(try loop(Self.portmap) { PortmapCommands(system: $0) } >= 2)
    }

    @Test func firewallLeavesNothing() throws {
        #expect(try loop(Self.firewall) { FirewallCommands(system: $0) } == 2)
    }

    @Test func gatewayLeavesNothing() throws {
        let directory = try TemporaryDirectory()
        let json = Self.gateway.replacing("/tmp", with: directory.path)
        #expect(try loop(json) { GwbridgeCommands(system: $0) } > 8)
        let reservations = FileTree.files(below: directory.path).filter { $0.contains("172.30.") }
        #expect(reservations.isEmpty, "\(reservations)")
    }
}
