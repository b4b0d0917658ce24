import Attachment
import BridgePlugin
import CNI
import Netlink
import NetworkTypes
import PluginKit
import Testing

/// Fail at step k, for every k: the world is as before.
@Suite struct BridgeFaultTests {
    static let configurations = [
        #"{"cniVersion":"1.0.0","name":"n","type":"bridge","ipam":{}}"#,
        #"{"cniVersion":"1.0.0","name":"n","type":"bridge","bridge":"br0","isDefaultGateway":true,"ipMasq":true,"macspoofchk":true,"hairpinMode":true,"ipam":{"type":"host-local"}}"#,
        #"{"cniVersion":"1.1.0","name":"n","type":"bridge","isGateway":true,"mtu":1400,"promiscMode":true,"icc":false,"ipam":{"type":"x"}}"#,
        #"{"cniVersion":"1.0.0","name":"n","type":"bridge","bridge":"br0","isGateway":true,"vlan":100,"vlanTrunk":[{"minID":5,"maxID":7}],"ipam":{"type":"host-local"}}"#,
        #"{"cniVersion":"1.0.0","name":"n","type":"bridge","isGateway":true,"internal":true,"enabledad":true,"ipam":{"type":"x"}}"#,
    ]

    static func host() -> FakeHost {
        let host = FakeHost()
        host.containers["/run/netns/c1"] = 7
        host.containers["/run/netns/c2"] = 8
        host.offer = offer(ipv6: "2001:db8::5/64", routes: ["0.0.0.0/0", "::/0", "10.9.0.0/16"])
        _ = host.kernel.stack(7)
        _ = host.kernel.stack(8)
        return host
    }

    @Test(arguments: configurations) func failedAddLeavesNothing(_ json: String) throws {
        var step = 0
        while true {
            step += 1
            let host = Self.host()
            let before = host.world
            host.kernel.failingChange = step
            do {
                _ = try BridgeCommands(system: host).add(request(.add, json))
            } catch {
                try #require(host.kernel.changes >= step, "step \(step): \(error)")
                host.kernel.failingChange = nil
                #expect(host.world == before, "failed at step \(step): \(host.kernel.log.suffix(3))")
                continue
            }
            // Steps that may fail without harm (optional parameters) do not end the loop; running out of steps does.
            if host.kernel.changes < step { break }
        }
        #expect(step > 5)
    }

    @Test(arguments: configurations) func failedAddKeepsTheNetworkOfOthers(_ json: String) throws {
        var step = 0
        while true {
            step += 1
            let host = Self.host()
            let plugin = BridgeCommands(system: host)
            _ = try plugin.add(request(.add, json, containerID: "c2", netns: "/run/netns/c2"))
            host.offer = offer("10.1.2.6/24", ipv6: "2001:db8::6/64")
            let before = host.world
            host.kernel.resetCount()
            host.kernel.failingChange = step
            do {
                _ = try plugin.add(request(.add, json))
            } catch {
                try #require(host.kernel.changes >= step, "step \(step): \(error)")
                host.kernel.failingChange = nil
                #expect(host.world == before, "failed at step \(step): \(host.kernel.log.suffix(3))")
                continue
            }
            if host.kernel.changes < step { break }
        }
        #expect(step > 4)
    }

    @Test(arguments: configurations) func interruptedDeleteIsFinishedByTheNext(_ json: String) throws {
        var step = 0
        while true {
            step += 1
            let host = Self.host()
            let plugin = BridgeCommands(system: host)
            let result = try plugin.add(request(.add, json))
            host.kernel.resetCount()
            host.kernel.failingChange = step
            let delete = try request(.delete, json, previous: result)
            let failed = (try? plugin.delete(delete)) == nil
            let ended = host.kernel.changes < step
            host.kernel.failingChange = nil
            try plugin.delete(delete)
            #expect(host.allocations.isEmpty)
            #expect(host.kernel.namespaces[7]?.links.isEmpty == true)
            #expect(
                host.kernel.namespaces[0]?.links.values.allSatisfy { !$0.name.hasPrefix("veth") || $0.alias == nil }
                    == true)
            if ended { break }
            // Neighbours that could not be told ask by themselves, some time later.
            let isCourtesy = ["announce", "remove neighbour"].contains { host.kernel.log[step - 1].hasPrefix($0) }
            #expect(failed || isCourtesy, "step \(step) of DEL failed without a word")
        }
    }

    /// A DEL that cannot remove the link still releases the address, and the other way round.
    @Test func deleteGoesOnAfterAnError() throws {
        let host = Self.host()
        let plugin = BridgeCommands(system: host)
        let json = Self.configurations[1]
        _ = try plugin.add(request(.add, json))
        host.kernel.resetCount()
        host.kernel.failingChange = 1
        #expect(throws: (any Error).self) { try plugin.delete(request(.delete, json)) }
        #expect(host.allocations.isEmpty)
    }
}
