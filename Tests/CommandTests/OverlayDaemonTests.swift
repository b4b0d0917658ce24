import JSON
import Netlink
import NetworkTypes
import Overlay
import System
import TestSupport
import Testing

/// The plugin with a daemon: what it asks, and what it does with the answers, refusals and silences. The daemon is one of the
/// test's own that does the kernel's part; the real ones are tested together in ClusterTests.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has no such plugin"))
struct OverlayDaemonTests {
    /// A host's daemon: it gives its part of the subnet away, knows where everything else is, and notes what it is told.
    ///
    /// - Parameter override: answers in its place.
    static func daemon(
        _ underlay: Underlay, _ index: Int,
        override: @escaping @Sendable (FakeDaemon.Call) -> (status: Int, body: Value)? = { _ in nil }
    ) throws -> FakeDaemon {
        let host = underlay.hosts[index]
        let identity = NetworkIdentity(network: "demonet")
        let local = try #require(IPAddress(underlay.address(index)))
        let gateway = try #require(IPPrefix("192.168.0.1/24"))
        // Where the other hosts' containers will be.
        let remote = try underlay.hosts.indices.filter { $0 != index }.flatMap { other in
            try (0..<8).map { number in
                let address = try #require(IPAddress("192.168.0.\(64 * other + 2 + number)"))
                let vtep = try #require(IPAddress(underlay.address(other)))
                return RemoteEndpoint(
                    addresses: [address], mac: NetworkIdentity.containerMAC(address), vtep: vtep)
            }
        }
        return try FakeDaemon { (call: FakeDaemon.Call) -> (status: Int, body: Value) in
            if let answer = override(call) { return answer }
            switch call.line {
            case "POST /v1/overlay/prepare":
                if call.body["definition"]?["subnets"]?[0]?["subnet"]?.string != "192.168.0.0/24" {
                    let words: Value = "network 'demonet' is defined differently on host1 and host2"
                    return (409, ["error": words, "remedy": "make the definitions equal", "code": 7])
                }
                let segment = OverlaySegment(vni: 5000, local: local, mtu: 1450, gateways: [gateway])
                let failure = host.attempt {
                    try OverlayNetwork.prepare(identity, segment, host: try RouteSession()).program(
                        PeerEntries(remote))
                }
                if let failure { return (500, ["error": .string(failure), "code": 100]) }
                let range: Value = [
                    "subnet": "192.168.0.0/24", "rangeStart": .string("192.168.0.\(64 * index + 2)"),
                    "rangeEnd": .string("192.168.0.\(64 * index + 63)"), "gateway": "192.168.0.1",
                ]
                return (
                    200,
                    [
                        "networkID": .string(identity.identifier), "vni": 5000, "port": 4789, "mtu": 1450,
                        "namespace": .string(identity.namespacePath), "vtep": .string("\(local)"), "hostID": "x",
                        "subnets": [["subnet": "192.168.0.0/24", "gateway": "192.168.0.1"]], "ranges": [[range]],
                        "exclude": [.string("192.168.0.\(64 * index + 2)")],
                    ]
                )
            case "DELETE /v1/overlay/endpoints":
                let failure = host.attempt { try OverlayNetwork.remove(identity) }
                return failure.map { (500, ["error": .string($0)]) } ?? (200, [:])
            default: return (200, ["endpointID": "x", "acknowledged": 1, "peers": 1])
            }
        }
    }

    static func chain(_ daemon: FakeDaemon, _ more: [(String, Value)] = []) -> PluginChain {
        PluginChain(
            "demonet",
            [
                .object(
                    Object(
                        [
                            ("type", "overlay-vxlan"), ("subnet", "192.168.0.0/24"),
                            ("socket", .string(daemon.socket)),
                        ] + more))
            ])
    }

