import Attachment
import CNI
import Netfilter
import Netlink
import NetworkTypes
import Overlay
import OverlayVXLANPlugin
import PluginKit
import System
import TestSupport
import Testing

/// Fail at step k, for every k, on the real kernel: host, container, overlay namespace, packet filter and files are as before.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed")) struct OverlayKernelFaultTests {
    static let configurations = [
        #"{"cniVersion":"1.0.0","name":"n","type":"overlay-vxlan","subnet":"10.1.2.0/24","peers":["192.0.2.1","192.0.2.2"]}"#,
        #"{"cniVersion":"1.1.0","name":"n","type":"overlay-vxlan","subnets":["10.1.2.0/24","10.9.0.0/24","2001:db8::/64"],"peers":["192.0.2.1","192.0.2.2"],"internal":true,"hostAccess":true}"#,
        #"{"cniVersion":"1.0.0","name":"n","type":"overlay-vxlan","subnets":["10.1.2.0/24"],"interface":"up0","ipRange":["10.1.2.0/25"],"group":"239.1.1.1"}"#,
        #"{"cniVersion":"1.0.0","name":"n","type":"overlay-vxlan","subnets":["10.1.2.0/24","2001:db8::/64"]}"#,
        #"{"cniVersion":"1.1.0","name":"n","type":"overlay-vxlan","subnets":["10.1.2.0/24","2001:db8::/64"],"hostAccess":true}"#,
    ]

    /// What must be as before.
    struct World: Equatable, Sendable {
        var stacks: [KernelFaultTests.World] = []
        var entries: PeerEntries?
        var members: Set<IPAddress>?
        var filters: [String]
        var files: [String]
        var endpoints: Set<String>

        init(_ bench: Bench) throws {
            stacks = try [bench.outside, bench.inside].map { try KernelFaultTests.World($0) }
            if let network = try OverlayNetwork.open(bench.identity, host: bench.outside) {
                stacks.append(try KernelFaultTests.World(network.stack))
                entries = try network.vxlanIndex().map { try PeerEntries(network.stack, vxlan: $0) }
            }
            // What the kernel makes by itself, in its own time.
            for index in stacks.indices {
                stacks[index].addresses.removeAll { $0.contains(" fe80:") }
                stacks[index].routes.removeAll { $0.destination.address.isLinkLocal }
            }
            members = try VTEPFilter().members(bench.identity)
            filters = try VTEPFilter().shortIdentifiers()
            // A lock's file stays; who removes one takes it from somebody.
            files = FileTree.files(below: "/run/swiftlet").filter { !$0.hasSuffix(".lock") }
            endpoints = bench.overlay.endpoints
        }
    }

    /// A host of a lab, on a thread in its namespaces.
    final class Bench {
        let identity = NetworkIdentity(network: "n")
        let outside: RouteSession
        let inside: RouteSession
        let system = FaultyHost(lockDirectory: "/run")
        let overlay: FaultyOverlay
        private let json: String

        init(_ json: String) throws {
            self.json = json
            outside = try RouteSession()
            inside = try RouteSession(in: NetworkNamespace(path: "/run/netns/c0"))
            overlay = FaultyOverlay(system)
        }

        private var plugin: OverlayCommands { OverlayCommands(system: system, overlay: overlay) }

        func call(_ command: Command, _ container: String = "c0") throws {
            let isDual = json.contains("db8")
            system.offer =
                container == "c0"
                ? offer(ipv6: isDual ? "2001:db8::5/64" : nil, routes: ["0.0.0.0/0"])
                : offer("10.1.2.6/24", ipv6: isDual ? "2001:db8::6/64" : nil)
            // GC names no container; here none is valid.
            let text =
                command == .garbageCollect
                ? String(json.dropLast()) + #","cni.dev/valid-attachments":[]}"# : json
            let request = try request(command, text, containerID: container, netns: "/run/netns/\(container)")
            switch command {
            case .add: _ = try plugin.add(request)
            case .delete: try plugin.delete(request)
            default: try plugin.collectGarbage(request)
            }
        }

        /// What the daemon does by itself when it sees that nobody is left.
        func settle() throws {
            if !json.contains("peers"), !json.contains("group") { try overlay.settle(identity) }
        }
    }

    static func run<Answer: Sendable>(_ json: String, _ body: @Sendable (Bench) throws -> Answer) throws -> Answer {
        let underlay = try Underlay(hosts: 1, containers: 2)
        return try underlay.hosts[0].inside { try body(Bench(json)) }
    }

    @Test(arguments: configurations, [false, true])
    func failedAddChangesNothing(_ json: String, othersAreThere: Bool) throws {
        let steps = try Self.run(json) { bench in
            if othersAreThere { try bench.call(.add, "c1") }
            let before = try World(bench)
            var step = 0
            while true {
                step += 1
                bench.system.injector.restart()
                bench.system.injector.failingChange = step
                let outcome = Result { try bench.call(.add) }
                let (changes, log) = (bench.system.injector.changes, bench.system.injector.log)
                bench.system.injector.failingChange = nil
                if case .failure(let error) = outcome {
                    // What fails without being made to will never succeed.
                    try #require(changes >= step, "step \(step): \(error)")
                } else {
                    // The step may fail without harm.
                    try bench.call(.delete)
                }
                try bench.settle()
                let after = try World(bench)
                #expect(after == before, "failed at step \(step): \(log.prefix(step).suffix(2))")
                #expect(bench.system.allocations.keys.filter { $0.containerID == "c0" }.isEmpty, "step \(step)")
                if changes < step { return step }
            }
        }
        #expect(steps > (othersAreThere ? 5 : 10))
    }

    @Test("A plugin killed at any step leaves nothing that DEL or GC does not find", arguments: configurations)
    func killedAddIsCleared(_ json: String) throws {
        let steps = try Self.run(json) { bench in
            let before = try World(bench)
            var step = 0
            while true {
                step += 1
                bench.system.injector.restart()
                // Nothing it wants to take back is done any more, either.
                bench.system.injector.killingChange = step
                let isWhole = (try? bench.call(.add)) != nil
                let log = bench.system.injector.log
                bench.system.injector.killingChange = nil
                try bench.call(step % 2 == 0 ? .delete : .garbageCollect)
                try bench.settle()
                let what = "killed at step \(step): \(log.prefix(step).suffix(2))"
                let after = try World(bench)
                #expect(after == before, "\(what)")
                if step % 2 == 0 { #expect(bench.system.allocations.isEmpty, "\(what)") }
                if isWhole { return step }
            }
        }
        #expect(steps > 10)
    }
}
