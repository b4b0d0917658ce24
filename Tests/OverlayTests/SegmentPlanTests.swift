import Netlink
import NetworkTypes
import Overlay
import Testing

@Suite("What an overlay namespace needs")
struct SegmentPlanTests {
    static let segment = OverlaySegment(
        vni: 4242, local: IPAddress(family: .ipv4, number: 0xC000_0201), mtu: 1450,
        gateways: [IPPrefix("192.168.0.1/24"), IPPrefix("fd00:2::1/64")].compactMap { $0 })

    static func complete(_ segment: OverlaySegment) -> ObservedSegment {
        var observed = ObservedSegment()
        var loopback = Link(index: 1, name: "lo")
        loopback.flags = 1
        var bridge = Link(index: 2, name: "br0", kind: "bridge", mtu: segment.mtu)
        bridge.flags = 1
        bridge.bridge = BridgeState()
        var vxlan = Link(index: 3, name: "vxlan0", kind: "vxlan", mtu: segment.mtu)
        vxlan.flags = 1
        vxlan.master = 2
        vxlan.vxlan = segment.vxlan
        var port = BridgePort()
        port.learning = segment.learns
        vxlan.port = port
        (observed.loopback, observed.bridge, observed.vxlan) = (loopback, bridge, vxlan)
        observed.addresses = segment.gateways
        return observed
    }

    @Test("An empty namespace gets everything, a complete one nothing")
    func ends() {
        let changes = Self.segment.changes(from: ObservedSegment())
        #expect(changes.first == .createBridge)
        #expect(changes.contains(.createVXLAN))
        #expect(changes.filter { if case .addAddress = $0 { true } else { false } }.count == 2)
        #expect(changes.last == .change(link: "br0", LinkChange { $0.isUp = true }))
        #expect(Self.segment.changes(from: Self.complete(Self.segment)).isEmpty)
    }

    @Test("A VXLAN that cannot be changed into the wanted one is made anew")
    func remade() {
        let variants: [(inout OverlaySegment) -> Void] = [
            { $0.vni = 1 }, { $0.port = 8472 }, { $0.local = IPAddress(family: .ipv4, number: 1) },
            { $0.learns = true }, { $0.underlay = 7 },
        ]
        for change in variants {
            var wanted = Self.segment
            change(&wanted)
            let changes = wanted.changes(from: Self.complete(Self.segment))
            #expect(changes.prefix(2) == [.remove(link: "vxlan0"), .createVXLAN], "\(changes)")
            #expect(!changes.contains(.createBridge))
        }
    }

    @Test("MTU and gateways are changed in place")
    func changed() {
        var wanted = Self.segment
        wanted.mtu = 8951
        wanted.gateways = Array(wanted.gateways.dropFirst())
        let changes = wanted.changes(from: Self.complete(Self.segment))
        #expect(
            changes == [
                .change(link: "br0", LinkChange { $0.mtu = 8951 }), .removeAddress(Self.segment.gateways[0]),
                .change(link: "vxlan0", LinkChange { $0.mtu = 8951 }),
            ])
    }

    @Test("What somebody left down, apart or of another kind is put right")
    func repaired() {
        var observed = Self.complete(Self.segment)
        observed.vxlan?.flags = 0
        observed.bridge?.flags = 0
        observed.loopback?.flags = 0
        let up = LinkChange { $0.isUp = true }
        #expect(
            Self.segment.changes(from: observed) == [
                .change(link: "lo", up), .change(link: "vxlan0", up), .change(link: "br0", up),
            ])
        observed = Self.complete(Self.segment)
        observed.vxlan?.master = nil
        observed.vxlan?.port = nil
        #expect(
            Self.segment.changes(from: observed) == [
                .change(link: "vxlan0", LinkChange(), joinsBridge: true),
                .changePort(BridgePortChange(learning: false)),
            ])
        observed = Self.complete(Self.segment)
        observed.bridge?.kind = "veth"
        let changes = Self.segment.changes(from: observed)
        #expect(changes.prefix(2) == [.remove(link: "br0"), .createBridge])
        #expect(changes.contains(.change(link: "vxlan0", LinkChange(), joinsBridge: true)))
    }
}
