import Cluster
import JSON
import NetworkTypes
import Overlay
import Testing

@testable import Daemon

/// A network's definition as plugins and operators write it, and what is kept of it.
struct DefinitionTests {
    private let identity = NetworkIdentity(network: "demonet")

    private func read(_ text: String) throws -> NetworkDefinition {
        try NetworkDefinition(Reader(Value(parsing: Array(text.utf8))), identity: identity)
    }

    @Test func readsTheShortAndTheLongForm() throws {
        let short = try read(#"{"subnet": "192.168.0.0/24", "type": "overlay-vxlan", "interface": "eth1"}"#)
        let long = try read(
            #"{"subnets": [{"subnet": "192.168.0.0/24", "gateway": "192.168.0.1"}], "vtep": "10.0.0.1"}"#)
        #expect(short.row == long.row)
        #expect(short.row.digest.count == 32)
        #expect(try read(#"{"subnets": ["192.168.0.0/24"]}"#).row == short.row)
        #expect(short.interface == "eth1" && long.vtep == IPAddress("10.0.0.1"))
        #expect(short.row.vni == identity.derivedVNI && short.row.port == 4789 && short.row.mtu == 0)
        #expect(short.row.gateways == [IPPrefix("192.168.0.1/24")])
    }

    @Test func readsEverything() throws {
        let definition = try read(
            #"""
            {"subnets": [{"subnet": "10.1.0.0/16", "gateway": "10.1.0.254", "ipRange": "10.1.4.0/22",
             "exclude": ["10.1.4.9", "10.1.4.5"]}, "fd00::/64"], "vni": 77, "port": 8472, "mtu": 1400, "internal": true,
             "multicast": true, "seeds": ["b", "a", "b"], "options": {"com.docker.network.driver.mtu": "1400"},
             "dataDir": "/data"}
            """#)
        let row = definition.row
        #expect(row.vni == 77 && row.port == 8472 && row.mtu == 1400 && row.isInternal && row.floods)
        #expect(row.seeds == ["a", "b"])
        #expect(row.excluded.map(\.description) == ["10.1.4.5", "10.1.4.9"])
        #expect(definition.dataDirectory == "/data")
        let layouts = try row.layouts()
        #expect(layouts.map(\.pool.description) == ["10.1.4.0/22", "fd00::/64"])
        #expect(layouts[0].excluded.count == 2)
        #expect(row.gateways.map(\.description) == ["10.1.0.254/16", "fd00::1/64"])
        #expect(row.subnetIndex(of: try #require(IPAddress("fd00::9"))) == 1)
        // As it is shown, it can be given to another host.
        #expect(try NetworkDefinition(Reader(row.definition), identity: identity).row == row)
        // What others are told is all of it.
        #expect(NetworkRow(decoding: row.encoded) == row)
    }

    @Test func whatTheJournalHasOfANetwork() throws {
        let definition = try NetworkDefinition(
            Reader(["subnet": "10.1.0.0/24", "interface": "eth1", "dataDir": "/data"]), identity: identity)
        var local = LocalNetwork(definition)
        #expect(LocalNetwork(journaled: local.journaled) == local)
        (local.isAnnounced, local.isKept) = (true, true)
        let announcer = try #require(HostID(String(repeating: "0f", count: 16)))
        for (announcer, isWithdrawn) in [(nil, false), (announcer, false), (announcer, true)] {
            local.adopted = LocalNetwork.Adopted(
                directory: "/net.d", digest: "00ff", announcer: announcer, isWithdrawn: isWithdrawn)
            #expect(LocalNetwork(journaled: local.journaled) == local)
        }
        // What this host is told by another's order is not its own.
        let told = try #require(NetworkRow(decoding: local.announcement))
        #expect(told.isKept && !LocalNetwork(told).row.isKept && LocalNetwork(told).row == local.row)
    }

    @Test(arguments: [
        (#"{}"#, "subnet: a network needs one at least"),
        (#"{"subnet": "x"}"#, "subnet: expected a subnet like 192.168.0.0/24"),
        (#"{"subnet": "10.0.0.1/24"}"#, "subnet: 10.0.0.1/24 has host bits set; the subnet is 10.0.0.0/24"),
        (#"{"subnets": ["10.0.0.0/24", "10.0.0.0/25"]}"#, "subnets: 10.0.0.0/25 and 10.0.0.0/24 overlap"),
        (#"{"subnet": "10.0.0.0/24", "gateway": "10.0.1.1"}"#, "gateway: 10.0.1.1 is not in 10.0.0.0/24"),
        (
            #"{"subnet": "10.0.0.0/24", "ipRange": "10.0.0.0/23"}"#,
            "ipRange: '10.0.0.0/23' is not a part of 10.0.0.0/24"
        ),
        (#"{"subnet": "10.0.0.0/24", "exclude": ["10.0.1.1"]}"#, "exclude[0]: 10.0.1.1 is not in 10.0.0.0/24"),
        (#"{"subnet": "10.0.0.0/24", "mtu": 100}"#, "mtu: must be between 576 and 65535, not 100 (0 is automatic)"),
        (
            #"{"subnet": "10.0.0.0/24", "vni": 0}"#,
            "vni: must be between 1 and 16777215, not 0; leave it out to have it derived"
        ),
        (#"{"subnet": "fd00::/64", "mtu": 1000}"#, "mtu: IPv6, as in fd00::/64, needs 1280 at least, not 1000"),
        (#"{"subnet": "10.0.0.0/24", "options": {"a": 1}}"#, "options.a: expected a string, found a number"),
    ])
    func saysWhatIsWrong(text: String, reason: String) {
        #expect {
            try read(text)
        } throws: { error in
            "\(error)" == reason
        }
    }

    @Test func isKeptInTheJournal() throws {
        var local = LocalNetwork(
            try read(#"{"subnet": "10.0.0.0/24", "interface": "eth1", "dataDir": "/d", "vtep": "10.9.0.1"}"#))
        local.isAnnounced = true
        #expect(LocalNetwork(journaled: local.journaled) == local)
        #expect(LocalNetwork(journaled: []) == nil)
        #expect(LocalNetwork(journaled: Array(#"{"row": "AAAA"}"#.utf8)) == nil)
        let endpoint = LocalEndpoint(
            identity: identity, containerID: "c0", interface: "eth0", link: "veth1",
            addresses: ["10.0.0.1", "fd00::1"].compactMap { IPAddress($0) })
        #expect(LocalEndpoint(id: endpoint.id, journaled: endpoint.journaled) == endpoint)
        #expect(endpoint.keyBytes.count == 32)
        #expect(LocalEndpoint(id: "", journaled: Array("{}".utf8)) == nil)
    }

    @Test func namesTheDifference() throws {
        let one = try read(#"{"subnet": "10.0.0.0/24"}"#).row
        #expect(
            one.difference(from: try read(#"{"subnet": "10.0.1.0/24"}"#).row) == "subnets 10.0.0.0/24 and 10.0.1.0/24")
        #expect(
            one.difference(from: try read(#"{"subnet": "10.0.0.0/24", "gateway": "10.0.0.9"}"#).row)
                == "gateways 10.0.0.1 and 10.0.0.9")
        #expect(one.difference(from: try read(#"{"subnet": "10.0.0.0/24", "vni": 5}"#).row).hasPrefix("VNI "))
        #expect(one.difference(from: try read(#"{"subnet": "10.0.0.0/24", "seeds": ["a"]}"#).row) == "other options")
    }
}

/// The tags of a node.
struct TagTests {
    private let host = HostID(rawValue: 5)

    @Test func keepsWhatTheControlAPIChanged() {
        var tags = NodeTags(host: host, clusterPort: 7947, configured: ["rack": "r1", "sw": "9"], journaled: nil)
        #expect(tags.announced["sw"] == "1" && tags.announced["cp"] == "7947" && tags.announced["rack"] == "r1")
        tags.change(set: ["zone": "z1"], delete: ["rack"])
        #expect(tags.announced["zone"] == "z1" && tags.announced["rack"] == nil)
        let again = NodeTags(host: host, clusterPort: 7947, configured: ["rack": "r1"], journaled: tags.journaled)
        #expect(again.announced == tags.announced)
        let damaged = NodeTags(host: host, clusterPort: 1, configured: ["rack": "r1"], journaled: [1, 2])
        #expect(damaged.announced["rack"] == "r1")
    }
}
