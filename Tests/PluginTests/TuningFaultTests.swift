import Attachment
import CNI
import Netlink
import NetworkTypes
import PluginKit
import System
import TestSupport
import Testing

@testable import TuningPlugin

/// Fail at step k, for every k: container and files are as before.
@Suite struct TuningFaultTests {
    static let configurations = [
        TuningTests.json(), TuningTests.json(#""sysctl":{"net.core.somaxconn":"77"}"#),
        TuningTests.json(#""mtu":1300,"txQLen":4"#, version: "0.4.0"),
    ]

    @Test(arguments: configurations) func failedAddLeavesNothing(_ json: String) throws {
        var step = 0
        while true {
            step += 1
            let bench = try TuningBench()
            let before = bench.host.world
            bench.host.kernel.failingChange = step
            do {
                _ = try bench.plugin.add(request(.add, json, previous: bench.previous))
            } catch {
                try #require(bench.host.kernel.changes >= step, "step \(step): \(error)")
                #expect(bench.host.world == before, "failed at step \(step): \(bench.host.kernel.log.suffix(3))")
                #expect(bench.files.contents.isEmpty, "failed at step \(step)")
                continue
            }
            break
        }
        #expect(step > 1)
    }

    /// A DEL goes on whatever fails, says so, and what could not be removed is removed by the next.
    @Test(arguments: configurations) func interruptedDeleteIsFinishedByTheNext(_ json: String) throws {
        var step = 0
        while true {
            step += 1
            let bench = try TuningBench()
            let before = bench.host.world
            let result = try bench.plugin.add(request(.add, json, previous: bench.previous))
            bench.host.kernel.resetCount()
            bench.host.kernel.failingChange = step
            let delete = try request(.delete, json, previous: result)
            let failed = (try? bench.plugin.delete(delete)) == nil
            let ended = bench.host.kernel.changes < step
            bench.host.kernel.failingChange = nil
            #expect(bench.files.contents.isEmpty || failed)
            try bench.plugin.delete(delete)
            #expect(bench.files.contents.isEmpty)
            if ended {
                #expect(bench.host.world.namespaces[7]?.links == before.namespaces[7]?.links)
                break
            }
            #expect(failed, "step \(step) of DEL failed without a word")
        }
    }

    /// Killed after any change, the next DEL restores what had been changed.
    @Test(arguments: configurations) func killedAddIsRestoredByDelete(_ json: String) throws {
        for step in 1...9 {
            let bench = try TuningBench()
            let before = bench.host.world
            bench.host.kernel.killingChange = step
            _ = try? bench.plugin.add(request(.add, json, previous: bench.previous))
            bench.host.kernel.killingChange = nil
            try bench.plugin.delete(request(.delete, json, previous: bench.previous))
            #expect(bench.host.world.namespaces[7]?.links == before.namespaces[7]?.links, "killed at \(step)")
            #expect(bench.files.contents.isEmpty)
        }
    }

    struct World: Equatable, Sendable {
        var links: [String]
        var parameters: [String]

        init(_ stack: any NetworkStack) throws {
            links = try stack.links().map {
                "\($0.name) \($0.mac?.description ?? "-") \($0.mtu) \($0.flags & 0x301) \($0.transmitQueueLength ?? 0)"
            }
            parameters = try ["net/core/somaxconn", "net/ipv4/conf/eth0/arp_filter"].map { try stack.parameter($0) }
        }
    }

    @Test(.enabled(if: FreshNamespace.isPermitted), arguments: configurations)
    func failedAddOnTheRealKernel(_ json: String) throws {
        let directory = try TemporaryDirectory()
        let data = "\(directory.path)/data"
        let json = json.replacing(#""type":"tuning""#, with: #""type":"tuning","dataDir":"\#(data)""#)
        try inFreshNamespace { _ in
            let container = try FreshNamespace()
            let inner = try container.open()
            let peer = LinkSpec.VethPeer(name: "eth0", namespace: inner.descriptor)
            try RouteSession().createLink(LinkSpec(name: "veth1", kind: .veth(peer: peer), isUp: true))
            let stack = try RouteSession(in: inner)
            let eth0 = try #require(try stack.link(named: "eth0")).index
            try stack.changeLink(index: eth0, LinkChange { $0.isUp = true })
            let previous = CNIResult(interfaces: [.init(name: "veth1"), .init(name: "eth0", sandbox: container.path)])
            let before = try World(stack)
            var step = 0
            while true {
                step += 1
                let system = FaultyHost(lockDirectory: "/tmp")
                let plugin = TuningCommands(system: system, allowList: "/nonexistent/list")
                system.injector.failingChange = step
                let call = try request(.add, json, netns: container.path, previous: previous)
                let outcome = Result { try plugin.add(call) }
                if case .failure(let error) = outcome {
                    try #require(system.injector.changes >= step, "step \(step): \(error)")
                    #expect(try World(stack) == before, "failed at \(system.injector.log.prefix(step).suffix(2))")
                    #expect(try DiskFiles().list("\(data)/n").isEmpty)
                    continue
                }
                system.injector.failingChange = nil
                let result = try outcome.get()
                #expect(try World(stack) != before)
                try plugin.check(request(.check, json, netns: container.path, previous: result))
                try plugin.delete(request(.delete, json, netns: container.path, previous: result))
                #expect(try World(stack).links == before.links, "after DEL")
                break
            }
            #expect(step > 1)
        }
    }
}
