import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netlink

@Suite("Bridge ports in a fresh namespace", .enabled(if: FreshNamespace.isPermitted))
struct PortTests {
    /// A bridge with one port. Returns their indexes.
    private static func makePort(_ session: RouteSession) throws -> (bridge: Int32, port: Int32) {
        try session.createLink(LinkSpec(name: "br0", kind: .bridge(BridgeState())))
        try session.createLink(LinkSpec(name: "veth0", kind: .veth(peer: .init(name: "veth1"))))
        let bridge = try #require(try session.link(named: "br0")).index
        let port = try #require(try session.link(named: "veth0")).index
        try session.changeLink(index: port, LinkChange { $0.master = bridge })
        return (bridge, port)
    }

    @Test("Every setting of a port is set alone and read back")
    func settings() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let (bridge, port) = try Self.makePort(session)
            var expected = BridgePort()
            expected.state = try #require(try session.link(index: port)?.port).state
            #expect(try session.link(index: port)?.port == expected)

            let changes: [(BridgePortChange, WritableKeyPath<BridgePort, Bool>, Bool)] = [
                (BridgePortChange(hairpin: true), \.hairpin, true),
                (BridgePortChange(isolated: true), \.isolated, true),
                (BridgePortChange(learning: false), \.learning, false),
                (BridgePortChange(flood: false), \.flood, false),
                (BridgePortChange(neighbourSuppression: true), \.neighbourSuppression, true),
                (BridgePortChange(hairpin: false), \.hairpin, false),
            ]
            for (change, path, value) in changes {
                try session.changePort(index: port, change)
                expected[keyPath: path] = value
                #expect(try session.link(index: port)?.port == expected)
            }
            let shown = try command("bridge -j -d link show dev veth0")
            for part in [
                #""hairpin":false"#, #""isolated":true"#, #""learning":false"#, #""flood":false"#,
                #""neigh_suppress":true"#,
            ] { #expect(shown.contains(part)) }

            #expect {
                try session.changePort(index: bridge, BridgePortChange(hairpin: true))
            } throws: { ($0 as? NetlinkError)?.errno == .notSupported }
        }
    }

    @Test("VLANs of a port and of the bridge are kept, or refused with EOPNOTSUPP")
    func vlans() throws {
        try inFreshNamespace { _ in
            let session = try RouteSession()
            let (bridge, port) = try Self.makePort(session)
            let vlan = PortVLAN(identifier: 100, isNative: true, isUntagged: true)
            for index in [port, bridge] {
                do {
                    try session.addVLAN(vlan, port: index)
                    #expect(try session.vlans(port: index).contains(vlan))
                    try session.removeVLAN(100, port: index)
                } catch {
                    let error = try #require(error as? NetlinkError)
                    #expect(error.errno == .notSupported)
                    print("this kernel has no VLAN filtering: \(error)")
                }
                #expect(try !session.vlans(port: index).contains(vlan))
            }
        }
    }
}
