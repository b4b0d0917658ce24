import CNI
import JSON
import NetworkTypes
import Testing

/// Values the tests share.
enum IPPrefixes {
    static let four = IPPrefix("10.1.2.3/24")
}

@Suite("Results") struct ResultTests {
    /// A result that uses every member.
    static func full() throws -> CNIResult {
        CNIResult(
            interfaces: [
                .init(name: "br0", mac: "02:00:00:00:00:01", mtu: 1450),
                .init(
                    name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/x", socketPath: "/run/s",
                    pciID: "0000:00:1f.6"),
            ],
            addresses: [
                .init(interface: 1, address: try prefix("10.1.2.3/24"), gateway: IPAddress("10.1.2.1")),
                .init(interface: 1, address: try prefix("fd00::3/64"), gateway: IPAddress("fd00::1")),
                .init(interface: 0, address: try prefix("10.9.0.1/16")),
            ],
            routes: [
                .init(
                    destination: try prefix("0.0.0.0/0"), gateway: IPAddress("10.1.2.1"), mtu: 1400,
                    advertisedMSS: 1360, priority: 100, table: 0, scope: 0),
                .init(destination: try prefix("::/0"), gateway: IPAddress("fd00::1")),
                .init(destination: try prefix("192.168.0.0/16")),
            ],
            dns: .init(nameservers: ["10.1.2.1"], domain: "example", search: ["a", "b"], options: ["ndots:2"]))
    }

    static func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

    static let oldText = """
        {"cniVersion":"VERSION",\
        "ip4":{"ip":"10.1.2.3/24","gateway":"10.1.2.1",\
        "routes":[{"dst":"0.0.0.0/0","gw":"10.1.2.1"},{"dst":"192.168.0.0/16"}]},\
        "ip6":{"ip":"fd00::3/64","gateway":"fd00::1","routes":[{"dst":"::/0","gw":"fd00::1"}]},\
        "dns":{"nameservers":["10.1.2.1"],"domain":"example","search":["a","b"],"options":["ndots:2"]}}
        """

    static let listText = """
        {"cniVersion":"VERSION",\
        "interfaces":[{"name":"br0","mac":"02:00:00:00:00:01"},\
        {"name":"eth0","mac":"02:00:00:00:00:02","sandbox":"/run/netns/x"}],\
        "ips":[{"version":"4","interface":1,"address":"10.1.2.3/24","gateway":"10.1.2.1"},\
        {"version":"6","interface":1,"address":"fd00::3/64","gateway":"fd00::1"},\
        {"version":"4","interface":0,"address":"10.9.0.1/16"}],\
        "routes":[{"dst":"0.0.0.0/0","gw":"10.1.2.1","mtu":1400,"advmss":1360,"priority":100,"table":0,"scope":0},\
        {"dst":"::/0","gw":"fd00::1"},{"dst":"192.168.0.0/16"}],\
        "dns":{"nameservers":["10.1.2.1"],"domain":"example","search":["a","b"],"options":["ndots:2"]}}
        """

    static let currentText = """
        {"cniVersion":"VERSION",\
        "dns":{"domain":"example","nameservers":["10.1.2.1"],"options":["ndots:2"],"search":["a","b"]},\
        "interfaces":[{"mac":"02:00:00:00:00:01","mtu":1450,"name":"br0"},\
        {"mac":"02:00:00:00:00:02","name":"eth0","pciID":"0000:00:1f.6","sandbox":"/run/netns/x",\
        "socketPath":"/run/s"}],\
        "ips":[{"address":"10.1.2.3/24","gateway":"10.1.2.1","interface":1},\
        {"address":"fd00::3/64","gateway":"fd00::1","interface":1},{"address":"10.9.0.1/16","interface":0}],\
        "routes":[{"advmss":1360,"dst":"0.0.0.0/0","gw":"10.1.2.1","mtu":1400,"priority":100,"scope":0,"table":0},\
        {"dst":"::/0","gw":"fd00::1"},{"dst":"192.168.0.0/16"}]}
        """

    static func text(_ version: SpecVersion) -> String {
        (version < .v0_3_0 ? oldText : version < .v1_0_0 ? listText : currentText)
            .replacing("VERSION", with: version.rawValue)
    }

    @Test("SK21 every member in every version, byte for byte", arguments: SpecVersion.allCases)
    func encoding(version: SpecVersion) throws {
        #expect(try Self.full().document(version).text() == Self.text(version))
    }

