import JSON
import TestSupport
import Testing

/// `bridge` with addresses: gateway, routes, results (checklist BR3 to BR7, BR14, BR15, BR17, BR19, BR21).
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct BridgeAddressTests {
    static let families: [(subnets: [String], addresses: [String], gateways: [String])] = [
        (["10.1.2.0/24"], ["10.1.2.2/24"], ["10.1.2.1/24"]),
        (["2001:db8::/64"], ["2001:db8::2/64"], ["2001:db8::1/64"]),
        (
            ["192.168.0.0/24", "fd00::/64"], ["192.168.0.2/24", "fd00::2/64"], ["192.168.0.1/24", "fd00::1/64"]
        ),
    ]
    static let rows = Plugins.versions.flatMap { version in families.indices.map { (version, $0) } }

    @Test("ADD, CHECK and DEL", arguments: rows)
    func life(_ version: String, _ family: Int) throws {
        let (subnets, addresses, gateways) = Self.families[family]
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        let (config, result) = try lab.add(Inputs.bridge(version, subnets))
        #expect(result["cniVersion"]?.string == version)
        #expect(result.addresses == addresses)
        #expect(result.gateways.count == addresses.count)

        let host = try lab.linkNames()
        #expect(
            host.count == 3 && host.contains("br0") && host.contains("lo") && host.contains { $0.hasPrefix("veth") })
        let veth = try lab.veths().first ?? "none"
        let bridgeMAC = try lab.link("br0")?["address"]?.string
        #expect(try lab.link(veth)?["master"]?.string == "br0")
        #expect(try lab.link(veth)?["address"]?.string != bridgeMAC)
        #expect(Set(try lab.addresses("br0")) == Set(gateways))
        #expect(Set(try lab.addresses("eth0", in: "c0")) == Set(addresses))
        #expect(try lab.linkNames(in: "c0") == ["eth0", "lo"])
        #expect(try lab.link("eth0", in: "c0")?.hasFlag("UP") == true)

        let routes = try lab.routes(in: "c0")
        for gateway in gateways {
            let address = gateway.split(separator: "/")[0]
            #expect(routes.contains("default via \(address)"), "\(routes)")
        }
        #expect(routes.count == 2 * gateways.count, "\(routes)")
        let defaults = try lab.query("ip", ["-j", "route", "show", "default"], in: "c0").elements
        #expect(defaults.allSatisfy { $0["prefsrc"] == nil })
        let forwarding = try lab.world()
        if subnets[0].contains(".") { #expect(forwarding.facts["host/sysctl4/ip_forward"] == "1") }
        if gateways.contains(where: { $0.contains(":") }) {
            #expect(forwarding.facts["host/sysctl6/all/forwarding"] == "1")
        }

        if atLeast(version, "0.3.0") {
            #expect(result["interfaces"]?.elements.count == 3)
            #expect(result.interfaceName(0) == "br0" && result.interfaceName(1) == veth)
            #expect(result.interfaceName(2) == "eth0")
            #expect(result["interfaces"]?[2]?["sandbox"]?.string == "/run/netns/c0")
            #expect(result["interfaces"]?[0]?["sandbox"] == nil && result["interfaces"]?[1]?["sandbox"] == nil)
            #expect((0..<3).allSatisfy { result.interfaceMAC($0).count == 17 })
            #expect(result.interfaceMAC(0) == bridgeMAC)
            #expect(try result.interfaceMAC(1) == lab.link(veth)?["address"]?.string)
            #expect(try result.interfaceMAC(2) == lab.link("eth0", in: "c0")?["address"]?.string)
            #expect(result["ips"]?.elements.allSatisfy { $0["interface"]?.integer == 2 } == true)
        }
        if atLeast(version, "1.1.0") {
            #expect((0..<3).allSatisfy { result["interfaces"]?[$0]?["mtu"]?.integer == 1500 }, "\(result)")
        } else {
            #expect((0..<3).allSatisfy { result["interfaces"]?[$0]?["mtu"] == nil }, "\(result)")
        }
        if atLeast(version, "0.4.0") { try lab.run("bridge", "CHECK", config).expectSilence() }
        try lab.delete(config)
        try lab.attachmentsOnly(bridges: ["br0"]).expectEqual(to: start)
        #expect(try lab.linkNames() == ["br0", "lo"] && lab.linkNames(in: "c0") == ["lo"])
        #expect(try lab.link("br0")?["address"]?.string == bridgeMAC)
        try lab.delete(config)
    }

    @Test("The second life leaves the world as the first left it", arguments: Plugins.versions)
    func secondLife(_ version: String) throws {
        let lab = try Lab()
        let config = Inputs.bridge(version, ["10.1.2.0/24", "2001:db8::/64"])
        try lab.delete(lab.add(config).config)
        let start = try lab.world().without { $0.contains("last_reserved_ip") }
        try lab.delete(lab.add(config).config)
        let end = try lab.world().without { $0.contains("last_reserved_ip") }
        end.expectEqual(to: start)
    }

    @Test("Three subnets", arguments: Plugins.versions)
    func threeSubnets(_ version: String) throws {
        let lab = try Lab()
        let config = Inputs.bridge(version, ["192.168.0.0/24", "fd00::/64", "2001:db8::/64"])
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        let answer = try lab.run("bridge", "ADD", config)
        if atLeast(version, "0.3.0") {
            #expect(answer.orFail().addresses == ["192.168.0.2/24", "fd00::2/64", "2001:db8::2/64"])
            #expect(
                Set(try lab.addresses("br0")) == ["192.168.0.1/24", "fd00::1/64", "2001:db8::1/64"])
            try lab.delete(config)
        } else {
            answer.expectRefusal(
                containing: "CNI version \(version) does not support more than 1 address per family")
            // Nothing was added, and DEL never refuses.
            try beyondReference("the reference refuses DEL too and leaves the veth") {
                try lab.delete(config)
                let names = try lab.linkNames(in: "c0")
                #expect(names == ["lo"])
            }
        }
        try beyondReference("the reference leaves the veth of a failed ADD") {
            let end = try lab.attachmentsOnly(bridges: ["br0"])
            end.expectEqual(to: start)
        }
    }

    @Test("DNS comes from resolv.conf or from the configuration", arguments: Plugins.versions)
    func nameservers(_ version: String) throws {
        let lab = try Lab()
        try lab.write("/run/resolv.conf", "nameserver 192.0.2.3\n")
        var config = Inputs.bridge(version)
        config["ipam"] = Inputs.ipam(["10.1.2.0/24"], [("resolvConf", "/run/resolv.conf")])
        let (first, result) = try lab.add(config)
        try beyondReference("Debian's version replaces it by the empty one of the configuration") {
            #expect(result["dns"]?["nameservers"] == ["192.0.2.3"])
        }
        try lab.delete(first)
        let own: Value = ["nameservers": ["192.0.2.9"], "domain": "example", "search": ["a.example"]]
        #expect(try lab.add(config.with(("dns", own))).result["dns"]?.canonical == own.canonical)
    }

    @Test("DEL of what was never added", arguments: Plugins.versions)
    func unknownDelete(_ version: String) throws {
        let lab = try Lab()
        let start = try lab.attachmentsOnly(bridges: [])
        for config in [Inputs.bridge(version), Inputs.bridge(version, [])] {
            try lab.delete(config)
            try lab.delete(config, netns: "/run/netns/gone")
            try lab.run("bridge", "DEL", netns: nil, config).expectSilence()
        }
        try lab.attachmentsOnly(bridges: []).expectEqual(to: start)
    }

    @Test("A bridge that has another address")
    func addressConflict() throws {
        let lab = try Lab()
        try lab.tool("ip", "link", "add", "br0", "address", "02:00:00:00:00:01", "type", "bridge")
        try lab.tool("ip", "address", "add", "10.0.0.1/8", "dev", "br0")
        let config = Inputs.bridge("1.0.0", ["10.1.2.0/24"])
        let start = try lab.attachmentsOnly(bridges: ["br0"])
        try lab.run("bridge", "ADD", config).expectRefusal(
            containing: "\"br0\" already has an IP address different from 10.1.2.1/24")
        #expect(try lab.addresses("br0") == ["10.0.0.1/8"])
        #expect(try lab.reservations("net") == [:])
        try beyondReference("the reference leaves the veth of a failed ADD") {
            let end = try lab.attachmentsOnly(bridges: ["br0"])
            end.expectEqual(to: start)
        }
        if Plugins.areReference { try lab.tool("ip", "link", "delete", "eth0", in: "c0") }
        try lab.add(config.with(("forceAddress", true)))
        #expect(try lab.addresses("br0") == ["10.1.2.1/24"])
    }

    @Test("A bridge that has another IPv6 address", arguments: [true, false])
    func addressConflict6(_ force: Bool) throws {
        let lab = try Lab()
        try lab.tool("ip", "link", "add", "br0", "type", "bridge")
        try lab.tool("ip", "link", "set", "br0", "up")
        try lab.tool("ip", "address", "add", "2001:db8:1::ff/64", "dev", "br0")
        let disjoint = Inputs.bridge("1.0.0", ["2001:db8:2::/64"], name: "two")
        try lab.delete(lab.add(disjoint).config)
        #expect(Set(try lab.addresses("br0")) == ["2001:db8:1::ff/64", "2001:db8:2::1/64"])
        let overlapping = Inputs.bridge("1.0.0", ["2001:db8:1::/64"], more: [("forceAddress", .bool(force))])
        let answer = try lab.run("bridge", "ADD", overlapping)
        if force {
            answer.orFail()
            #expect(Set(try lab.addresses("br0")) == ["2001:db8:1::1/64", "2001:db8:2::1/64"])
        } else {
            answer.expectRefusal(containing: "\"br0\" already has an IP address different from 2001:db8:1::1/64")
            #expect(Set(try lab.addresses("br0")) == ["2001:db8:1::ff/64", "2001:db8:2::1/64"])
        }
    }

    @Test("The bridge's MAC does not follow its ports", arguments: [["10.1.2.0/24"], ["2001:db8::/64"]])
    func stableMAC(_ subnets: [String]) throws {
        let lab = try Lab(containers: 3)
        let config = Inputs.bridge("1.0.0", subnets)
        let (first, result) = try lab.add(config)
        let mac = try lab.link("br0")?["address"]?.string
        #expect(result.interfaceMAC(0) == mac)
        var others: [Value] = []
        for id in ["c1", "c2"] {
            others.append(
                try lab.add(config, containerID: id, arguments: "IgnoreUnknown=1;MAC=02:00:00:00:00:0\(id.last ?? "9")")
                    .config)
            #expect(try lab.link("br0")?["address"]?.string == mac)
        }
        try lab.delete(first)
        #expect(try lab.link("br0")?["address"]?.string == mac)
        for (id, other) in zip(["c1", "c2"], others) { try lab.delete(other, containerID: id) }
        #expect(try lab.link("br0")?["address"]?.string == mac)
    }

    @Test(
        "Neighbours reach an address's new owner at once",
        .enabled(if: !Plugins.areReference, "the reference's announcement is lost: its port does not forward yet"))
    func movedAddress() throws {
        let lab = try Lab(containers: 3)
        var config = Inputs.bridge("1.0.0")
        config["ipam"] = [
            "type": "host-local",
            "ranges": [
                [["subnet": "10.1.2.0/24", "rangeStart": "10.1.2.50", "rangeEnd": "10.1.2.51"]],
                [["subnet": "2001:db8::/64", "rangeStart": "2001:db8::50", "rangeEnd": "2001:db8::51"]],
            ],
        ]
        try lab.add(config)
        let moving = ["10.1.2.51/24", "2001:db8::51/64"]
        for id in ["c1", "c2"] {
            let (added, result) = try lab.add(config, containerID: id)
            #expect(result.addresses == moving)
            // An entry with another MAC would be doubted only after five seconds.
            for address in ["10.1.2.51", "2001:db8::51"] {
                for place in ["c0", nil] {
                    #expect(throws: Never.self, "\(address) from \(place ?? "the host")") {
                        try lab.tool("ping", "-c1", "-W3", address, in: place)
                    }
                }
            }
            try lab.delete(added, containerID: id)
        }
    }

    @Test("Nothing stays reserved when ADD fails after the addresses", arguments: Plugins.versions)
    func releasedOnFailure(_ version: String) throws {
        let lab = try Lab()
        let config = Inputs.bridge(version)
        try lab.add(config)
        let start = try lab.reservations("net")
        try lab.run("bridge", "ADD", containerID: "c1", netns: lab.netns("c0"), config).expectRefusal()
        #expect(try lab.reservations("net") == start)
    }

    @Test("Routes of the addresses' configuration reach the container")
    func routes() throws {
        let lab = try Lab()
        var config = Inputs.bridge("1.0.0", ["10.1.2.0/24", "2001:db8::/64"])
        config["isDefaultGateway"] = nil
        config["isGateway"] = true
        config["ipam"] = Inputs.ipam(
            ["10.1.2.0/24", "2001:db8::/64"],
            [
                (
                    "routes",
                    [["dst": "10.9.0.0/16"], ["dst": "10.8.0.0/16", "gw": "10.1.2.77"], ["dst": "2001:db8:9::/64"]]
                )
            ])
        let (added, result) = try lab.add(config)
        #expect(
            try lab.routes(in: "c0") == [
                "10.1.2.0/24", "10.8.0.0/16 via 10.1.2.77", "10.9.0.0/16 via 10.1.2.1",
                "2001:db8:9::/64 via 2001:db8::1",
                "2001:db8::/64",
            ])
        #expect(result.destinations == ["10.9.0.0/16", "10.8.0.0/16", "2001:db8:9::/64"])
        try beyondReference("Debian's version wants a gateway in every route") {
            try lab.run("bridge", "CHECK", added).expectSilence()
        }
    }
}
