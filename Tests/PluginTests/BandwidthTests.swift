import Attachment
import BandwidthPlugin
import CNI
import Netlink
import NetworkTypes
import PluginKit
import Testing

/// A fake host whose container c1 has a veth made by another plugin, and what that plugin answered.
func hostWithVeth(interfaceName: String = "eth0") throws -> (host: FakeHost, previous: CNIResult) {
    let host = FakeHost()
    host.containers = ["/run/netns/c1": 7, "/run/netns/c2": 8]
    _ = host.kernel.stack(7)
    _ = host.kernel.stack(8)
    return (host, try addVeth(to: host, "veth1", interfaceName, container: 7, netns: "/run/netns/c1"))
}

/// One more veth on a fake host.
func addVeth(to host: FakeHost, _ name: String, _ interfaceName: String, container: Int32, netns: String) throws
    -> CNIResult
{
    try host.kernel.stack(0).createLink(
        LinkSpec(name: name, kind: .veth(peer: .init(name: interfaceName, namespace: container)), mtu: 1400))
    host.kernel.resetCount()
    return CNIResult(interfaces: [
        .init(name: "br0"), .init(name: name),
        .init(name: interfaceName, mac: "02:00:00:00:00:01", sandbox: netns),
    ])
}

@Suite struct BandwidthTests {
    static let both = #""ingressRate":8000000,"ingressBurst":1600000,"egressRate":16000000,"egressBurst":800000"#

    static func json(_ keys: String = both, version: String = "1.1.0", name: String = "n") -> String {
        let tail = keys.isEmpty ? "" : ",\(keys)"
        return #"{"cniVersion":"\#(version)","name":"\#(name)","type":"bandwidth"\#(tail)}"#
    }

    private func world(_ host: FakeHost) -> FakeKernel.Namespace? { host.kernel.namespaces[0] }
    private func ifbs(_ host: FakeHost) -> [Link] {
        (world(host)?.links.values.filter { $0.kind == "ifb" } ?? []).sorted { $0.name < $1.name }
    }

