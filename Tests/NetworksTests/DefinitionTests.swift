import CNI
import CNIRuntime
import JSON
import NetworkTypes
import System
import TestSupport
import Testing

@testable import Networks

struct DefinitionTests {
    private func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }
    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    private func demonet() throws -> NetworkDefinition {
        NetworkDefinition(name: "demonet", driver: .overlay, subnets: [.init(try prefix("192.168.0.0/24"))])
    }

    @Test("an overlay's list: overlay-vxlan, and gwbridge-nat unless it is internal")
    func overlayList() throws {
        var definition = try demonet()
        let expected: Value = [
            "cniVersion": "1.0.0", "cniVersions": ["0.4.0", "1.0.0", "1.1.0"], "name": "demonet",
            "plugins": [
                [
                    "type": "overlay-vxlan", "subnets": [["subnet": "192.168.0.0/24"]],
                    "ipam": ["type": "host-local"],
                    "capabilities": ["ips": true, "mac": true, "ipRanges": true, "aliases": true],
                ],
                ["type": "gwbridge-nat", "capabilities": ["portMappings": true]],
            ],
        ]
        #expect(try definition.conflist() == expected)
        definition.isInternal = true
        let plugins = try definition.conflist()["plugins"]?.elements
        #expect(plugins?.count == 1 && plugins?[0]["internal"] == true)
        // Every list is one that can be run.
        let list = try NetworkList(parsing: Array(try definition.conflist().text().utf8))
        #expect(list.version == .v1_1_0)
    }

    @Test("options reach the keys they mean, and stay to be shown")
    func overlayOptions() throws {
        var definition = try demonet()
        definition.options = [
            "com.docker.network.driver.mtu": "1400", "vni": "5000", "port": "8472", "multicast": "true",
            "gateway.interface": "eth1", "gateway.bridge": "docker_gwbridge",
        ]
        try definition.validate()
        let plugins = try #require(try definition.conflist()["plugins"]?.elements)
        #expect(plugins[0]["mtu"] == 1400 && plugins[0]["vni"] == 5000 && plugins[0]["port"] == 8472)
        #expect(plugins[0]["multicast"] == true)
        #expect(plugins[0]["options"]?["com.docker.network.driver.mtu"]?.string == "1400")
        #expect(plugins[1]["interface"]?.string == "eth1" && plugins[1]["bridge"]?.string == "docker_gwbridge")
    }

    @Test("a definition is read back from its document as it was")
    func roundTrip() throws {
        var definition = try demonet()
        definition.subnets.append(.init(try prefix("fd00:1::/64")))
        definition.options = ["mtu": "1400", "multicast": "false"]
        definition.isInternal = true
        try definition.place(
            gateways: [address("192.168.0.254"), address("fd00:1::1")], ranges: [prefix("192.168.0.64/26")],
            auxiliary: [("router", address("192.168.0.9")), ("dns", address("fd00:1::9"))])
        try definition.validate()
        let list = try definition.conflist()
        #expect(try NetworkDefinition(name: "demonet", overlay: Reader(list["plugins"]?[0])) == definition)
        // What is announced has the addresses that are set aside, and not what they are called.
        let announced = try NetworkDefinition(name: "demonet", overlay: Reader(.object(try definition.document())))
        #expect(
            announced.subnets.map { $0.auxiliary.values.sorted() }
                == definition.subnets.map { $0.auxiliary.values.sorted() })
        // Short forms of a hand-written list mean the same.
        let short = Reader(["subnet": "192.168.0.0/24", "gateway": "192.168.0.254", "mtu": 1400, "port": 0])
        let read = try NetworkDefinition(name: "x", overlay: short)
        #expect(read.subnets == [.init(try prefix("192.168.0.0/24"), gateway: try address("192.168.0.254"))])
        #expect(read.mtu == 1400 && read.vni == nil && read.port == nil && read.options.isEmpty)
    }

    @Test(
        "B9 numbers that make no network are refused by their path",
        arguments: [
            (#"{"subnet":"10.0.0.0/24","vni":0}"#, "vni: must be between 1 and 16777215, not 0; leave it out"),
            (#"{"subnet":"10.0.0.0/24","vni":16777216}"#, "vni: must be between"),
            (#"{"subnet":"10.0.0.0/24","mtu":70}"#, "mtu: must be between 576 and 65535, not 70"),
            (#"{"subnet":"10.0.0.0/24","mtu":-1}"#, "mtu: must be between"),
            (#"{"subnet":"10.0.0.0/24","port":65536}"#, "port: must be between"),
        ])
    func bounds(text: String, words: String) throws {
        let root = Reader(try Value(parsing: Array(text.utf8)))
        let error = #expect(throws: JSON.DecodingError.self) { try NetworkDefinition(name: "x", overlay: root) }
        #expect(error?.description.hasPrefix(words) == true, "\(error as Any)")
    }

    @Test("B9 an option's MTU has the same bounds, and with IPv6 the larger one") func optionBounds() throws {
        for driver in NetworkDefinition.Driver.allCases {
            var definition = NetworkDefinition(name: "x", driver: driver, subnets: [.init(try prefix("10.0.0.0/24"))])
            for (mtu, isGood) in [("70", false), ("575", false), ("576", true), ("65535", true), ("0", false)] {
                definition.options = ["mtu": mtu]
                #expect((try? definition.validate()) != nil || !isGood, "\(mtu)")
                #expect((try? definition.validate()) == nil || isGood, "\(mtu)")
            }
            definition.subnets.append(.init(try prefix("fd00::/64")))
            definition.options = ["mtu": "1279"]
            #expect(throws: DefinitionFault.self) { try definition.validate() }
            definition.options = ["mtu": "1280"]
            try definition.validate()
        }
    }

    @Test("B6 a subnet that somebody uses is refused with who it is") func overlap() throws {
        let uses = [SubnetUse(try prefix("10.0.0.0/16"), "network a of /x/60-a.conflist")]
        #expect(
            throws: DefinitionFault(
                "subnet 10.0.7.0/24 overlaps with 10.0.0.0/16, which network a of /x/60-a.conflist uses; choose another with "
                    + "--subnet")
        ) {
            try NetworkDefinition(name: "x", driver: .overlay, subnets: [.init(try prefix("10.0.7.0/24"))])
                .refuseOverlap(with: uses)
        }
        try NetworkDefinition(name: "x", driver: .overlay, subnets: [.init(try prefix("10.1.7.0/24"))])
            .refuseOverlap(with: uses)
    }

    @Test("what a daemon shows of a network is enough to write its list")
    func adopted() throws {
        let shown = Reader([
            "Name": "demonet", "Driver": "overlay", "MTU": 1450,
            "Definition": [
                "subnets": [
                    [
                        "subnet": "192.168.0.0/24", "gateway": "192.168.0.1", "ipRange": "192.168.0.64/26",
                        "exclude": ["192.168.0.70"],
                    ], ["subnet": "fd00:1::/64"],
                ], "internal": true, "vni": 77, "port": 4789, "mtu": 1400, "multicast": true, "seeds": ["h1"],
                "options": ["mtu": "1400"],
            ],
        ])
        let definition = try NetworkDefinition(inspected: shown)
        try definition.validate()
        var expected = NetworkDefinition(name: "demonet", driver: .overlay, isInternal: true, options: ["mtu": "1400"])
        expected.subnets = [
            .init(
                try prefix("192.168.0.0/24"), gateway: try address("192.168.0.1"), range: try prefix("192.168.0.64/26"),
                auxiliary: ["excluded0": try address("192.168.0.70")]), .init(try prefix("fd00:1::/64")),
        ]
        expected.vni = 77
        expected.port = 4789
        expected.multicast = true
        expected.seeds = ["h1"]
        #expect(definition == expected)
        // What the plugin will tell the daemon is what the daemon said.
        let again = try NetworkDefinition(name: "demonet", overlay: Reader(definition.conflist()["plugins"]?[0]))
        #expect(again == definition)
        #expect(throws: DecodingError.self) { try NetworkDefinition(inspected: Reader(["Name": "old"])) }
    }

    @Test("a bridge's list is as podman makes one")
    func bridgeList() throws {
        var definition = NetworkDefinition(name: "web", driver: .bridge)
        definition.subnets = [.init(try prefix("10.5.0.0/24")), .init(try prefix("fd00:5::/64"))]
        definition.options = ["com.docker.network.bridge.enable_icc": "false"]
        try definition.place(
            gateways: [], ranges: [prefix("10.5.0.0/25")], auxiliary: [("printer", address("10.5.0.7"))])
        try definition.validate()
        let plugins = try #require(try definition.conflist()["plugins"]?.elements)
        #expect(plugins.map { $0["type"]?.string } == ["bridge", "portmap", "firewall", "tuning"])
        #expect(plugins[0]["icc"] == false && plugins[0]["ipMasq"] == true && plugins[0]["isGateway"] == true)
        #expect(plugins[0]["bridge"]?.string?.hasPrefix("br-") == true && plugins[0]["bridge"]?.string?.count == 15)
        let ipam = try #require(plugins[0]["ipam"])
        #expect(
            ipam["ranges"]?[0]?[0] == [
                "subnet": "10.5.0.0/24", "rangeStart": "10.5.0.1", "rangeEnd": "10.5.0.127", "gateway": "10.5.0.1",
            ])
        #expect(ipam["ranges"]?[1]?[0] == ["subnet": "fd00:5::/64", "gateway": "fd00:5::1"])
        #expect(ipam["exclude"] == ["10.5.0.7"])
        #expect(ipam["routes"] == [["dst": "0.0.0.0/0"], ["dst": "::/0"]])
    }

    @Test("what fits nowhere is refused with its reason")
    func faults() throws {
        func fault(_ words: String, _ change: (inout NetworkDefinition) throws -> Void) throws {
            var definition = try demonet()
            do {
                try change(&definition)
                try definition.validate()
                Issue.record("accepted: \(words)")
            } catch let fault as DefinitionFault {
                #expect(fault.description.contains(words))
            }
        }
        try fault("in none of the subnets") { try $0.place(gateways: [address("10.0.0.1")], ranges: [], auxiliary: []) }
        try fault("two gateways") {
            try $0.place(gateways: [address("192.168.0.1"), address("192.168.0.2")], ranges: [], auxiliary: [])
        }
        try fault("overlap") { $0.subnets.append(.init(try prefix("192.168.0.128/25"))) }
        try fault("host bits set") { $0.subnets = [.init(try prefix("192.168.0.7/24"))] }
        try fault("no room") { $0.subnets = [.init(try prefix("192.168.0.0/31"))] }
        try fault("no host's address") { $0.subnets[0].gateway = try address("192.168.0.255") }
        try fault("not inside") { $0.subnets[0].range = try prefix("192.168.0.0/23") }
        try fault("means nothing") { $0.options = ["colour": "blue"] }
        try fault("cannot be encrypted") { $0.options = ["encrypted": ""] }
        try fault("576 to 65535") { $0.options = ["mtu": "1"] }
        try fault("letters, digits") { $0.name = "../x" }
        try fault("needs a subnet") { $0.subnets = [] }
    }

    @Test("the first free subnet overlaps nothing")
    func pools() throws {
        #expect(SubnetPool.free(.bridge, used: [])?.description == "172.18.0.0/16")
        let used = try ["172.16.0.0/13", "172.25.1.0/24", "0.0.0.0/0", "172.24.0.0/16"].map { try prefix($0) }
        #expect(SubnetPool.free(.bridge, used: used)?.description == "172.26.0.0/16")
        #expect(SubnetPool.free(.bridge, used: [try prefix("172.16.0.0/12")])?.description == "192.168.0.0/20")
        #expect(SubnetPool.free(.overlay, used: [try prefix("10.0.1.128/25")])?.description == "10.0.2.0/24")
        #expect(SubnetPool.free(.overlay, used: [try prefix("10.0.0.0/8")]) == nil)
        let unique = try #require(SubnetPool.unique(for: "demonet"))
        #expect(unique.length == 64 && unique == unique.network && unique.description.hasPrefix("fd"))
        #expect(SubnetPool.unique(for: "other") != unique)
        let table = """
            Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
            eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
            eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
            """
        #expect(SubnetPool.routes(table).map(\.description) == ["172.18.0.0/16"])
    }

    @Test("files: written once, adopted when equal, refused when another is in the way, removed only when ours")
    func files() throws {
        let directory = try TemporaryDirectory()
        let files = NetworkFiles(NetworkDirectory(directory.appending("net.d")))
        var definition = try demonet()
        #expect(try files.write(definition))
        #expect(try !files.write(definition))
        let use = SubnetUse(try prefix("192.168.0.0/24"), "network demonet of \(files.path("demonet"))")
        #expect(try files.subnetsInUse() == [use])
        #expect(try files.subnetsInUse(except: "demonet") == [])
        definition.options["mtu"] = "1400"
        #expect(throws: DefinitionFault.self) { try files.write(definition) }
        #expect(try files.remove("demonet"))
        #expect(try !files.remove("demonet"))
        #expect(try files.write(definition))
        try Files.rename(files.path("demonet"), to: "\(files.directory.path)/10-mine.conflist")
        #expect(throws: DefinitionFault.self) { try files.write(definition) }
        #expect(throws: DefinitionFault.self) { try files.remove("demonet") }
    }
}
