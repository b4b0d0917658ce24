import JSON
import NetworkTypes
import Testing

@testable import IPAM

@Suite("Ranges and the order of search")
struct RangeTests {
    private func order(_ set: RangeSet, after last: String? = nil, excluding: [String] = []) throws -> [String] {
        try set.searchOrder(after: last.map(address), excluding: excluding.map(prefix)).flatMap { span in
            span.numbers.map { IPAddress(family: set.family, number: $0).description }
        }
    }

    @Test("HL10 iterator on 192.168.1.0/29")
    func hl10() throws {
        let set = try RangeSet([range("192.168.1.0/29")])
        func tails(_ numbers: Int...) -> [String] { numbers.map { "192.168.1.\($0)" } }
        #expect(try order(set) == tails(2, 3, 4, 5, 6))
        #expect(try order(set, after: "192.168.1.6") == tails(2, 3, 4, 5, 6))
        #expect(try order(set, after: "192.168.1.3") == tails(4, 5, 6, 2, 3))
        #expect(try order(set, after: "192.168.2.3") == tails(2, 3, 4, 5, 6))
        #expect(try order(set, after: "2001:db8::1") == tails(2, 3, 4, 5, 6))
    }

    @Test("HL16 the search goes on in the next range after a range's end")
    func hl16() throws {
        let set = try RangeSet([
            range("192.168.1.0/29"), range("192.168.2.0/29", "192.168.2.3", "192.168.2.4"),
            range("192.168.3.0/30"),
        ])
        #expect(
            try order(set, after: "192.168.1.6") == [
                "192.168.2.3", "192.168.2.4", "192.168.3.2", "192.168.1.2", "192.168.1.3", "192.168.1.4",
                "192.168.1.5", "192.168.1.6",
            ])
        #expect(try order(set, after: "192.168.3.2").first == "192.168.1.2")
        #expect(try order(set, after: "192.168.2.3").first == "192.168.2.4")
        #expect(try order(set, after: "192.168.2.3").last == "192.168.2.3")
    }

    @Test(
        "HL19 defaults",
        arguments: [
            ("192.0.2.0/24", "192.0.2.1", "192.0.2.254", "192.0.2.1"),
            ("192.0.2.0/25", "192.0.2.1", "192.0.2.126", "192.0.2.1"),
            ("192.0.2.248/30", "192.0.2.249", "192.0.2.250", "192.0.2.249"),
            ("255.255.255.252/30", "255.255.255.253", "255.255.255.254", "255.255.255.253"),
            ("0.0.0.0/0", "0.0.0.1", "255.255.255.254", "0.0.0.1"),
            ("2001:db8:1::/64", "2001:db8:1::1", "2001:db8:1:0:ffff:ffff:ffff:ffff", "2001:db8:1::1"),
            ("::/0", "::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::1"),
            (
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffd",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffd"
            ),
        ])
    func hl19(subnet: String, start: String, end: String, gateway: String) throws {
        let range = try range(subnet)
        #expect("\(range)" == "\(start)-\(end)")
        #expect(range.gateway.description == gateway)
        // The first address tried is the one after the gateway, and the search after the last begins anew.
        let set = try RangeSet([range])
        let first = IPAddress(family: range.gateway.family, number: range.gateway.number + 1)
        #expect(set.searchOrder(after: nil).first?.numbers.lowerBound == first.number)
        #expect(set.searchOrder(after: range.end).first?.numbers.lowerBound == first.number)
    }

    @Test("explicit ends are hosts' addresses; the gateway may be elsewhere")
    func explicitEnds() throws {
        let whole = try range("192.0.2.0/24", "192.0.2.1", "192.0.2.254", gateway: "198.51.100.1")
        #expect("\(whole)" == "192.0.2.1-192.0.2.254")
        #expect(whole.gateway.description == "198.51.100.1")
        // An end of a part of the subnet is an address like any other.
        let part = try range("10.0.0.0/8", "10.1.0.0", "10.1.0.255")
        #expect("\(part)" == "10.1.0.0-10.1.0.255")
        let last = try range("2001:db8::/126", "2001:db8::1", "2001:db8::3")
        #expect("\(last)" == "2001:db8::1-2001:db8::3")
    }

    @Test(
        "B8 an address that no host can have is none to hand out, and no gateway",
        arguments: [
            (
                #""subnet":"10.9.0.0/24","rangeStart":"10.9.0.0""#, "rangeStart",
                "the network's own address of 10.9.0.0/24"
            ),
            (#""subnet":"10.9.0.0/24","rangeEnd":"10.9.0.255""#, "rangeEnd", "the broadcast address of 10.9.0.0/24"),
            (#""subnet":"10.9.0.0/30","rangeStart":"10.9.0.3","rangeEnd":"10.9.0.3""#, "rangeStart", "broadcast"),
            (#""subnet":"10.9.0.0/24","gateway":"10.9.0.255""#, "gateway", "the broadcast address"),
            (#""subnet":"10.9.0.0/24","gateway":"10.9.0.0""#, "gateway", "the network's own address"),
            (#""subnet":"fd00::/64","rangeStart":"fd00::""#, "rangeStart", "the address of all routers of fd00::/64"),
            (#""subnet":"fd00::/64","gateway":"fd00::""#, "gateway", "the address of all routers"),
            (
                #""subnet":"10.9.0.0/24","gateway":"fd00::1""#, "gateway",
                "fd00::1 is of another family than 10.9.0.0/24"
            ),
            (#""subnet":"fd00::/64","gateway":"10.9.0.1""#, "gateway", "10.9.0.1 is of another family than fd00::/64"),
        ])
    func nobodys(members: String, key: String, words: String) throws {
        for (ipam, runtime, path) in [
            ("{\(members)}", "{}", key), ("{\"ranges\":[[{\(members)}]]}", "{}", "ranges[0][0].\(key)"),
            ("{\"subnet\":\"10.1.0.0/24\"}", "{\"ipRanges\":[[{\(members)}]]}", "ipRanges[0][0].\(key)"),
        ] {
            let error = #expect(throws: JSON.DecodingError.self) { try configuration(ipam, runtimeConfig: runtime) }
            #expect(
                error?.path.hasSuffix(path) == true && error?.description.contains(words) == true, "\(error as Any)")
        }
    }

    @Test("B8 a route by a gateway of another family") func routes() throws {
        let ipam = #"{"subnet":"10.1.0.0/24","routes":[{"dst":"0.0.0.0/0"},{"dst":"10.7.0.0/16","gw":"fd00::1"}]}"#
        let error = #expect(throws: JSON.DecodingError.self) { try configuration(ipam) }
        #expect(error?.description.contains("routes[1].gw: fd00::1 is of another family than 10.7.0.0/16") == true)
    }

    @Test("B8 what is asked for and no host can have is refused by the name of who asks") func requests() throws {
        let ipam = #"{"ranges":[[{"subnet":"10.9.0.0/24"}],[{"subnet":"fd00::/64"}]]}"#
        for (address, words) in [
            ("10.9.0.255", "the broadcast address"), ("10.9.0.0/24", "the network's own"), ("fd00::", "all routers"),
        ] {
            let byArgument = #expect(throws: JSON.DecodingError.self) { try configuration(ipam, requestedIP: address) }
            #expect(byArgument?.description.hasPrefix("CNI_ARGS IP: ") == true)
            #expect(byArgument?.description.contains(words) == true)
            let byCapability = #expect(throws: JSON.DecodingError.self) {
                try configuration(ipam, runtimeConfig: "{\"ips\":[\"10.9.0.7\",\"\(address)\"]}")
            }
            #expect(byCapability?.description.contains("ips[1]: ") == true, "\(byCapability as Any)")
        }
        #expect(try configuration(ipam, requestedIP: "10.9.0.254").requestedAddresses == [address("10.9.0.254")])
        #expect(try configuration(ipam, requestedIP: "fd00::ffff:ffff:ffff:ffff").requestedAddresses.count == 1)
    }

    @Test("B8 small subnets have hosts' addresses alone") func small() throws {
        for (subnet, text) in [
            ("10.0.0.0/31", "10.0.0.0"), ("10.0.0.0/31", "10.0.0.1"), ("10.0.0.5/32", "10.0.0.5"),
            ("fd00::/127", "fd00::"), ("fd00::5/128", "fd00::5"), ("fd00::/64", "fd00::ffff:ffff:ffff:ffff"),
            ("10.0.0.0/30", "10.0.0.2"), ("10.0.0.0/30", "10.0.1.0"), ("10.0.0.0/30", "fd00::"),
        ] { #expect(try prefix(subnet).purpose(of: address(text)) == nil, "\(subnet) \(text)") }
    }

    @Test(
        "HL20 and the other range faults",
        arguments: [
            (["192.0.2.0/31"], "Network 192.0.2.0/31 too small to allocate from"),
            (["192.0.2.0/32"], "Network 192.0.2.0/32 too small to allocate from"),
            (["2001:db8::/127"], "Network 2001:db8::/127 too small to allocate from"),
            (
                ["192.0.2.12/24"],
                "Network has host bits set. For a subnet mask of length 24 the network address is 192.0.2.0"
            ),
            (
                ["192.168.127.0/23"],
                "Network has host bits set. For a subnet mask of length 23 the network address is 192.168.126.0"
            ),
            (
                ["2001:db8:1::24:19ff:fee1:c44a/64"],
                "Network has host bits set. For a subnet mask of length 64 the network address is 2001:db8:1::"
            ),
            (
                ["2001:db8:1:1::/63"],
                "Network has host bits set. For a subnet mask of length 63 the network address is 2001:db8:1::"
            ),
            (["192.0.2.0/24", "192.0.3.0"], "RangeStart 192.0.3.0 not in network 192.0.2.0/24"),
            (["192.0.2.0/24", "2001:db8::1"], "RangeStart 2001:db8::1 not in network 192.0.2.0/24"),
            (["192.0.2.0/24", "", "192.0.4.0"], "RangeEnd 192.0.4.0 not in network 192.0.2.0/24"),
            (["192.0.2.0/24", "192.0.2.50", "192.0.2.40"], "RangeStart 192.0.2.50 not in network 192.0.2.0/24"),
            (["192.0.2.0/24", "192.0.2.255"], "RangeStart 192.0.2.255 not in network 192.0.2.0/24"),
            (["192.0.2.0/24", "", "192.0.2.0"], "RangeEnd 192.0.2.0 not in network 192.0.2.0/24"),
            (["192.0.2.0/24", "192.0.2.9", "2001:db8::1"], "RangeEnd 2001:db8::1 not in network 192.0.2.0/24"),
        ])
    func hl20(parts: [String], message: String) {
        func part(_ index: Int) -> String? { parts.count > index && !parts[index].isEmpty ? parts[index] : nil }
        #expect(failure { _ = try range(parts[0], part(1), part(2)) } == message)
    }

    @Test(
        "HL21 contains",
        arguments: [
            ("192.0.2.0/24", "192.0.2.40", "192.0.2.50", "192.0.2.40", true),
            ("192.0.2.0/24", "192.0.2.40", "192.0.2.50", "192.0.2.50", true),
            ("192.0.2.0/24", "192.0.2.40", "192.0.2.50", "192.0.2.39", false),
            ("192.0.2.0/24", "192.0.2.40", "192.0.2.50", "192.0.2.51", false),
            ("192.0.2.0/24", "192.0.2.40", "192.0.2.50", "2001:db8::1", false),
            ("2001:db8:1::/64", "2001:db8:1::40", "2001:db8:1::50", "2001:db8:1::50", true),
            ("2001:db8:1::/64", "2001:db8:1::40", "2001:db8:1::50", "192.0.2.40", false),
            ("::/96", "::1", "::ffff", "0.0.0.2", false),
        ])
    func contains(subnet: String, start: String, end: String, candidate: String, expected: Bool) throws {
        #expect(try range(subnet, start, end).contains(address(candidate)) == expected)
    }

    @Test(
        "HL21 overlaps",
        arguments: [
            ("192.0.2.0/24", "192.0.2.0/24", true),
            ("192.0.2.0/24", "192.0.2.0/25", true),
            ("192.0.2.0/25", "192.0.2.128/25", false),
            ("192.0.2.0/24", "2001:db8::/64", false),
            ("2001:db8::/64", "2001:db8::/48", true),
            ("0.0.0.0/0", "10.0.0.0/8", true),
            ("::/0", "2001:db8::/64", true),
        ])
    func overlaps(one: String, other: String, expected: Bool) throws {
        let (one, other) = (try range(one), try range(other))
        #expect(one.overlaps(other) == expected)
        #expect(other.overlaps(one) == expected)
        #expect(try RangeSet([one]).overlaps(RangeSet([other])) == expected)
    }

    @Test("HL18 faults of sets")
    func sets() throws {
        #expect(throws: RangeFault.emptySet) { try RangeSet([]) }
        #expect(throws: RangeFault.mixedFamilies) { try RangeSet([range("10.0.0.0/24"), range("2001:db8::/64")]) }
        #expect(
            failure { _ = try RangeSet([range("10.1.0.0/16"), range("10.1.2.0/24")]) }
                == "subnets 10.1.0.1-10.1.255.254 and 10.1.2.1-10.1.2.254 overlap")
        #expect(
            try RangeSet([range("10.1.0.0/24", nil, "10.1.0.9"), range("10.1.0.0/24", "10.1.0.10")]).ranges.count == 2)
    }

    @Test("exclusions and gateways are cut out of the spans, at their ends and in the middle")
    func exclusions() throws {
        let set = try RangeSet([range("10.0.0.0/28", gateway: "10.0.0.5")])
        #expect(
            try order(set, after: "10.0.0.12", excluding: ["10.0.0.0/30", "10.0.0.8/30", "10.0.0.14/32"]) == [
                "10.0.0.13", "10.0.0.4", "10.0.0.6", "10.0.0.7", "10.0.0.12",
            ])
        #expect(try order(set, excluding: ["0.0.0.0/0"]).isEmpty)
        #expect(try order(set, excluding: ["::/0"]).count == 13)
        let whole = try RangeSet([range("::/0")])
        #expect(whole.searchOrder(after: try address("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")).count == 1)
        #expect(whole.searchOrder(after: nil, excluding: [.any(.ipv6)]).isEmpty)
    }
}