    @Test("Containers of two hosts, by what their daemons know")
    func twoHosts() throws {
        let underlay = try Underlay(hosts: 2, containers: 2)
        let daemons = try [0, 1].map { try Self.daemon(underlay, $0) }
        let chains = daemons.map { Self.chain($0) }
        var results: [Value] = []
        for (host, chain) in zip(underlay.hosts, chains) { results.append(try host.add(chain, "c0").orFail()) }
        #expect(results.map(\.firstAddress) == ["192.168.0.3", "192.168.0.67"], "the excluded ones are passed over")
        #expect(underlay.hosts[0].pings("192.168.0.67", from: "c0"))
        let publish = try #require(daemons[0].calls.last)
        #expect(publish.line == "POST /v1/overlay/endpoints")
        #expect(publish.body["addresses"] == ["192.168.0.3/24"])
        #expect(publish.body["mac"]?.string == "02:42:c0:a8:00:03")
        #expect(publish.body["link"]?.string == results[0].interfaceName(1))
        #expect(publish.body["containerID"]?.string == "c0" && publish.body["ifname"]?.string == "eth0")
        try underlay.hosts[0].check(chains[0], "c0", results[0]).expectSilence()
        try underlay.hosts[0].status(chains[0]).expectSilence()
        #expect(daemons[0].calls.last?.line == "POST /v1/overlay/status")
        try underlay.hosts[0].collect(chains[0], keeping: []).expectSilence()
        #expect(daemons[0].calls.last?.line == "DELETE /v1/overlay/endpoints")
        #expect(daemons[0].calls.last?.body == ["network": "demonet", "keep": []])
        try underlay.hosts[1].delete(chains[1], "c0", previous: results[1]).expectSilence()
        for host in underlay.hosts {
            #expect(try host.overlayRemains() == [])
            #expect(try host.reservations("demonet").isEmpty)
        }
    }

    @Test("A daemon that is away: ADD says code 11 and what to do, DEL removes everything")
    func absence() throws {
        let underlay = try Underlay(hosts: 1)
        let host = underlay.hosts[0]
        let before = try host.steadyWorld()
        let daemon = try Self.daemon(underlay, 0)
        let chain = Self.chain(daemon)
        var away = chain
        away.plugins[0]["socket"] = "/run/nobody.sock"
        let refusal = try host.add(away, "c0")
        refusal.expectRefusal(code: 11, containing: "start swiftletd")
        #expect(refusal.message.contains("/run/nobody.sock"))
        try host.steadyWorld().expectEqual(to: before)
        let result = try host.add(chain, "c0").orFail()
        try host.delete(away, "c0", previous: result).expectSilence()
        #expect(try host.linkNames(in: "c0") == ["lo"])
        #expect(try host.reservations("demonet").isEmpty)
        try host.status(away).first?.expectRefusal(code: 50, containing: "start swiftletd")
        // The variable names another socket, too.
        var call = PluginCall("overlay-vxlan", "ADD", input: chain.input(0).with(("socket", "")).text())
        call.environment = [("SWIFTLET_SOCKET", daemon.socket)]
        try host.run(call).orFail("by SWIFTLET_SOCKET")
    }

    @Test("Refusals keep the daemon's words; what had been made is taken back")
    func refusals() throws {
        let underlay = try Underlay(hosts: 1)
        let host = underlay.hosts[0]
        let daemon = try Self.daemon(underlay, 0)
        let other = Self.chain(daemon, [("subnet", "192.168.5.0/24")])
        let refusal = try host.add(other, "c0")
        refusal.expectRefusal(code: 7, containing: "defined differently on host1 and host2")
        #expect(refusal.details == "make the definitions equal")
        // A publication that fails comes last: everything else is there by then.
        let failing = try Self.daemon(underlay, 0) { call in
            guard call.line == "POST /v1/overlay/endpoints" else { return nil }
            return (507, ["error": "the journal cannot be written", "remedy": "make room", "code": 5])
        }
        try host.add(Self.chain(failing), "c0").expectRefusal(code: 5, containing: "journal")
        #expect(failing.calls.last?.line == "DELETE /v1/overlay/endpoints")
        #expect(try host.linkNames(in: "c0") == ["lo"] && host.reservations("demonet").isEmpty)
        #expect(try host.overlayRemains() == [])
    }
}

extension Lab {
    /// Runs `body` in the host's namespaces and gives its error's words.
    fileprivate func attempt(_ body: @Sendable () throws -> some Any) -> String? {
        do {
            try inside { () throws in _ = try body() }
            return nil
        } catch {
            return "\(error)"
        }
    }
}
