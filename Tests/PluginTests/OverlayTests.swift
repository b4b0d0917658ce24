import Attachment
import CNI
import Control
import JSON
import Netlink
import NetworkTypes
import Overlay
import OverlayVXLANPlugin
import PluginKit
import Testing

/// What the plugin asks of the daemon, and what it makes of the answers.
@Suite struct OverlayTests {
    static let json =
        #"{"cniVersion":"1.1.0","name":"n","type":"overlay-vxlan","subnet":"10.1.2.0/24","exclude":["10.1.2.9","10.1.2.16/28"],"#
        + #""multicast":true,"mtu":1400,"options":{"a":"b"},"runtimeConfig":{"aliases":["web","db"]}}"#

    @Test func theDaemonIsAskedInOrder() throws {
        let overlay = try OverlayFaultTests.make()
        overlay.host.offer = offer("10.1.2.64/24")
        let result = try OverlayFaultTests.commands(overlay).add(
            request(.add, Self.json, arguments: "IgnoreUnknown=1;K8S_POD_NAME=pod;K8S_POD_UID=1"))
        #expect(overlay.questions.map(\.call) == ["POST /v1/overlay/prepare", "POST /v1/overlay/endpoints"])
        let prepare = Reader(overlay.questions[0].body)
        let definition = try prepare.member("definition")
        #expect(try prepare.member("blocks").bool() == true)
        #expect(
            try definition.member("subnets").value == [
                ["subnet": "10.1.2.0/24", "gateway": "10.1.2.1", "exclude": ["10.1.2.9"]]
            ])
        #expect(try definition.member("multicast").bool() == true)
        #expect(try definition.member("mtu").integer() == 1400)
        let publish = Reader(overlay.questions[1].body)
        #expect(try publish.member("addresses").strings() == ["10.1.2.64/24"])
        #expect(try publish.member("mac").string() == "02:42:0a:01:02:40")
        #expect(try publish.member("names").strings() == ["pod"])
        #expect(try publish.member("aliases").strings() == ["web", "db"])
        let tag = AttachmentTag(Attachment(network: "n", containerID: "c1", interfaceName: "eth0"))
        #expect(try publish.member("link").string() == tag.linkName)
        #expect(result.interfaces.map(\.mtu) == [1400, 1400, 1400])
        #expect(result.routes.isEmpty)
        #expect(overlay.endpoints == ["c1/eth0"])
    }

    @Test func aDaemonThatIsAwayIsTryAgainForAddAndNothingForDel() throws {
        let overlay = try OverlayFaultTests.make()
        overlay.host.offer = offer("10.1.2.64/24")
        let plugin = OverlayFaultTests.commands(overlay)
        overlay.hasDaemon = false
        do {
            _ = try plugin.add(request(.add, Self.json))
            Issue.record("ADD succeeded without a daemon")
        } catch let error as CNIError {
            #expect(error.code == CNIError.Code.tryAgain)
            #expect(error.details.contains("start swiftletd"))
        }
        overlay.hasDaemon = true
        _ = try plugin.add(request(.add, Self.json))
        overlay.hasDaemon = false
        try plugin.delete(request(.delete, Self.json))
        #expect(overlay.host.allocations.isEmpty)
        #expect(try overlay.host.kernel.stack(7).links().isEmpty)
        do {
            try plugin.status(request(.status, Self.json))
            Issue.record("STATUS is content without a daemon")
        } catch let error as CNIError {
            #expect(error.code == CNIError.Code.notAvailable)
        }
    }

    @Test(arguments: [false, true]) func aKernelWithoutVXLANIsSaid(_ isDaemonless: Bool) throws {
        let overlay = try OverlayFaultTests.make()
        overlay.host.offer = offer("10.1.2.64/24")
        overlay.host.kernel.lacking = ["vxlan"]
        let plugin = OverlayFaultTests.commands(overlay)
        let json = isDaemonless ? String(Self.json.dropLast()) + #","peers":["192.0.2.1","192.0.2.2"]}"# : Self.json
        do {
            try plugin.status(request(.status, json))
            Issue.record("STATUS is content without VXLAN")
        } catch let error as CNIError {
            #expect(error.code == CNIError.Code.notAvailable)
            #expect(error.message.contains("CONFIG_VXLAN") && error.message.contains("modprobe vxlan"), "\(error)")
        }
        guard isDaemonless else { return }
        do {
            _ = try plugin.add(request(.add, json))
            Issue.record("ADD succeeded without VXLAN")
        } catch {
            let error = ErrorMapping.cniError(error)
            #expect(error.message.contains("CONFIG_VXLAN") && error.details.contains("modprobe vxlan"), "\(error)")
        }
    }

    @Test func garbageIsWithdrawnFromTheDaemonToo() throws {
        let overlay = try OverlayFaultTests.make()
        overlay.host.offer = offer("10.1.2.64/24")
        let plugin = OverlayFaultTests.commands(overlay)
        _ = try plugin.add(request(.add, Self.json))
        overlay.host.offer = offer("10.1.2.65/24")
        _ = try plugin.add(request(.add, Self.json, containerID: "c2", netns: "/run/netns/c2"))
        let list = #","cni.dev/valid-attachments":[{"containerID":"c2","ifname":"eth0"}]}"#
        try plugin.collectGarbage(request(.garbageCollect, String(Self.json.dropLast()) + list))
        #expect(overlay.endpoints == ["c2/eth0"])
        #expect(try overlay.host.kernel.stack(7).links().isEmpty)
        #expect(try overlay.host.kernel.stack(8).links().map(\.name) == ["eth0"])
        #expect(overlay.host.allocations.count == 1)
    }

    @Test func marksAreTheSameInBothRooms() {
        #expect(OverlayMark.internalAlias == OverlaySegment.internalAlias)
        #expect(OverlayMark.namespaceDirectory == OverlayNamespaces.usualDirectory)
    }
}
