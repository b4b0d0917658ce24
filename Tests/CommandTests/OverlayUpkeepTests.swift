import JSON
import System
import TestSupport
import Testing

/// What an overlay's attachments leave, refuse and find again, without a daemon.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has no such plugin"))
struct OverlayUpkeepTests {
    @Test("DEL finds everything whatever it is told")
    func removal() throws {
        let underlay = try Underlay(hosts: 1)
        let host = underlay.hosts[0]
        let chain = OverlayInputs.daemonless(underlay, gateway: true)
        let before = try host.warmedUp(chain)
        for (what, netns, remembers) in [
            ("no netns", "", true), ("no prevResult", "/run/netns/c0", false), ("neither", "", false),
            ("netns gone", "/run/netns/gone", false),
        ] {
            let result = try host.add(chain, "c0").orFail(what)
            if netns.isEmpty { try host.removeContainer("c0") }
            try host.delete(chain, "c0", netns: netns, previous: remembers ? result : nil).expectSilence(what)
            if netns.isEmpty { try host.addContainer("c0") }
            try host.expectReturn(to: before, what)
        }
        // A configuration that is not valid any more, and overlay namespaces that are gone.
        for broken in [("subnet", Value.string("nonsense")), ("cluster", "a/b"), ("mtu", 1)] {
            try host.add(chain, "c0").orFail()
            var other = chain
            other.plugins[0][broken.0] = broken.1
            try host.delete(other, "c0").expectSilence("\(broken)")
            try host.expectReturn(to: before, "\(broken)")
        }
        try host.add(chain, "c0").orFail()
        let path = try OverlayInputs.namespace(host)
        try host.script("umount \(path)")
        try host.delete(chain, "c0").expectSilence("unmounted")
        try host.expectReturn(to: before, "unmounted")
    }

    @Test("GC removes what belongs to nobody, and the network with the last")
    func collected() throws {
        let underlay = try Underlay(hosts: 1, containers: 2)
        let host = underlay.hosts[0]
        let chain = OverlayInputs.daemonless(underlay)
        let before = try host.warmedUp(chain)
        let kept = try host.add(chain, "c0").orFail()
        try host.add(chain, "c1").orFail()
        try host.collect(chain, keeping: [("c0", "eth0")]).expectSilence()
        try host.check(chain, "c0", kept).expectSilence()
        #expect(try host.linkNames(in: "c1") == ["lo"])
        #expect(try host.reservations("demonet").count == 1)
        try host.collect(chain).expectSilence()
        try host.expectReturn(to: before)
    }

    @Test("A container that went away takes its interface with it; the next ADD finds its name free")
    func reuse() throws {
        let underlay = try Underlay(hosts: 1)
        let host = underlay.hosts[0]
        let chain = OverlayInputs.daemonless(underlay)
        let result = try host.add(chain, "c0").orFail()
        try host.add(chain, "c0").expectRefusal(code: 103, containing: "eth0")
        try host.check(chain, "c0", result).expectSilence()
        try host.removeContainer("c0")
        try host.addContainer("c0")
        try host.delete(chain, "c0").expectSilence()
        let again = try host.add(chain, "c0").orFail()
        try host.delete(chain, "c0", previous: again).expectSilence()
        #expect(try host.overlayRemains() == [])
    }

    @Test("First ADDs and last DELs at once: none fails, nothing is left", arguments: [false, true])
    func atOnce(_ hostAccess: Bool) throws {
        let underlay = try Underlay(hosts: 1, containers: 6)
        let host = underlay.hosts[0]
        let chain = OverlayInputs.daemonless(underlay, [("hostAccess", .bool(hostAccess))])
        let failures = try inParallel(6) { number -> [String] in
            let container = "c\(number)"
            var failures: [String] = []
            for _ in 0..<8 {
                do {
                    let added = try host.add(chain, container)
                    if !added.succeeded { failures.append("ADD \(added)") }
                    if added.succeeded, !host.pings("192.168.0.1", from: container) {
                        failures.append("\(container) is connected to nothing")
                    }
                    let deleted = try host.delete(chain, container, previous: added.document)
                    failures += deleted.filter { !$0.succeeded }.map { "DEL \($0)" }
                } catch {
                    failures.append("\(error)")
                }
            }
            return failures
        }
        #expect(failures.flatMap { $0 } == [])
        #expect(try host.overlayRemains() == [])
        #expect(try host.reservations("demonet").isEmpty)
    }

