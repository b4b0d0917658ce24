import Attachment
import BandwidthPlugin
import BridgePlugin
import CNI
import GwbridgeNATPlugin
import Netlink
import NetworkTypes
import OverlayVXLANPlugin
import PluginKit
import TestSupport
import Testing

/// Network A has the container's `eth0`. An ADD of network B that is refused because of it, and every DEL of B, leave it as
/// it is, whoever made it.
@Suite struct ForeignInterfaceTests {
    /// Who made `eth0`.
    enum Maker: String, CaseIterable, Sendable {
        case bridge, overlay
        /// Another suite's bridge plugin: no alias, a name of its own.
        case otherBridge
        /// Another suite's plugin that uses no bridge.
        case otherPair
        /// A link that is no veth.
        case macvlan
    }

    private let overlay: FakeOverlay
    private let directory: TemporaryDirectory
    private var host: FakeHost { overlay.host }

    init() throws {
        overlay = try OverlayFaultTests.make()
        directory = try TemporaryDirectory()
        host.offer = offer("10.1.2.64/24")
    }

    private static let overlayJSON =
        #"{"cniVersion":"1.0.0","name":"NAME","type":"overlay-vxlan","subnet":"10.1.2.0/24","peers":["192.0.2.1","192.0.2.2"]}"#
    private static let daemonJSON =
        #"{"cniVersion":"1.0.0","name":"NAME","type":"overlay-vxlan","subnet":"10.1.2.0/24"}"#
    private static let bridgeJSON =
        #"{"cniVersion":"1.0.0","name":"NAME","type":"bridge","isGateway":true,"ipam":{"type":"host-local"}}"#

    private var plugins: [(commands: any PluginCommands, json: String)] {
        let gateway =
            #"{"cniVersion":"1.0.0","name":"NAME","type":"gwbridge-nat","subnet":"172.30.0.0/24","dataDir":"\#(directory.path)"}"#
        return [
            (BridgeCommands(system: host), Self.bridgeJSON),
            (BridgeCommands(system: host), Self.bridgeJSON.replacing("host-local", with: "dhcp")),
            (OverlayFaultTests.commands(overlay), Self.overlayJSON),
            (OverlayFaultTests.commands(overlay), Self.daemonJSON),
            (GwbridgeCommands(system: host), gateway),
        ]
    }

    /// Makes network A's `eth0` in container c1, number 7.
    private func make(_ maker: Maker) throws {
        let stack = host.kernel.stack(0)
        switch maker {
        case .bridge:
            _ = try BridgeCommands(system: host).add(request(.add, Self.bridgeJSON.replacing("NAME", with: "a")))
        case .overlay:
            let json = Self.overlayJSON.replacing("NAME", with: "a")
            _ = try OverlayFaultTests.commands(overlay).add(request(.add, json))
        case .otherBridge:
            try stack.createLink(LinkSpec(name: "other0", kind: .bridge(BridgeState())))
            try stack.createLink(LinkSpec(name: "veth1", kind: .veth(peer: .init(name: "eth0", namespace: 7))))
            let (bridge, port) = (try stack.link(named: "other0"), try stack.link(named: "veth1"))
            try stack.changeLink(index: port?.index ?? 0, LinkChange { $0.master = bridge?.index })
        case .otherPair:
            try stack.createLink(LinkSpec(name: "veth1", kind: .veth(peer: .init(name: "eth0", namespace: 7))))
        case .macvlan:
            let parent = try #require(try stack.link(named: "up0")).index
            try stack.createLink(
                LinkSpec(name: "eth0", kind: .macvlan(parent: parent, mode: .bridge), namespace: 7))
        }
    }

    @Test(arguments: Maker.allCases) func refusedAddLeavesIt(_ maker: Maker) throws {
        try make(maker)
        for (commands, json) in plugins {
            let before = overlay.world
            let json = json.replacing("NAME", with: "b")
            let error = #expect(throws: CNIError.self) { try commands.add(request(.add, json)) }
            #expect(error?.code == CNIError.Code.foreignObject, "\(commands.name): \(String(describing: error))")
            #expect(overlay.world == before, "\(commands.name)")
        }
    }

    @Test(arguments: Maker.allCases) func deleteOfAnotherNetworkLeavesIt(_ maker: Maker) throws {
        try make(maker)
        for (commands, json) in plugins {
            let before = overlay.world
            let json = json.replacing("NAME", with: "b")
            try commands.delete(request(.delete, json))
            // Not even where the other network's result is handed over, as a cache mixed up might.
            try commands.delete(request(.delete, json, previous: offer("10.9.9.9/24")))
            #expect(overlay.world == before, "\(commands.name)")
        }
    }

    /// The reference's ADD is still undone, by its result or, without one, by the bridge.
    @Test(arguments: [true, false]) func anotherSuitesInterfaceOfTheNetworkGoes(_ hasResult: Bool) throws {
        let stack = host.kernel.stack(0)
        try stack.createLink(LinkSpec(name: "br-b", kind: .bridge(BridgeState())))
        try stack.createLink(LinkSpec(name: "veth1", kind: .veth(peer: .init(name: "eth0", namespace: 7))))
        let (bridge, port) = (try stack.link(named: "br-b"), try stack.link(named: "veth1"))
        let ports = hasResult ? 0 : bridge?.index
        try stack.changeLink(index: port?.index ?? 0, LinkChange { $0.master = ports })
        let previous = CNIResult(interfaces: [
            .init(name: "br-b"), .init(name: "veth1"), .init(name: "eth0", sandbox: "/run/netns/c1"),
        ])
        let json = Self.bridgeJSON.replacing("NAME", with: "b")
        try BridgeCommands(system: host).delete(request(.delete, json, previous: hasResult ? previous : nil))
        #expect(try host.kernel.stack(7).links().isEmpty)
    }

    @Test func limitsOfAnotherNetworkStay() throws {
        let result = try BridgeCommands(system: host).add(
            request(.add, Self.bridgeJSON.replacing("NAME", with: "a")))
        let bandwidth = BandwidthCommands(system: host)
        let added = try bandwidth.add(request(.add, BandwidthTests.json(name: "a"), previous: result))
        let before = host.world
        try bandwidth.delete(request(.delete, BandwidthTests.json(name: "b")))
        try bandwidth.delete(request(.delete, BandwidthTests.json(name: "b"), netns: ""))
        #expect(host.world == before)
        try bandwidth.check(request(.check, BandwidthTests.json(name: "a"), previous: added))
    }
}