    @Test func bothDirections() throws {
        let (host, previous) = try hostWithVeth()
        let plugin = BandwidthCommands(system: host)
        let result = try plugin.add(request(.add, Self.json(), previous: previous))
        let ifb = try #require(ifbs(host).first)
        #expect(ifb.name.hasPrefix("bwp") && ifb.name.count == 14 && ifb.isUp && ifb.mtu == 1400)
        #expect(ifb.alias == "swiftlet n c1 eth0")
        #expect(result.interfaces.dropLast() == previous.interfaces[...])
        #expect(result.interfaces.last == .init(name: ifb.name, mac: ifb.mac?.description, mtu: 1400))
        let veth = try #require(try host.kernel.stack(0).link(named: "veth1")).index
        let stack = host.kernel.stack(0)
        #expect(
            try stack.discipline(.root, link: veth)?.tokenBucket
                == TokenBucketState(TokenBucket(rate: 1_000_000, burst: 200_000, limit: 225_000)))
        #expect(
            try stack.discipline(.root, link: ifb.index)?.tokenBucket
                == TokenBucketState(TokenBucket(rate: 2_000_000, burst: 100_000, limit: 150_000)))
        #expect(try stack.ingressFilters(link: veth).map(\.target) == [ifb.index])
        try plugin.check(request(.check, Self.json(), previous: result))
    }

    @Test func oneDirectionAlone() throws {
        let (host, previous) = try hostWithVeth()
        let plugin = BandwidthCommands(system: host)
        let keys = #""ingressRate":8,"ingressBurst":9"#
        #expect(try plugin.add(request(.add, Self.json(keys), previous: previous)) == previous)
        #expect(ifbs(host).isEmpty && world(host)?.filters.isEmpty == true)
        #expect(host.kernel.changes == 1)
        try plugin.check(request(.check, Self.json(keys), previous: previous))
        try plugin.delete(request(.delete, Self.json(keys), previous: previous))
        let egress = #""egressRate":16,"egressBurst":9"#
        let result = try plugin.add(request(.add, Self.json(egress), previous: previous))
        #expect(ifbs(host).count == 1 && result.interfaces.count == 4)
        #expect(world(host)?.disciplines.values.flatMap(\.keys).filter { $0 == .root }.count == 1)
    }

    @Test(arguments: ["", #""ingressRate":0,"ingressBurst":0"#, #""ingressRate":null"#])
    func withoutLimitsTheResultIsHandedOn(_ keys: String) throws {
        let (host, previous) = try hostWithVeth()
        let plugin = BandwidthCommands(system: host)
        #expect(try plugin.add(request(.add, Self.json(keys), netns: "/gone", previous: previous)) == previous)
        #expect(host.kernel.changes == 0)
        for command in [Command.add, .check] {
            let error = #expect(throws: CNIError.self) {
                let call = try request(command, Self.json(keys))
                if command == .add { _ = try plugin.add(call) } else { try plugin.check(call) }
            }
            #expect(error?.code == 7 && error?.message == "must be called as chained plugin")
        }
    }

    @Test(arguments: [
        (#""ingressRate":8"#, "if rate is set, burst must also be set"),
        (#""egressBurst":8"#, "if burst is set, rate must also be set"),
        (#""ingressRate":8,"ingressBurst":34359738360"#, "burst cannot be more than 4GB"),
        (#""egressRate":7,"egressBurst":8"#, "egressRate: must be at least 8 bits a second, not 7"),
        (#""egressRate":8,"egressBurst":1"#, "egressBurst: must be at least 8 bits, not 1"),
        (#""egressRate":-8,"egressBurst":8"#, "egressRate: must not be negative, is -8"),
        (#""egressRate":"8","egressBurst":8"#, "egressRate: expected an integer, found a string"),
        (#""runtimeConfig":{"bandwidth":{"ingressRate":8}}"#, "if rate is set, burst must also be set"),
        (#""runtimeConfig":{"bandwidth":[]}"#, "runtimeConfig.bandwidth: expected an object, found an array"),
    ])
    func nonsense(_ keys: String, _ message: String) throws {
        let (host, previous) = try hostWithVeth()
        let error = #expect(throws: (any Error).self) {
            try BandwidthCommands(system: host).add(request(.add, Self.json(keys), previous: previous))
        }
        #expect(error.map(ErrorMapping.cniError)?.message == message)
        #expect(host.kernel.changes == 0)
    }

    @Test func largestBurst() throws {
        let (host, previous) = try hostWithVeth()
        let keys = #""ingressRate":8,"ingressBurst":34359738359"#
        _ = try BandwidthCommands(system: host).add(request(.add, Self.json(keys), previous: previous))
    }

    @Test("The runtime's limits in any spelling; those of the configuration win")
    func sources() throws {
        let runtime = #""RuntimeConfig":{"bandWidth":{"IngressRate":8000,"IngressBurst":4294967295}}"#
        for (keys, rate) in [(runtime, 1000), (#"\#(runtime),"ingressRate":16000,"ingressBurst":8"#, 2000)] {
            let (host, previous) = try hostWithVeth()
            _ = try BandwidthCommands(system: host).add(request(.add, Self.json(keys), previous: previous))
            let buckets = world(host)?.disciplines.values.compactMap { $0[.root]?.tokenBucket }
            #expect(buckets?.map(\.rate) == [UInt64(rate)])
        }
        // Any of the keys at the top makes it the source of all.
        let (host, previous) = try hostWithVeth()
        let mixed = #"\#(runtime),"egressRate":16000,"egressBurst":8"#
        _ = try BandwidthCommands(system: host).add(request(.add, Self.json(mixed), previous: previous))
        #expect(world(host)?.disciplines.values.compactMap { $0[.root]?.tokenBucket?.rate } == [2000])
    }

    @Test func attachmentsOfOneContainerAreKeptApart() throws {
        let (host, previous) = try hostWithVeth()
        let plugin = BandwidthCommands(system: host)
        let first = try plugin.add(request(.add, Self.json(), previous: previous))
        let other = try addVeth(to: host, "veth2", "eth1", container: 7, netns: "/run/netns/c1")
        let second = try plugin.add(request(.add, Self.json(), interfaceName: "eth1", previous: other))
        #expect(ifbs(host).count == 2)
        try plugin.delete(request(.delete, Self.json(), interfaceName: "eth1", previous: second))
        #expect(ifbs(host).map(\.name) == [first.interfaces[3].name])
        try plugin.check(request(.check, Self.json(), previous: first))
    }

    @Test(
        "Links that are no host's end of a veth",
        arguments: [
            ("missing", "container interface eth0 has no veth peer: could not look up \"eth0\": Link not found"),
            ("bridge", "container interface eth0 has no veth peer: interface \"eth0\" was not a veth interface"),
            ("elsewhere", "is not in host ns"), ("unlisted", "no veth peer of container interface found in host ns"),
            ("in sandbox", "no veth peer of container interface found in host ns"),
        ])
    func wrongLinks(_ what: String, _ message: String) throws {
        var (host, previous) = try hostWithVeth()
        let inside = host.kernel.stack(7)
        let index = try #require(try inside.link(named: "eth0")).index
        switch what {
        case "missing": try inside.deleteLink(index: index)
        case "bridge":
            try inside.deleteLink(index: index)
            try inside.createLink(LinkSpec(name: "eth0", kind: .bridge(BridgeState())))
        case "elsewhere":
            try inside.deleteLink(index: index)
            try host.kernel.stack(8).createLink(
                LinkSpec(name: "far", kind: .veth(peer: .init(name: "eth0", namespace: 7))))
        case "unlisted": previous.interfaces[1].name = "veth9"
        default: previous.interfaces[1].sandbox = "/run/netns/c2"
        }
        let before = host.world
        let error = #expect(throws: CNIError.self) {
            try BandwidthCommands(system: host).add(request(.add, Self.json(), previous: previous))
        }
        #expect(error?.message.contains(message) == true && error?.code == 7, "\(error as Any)")
        #expect(error?.details.isEmpty == false)
        #expect(host.world == before)
    }

    @Test func foreignShapersAreRefused() throws {
        for position in [DisciplinePosition.root, .ingress] {
            let (host, previous) = try hostWithVeth()
            let stack = host.kernel.stack(0)
            let veth = try #require(try stack.link(named: "veth1")).index
            if position == .root {
                try stack.addTokenBucket(TokenBucket(rate: 1, burst: 1, limit: 1), handle: 1, link: veth)
            } else {
                try stack.addIngress(link: veth)
            }
            let before = host.world
            let error = #expect(throws: CNIError.self) {
                try BandwidthCommands(system: host).add(request(.add, Self.json(), previous: previous))
            }
            #expect(error?.code == 103 && error?.message.hasPrefix("veth1 already has a qdisc") == true)
            // DEL of a failed ADD leaves them, too.
            try BandwidthCommands(system: host).delete(request(.delete, Self.json(), previous: previous))
            #expect(host.world == before)
        }
        let (host, previous) = try hostWithVeth()
        let name = try ifbName()
        try host.kernel.stack(0).createLink(LinkSpec(name: name, kind: .bridge(BridgeState())))
        let before = host.world
        let error = #expect(throws: CNIError.self) {
            try BandwidthCommands(system: host).add(request(.add, Self.json(), previous: previous))
        }
        #expect(error?.code == 103)
        try BandwidthCommands(system: host).delete(request(.delete, Self.json(), previous: previous))
        #expect(host.world == before)
    }

    /// The name our ifb has for c1's eth0 on n.
    private func ifbName() throws -> String {
        let (host, previous) = try hostWithVeth()
        let result = try BandwidthCommands(system: host).add(request(.add, Self.json(), previous: previous))
        return try #require(result.interfaces.last?.name)
    }

    @Test(arguments: [
        ("ifb", "CONFIG_IFB"), ("tbf", "CONFIG_NET_SCH_TBF"), ("ingress", "CONFIG_NET_SCH_INGRESS"),
        ("u32", "CONFIG_NET_CLS_U32"),
    ])
    func kernelsThatLackAPart(_ part: String, _ option: String) throws {
        let (host, previous) = try hostWithVeth()
        host.kernel.lacking = [part]
        let plugin = BandwidthCommands(system: host)
        let before = host.world
        let error = #expect(throws: (any Error).self) {
            try plugin.add(request(.add, Self.json(), previous: previous))
        }
        let mapped = error.map(ErrorMapping.cniError)
        #expect(mapped?.code == 2 && mapped?.message.contains(option) == true, "\(mapped as Any)")
        #expect(host.world == before)
        for keys in [Self.both, #""capabilities":{"bandwidth":true}"#] {
            let status = #expect(throws: CNIError.self) { try plugin.status(request(.status, Self.json(keys))) }
            #expect(status?.code == 50 && status?.message.contains(option) == true)
        }
        // What does not need the part is served.
        try plugin.status(request(.status, Self.json("")))
        let ingress = try request(.status, Self.json(#""ingressRate":8,"ingressBurst":8"#))
        if part == "tbf" {
            #expect(throws: CNIError.self) { try plugin.status(ingress) }
        } else {
            try plugin.status(ingress)
        }
    }

    @Test(arguments: ["/run/netns/c1", "", "/gone"], [true, false])
    func deleteFindsTheDevice(_ netns: String, _ hasResult: Bool) throws {
        let (host, previous) = try hostWithVeth()
        let before = host.world
        let plugin = BandwidthCommands(system: host)
        let result = try plugin.add(request(.add, Self.json(), previous: previous))
        let delete = try request(.delete, Self.json(), netns: netns, previous: hasResult ? result : nil)
        try plugin.delete(delete)
        if netns == "/run/netns/c1" || hasResult { #expect(host.world == before) }
        #expect(ifbs(host).isEmpty)
        try plugin.delete(delete)
    }

    @Test func deleteGoesByObservation() throws {
        let (host, previous) = try hostWithVeth()
        let plugin = BandwidthCommands(system: host)
        let result = try plugin.add(request(.add, Self.json(), previous: previous))
        // The configuration became nonsense, and the veth is gone with its namespace.
        let veth = try #require(try host.kernel.stack(0).link(named: "veth1")).index
        try host.kernel.stack(0).deleteLink(index: veth)
        try plugin.delete(
            request(.delete, Self.json(#""egressRate":"x""#), netns: "/gone", previous: result))
        #expect(ifbs(host).isEmpty)
    }

    @Test func theReferencePluginsDevice() throws {
        // SHA-512 of "nc1".
        let name = "bwp" + SHA512.hex("nc1", length: 12)
        let (host, previous) = try hostWithVeth()
        let plugin = BandwidthCommands(system: host)
        let stack = host.kernel.stack(0)
        func make() throws { try stack.createLink(LinkSpec(name: name, kind: .ifb)) }
        var listed = previous
        listed.interfaces.append(.init(name: name))
        try make()
        // prevResult says it is another attachment's.
        try plugin.delete(request(.delete, Self.json(), previous: previous))
        #expect(ifbs(host).count == 1)
        try plugin.delete(request(.delete, Self.json(), previous: listed))
        #expect(ifbs(host).isEmpty)
        try make()
        try plugin.delete(request(.delete, Self.json()))
        #expect(ifbs(host).isEmpty)
        // With a device of our own this attachment has no other.
        try make()
        _ = try plugin.add(request(.add, Self.json(), previous: previous))
        try plugin.delete(request(.delete, Self.json()))
        #expect(ifbs(host).map(\.name) == [name])
    }

    @Test func leftoverOfAKilledAddIsReplaced() throws {
        let complete = try hostWithVeth()
        _ = try BandwidthCommands(system: complete.host).add(request(.add, Self.json(), previous: complete.previous))
        // Killed after each of its six changes, without a chance to take anything back.
        for step in 1...6 {
            let (host, previous) = try hostWithVeth()
            let plugin = BandwidthCommands(system: host)
            host.kernel.killingChange = step
            _ = try? plugin.add(request(.add, Self.json(), previous: previous))
            host.kernel.killingChange = nil
            _ = try plugin.add(request(.add, Self.json(), previous: previous))
            #expect(ifbs(host).count == 1 && world(host)?.filters.count == 1, "killed at \(step)")
        }
    }

    @Test func garbageIsWhatNobodyClaims() throws {
        let (host, previous) = try hostWithVeth()
        let plugin = BandwidthCommands(system: host)
        _ = try plugin.add(request(.add, Self.json(), previous: previous))
        let second = try addVeth(to: host, "veth2", "eth0", container: 8, netns: "/run/netns/c2")
        let kept = try plugin.add(
            request(.add, Self.json(), containerID: "c2", netns: "/run/netns/c2", previous: second))
        let other = try addVeth(to: host, "veth3", "eth1", container: 8, netns: "/run/netns/c2")
        _ = try plugin.add(
            request(
                .add, Self.json(name: "o"), containerID: "c2", netns: "/run/netns/c2", interfaceName: "eth1",
                previous: other))
        let long = String(repeating: "c", count: 300)
        let third = try addVeth(to: host, "veth4", "eth2", container: 8, netns: "/run/netns/c2")
        _ = try plugin.add(
            request(
                .add, Self.json(), containerID: long, netns: "/run/netns/c2", interfaceName: "eth2", previous: third))
        try plugin.collectGarbage(request(.garbageCollect, Self.json()))
        #expect(ifbs(host).count == 4)
        let list = #""cni.dev/valid-attachments":[{"containerID":"c2","ifname":"eth0"}]"#
        try plugin.collectGarbage(request(.garbageCollect, Self.json(list)))
        #expect(Set(ifbs(host).compactMap(\.alias)) == ["swiftlet n c2 eth0", "swiftlet o c2 eth1"])
        #expect(ifbs(host).contains { $0.name == kept.interfaces[3].name })
    }

    @Test(arguments: ["rate", "burst", "egress rate", "filter", "ifb", "ifb down", "no limit"])
    func checkSeesEveryChange(_ change: String) throws {
        let (host, previous) = try hostWithVeth()
        let plugin = BandwidthCommands(system: host)
        let result = try plugin.add(request(.add, Self.json(), previous: previous))
        let stack = host.kernel.stack(0)
        let veth = try #require(try stack.link(named: "veth1")).index
        let ifb = try #require(ifbs(host).first).index
        var keys = Self.both
        switch change {
        case "rate": keys = keys.replacing("8000000", with: "8000008", maxReplacements: 1)
        case "burst": keys = keys.replacing("1600000", with: "1700000")
        case "egress rate": keys = keys.replacing("16000000", with: "15000000")
        case "filter": try stack.removeDiscipline(.ingress, link: veth)
        case "ifb": try stack.deleteLink(index: ifb)
        case "ifb down": try stack.changeLink(index: ifb, LinkChange { $0.isUp = false })
        default: try stack.removeDiscipline(.root, link: veth)
        }
        #expect(throws: CNIError.self) { try plugin.check(request(.check, Self.json(keys), previous: result)) }
    }

    @Test func versionsWithoutInterfacesAreNotSpoken() {
        let versions = BandwidthCommands(system: FakeHost()).supportedVersions.map(\.rawValue)
        #expect(versions == ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
    }
}
