import JSON
import NetworkTypes
import Testing

@testable import IPAM

@Suite("Configuration")
struct ConfigurationTests {
    @Test("HL17 old style")
    func oldStyle() throws {
        let parsed = try configuration(
            """
            {"type": "host-local", "SUBNET": "10.1.2.0/24", "rangestart": "10.1.2.9", "rangeEnd": "10.1.2.20",
             "gateway": "10.1.2.30", "routes": null}
            """)
        #expect(parsed.rangeSets.map(\.description) == ["10.1.2.9-10.1.2.20"])
        #expect(parsed.rangeSets[0].ranges[0].gateway.description == "10.1.2.30")
        #expect(parsed.dataDirectory == "/var/lib/cni/networks")
        #expect(parsed.duplicatePolicy == .error)
    }

    @Test("HL17 runtime ranges come first, then the legacy range, then ranges")
    func order() throws {
        let parsed = try configuration(
            """
            {"subnet": "10.1.2.0/24", "ranges": [[{"subnet": "10.1.4.0/24"}, {"subnet": "11.1.4.0/24"}],
             [{"subnet": "2001:db8::/64", "rangeStart": ""}]]}
            """, runtimeConfig: #"{"IPRanges": [[{"subnet": "10.9.0.0/24"}]]}"#)
        #expect(
            parsed.rangeSets.map(\.description) == [
                "10.9.0.1-10.9.0.254", "10.1.2.1-10.1.2.254", "10.1.4.1-10.1.4.254,11.1.4.1-11.1.4.254",
                "2001:db8::1-2001:db8::ffff:ffff:ffff:ffff",
            ])
    }

