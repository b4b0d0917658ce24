import Attachment
import CNI
import JSON
import Netlink
import NetworkTypes
import Overlay
import OverlayVXLANPlugin
import PluginKit
import Testing

/// Fail at step k, for every k: the world is as before.
@Suite struct OverlayFaultTests {
    static let configurations = [
        #"{"cniVersion":"1.0.0","name":"n","type":"overlay-vxlan","subnet":"10.1.2.0/24","peers":["192.0.2.1","192.0.2.2"]}"#,
        #"{"cniVersion":"1.1.0","name":"n","type":"overlay-vxlan","subnets":["10.1.2.0/24","10.9.0.0/24","2001:db8::/64"],"peers":["192.0.2.2"],"internal":true,"mtu":1300}"#,
        #"{"cniVersion":"1.0.0","name":"n","type":"overlay-vxlan","subnets":["10.1.2.0/24","2001:db8::/64"],"interface":"up0","ipRange":["10.1.2.0/25","2001:db8::/70"],"group":"239.1.1.1"}"#,
        #"{"cniVersion":"1.0.0","name":"n","type":"overlay-vxlan","subnets":["10.1.2.0/24","2001:db8::/64"]}"#,
        #"{"cniVersion":"1.1.0","name":"n","type":"overlay-vxlan","subnets":["10.1.2.0/24","10.9.0.0/24","2001:db8::/64"],"peers":["192.0.2.2"],"hostAccess":true}"#,
        #"{"cniVersion":"1.1.0","name":"n","type":"overlay-vxlan","subnets":["10.1.2.0/24","2001:db8::/64"],"hostAccess":true}"#,
    ]

    static func make() throws -> FakeOverlay {
        let host = FakeHost()
        for (path, descriptor) in [("/run/netns/c1", Int32(7)), ("/run/netns/c2", 8)] {
            host.containers[path] = descriptor
            _ = host.kernel.stack(descriptor)
        }
        let outside = host.kernel.stack(0)
        try outside.createLink(LinkSpec(name: "up0", kind: .ifb, isUp: true))
        let link = try #require(try outside.link(named: "up0"))
        let prefix = try #require(IPPrefix("192.0.2.1/24"))
        try outside.addAddress(InterfaceAddress(link: link.index, prefix: prefix))
        host.offer = offer(ipv6: "2001:db8::5/64", routes: ["0.0.0.0/0"])
        host.kernel.resetCount()
        return FakeOverlay(host)
    }

    static func commands(_ overlay: FakeOverlay) -> OverlayCommands {
        OverlayCommands(system: overlay.host, overlay: overlay)
    }

    /// What the daemon keeps after an ADD that failed is its own to remove.
    static func settle(_ overlay: FakeOverlay, _ json: String) throws {
        guard !json.contains("peers"), !json.contains("group") else { return }
        if try overlay.paths().isEmpty {
            overlay.endpoints.remove("\(HostAccess.containerID)/\(HostAccess.portName)")
        }
        for path in try overlay.paths() {
            let links = try overlay.open(path)?.stack.links() ?? []
            if links.contains(where: \.isContainerPort) { continue }
            overlay.endpoints.remove("\(HostAccess.containerID)/\(HostAccess.portName)")
            try overlay.remove(String(path.dropFirst(OverlayNamespaces.usualDirectory.utf8.count + 1)))
        }
    }

    @Test(arguments: configurations) func failedAddLeavesNothing(_ json: String) throws {
        var step = 0
        while true {
            step += 1
            let overlay = try Self.make()
            if !json.contains("db8") { overlay.host.offer = offer(routes: ["0.0.0.0/0"]) }
            let before = overlay.world
            overlay.host.kernel.failingChange = step
            do {
                _ = try Self.commands(overlay).add(request(.add, json))
            } catch {
                try #require(overlay.host.kernel.changes >= step, "step \(step): \(error)")
                overlay.host.kernel.failingChange = nil
                let log = overlay.host.kernel.log
                try Self.settle(overlay, json)
                #expect(overlay.world == before, "failed at step \(step): \(log.suffix(6))")
                continue
            }
            if overlay.host.kernel.changes < step { break }
        }
        #expect(step > 12)
    }

    @Test(arguments: configurations) func failedAddKeepsTheNetworkOfOthers(_ json: String) throws {
        var step = 0
        while true {
            step += 1
            let overlay = try Self.make()
            if !json.contains("db8") { overlay.host.offer = offer() }
            _ = try Self.commands(overlay).add(request(.add, json, containerID: "c2", netns: "/run/netns/c2"))
            overlay.host.offer = offer("10.1.2.6/24", ipv6: json.contains("db8") ? "2001:db8::6/64" : nil)
            let before = overlay.world
            overlay.host.kernel.resetCount()
            overlay.host.kernel.failingChange = step
            do {
                _ = try Self.commands(overlay).add(request(.add, json))
            } catch {
                try #require(overlay.host.kernel.changes >= step, "step \(step): \(error)")
                overlay.host.kernel.failingChange = nil
                #expect(overlay.world == before, "failed at step \(step): \(overlay.host.kernel.log.suffix(3))")
                continue
            }
            if overlay.host.kernel.changes < step { break }
        }
        #expect(step > 4)
    }

    @Test(arguments: configurations) func interruptedDeleteIsFinishedByTheNext(_ json: String) throws {
        var step = 0
        while true {
            step += 1
            let overlay = try Self.make()
            if !json.contains("db8") { overlay.host.offer = offer() }
            let before = overlay.world
            let result = try Self.commands(overlay).add(request(.add, json))
            overlay.host.kernel.resetCount()
            overlay.host.kernel.failingChange = step
            let delete = try request(.delete, json, previous: result)
            let failed = (try? Self.commands(overlay).delete(delete)) == nil
            let ended = overlay.host.kernel.changes < step
            overlay.host.kernel.failingChange = nil
            try Self.commands(overlay).delete(delete)
            try Self.settle(overlay, json)
            #expect(overlay.world == before, "step \(step)")
            if ended { break }
            #expect(failed, "step \(step) of DEL failed without a word")
        }
        #expect(step > 3)
    }

    @Test(
        "A plugin killed at any step leaves nothing that DEL or the next ADD does not find", arguments: configurations)
    func killed(_ json: String) throws {
        var step = 0
        while true {
            step += 1
            let overlay = try Self.make()
            if !json.contains("db8") { overlay.host.offer = offer() }
            let before = overlay.world
            overlay.host.kernel.killingChange = step
            let isWhole = (try? Self.commands(overlay).add(request(.add, json))) != nil
            overlay.host.kernel.killingChange = nil
            if step % 2 == 0, !isWhole {
                // The runtime may try again without a DEL; the delegate gives the same address once it is free.
                try? overlay.host.releaseAddresses(request(.delete, json))
                if try overlay.open("/run/netns/c1")?.stack.link(named: "eth0") == nil {
                    _ = try Self.commands(overlay).add(request(.add, json))
                }
            }
            try Self.commands(overlay).delete(request(.delete, json))
            try Self.settle(overlay, json)
            #expect(overlay.world == before, "step \(step)")
            if isWhole { break }
        }
    }
}