    @Test("CHECK finds what differs")
    func check() throws {
        let underlay = try Underlay(hosts: 2)
        let host = underlay.hosts[0]
        let chain = OverlayInputs.daemonless(underlay)
        let result = try host.add(chain, "c0").orFail()
        let path = try OverlayInputs.namespace(host)
        let veth = result.interfaceName(1)
        for (damage, words, repair) in [
            (
                "nsenter --net=\(path) ip link set \(veth) down", "is down",
                "nsenter --net=\(path) ip link set \(veth) up"
            ),
            (
                "nsenter --net=\(path) ip link set vxlan0 nomaster", "no port of the bridge",
                "nsenter --net=\(path) ip link set vxlan0 master br0"
            ),
            (
                "nsenter --net=\(path) /usr/sbin/bridge fdb del 00:00:00:00:00:00 dev vxlan0 dst 192.0.2.2",
                "does not send to 192.0.2.2",
                "nsenter --net=\(path) /usr/sbin/bridge fdb append 00:00:00:00:00:00 dev vxlan0 dst 192.0.2.2"
            ),
            (
                "nft delete element inet swiftlet vteps4-\(path.suffix(10)) { 192.0.2.2 }", "packet filter",
                "nft add element inet swiftlet vteps4-\(path.suffix(10)) { 192.0.2.2 }"
            ),
            (
                "nsenter --net=/run/netns/c0 ip addr del \(result.addresses[0]) dev eth0", "Failed to find address",
                "nsenter --net=/run/netns/c0 ip addr add \(result.addresses[0]) dev eth0"
            ),
        ] {
            try host.script(damage)
            let answers = try host.check(chain, "c0", result)
            answers.first?.expectRefusal(code: 999, containing: words)
            try host.script(repair)
        }
        // What an ADD finds amiss it puts right.
        try host.script("nsenter --net=\(path) ip link set br0 mtu 1300; nsenter --net=\(path) ip link delete vxlan0")
        try host.add(chain, "c0", "eth1").orFail()
        try host.script("nsenter --net=\(path) ip link set vxlan0 up")
        #expect(try host.overlay(path, "ip", "link", "show", "br0").contains("mtu 1450"))
    }

    @Test("STATUS says why no ADD could be served")
    func status() throws {
        let underlay = try Underlay(hosts: 1)
        let host = underlay.hosts[0]
        var chain = OverlayInputs.daemonless(underlay)
        try host.status(chain).expectSilence()
        chain.plugins[0]["interface"] = "nowhere"
        try host.status(chain).first?.expectRefusal(code: 50, containing: "nowhere")
        chain.plugins[0]["peers"] = nil
        chain.plugins[0]["interface"] = nil
        try host.status(chain).first?.expectRefusal(code: 50, containing: "swiftletd")
    }

    @Test("A VNI that is another network's is an error that names it")
    func busy() throws {
        let underlay = try Underlay(hosts: 1, containers: 2)
        let host = underlay.hosts[0]
        let one = OverlayInputs.daemonless(underlay, [("vni", 77)], name: "one")
        let two = OverlayInputs.daemonless(underlay, [("vni", 77), ("subnet", "192.168.2.0/24")], name: "two")
        try host.add(one, "c0").orFail()
        try host.add(two, "c1").expectRefusal(code: 103, containing: "vxlan0 in /run/swiftlet/netns/1-")
        #expect(try host.list("/run/swiftlet/netns").filter { $0.hasPrefix("1-") }.count == 1)
        #expect(try host.reservations("two").isEmpty)
        try host.script("ip link add vx9 type vxlan id 99 dstport 4789 local 192.0.2.1")
        let three = OverlayInputs.daemonless(underlay, [("vni", 99), ("subnet", "192.168.3.0/24")], name: "three")
        try host.add(three, "c1").expectRefusal(code: 103, containing: "vx9 on this host")
    }