    @Test("HL17 requested addresses accumulate: CNI_ARGS, args, runtimeConfig; prefixes dropped, each once")
    func requests() throws {
        let parsed = try configuration(
            #"{"subnet": "10.1.0.0/16"}"#, runtimeConfig: #"{"ips": ["10.1.2.13", "10.1.2.10", "2001:db8::1/64"]}"#,
            args: #"{"cni": {"ips": ["10.1.2.11", "10.1.2.12/24"]}}"#, requestedIP: "10.1.2.10/24")
        #expect(
            parsed.requestedAddresses.map(\.description) == [
                "10.1.2.10", "10.1.2.11", "10.1.2.12", "10.1.2.13", "2001:db8::1",
            ])
        #expect(
            try configuration(#"{"subnet": "10.1.0.0/16"}"#, args: "null", requestedIP: "").requestedAddresses == [])
    }

    @Test(
        "HL18 texts of faults",
        arguments: [
            ("null", "IPAM config missing 'ipam' key"),
            ("{}", "no IP ranges specified"),
            (#"{"rangeStart": "10.0.0.1"}"#, "no IP ranges specified"),
            (#"{"ranges": [[]]}"#, "invalid range set 0: empty range set"),
            (#"{"ranges": [null]}"#, "invalid range set 0: empty range set"),
            (
                #"{"ranges": [[{"subnet": "10.0.0.0/24"}], [{"subnet": "192.0.2.0/31"}]]}"#,
                "invalid range set 1: Network 192.0.2.0/31 too small to allocate from"
            ),
            (
                #"{"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "2001:db8::/64"}]]}"#,
                "invalid range set 0: mixed address families"
            ),
            (
                #"{"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "10.1.2.128/25"}]]}"#,
                "invalid range set 0: subnets 10.1.2.1-10.1.2.254 and 10.1.2.129-10.1.2.254 overlap"
            ),
            (
                #"{"ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "2001:db8::/64"}], [{"subnet": "10.1.0.0/16"}]]}"#,
                "range set 0 overlaps with 2"
            ),
            (#"{"subnet": "10.0.0/24"}"#, "ipam.subnet: invalid CIDR address: 10.0.0/24"),
            (
                #"{"ranges": [[{"subnet": "10.0.0.0/24", "gateway": "x"}]]}"#,
                "ipam.ranges[0][0].gateway: invalid IP address: x"
            ),
            (#"{"ranges": [{"subnet": "10.0.0.0/24"}]}"#, "ipam.ranges[0]: expected an array, found an object"),
            (#"{"ranges": [[{}]]}"#, "ipam.ranges[0][0]: subnet is missing"),
            (
                #"{"subnet": "10.0.0.0/24", "onDuplicate": "x"}"#,
                #"ipam.onDuplicate: must be "error" or "reuse", not "x""#
            ),
            (#"{"subnet": "10.0.0.0/24", "routes": [{"gw": "10.0.0.1"}]}"#, "ipam.routes[0]: dst is missing"),
            (
                #"{"subnet": "10.0.0.0/24", "routes": [{"dst": "0.0.0.0/0", "mtu": "1"}]}"#,
                "ipam.routes[0].mtu: expected an integer, found a string"
            ),
            (
                #"{"subnet": "10.0.0.0/24", "routes": [{"dst": "0.0.0.0/0", "scope": 256}]}"#,
                "ipam.routes[0].scope: must be between 0 and 255, not 256"
            ),
            (
                #"{"subnet": "10.0.0.0/24", "exclude": ["10.1.0.1"]}"#,
                "ipam.exclude[0]: 10.1.0.1 lies in none of the ranges' subnets"
            ),
            (
                #"{"subnet": "10.0.0.0/24", "exclude": {"router": "x"}}"#,
                #"ipam.exclude.router: "x" is neither an IP address nor a network in CIDR notation"#
            ),
            (
                #"{"subnet": "10.0.0.0/24", "exclude": ["10.0.0.9/28"]}"#,
                "ipam.exclude[0]: 10.0.0.9/28 has host bits set; the network is 10.0.0.0/28"
            ),
            (
                #"{"subnet": "10.0.0.0/24", "exclude": [null]}"#,
                "ipam.exclude[0]: expected an address or a network, found nothing"
            ),
            (#"{"subnet": "10.0.0.0/24", "exclude": "10.0.0.1"}"#, "ipam.exclude: expected an array, found a string"),
        ])
    func faults(ipam: String, message: String) {
        #expect(failure { _ = try configuration(ipam) } == message)
    }

    @Test("HL8, HL18 below 0.3.0 there is one address of a family")
    func versions() throws {
        let two = #"{"ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "10.1.3.0/24"}]]}"#
        #expect(
            failure { _ = try configuration(two, version: "0.2.0") }
                == "CNI version 0.2.0 does not support more than 1 address per family")
        #expect(try configuration(two, version: "0.3.0").rangeSets.count == 2)
        let both = #"{"ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "2001:db8::/64"}]]}"#
        #expect(try configuration(both, version: "0.2.0").rangeSets.count == 2)
    }

    @Test("requested addresses that are none")
    func badRequests() {
        let ipam = #"{"subnet": "10.1.0.0/16"}"#
        #expect(
            failure { _ = try configuration(ipam, requestedIP: "10.1.2") } == "CNI_ARGS IP: invalid IP address 10.1.2")
        #expect(
            failure { _ = try configuration(ipam, args: #"{"cni": {"ips": [5]}}"#) }
                == "args.cni.ips[0]: expected a string, found a number")
    }

    @Test("routes keep host bits; zero means nothing is set, except for table and scope")
    func routes() throws {
        let parsed = try configuration(
            """
            {"subnet": "10.0.0.0/24", "routes": [{"dst": "0.0.0.0/0"}, {"dst": "192.168.1.7/16", "GW": "10.0.0.9",
             "mtu": 1400, "advmss": 1360, "priority": 0, "table": 0, "scope": 253}]}
            """)
        #expect(
            parsed.routes == [
                Allocation.Route(destination: .any(.ipv4)),
                Allocation.Route(
                    destination: try prefix("192.168.1.7/16"), gateway: try address("10.0.0.9"), mtu: 1400,
                    advertisedMSS: 1360, priority: nil, table: 0, scope: 253),
            ])
    }

    @Test("the data directory is found in a configuration that is otherwise invalid")
    func dataDirectory() throws {
        #expect(try HostLocal.dataDirectory(of: parsed(#"{"datadir": "/x", "subnet": 5}"#)) == "/x")
        #expect(try HostLocal.dataDirectory(of: parsed(#"{"dataDir": ""}"#)) == "/var/lib/cni/networks")
        #expect(try HostLocal.dataDirectory(of: Reader(nil)) == "/var/lib/cni/networks")
        #expect(throws: JSON.DecodingError.self) { try HostLocal.dataDirectory(of: parsed(#"{"dataDir": 5}"#)) }
    }

    @Test(
        "HL22 resolv.conf",
        arguments: [
            ("nameserver 192.0.2.0\n", ["192.0.2.0"], nil, [], []),
            (
                "# a comment\n; another\n\nnameserver 192.0.2.0\r\n  nameserver\t2001:db8::1 x\nnameserver\n",
                ["192.0.2.0", "2001:db8::1"], nil, [], []
            ),
            (
                "nameserver 192.0.2.0\nnameserver 192.0.2.1\ndomain a\ndomain example.com\nsearch example.com b\nsearch c\n"
                    + "options one two\noptions three\nsortlist 1.2.3.4\n#nameserver 9.9.9.9",
                ["192.0.2.0", "192.0.2.1"], "example.com", ["example.com", "b", "c"], ["one", "two", "three"]
            ),
            ("", [], nil, [], []),
        ] as [(String, [String], String?, [String], [String])])
    func hl22(text: String, servers: [String], domain: String?, search: [String], options: [String]) {
        let dns = Allocation.DNS(parsing: text)
        #expect(dns.nameservers == servers)
        #expect(dns.domain == domain)
        #expect(dns.search == search)
        #expect(dns.options == options)
    }
}
