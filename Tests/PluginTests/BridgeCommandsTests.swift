import Attachment
import BridgePlugin
import CNI
import Netlink
import NetworkTypes
import PluginKit
import Testing

@Suite struct BridgeCommandsTests {
    let host = BridgeFaultTests.host()
    var plugin: BridgeCommands { BridgeCommands(system: host) }

    private func json(_ keys: String, version: String = "1.0.0", ipam: Bool = true, name: String = "n") -> String {
        let tail = keys.isEmpty ? "" : ",\(keys)"
        let ipam = ipam ? #"{"type":"host-local"}"# : "{}"
        return #"{"cniVersion":"\#(version)","name":"\#(name)","type":"bridge","ipam":\#(ipam)\#(tail)}"#
    }

    private func bridge(_ name: String = "br-n") -> Link? {
        host.kernel.namespaces[0]?.links.values.first { $0.name == name }
    }

    private func hostEnds() -> [Link] {
        (host.kernel.namespaces[0]?.links.values ?? [:].values).filter { $0.alias?.hasPrefix("swiftlet ") == true }
    }

    @Test func resultListsBridgeHostAndContainer() throws {
        let result = try plugin.add(request(.add, json(#""isDefaultGateway":true"#)))
        #expect(result.interfaces.map(\.name) == ["br-n", hostEnds()[0].name, "eth0"])
        #expect(result.interfaces[2].sandbox == "/run/netns/c1")
        #expect(result.addresses.allSatisfy { $0.interface == 2 })
        #expect(result.addresses.map(\.gateway) == [IPAddress("10.1.2.1"), IPAddress("2001:db8::1")])
        #expect(bridge()?.mac?.description == result.interfaces[0].mac)
        #expect(host.kernel.namespaces[0]?.parameters["net/ipv4/ip_forward"] == "1")
        #expect(host.kernel.namespaces[0]?.parameters["net/ipv6/conf/all/forwarding"] == "1")
        let routes = host.kernel.namespaces[7]?.routes.filter { $0.destination.length == 0 }
        #expect(routes?.map(\.gateway) == [IPAddress("10.1.2.1"), IPAddress("2001:db8::1")])
    }

    @Test(arguments: ["host-local", "static", "dhcp"]) func delegatesThatLookFindTheInterface(_ type: String) throws {
        let text = json("").replacing("host-local", with: type)
        _ = try plugin.add(request(.add, text))
        let allocated = try #require(host.kernel.log.firstIndex(of: "allocate c1"))
        let up = try #require(host.kernel.log.firstIndex(of: "change link eth0"))
        #expect((up < allocated) == (type == "dhcp"), "\(host.kernel.log)")
        try plugin.delete(request(.delete, text))
        let released = try #require(host.kernel.log.firstIndex(of: "release c1"))
        let removed = try #require(host.kernel.log.firstIndex { $0.hasPrefix("delete link") })
        #expect((released < removed) == (type == "dhcp"), "\(host.kernel.log)")
    }

    @Test func defaultRouteWithGatewayIsNotRepeated() throws {
        host.offer.routes = [.init(destination: .any(.ipv4), gateway: IPAddress("10.1.2.99"))]
        let result = try plugin.add(request(.add, json(#""isDefaultGateway":true"#)))
        #expect(result.routes.filter { $0.destination == .any(.ipv4) }.count == 1)
        #expect(result.routes.filter { $0.destination == .any(.ipv6) }.count == 1)
    }

    @Test func internalNetworkHasNoDefaultRouteAndNoForwarding() throws {
        let result = try plugin.add(request(.add, json(#""isGateway":true,"internal":true"#)))
        #expect(result.routes.map(\.destination.description) == ["10.9.0.0/16"])
        #expect(host.kernel.namespaces[0]?.parameters["net/ipv4/ip_forward"] == nil)
        #expect(host.kernel.namespaces[0]?.addresses.contains { $0.prefix.description == "10.1.2.1/24" } == true)
    }

    @Test func noCommunicationMeansIsolatedPorts() throws {
        _ = try plugin.add(request(.add, json(#""icc":false"#)))
        #expect(hostEnds().first?.port?.isolated == true)
    }

    @Test func severalAttachmentsOfOneContainer() throws {
        let text = json("")
        let first = try plugin.add(request(.add, text))
        host.offer = offer("10.1.2.6/24")
        _ = try plugin.add(request(.add, text, interfaceName: "eth1"))
        #expect(hostEnds().count == 2)
        try plugin.delete(request(.delete, text, interfaceName: "eth1"))
        #expect(hostEnds().map(\.name) == [first.interfaces[1].name])
        try plugin.check(request(.check, text, previous: first))
    }

    @Test func hostNamesAreTheSameForTheSameAttachment() throws {
        let text = json("")
        let first = try plugin.add(request(.add, text)).interfaces[1]
        try plugin.delete(request(.delete, text))
        let second = try plugin.add(request(.add, text)).interfaces[1]
        #expect(first == second)
        #expect(first.name.count == 15 && first.name.hasPrefix("veth"))
    }

    @Test func addressConflictsOfTheBridge() throws {
        _ = try plugin.add(request(.add, json(#""isGateway":true,"bridge":"br0""#)))
        host.offer = offer("10.6.0.5/24", ipv6: "2001:db8:1::5/64")
        let before = host.world
        let conflicting = json(#""isGateway":true,"bridge":"br0""#, name: "other")
        let error = #expect(throws: CNIError.self) {
            try plugin.add(request(.add, conflicting, containerID: "c2", netns: "/run/netns/c2"))
        }
        #expect(
            error?.message == #"failed to set bridge addr: "br0" already has an IP address different from 10.6.0.1/24"#)
        #expect(host.world == before)
        let forced = json(#""isGateway":true,"bridge":"br0","forceAddress":true"#, name: "other")
        _ = try plugin.add(request(.add, forced, containerID: "c2", netns: "/run/netns/c2"))
        let prefixes = Set(host.kernel.namespaces[0]?.addresses.map(\.prefix.description) ?? [])
        // IPv4 is replaced; IPv6 networks that do not overlap live side by side.
        #expect(prefixes == ["10.6.0.1/24", "2001:db8::1/64", "2001:db8:1::1/64"])
    }

    @Test func foreignLinksAreRefused() throws {
        try host.kernel.stack(0).createLink(LinkSpec(name: "br0", kind: .veth(peer: .init(name: "x"))))
        let error = #expect(throws: CNIError.self) { try plugin.add(request(.add, json(#""bridge":"br0""#))) }
        #expect(error?.code == 103)
        #expect(error?.message == #""br0" already exists but is not a bridge"#)
        #expect(host.allocations.isEmpty)
        let status = #expect(throws: CNIError.self) {
            try plugin.status(request(.status, json(#""bridge":"br0""#, version: "1.1.0")))
        }
        #expect(status?.code == 50)
    }

    @Test func existingContainerInterfaceIsAnError() throws {
        try host.kernel.stack(7).createLink(LinkSpec(name: "eth0", kind: .veth(peer: .init(name: "y"))))
        let before = host.world
        let error = #expect(throws: CNIError.self) { try plugin.add(request(.add, json(""))) }
        #expect(error?.message.hasPrefix(#"container veth name ("eth0") peer provided ("veth"#) == true)
        #expect(host.world == before)
    }

    @Test func leftoverOfAKilledAddIsReplaced() throws {
        let tag = AttachmentTag(Attachment(network: "n", containerID: "c1", interfaceName: "eth0"))
        try host.kernel.stack(0).createLink(LinkSpec(name: tag.linkName, kind: .veth(peer: .init(name: "gone"))))
        _ = try plugin.add(request(.add, json("")))
        #expect(hostEnds().map(\.name) == [tag.linkName])
    }

    @Test func vlansNeedAKernelThatFilters() throws {
        host.kernel.filtersVLANs = false
        let before = host.world
        let error = #expect(throws: (any Error).self) { try plugin.add(request(.add, json(#""vlan":100"#))) }
        let mapped = error.map(ErrorMapping.cniError)
        #expect(mapped?.code == 2 && mapped?.message.contains("CONFIG_BRIDGE_VLAN_FILTERING") == true)
        #expect(host.world == before)
        let status = #expect(throws: CNIError.self) {
            try plugin.status(request(.status, json(#""vlan":100"#, version: "1.1.0")))
        }
        #expect(status?.code == 50)
    }

    @Test func noPortOfTheBridgeHasALinkLocalAddress() throws {
        _ = try plugin.add(request(.add, json(#""vlan":100,"isGateway":true,"bridge":"br0""#)))
        let ports = (host.kernel.namespaces[0]?.links.values ?? [:].values).filter { $0.master == bridge("br0")?.index }
        #expect(ports.count == 2, "the container's and the gateway's")
        #expect(host.kernel.namespaces[0]?.withoutLinkLocal == Set(ports.map(\.index)))
    }

    @Test(arguments: ["", #","isGateway":true"#]) func aBridgeOfOthersIsGivenItsOwnMAC(_ keys: String) throws {
        let stack = host.kernel.stack(0)
        try stack.createLink(LinkSpec(name: "br0", kind: .bridge(BridgeState())))
        let mac = bridge("br0")?.mac
        let index = try #require(bridge("br0")?.index)
        #expect(host.kernel.namespaces[0]?.fixedMACs.contains(index) == false)
        _ = try plugin.add(request(.add, json(#""bridge":"br0""# + keys)))
        #expect(host.kernel.namespaces[0]?.fixedMACs.contains(index) == true)
        #expect(bridge("br0")?.mac == mac)
    }

    @Test func vlanGatewayHasItsOwnLink() throws {
        let result = try plugin.add(request(.add, json(#""vlan":100,"isGateway":true,"bridge":"br0""#)))
        #expect(result.interfaces.map(\.name).last == "br0.100")
        let port = hostEnds()[0]
        #expect(
            host.kernel.namespaces[0]?.vlans[port.index] == [
                PortVLAN(identifier: 100, isNative: true, isUntagged: true)
            ])
        let trunked = try plugin.add(
            request(
                .add, json(#""vlanTrunk":[{"id":101},{"minID":200,"maxID":202}],"bridge":"br0""#, ipam: false),
                containerID: "c2", netns: "/run/netns/c2"))
        let second = host.kernel.namespaces[0]?.links.values.first { $0.name == trunked.interfaces[1].name }
        let vlans = second.flatMap { host.kernel.namespaces[0]?.vlans[$0.index] } ?? []
        #expect(vlans.filter(\.isNative).map(\.identifier) == [1])
        #expect(vlans.filter { !$0.isUntagged }.map(\.identifier).sorted() == [101, 200, 201, 202])
    }

    @Test func deleteWithoutNamespaceFindsTheHostEnd() throws {
        let text = json("")
        _ = try plugin.add(request(.add, text))
        try plugin.delete(request(.delete, text, netns: ""))
        #expect(hostEnds().isEmpty && host.allocations.isEmpty)
        #expect(host.kernel.namespaces[7]?.links.isEmpty == true)
        try plugin.delete(request(.delete, text, netns: "/gone"))
    }

    @Test func deleteOfAnotherSuitesAttachmentGoesByPrevResult() throws {
        let stack = host.kernel.stack(0)
        try stack.createLink(LinkSpec(name: "br-n", kind: .bridge(BridgeState())))
        let mac = MACAddress("9a:e2:49:9d:d6:da")
        try stack.createLink(
            LinkSpec(name: "veth12345678", kind: .veth(peer: .init(name: "eth0", namespace: 7)), mac: mac))
        let link = try #require(try stack.link(named: "veth12345678"))
        let master = try #require(bridge())
        try stack.changeLink(index: link.index, LinkChange { $0.master = master.index })
        var previous = CNIResult()
        previous.interfaces = [
            .init(name: "br-n", mac: master.mac?.description), .init(name: "veth12345678", mac: mac?.description),
            .init(name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/c1"),
        ]
        try plugin.delete(request(.delete, json(""), netns: "", previous: previous))
        #expect(try stack.links().map(\.name) == ["br-n"])
    }

    @Test func garbageIsWhatNobodyClaims() throws {
        let text = json("", version: "1.1.0")
        _ = try plugin.add(request(.add, text))
        host.offer = offer("10.1.2.6/24")
        _ = try plugin.add(request(.add, text, containerID: "c2", netns: "/run/netns/c2"))
        // Without a list nothing of a whole attachment goes.
        try plugin.collectGarbage(request(.garbageCollect, text))
        #expect(hostEnds().count == 2)
        let list = json(#""cni.dev/valid-attachments":[{"containerID":"c2","ifname":"eth0"}]"#, version: "1.1.0")
        try plugin.collectGarbage(request(.garbageCollect, list))
        #expect(hostEnds().map { $0.alias ?? "" } == ["swiftlet n c2 eth0"])
        #expect(host.allocations.count == 1)
        // Another network's garbage collection does not touch ours.
        let other = json(#""cni.dev/valid-attachments":[]"#, version: "1.1.0", name: "other")
        try plugin.collectGarbage(request(.garbageCollect, other))
        #expect(hostEnds().count == 1)
    }

    @Test(arguments: ["master", "hairpin", "isolated", "down", "mac", "address", "route", "bridge down", "gateway"])
    func checkSeesEveryChange(_ change: String) throws {
        let text = json(#""isDefaultGateway":true,"mtu":1400"#)
        let result = try plugin.add(request(.add, text))
        try plugin.check(request(.check, text, previous: result))
        let stack = host.kernel.stack(0), inside = host.kernel.stack(7)
        let outer = try #require(try stack.link(named: result.interfaces[1].name))
        let inner = try #require(try inside.link(named: "eth0"))
        let master = try #require(bridge())
        switch change {
        case "master": try stack.changeLink(index: outer.index, LinkChange { $0.master = 0 })
        case "hairpin": try stack.changePort(index: outer.index, BridgePortChange(hairpin: true))
        case "isolated": try stack.changePort(index: outer.index, BridgePortChange(isolated: true))
        case "down": try inside.changeLink(index: inner.index, LinkChange { $0.isUp = false })
        case "mac":
            try inside.changeLink(index: inner.index, LinkChange { $0.mac = MACAddress(number: 0x02_0000_0000_09) })
        case "address":
            try inside.removeAddress(InterfaceAddress(link: inner.index, prefix: result.addresses[0].address))
        case "route":
            for route in try inside.routes(family: .ipv4) where route.destination.length == 16 {
                try inside.removeRoute(route)
            }
        case "bridge down": try stack.changeLink(index: master.index, LinkChange { $0.isUp = false })
        default:
            let gateway = try #require(IPPrefix("10.1.2.1/24"))
            try stack.removeAddress(InterfaceAddress(link: master.index, prefix: gateway))
        }
        #expect(throws: CNIError.self) { try plugin.check(request(.check, text, previous: result)) }
    }

    @Test func checkWorksOnLayer2() throws {
        let text = json("", ipam: false)
        let result = try plugin.add(request(.add, text))
        try plugin.check(request(.check, text, previous: result))
        let error = #expect(throws: CNIError.self) { try plugin.check(request(.check, text)) }
        #expect(error?.message == "Required prevResult missing")
    }

    @Test func versionsWithoutLayer2ResultsLeaveNothing() throws {
        let before = host.world
        #expect(throws: (any Error).self) { try plugin.add(request(.add, json("", version: "0.2.0", ipam: false))) }
        #expect(host.world == before)
    }
}