    @Test(
        "What is wrong is said, and nothing is left",
        arguments: [
            (#"{"subnet":""}"#, "subnet: missing"), (#"{"subnet":"192.168.0.1/24"}"#, "host bits"),
            (#"{"subnet":"192.168.0.0/31"}"#, "must have a length"),
            (#"{"gateway":"10.0.0.1"}"#, "none of the network's"),
            (#"{"subnets":["10.1.0.0/24","10.1.0.128/25"],"subnet":null}"#, "subnets[1]: 10.1.0.128/25 overlaps"),
            (#"{"ipRange":"192.168.0.0/16"}"#, "not a part of"), (#"{"exclude":["10.0.0.1"]}"#, "exclude[0]"),
            (#"{"exclude":{"router":"x"}}"#, "exclude.router"), (#"{"mtu":70}"#, "mtu: must be 0"),
            (#"{"vni":0}"#, "vni: must be between 1"), (#"{"vni":16777216}"#, "vni"),
            (#"{"runtimeConfig":{"ips":["192.168.0.255"]}}"#, "runtimeConfig.ips[0]: 192.168.0.255 is the broadcast"),
            (#"{"args":{"cni":{"ips":["192.168.0.0"]}}}"#, "args.cni.ips[0]: 192.168.0.0 is the network's own"),
            (#"{"port":70000}"#, "port"), (#"{"interface":"a b"}"#, "interface"),
            (#"{"hostAccess":true,"ipam":{"type":"static"}}"#, "hostAccess"),
            (#"{"peers":["x"]}"#, "peers[0]"), (#"{"peers":[]}"#, "peers: names nobody"),
            (#"{"group":"239.1.1.1"}"#, "group: "), (#"{"peers":null,"group":"10.0.0.1"}"#, "multicast address"),
            (#"{"peers":null,"group":"239.1.1.1"}"#, "ipRange"),
            (#"{"peers":["192.0.2.1","fd00:1::2"]}"#, "another family"),
            (#"{"subnet":"192.0.2.0/25"}"#, "overlaps with this host's route to 192.0.2.0/24 by up0"),
            (#"{"runtimeConfig":{"ips":["10.9.9.9"]}}"#, "10.9.9.9 is in none"),
            (#"{"runtimeConfig":{"ips":["192.168.0.1"]}}"#, "192.168.0.1 is the gateway"),
            (#"{"runtimeConfig":{"mac":"01:00:5e:00:00:01"}}"#, "runtimeConfig.mac"),
            (
                #"{"runtimeConfig":{"ipRanges":[[{"subnet":"192.168.0.0/24","rangeStart":"192.168.0.200"}]]}}"#,
                "ipRanges"
            ),
            (#"{"options":{"encrypted":""}}"#, "options.encrypted"),
            (#"{"options":{"com.docker.network.driver.mtu":"x"}}"#, "com.docker.network.driver.mtu"),
            (#"{"ipam":{"type":"host-local","subnet":"10.0.0.0/8"}}"#, "ipam.subnet"),
            (#"{"cluster":"a/b"}"#, "cluster"), (#"{"internal":"yes"}"#, "internal"),
        ])
    func contradictions(_ row: (json: String, words: String)) throws {
        let underlay = try Underlay(hosts: 2)
        let host = underlay.hosts[0]
        let before = try host.steadyWorld()
        var config = OverlayInputs.daemonless(underlay).input(0)
        for member in try Value(parsing: Array(row.json.utf8)).members { config[member.key] = member.value }
        try host.run("overlay-vxlan", "ADD", config).expectRefusal(containing: row.words)
        try host.steadyWorld().expectEqual(to: before)
        #expect(try host.overlayRemains() == [])
    }

    @Test("Docker's options, fixed addresses and MACs, ranges and exclusions")
    func addressing() throws {
        let underlay = try Underlay(hosts: 1, containers: 3)
        let host = underlay.hosts[0]
        let options: Value = [
            "com.docker.network.driver.mtu": "1400", "com.docker.network.driver.overlay.vxlanid_list": "4099",
            "com.docker.network.bridge.name": "passed over",
        ]
        let more: [(String, Value)] = [
            ("options", options), ("gateway", "192.168.0.65"), ("ipRange", "192.168.0.64/29"),
            ("exclude", ["dns": "192.168.0.66"]),
        ]
        var chain = OverlayInputs.daemonless(underlay, more)
        let first = try host.add(chain, "c0").orFail()
        #expect(first.firstAddress == "192.168.0.64" && first.gateways == ["192.168.0.65"])
        #expect(try host.link("eth0", in: "c0")?["mtu"]?.integer == 1400)
        let path = try OverlayInputs.namespace(host)
        #expect(try host.overlay(path, "ip", "-d", "link", "show", "vxlan0").contains("vxlan id 4099"))
        #expect(try host.add(chain, "c1").orFail().firstAddress == "192.168.0.67")
        chain.runtimeConfig = ["ips": ["192.168.0.5"], "mac": "02:11:22:33:44:55"]
        let third = try host.add(chain, "c2").orFail()
        #expect(third.firstAddress == "192.168.0.5" && third.interfaceMAC(2) == "02:11:22:33:44:55")
        try host.check(chain, "c2", third).expectSilence()
        // The same address twice is refused.
        try host.add(chain, "c2", "eth1").expectRefusal(containing: "192.168.0.5")
    }

    @Test("The static delegate's addresses")
    func staticDelegate() throws {
        let underlay = try Underlay(hosts: 1)
        let host = underlay.hosts[0]
        guard Files.exists("\(Plugins.reference)/static") else {
            throw LabError("containernetworking-plugins is missing")
        }
        let ipam: Value = ["type": "static", "addresses": [["address": "192.168.0.77/24"]]]
        var chain = OverlayInputs.daemonless(underlay, [("ipam", ipam)])
        let path = "\(Plugins.directory):\(Plugins.reference)"
        let added = try host.run("overlay-vxlan", "ADD", path: path, chain.input(0)).orFail()
        #expect(added.firstAddress == "192.168.0.77" && added.interfaceMAC(2) == "02:42:c0:a8:00:4d")
        try host.run("overlay-vxlan", "CHECK", path: path, chain.input(0, previous: added)).expectSilence()
        try host.run("overlay-vxlan", "DEL", path: path, chain.input(0, previous: added)).expectSilence()
        chain.plugins[0]["ipam"] = ["type": "static", "addresses": [["address": "10.0.0.1/24"]]]
        try host.run("overlay-vxlan", "ADD", path: path, chain.input(0)).expectRefusal(containing: "10.0.0.1/24")
        #expect(try host.overlayRemains() == [])
    }
}