    @Test("SK21 every pair of versions", arguments: SpecVersion.allCases, SpecVersion.allCases)
    func conversion(from: SpecVersion, to: SpecVersion) throws {
        let decoded = try CNIResult(decoding: parsed(Self.text(from)), version: from)
        var expected = try Self.full()
        if from < .v1_0_0 || to < .v1_0_0 {
            for index in expected.interfaces.indices {
                expected.interfaces[index].mtu = nil
                expected.interfaces[index].socketPath = nil
                expected.interfaces[index].pciID = nil
            }
        }
        if from < .v0_3_0 || to < .v0_3_0 {
            expected.interfaces = []
            expected.addresses.removeLast()
            for index in expected.addresses.indices { expected.addresses[index].interface = nil }
            for index in expected.routes.indices {
                expected.routes[index] = .init(
                    destination: expected.routes[index].destination, gateway: expected.routes[index].gateway)
            }
            // Routes come grouped by family.
            expected.routes =
                expected.routes.filter { $0.destination.family == .ipv4 }
                + expected.routes.filter { $0.destination.family == .ipv6 }
        }
        let document = try decoded.document(to)
        #expect(try CNIResult(decoding: document, version: to) == expected)
        if from == to { #expect(document.text() == Self.text(to)) }
    }

    @Test("SK21 no address cannot be expressed before 0.3.0", arguments: [SpecVersion.v0_1_0, .v0_2_0])
    func noAddress(version: SpecVersion) throws {
        let result = CNIResult(interfaces: [.init(name: "eth0")], routes: try Self.full().routes)
        let error = #expect(throws: CNIError.self) { _ = try result.document(version) }
        #expect(error?.code == 7 && error?.message == "cannot convert: no valid IP addresses")
        #expect(error?.details.contains("cniVersion 0.3.0 or later") == true)
    }

    @Test("SK21 routes of a family without address are dropped before 0.3.0") func oneFamily() throws {
        var result = try Self.full()
        result.addresses.removeFirst()
        result.addresses.removeLast()
        result.dns = .init()
        #expect(
            try result.document(.v0_2_0).text()
                == #"{"cniVersion":"0.2.0","ip6":{"ip":"fd00::3/64","gateway":"fd00::1","#
                + #""routes":[{"dst":"::/0","gw":"fd00::1"}]},"dns":{}}"#)
    }

    @Test("empty results: lists are left out, dns stays until 0.4.0", arguments: SpecVersion.allCases)
    func empty(version: SpecVersion) throws {
        guard version >= .v0_3_0 else { return }
        let dns = version < .v1_0_0 ? #","dns":{}"# : ""
        #expect(try CNIResult().document(version).text() == #"{"cniVersion":"\#(version.rawValue)"\#(dns)}"#)
    }

    @Test(
        "captured results of podman's chain come out byte for byte",
        arguments: ["bridge", "host-local", "portmap", "firewall", "tuning"])
    func captured(plugin: String) throws {
        for interface in ["eth0", "eth1"] {
            let text = try Golden.text("\(interface)-\(plugin)-ADD.out")
            let result = try CNIResult(decoding: parsed(text), version: .v0_4_0)
            #expect(try result.document(.v0_4_0).text(.indented) == text)
            #expect(result.interfaces.count == (plugin == "host-local" ? 0 : 3))
            if let address = result.addresses.first, plugin != "host-local" {
                #expect(result.interface(of: address)?.name == interface)
            }
        }
    }

    @Test("the address manager's answers as captured") func addressManager() throws {
        let result = CNIResult(
            addresses: [.init(address: try Self.prefix("10.1.2.2/24"), gateway: IPAddress("10.1.2.1"))],
            routes: [.init(destination: try Self.prefix("0.0.0.0/0"))])
        #expect(
            try result.document(.v0_2_0).text()
                == #"{"cniVersion":"0.2.0","ip4":{"ip":"10.1.2.2/24","gateway":"10.1.2.1","#
                + #""routes":[{"dst":"0.0.0.0/0"}]},"dns":{}}"#)
        #expect(
            try result.document(.v0_4_0).text()
                == #"{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.2.2/24","gateway":"10.1.2.1"}],"#
                + #""routes":[{"dst":"0.0.0.0/0"}],"dns":{}}"#)
    }

    @Test("loopback's and bridge's answers in 1.0.0 as captured, but for order and the empty dns")
    func currentCaptures() throws {
        let texts = [
            """
            {"cniVersion":"1.0.0","interfaces":[{"name":"lo","mac":"00:00:00:00:00:00","sandbox":"/run/netns/x"}],
             "ips":[{"interface":0,"address":"127.0.0.1/8"},{"interface":0,"address":"::1/128"}],"dns":{}}
            """,
            """
            {"cniVersion":"1.0.0","interfaces":[{"name":"br0","mac":"aa:00:00:00:00:00"},
             {"name":"veth12345678","mac":"aa:00:00:00:00:01"},
             {"name":"eth3","mac":"aa:00:00:00:00:02","sandbox":"/run/netns/x"}],
             "ips":[{"interface":2,"address":"10.1.3.4/24","gateway":"10.1.3.1"}],
             "routes":[{"dst":"0.0.0.0/0","gw":"10.1.3.1"}],"dns":{}}
            """,
        ]
        for text in texts {
            let captured = try parsed(text)
            guard case .object(var object) = captured else { continue }
            let ours = try CNIResult(decoding: captured, version: .v1_0_0).document(.v1_0_0)
            object["dns"] = nil
            #expect(ours == sorted(.object(object)))
        }
    }

    @Test("addresses keep their host bits and are printed in canonical form") func canonical() throws {
        let text = #"{"ips":[{"address":"FD00:0:0::00AB/64","gateway":""},{"address":"10.1.2.3/8"}]}"#
        let result = try CNIResult(decoding: parsed(text), version: .v1_1_0)
        #expect(
            try result.document(.v1_1_0).text()
                == #"{"cniVersion":"1.1.0","ips":[{"address":"fd00::ab/64"},{"address":"10.1.2.3/8"}]}"#)
    }

    @Test("old plugins' habits are tolerated") func tolerance() throws {
        let text = """
            {"CNIVersion":"nonsense","Interfaces":[{"Name":"eth0","mac":"","unknown":[1]},{}],
             "ips":[{"version":"9","interface":-1,"address":"10.0.0.1/8","gateway":null},
                    {"interface":7,"address":"10.0.0.2/8"}],
             "routes":null,"dns":null,"extra":{"a":1}}
            """
        let result = try CNIResult(decoding: parsed(text), version: .v0_4_0)
        #expect(result.interfaces == [.init(name: "eth0"), .init(name: "")])
        #expect(result.addresses.map(\.interface) == [nil, 7])
        #expect(result.addresses.allSatisfy { result.interface(of: $0) == nil })
        #expect(try CNIResult(decoding: .null, version: .v1_1_0) == CNIResult())
        #expect(try CNIResult(decoding: .null, version: .v0_1_0) == CNIResult())
    }

    @Test(
        "what is no result is code 6 and names the place",
        arguments: [
            ("3", "expected an object"), (#"{"ips":{}}"#, "ips: "), (#"{"ips":[null]}"#, "ips[0]: "),
            (#"{"ips":[{}]}"#, "ips[0].address: is missing"), (#"{"ips":[{"address":"10.0.0.1"}]}"#, "ips[0].address"),
            (#"{"ips":[{"address":"10.0.0.01/8"}]}"#, "ips[0].address: invalid CIDR address"),
            (#"{"ips":[{"address":"10.0.0.1/8","gateway":"x"}]}"#, "ips[0].gateway: invalid IP address: x"),
            (#"{"ips":[{"address":"10.0.0.1/8","interface":"0"}]}"#, "ips[0].interface"),
            (#"{"interfaces":[{"name":1}]}"#, "interfaces[0].name"), (#"{"interfaces":[[]]}"#, "interfaces[0]"),
            (#"{"interfaces":[{"mtu":1.5}]}"#, "interfaces[0].mtu"), (#"{"routes":[{"gw":"::1"}]}"#, "routes[0].dst"),
            (#"{"routes":[{"dst":"::/0","table":"main"}]}"#, "routes[0].table"),
            (#"{"dns":{"nameservers":["a",null]}}"#, "dns.nameservers[1]"), (#"{"dns":[]}"#, "dns"),
        ])
    func garbage(text: String, message: String) throws {
        #expect {
            try CNIResult(decoding: parsed(text), version: .v1_1_0)
        } throws: { error in
            let error = error as? CNIError
            return error?.code == 6 && error?.message.hasPrefix(message) == true
        }
    }
}
