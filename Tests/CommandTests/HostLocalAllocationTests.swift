import JSON
import TestSupport
import Testing

/// What `host-local` hands out, and in which order.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct HostLocalAllocationTests {
    @Test("One address per range set", arguments: Plugins.versions)
    func rangeSets(_ version: String) throws {
        let lab = try Lab()
        var config = Inputs.hostLocal(version)
        config["ipam"] = [
            "type": "host-local",
            "ranges": [[["subnet": "10.1.2.0/24"], ["subnet": "10.2.2.0/24"]], [["subnet": "2001:db8:1::0/64"]]],
            "routes": [
                ["dst": "0.0.0.0/0"], ["dst": "::/0"], ["dst": "192.168.0.0/16", "gw": "1.1.1.1"],
                ["dst": "2001:db8:2::0/64", "gw": "2001:db8:3::1"],
            ],
        ]
        let answer = try lab.run("host-local", "ADD", config)
        let document = answer.orFail()
        #expect(document.addresses == ["10.1.2.2/24", "2001:db8:1::2/64"])
        #expect(document.gateways == ["10.1.2.1", "2001:db8:1::1"])
        #expect(document["cniVersion"]?.string == version)
        #expect(Set(document.destinations) == ["0.0.0.0/0", "::/0", "192.168.0.0/16", "2001:db8:2::/64"])
        #expect(!answer.outcome.errorText.contains("rror"), "\(answer)")
        if atLeast(version, "0.3.0") {
            #expect(document.destinations == ["0.0.0.0/0", "::/0", "192.168.0.0/16", "2001:db8:2::/64"])
            #expect(document["routes"]?[2]?.canonical == ["dst": "192.168.0.0/16", "gw": "1.1.1.1"])
            let families = document["ips"]?.elements.compactMap { $0["version"]?.string } ?? []
            #expect(families == (atLeast(version, "1.0.0") ? [] : ["4", "6"]))
            #expect(document["interfaces"] == nil && document["ips"]?[0]?["interface"] == nil)
        } else {
            #expect(document["ip4"]?["routes"]?.elements.count == 2 && document["ip6"]?["routes"]?.elements.count == 2)
        }
        #expect(try lab.reservations("net") == ["10.1.2.2": "c0\r\neth0", "2001:db8:1::2": "c0\r\neth0"])
        try lab.run("host-local", "DEL", config).expectSilence()
        #expect(try lab.reservations("net") == [:])
    }

    @Test("The reference's layout of the result", arguments: Plugins.versions)
    func serialisation(_ version: String) throws {
        let lab = try Lab()
        let config = Inputs.hostLocal(version, ipam: [("routes", [["dst": "0.0.0.0/0"]])])
        let answer = try lab.run("host-local", "ADD", config)
        let text = answer.outcome.text
        #expect(text.hasPrefix("{\n    \"") && text.hasSuffix("\n}"), "\(text)")
        #expect(answer.outcome.errorOutput.isEmpty)
        if atLeast("0.4.0", version) {
            let expected =
                atLeast(version, "0.3.0")
                ? #"{"cniVersion":"VERSION","ips":[{"version":"4","address":"10.1.2.2/24","gateway":"10.1.2.1"}],"#
                    + #""routes":[{"dst":"0.0.0.0/0"}],"dns":{}}"#
                : #"{"cniVersion":"VERSION","ip4":{"ip":"10.1.2.2/24","gateway":"10.1.2.1","routes":[{"dst":"0.0.0.0/0"}]},"#
                    + #""dns":{}}"#
            #expect(answer.document?.text() == expected.replacing("VERSION", with: version))
        }
    }

    @Test("Addresses go round, the gateway left out")
    func roundRobin() throws {
        let lab = try Lab()
        let config = Inputs.hostLocal("1.0.0", ["192.168.1.0/29"])
        func take(_ id: String) throws -> String? {
            try lab.run("host-local", "ADD", containerID: id, config).document?.addresses.first
        }
        func give(_ id: String) throws {
            try lab.run("host-local", "DEL", containerID: id, config).expectSilence()
        }
        #expect(try take("a") == "192.168.1.2/29")
        #expect(try take("b") == "192.168.1.3/29")
        try give("a")
        // Released addresses come last.
        #expect(try take("c") == "192.168.1.4/29")
        #expect(try take("d") == "192.168.1.5/29")
        #expect(try take("e") == "192.168.1.6/29")
        #expect(try take("f") == "192.168.1.2/29")
        let full = try lab.run("host-local", "ADD", containerID: "g", config)
        full.expectRefusal(
            containing: "no IP addresses available in range set: 192.168.1.1-192.168.1.6")
        #expect(full.words.contains("failed to allocate for range 0"))
        try give("d")
        #expect(try take("g") == "192.168.1.5/29")
        #expect(try lab.read("/var/lib/cni/networks/net/last_reserved_ip.0") == "192.168.1.5")
    }

    @Test(
        "The next address after the last one",
        arguments: [
            (["10.0.0.0/29"], [], "", "10.0.0.2"), (["10.0.0.0/29"], ["10.0.0.2"], "", "10.0.0.3"),
            (["10.0.0.0/29"], [], "10.0.0.5", "10.0.0.6"), (["10.0.0.0/29"], ["10.0.0.6"], "10.0.0.5", "10.0.0.2"),
            (["10.0.0.0/29"], [], "10.0.0.6", "10.0.0.2"), (["10.0.0.0/29"], [], "10.0.1.5", "10.0.0.2"),
            (["10.0.0.0/29"], ["10.0.0.2", "10.0.0.3", "10.0.0.5", "10.0.0.6"], "10.0.0.4", "10.0.0.4"),
            (["10.0.0.0/30", "10.0.1.0/30"], [], "10.0.0.2", "10.0.1.2"),
            (["10.0.0.0/30", "10.0.1.0/30"], ["10.0.1.2"], "10.0.0.2", "10.0.0.2"),
            (["10.0.0.0/30", "10.0.1.0/30"], [], "10.0.1.2", "10.0.0.2"),
            (["2001:db8:1::/64"], [], "", "2001:db8:1::2"),
            (["2001:db8:1::/64"], [], "2001:db8:1::ff", "2001:db8:1::100"),
        ])
    func next(_ row: (subnets: [String], used: [String], last: String, expected: String)) throws {
        let lab = try Lab()
        var config = Inputs.hostLocal("1.0.0")
        config["ipam"] = [
            "type": "host-local", "ranges": .array([.array(row.subnets.map { ["subnet": .string($0)] })]),
        ]
        let directory = "/var/lib/cni/networks/net"
        for address in row.used { try lab.write("\(directory)/\(address)", "other\r\neth0") }
        if !row.last.isEmpty { try lab.write("\(directory)/last_reserved_ip.0", row.last) }
        let document = try lab.run("host-local", "ADD", config).orFail()
        #expect(document.addresses.first?.split(separator: "/").first.map(String.init) == row.expected)
        #expect(try lab.read("\(directory)/last_reserved_ip.0") == row.expected)
    }

    @Test("Requested addresses", arguments: Plugins.versions)
    func requested(_ version: String) throws {
        let lab = try Lab()
        let single = Inputs.hostLocal(version)
        let byArguments = try lab.run("host-local", "ADD", arguments: "IP=10.1.2.9", single)
        #expect(byArguments.orFail().addresses == ["10.1.2.9/24"])
        let byConvention = single.with(("args", ["cni": ["ips": ["10.1.2.88"]]]))
        #expect(
            try lab.run("host-local", "ADD", containerID: "c1", byConvention).orFail().addresses == ["10.1.2.88/24"])
        let byCapability = single.with(("runtimeConfig", ["ips": ["10.1.2.89/24"]]))
        #expect(
            try lab.run("host-local", "ADD", containerID: "c2", byCapability).orFail().addresses == ["10.1.2.89/24"])
        let two = Inputs.hostLocal(version, ["172.16.1.0/24", "2001:db8:1::/64"], name: "dual")
            .with(("args", ["cni": ["ips": ["2001:db8:1::99", "172.16.1.99"]]]))
        #expect(
            try lab.run("host-local", "ADD", containerID: "c3", two).orFail().addresses
                == ["172.16.1.99/24", "2001:db8:1::99/64"])
        let sameFamily = Inputs.hostLocal(version, ["172.16.1.0/24", "172.16.2.0/24"], name: "pair")
        let answer = try lab.run("host-local", "ADD", containerID: "c4", sameFamily)
        if atLeast(version, "0.3.0") {
            #expect(answer.orFail().addresses == ["172.16.1.2/24", "172.16.2.2/24"])
        } else {
            answer.expectRefusal(
                containing: "CNI version \(version) does not support more than 1 address per family")
            #expect(try lab.reservations("pair") == [:])
        }
    }

    @Test(
        "Addresses that cannot be had",
        arguments: [
            ("10.1.2.1", "requested ip 10.1.2.1 is subnet's gateway"),
            ("10.1.2.77", "requested IP address 10.1.2.77 is not available in range set 10.1.2.1-10.1.2.254"),
            ("10.9.9.9", "failed to allocate all requested IPs: 10.9.9.9"),
            ("nonsense", ""),
        ])
    func unavailable(_ row: (address: String, refusal: String)) throws {
        let lab = try Lab()
        try lab.write("/var/lib/cni/networks/net/10.1.2.77", "other\r\neth0")
        let config = Inputs.hostLocal("1.0.0")
        let start = try lab.reservations("net")
        for variant in [
            config.with(("args", ["cni": ["ips": [.string(row.address)]]])),
            config.with(("runtimeConfig", ["ips": [.string(row.address)]])),
        ] {
            try lab.run("host-local", "ADD", variant).expectRefusal(containing: row.refusal)
            #expect(try lab.reservations("net") == start)
        }
        try lab.run("host-local", "ADD", arguments: "IP=\(row.address)", config).expectRefusal(containing: row.refusal)
        #expect(try lab.reservations("net") == start)
        #expect(try lab.run("host-local", "ADD", config).orFail().addresses.count == 1)
    }

    @Test("Nothing stays reserved when a later set has none left")
    func partialFailure() throws {
        let lab = try Lab()
        let config = Inputs.hostLocal("1.0.0", ["10.1.2.0/24", "10.1.3.0/30"])
        try lab.run("host-local", "ADD", config).orFail()
        let start = try lab.reservations("net")
        try lab.run("host-local", "ADD", containerID: "c1", config).expectRefusal(
            containing: "failed to allocate for range 1: no IP addresses available in range set: 10.1.3.1-10.1.3.2")
        #expect(try lab.reservations("net") == start)
    }

    @Test("Where ranges come from")
    func rangeSources() throws {
        let lab = try Lab()
        let old = Inputs.hostLocal("1.0.0").with(
            (
                "ipam",
                [
                    "type": "host-local", "subnet": "10.1.2.0/24", "rangeStart": "10.1.2.9", "rangeEnd": "10.1.2.20",
                    "gateway": "10.1.2.30",
                ]
            ))
        let document = try lab.run("host-local", "ADD", old).orFail()
        #expect(document.addresses == ["10.1.2.9/24"] && document.gateways == ["10.1.2.30"])
        let mixed = old.with(
            ("name", "mixed"),
            ("runtimeConfig", ["ipRanges": [[["subnet": "12.1.3.0/24"]], [["subnet": "2001:db8:9::/64"]]]])
        ).with(
            (
                "ipam",
                [
                    "type": "host-local", "subnet": "10.1.2.0/24", "rangeStart": "10.1.2.9",
                    "ranges": [[["subnet": "11.1.2.0/24", "rangeStart": "11.1.2.9", "rangeEnd": "11.1.2.20"]]],
                ]
            ))
        #expect(
            try lab.run("host-local", "ADD", mixed).orFail().addresses
                == ["12.1.3.2/24", "2001:db8:9::2/64", "10.1.2.9/24", "11.1.2.9/24"])
    }

    @Test("B8 Network and broadcast address are nobody's, whoever asks for them")
    func explicitEnds() throws {
        let lab = try Lab()
        try beyondReference("the reference hands them out when a range names them") {
            for (key, address) in [("rangeStart", "10.1.2.0"), ("rangeEnd", "10.1.2.255"), ("gateway", "fd00::1")] {
                let range: Value = .object(Object([("subnet", "10.1.2.0/24"), (key, .string(address))]))
                let config = Inputs.hostLocal("1.0.0").with(
                    ("ipam", ["type": "host-local", "ranges": .array([.array([range])])]))
                try lab.run("host-local", "ADD", config).expectRefusal(
                    code: 7, containing: "ipam.ranges[0][0].\(key): \(address) is ")
                try lab.run("host-local", "DEL", config).orFail()
            }
            try lab.run("host-local", "ADD", arguments: "IP=10.1.2.255", Inputs.hostLocal("1.0.0")).expectRefusal(
                code: 7, containing: "CNI_ARGS IP: 10.1.2.255 is the broadcast address of 10.1.2.0/24")
        }
        #expect(try lab.world().facts.keys.allSatisfy { !$0.contains("/10.1.2.") })
    }

    @Test("Keys match in any case")
    func anyCase() throws {
        let lab = try Lab()
        var call = PluginCall("host-local", "ADD")
        call.input = #"""
            {"CNIVERSION":"1.0.0","NAME":"net","TYPE":"host-local","IPAM":{"TYPE":"host-local","SubNet":"10.1.2.0/24",
            "datadir":"/run/elsewhere","ROUTES":[{"DST":"0.0.0.0/0"}]}}
            """#
        let document = try lab.run(call).orFail()
        #expect(document.addresses == ["10.1.2.2/24"] && document.destinations == ["0.0.0.0/0"])
        #expect(try lab.reservations("net", dataDir: "/run/elsewhere") == ["10.1.2.2": "c0\r\neth0"])
    }

    @Test("resolv.conf becomes DNS")
    func resolvConf() throws {
        let lab = try Lab()
        try lab.write(
            "/run/resolv.conf",
            "# comment\n; another\nnameserver 192.0.2.3\nnameserver 2001:db8::3\ndomain one.example\n"
                + "domain two.example\nsearch a.example b.example\nsearch c.example\noptions ndots:2 rotate\nlonely\n")
        let config = Inputs.hostLocal("1.0.0", ipam: [("resolvConf", "/run/resolv.conf")])
        #expect(
            try lab.run("host-local", "ADD", config).orFail()["dns"]?.canonical == [
                "domain": "two.example", "nameservers": ["192.0.2.3", "2001:db8::3"], "options": ["ndots:2", "rotate"],
                "search": ["a.example", "b.example", "c.example"],
            ])
        let missing = Inputs.hostLocal("1.0.0", ipam: [("resolvConf", "/run/none")])
        try lab.run("host-local", "ADD", containerID: "c1", missing).expectRefusal(containing: "/run/none")
        #expect(try lab.reservations("net").count == 1)
    }
}
