import Attachment
import BandwidthPlugin
import CNI
import Netlink
import NetworkTypes
import PluginKit
import System
import TestSupport
import Testing

/// Fail at step k, for every k: the world is as before.
@Suite struct BandwidthFaultTests {
    static let configurations = [
        BandwidthTests.json(), BandwidthTests.json(#""ingressRate":8,"ingressBurst":8"#),
        BandwidthTests.json(#""egressRate":8,"egressBurst":8"#, version: "0.3.0"),
    ]

    @Test(arguments: configurations) func failedAddLeavesNothing(_ json: String) throws {
        var step = 0
        while true {
            step += 1
            let (host, previous) = try hostWithVeth()
            let before = host.world
            host.kernel.failingChange = step
            do {
                _ = try BandwidthCommands(system: host).add(request(.add, json, previous: previous))
            } catch {
                try #require(host.kernel.changes >= step, "step \(step): \(error)")
                #expect(host.world == before, "failed at step \(step): \(host.kernel.log.suffix(3))")
                continue
            }
            break
        }
        #expect(step > 1)
    }

    @Test(arguments: configurations) func interruptedDeleteIsFinishedByTheNext(_ json: String) throws {
        var step = 0
        while true {
            step += 1
            let (host, previous) = try hostWithVeth()
            let before = host.world
            let plugin = BandwidthCommands(system: host)
            let result = try plugin.add(request(.add, json, previous: previous))
            host.kernel.resetCount()
            host.kernel.failingChange = step
            let delete = try request(.delete, json, previous: result)
            let failed = (try? plugin.delete(delete)) == nil
            let ended = host.kernel.changes < step
            host.kernel.failingChange = nil
            try plugin.delete(delete)
            // A fake filter keeps naming a device that is gone; the kernel's names none then.
            #expect(host.world.namespaces[0]?.links == before.namespaces[0]?.links)
            if ended { break }
            #expect(failed, "step \(step) of DEL failed without a word")
        }
        #expect(step > 1)
    }

    /// What the real kernel holds of links and their traffic control.
    struct World: Equatable, Sendable {
        var links: [String]
        var disciplines: [String]

        init(_ stack: any NetworkStack) throws {
            let all = try stack.links()
            links = all.map { "\($0.name) \($0.kind ?? "-") \($0.isUp) \($0.mtu) \($0.alias ?? "-")" }
            disciplines = try all.flatMap { link in
                try [DisciplinePosition.root, .ingress].compactMap { position in
                    try stack.discipline(position, link: link.index).map { "\(link.name) \(position) \($0)" }
                } + stack.ingressFilters(link: link.index).map { "\(link.name) \($0.kind)" }
            }
        }
    }

    @Test(.enabled(if: FreshNamespace.isPermitted), arguments: configurations)
    func failedAddOnTheRealKernel(_ json: String) throws {
        try inFreshNamespace { _ in
            let container = try FreshNamespace()
            let stack = try RouteSession()
            let inner = try container.open()
            let peer = LinkSpec.VethPeer(name: "eth0", namespace: inner.descriptor)
            try stack.createLink(LinkSpec(name: "veth1", kind: .veth(peer: peer), isUp: true))
            let previous = CNIResult(interfaces: [.init(name: "veth1"), .init(name: "eth0", sandbox: container.path)])
            let before = try World(stack)
            var step = 0
            while true {
                step += 1
                let system = FaultyHost(lockDirectory: "/tmp")
                system.injector.failingChange = step
                let call = try request(.add, json, netns: container.path, previous: previous)
                let outcome = Result { try BandwidthCommands(system: system).add(call) }
                if case .failure(let error) = outcome {
                    try #require(system.injector.changes >= step, "step \(step): \(error)")
                    let note = "failed at step \(step): \(system.injector.log.prefix(step).suffix(2))"
                    #expect(try World(stack) == before, "\(note)")
                    continue
                }
                system.injector.failingChange = nil
                let result = try outcome.get()
                let check = json.replacing("0.3.0", with: "1.0.0")
                try BandwidthCommands(system: system).check(
                    request(.check, check, netns: container.path, previous: result))
                try BandwidthCommands(system: system).delete(
                    request(.delete, json, netns: container.path, previous: result))
                #expect(try World(stack) == before, "after DEL")
                break
            }
            #expect(step > 1)
        }
    }

    /// Whatever fails within DEL, the next finishes it, on the real kernel.
    @Test(.enabled(if: FreshNamespace.isPermitted), arguments: configurations)
    func interruptedDeleteOnTheRealKernel(_ json: String) throws {
        try inFreshNamespace { _ in
            let container = try FreshNamespace()
            let stack = try RouteSession()
            let inner = try container.open()
            let peer = LinkSpec.VethPeer(name: "eth0", namespace: inner.descriptor)
            try stack.createLink(LinkSpec(name: "veth1", kind: .veth(peer: peer), isUp: true))
            let previous = CNIResult(interfaces: [.init(name: "veth1"), .init(name: "eth0", sandbox: container.path)])
            let before = try World(stack)
            var step = 0
            while true {
                step += 1
                let system = FaultyHost(lockDirectory: "/tmp")
                let plugin = BandwidthCommands(system: system)
                let result = try plugin.add(request(.add, json, netns: container.path, previous: previous))
                let failing = FaultyHost(lockDirectory: "/tmp")
                failing.injector.failingChange = step
                let delete = try request(.delete, json, netns: container.path, previous: result)
                let failed = (try? BandwidthCommands(system: failing).delete(delete)) == nil
                try plugin.delete(delete)
                #expect(try World(stack) == before, "\(failing.injector.log)")
                if failing.injector.changes < step { break }
                #expect(failed)
            }
            #expect(step > 1)
        }
    }

    @Test(.enabled(if: FreshNamespace.isPermitted)) func thisKernelIsProbedWithoutATrace() throws {
        try inFreshNamespace { _ in
            let stack = try RouteSession()
            let before = try World(stack)
            let gap = try KernelHost().shapingGap(redirects: true)
            if let gap { print("this kernel cannot redirect: \(gap)") }
            #expect(try World(stack) == before)
        }
    }
}
