import Attachment
import BridgePlugin
import CNI
import LoopbackPlugin
import Netlink
import NetworkTypes
import NullPlugin
import PluginKit
import System
import TestSupport
import Testing

/// Fail at step k, for every k, on the real kernel: both namespaces are as before.
@Suite(.enabled(if: FreshNamespace.isPermitted)) struct KernelFaultTests {
    /// What both namespaces look like, without the numbers and states that change by themselves.
    struct World: Equatable, Sendable {
        var links: [String]
        var addresses: [String]
        var routes: [Route]
        var forwarding: [String]

        init(_ stack: any NetworkStack) throws {
            links = try stack.links().map { "\($0.name) \($0.kind ?? "-") \($0.isUp) \($0.mtu) \($0.alias ?? "-")" }
            addresses = try stack.addresses(link: nil).map { "\($0.link) \($0.prefix)" }
            routes = try stack.routes(family: .ipv4) + stack.routes(family: .ipv6)
            forwarding = try ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/lo/disable_ipv6"]
                .map { try stack.parameter($0) }
        }
    }

    static let configurations = [
        #"{"cniVersion":"1.0.0","name":"n","type":"bridge","ipam":{}}"#,
        #"{"cniVersion":"1.1.0","name":"n","type":"bridge","bridge":"br0","isDefaultGateway":true,"ipMasq":true,"macspoofchk":true,"mtu":1400,"hairpinMode":true,"ipam":{"type":"host-local"}}"#,
        #"{"cniVersion":"1.0.0","name":"n","type":"bridge","isGateway":true,"promiscMode":true,"icc":false,"internal":true,"ipam":{"type":"x"}}"#,
    ]

    static func run(_ plugin: @Sendable (FaultyHost) -> any PluginCommands, _ json: String) throws -> Int {
        let directory = "/tmp/swiftlet-fault-\(KernelRandomName.next())"
        try Files.makeDirectories(directory, mode: 0o700)
        defer { for name in (try? Files.list(directory)) ?? [] { try? Files.remove("\(directory)/\(name)") } }
        return try inFreshNamespace { host in
            let container = try FreshNamespace()
            let path = container.path
            let outside = try RouteSession()
            let inside = try RouteSession(in: container.open())
            var step = 0
            while true {
                step += 1
                let system = FaultyHost(lockDirectory: directory)
                system.offer = offer(ipv6: "2001:db8::5/64", routes: ["0.0.0.0/0", "::/0", "10.9.0.0/16"])
                let before = (try World(outside), try World(inside))
                system.injector.failingChange = step
                let call = try request(.add, json, netns: path)
                let outcome = Result { try plugin(system).add(call) }
                if case .failure(let error) = outcome {
                    // What fails without being made to will never succeed.
                    try #require(system.injector.changes >= step, "step \(step): \(error)")
                    let after = (try World(outside), try World(inside))
                    let note = "failed at step \(step): \(system.injector.log.prefix(step).suffix(2))"
                    #expect(before.0 == after.0, "\(note), host")
                    #expect(before.1 == after.1, "\(note), container")
                    #expect(system.allocations.isEmpty, "\(note), address")
                    continue
                }
                if system.injector.changes < step { return step }
                // The step may fail without harm. Its network is removed for the next round, and its bridge with it.
                system.injector.failingChange = nil
                try plugin(system).delete(request(.delete, json, netns: path))
                for link in try outside.links() where link.kind == "bridge" {
                    try outside.deleteLink(index: link.index)
                }
                for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
                    try outside.setParameter(key, "0")
                }
            }
        }
    }

    @Test(arguments: configurations) func bridge(_ json: String) throws {
        #expect(try Self.run({ BridgeCommands(system: $0) }, json) > 6)
    }

    @Test func null() throws {
        let json = #"{"cniVersion":"1.0.0","name":"n","type":"null"}"#
        #expect(try Self.run({ NullCommands(system: $0) }, json) == 2)
    }

    @Test func loopback() throws {
        let json = #"{"cniVersion":"1.0.0","name":"n","type":"loopback"}"#
        #expect(try Self.run({ LoopbackCommands(system: $0) }, json) == 2)
    }

    /// Two thousand milliseconds of nothing must not pass for a port that already forwards.
    @Test func anAddressIsUsableWhenAddReturns() throws {
        let json = Self.configurations[1]
        try inFreshNamespace { _ in
            let container = try FreshNamespace()
            let system = FaultyHost(lockDirectory: "/tmp")
            system.offer = offer(ipv6: "2001:db8::5/64")
            _ = try BridgeCommands(system: system).add(request(.add, json, netns: container.path))
            let addresses = try RouteSession(in: container.open()).addresses(link: nil)
            #expect(addresses.allSatisfy { !$0.isTentative || $0.prefix.address.isLinkLocal })
            try command("ping -c 1 -W 2 10.1.2.5")
            try command("ping -c 1 -W 2 2001:db8::5")
        }
    }
}

enum KernelRandomName {
    static func next() -> String {
        var random = KernelRandom()
        return String(random.next(), radix: 16)
    }
}
