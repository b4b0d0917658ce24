import Netfilter
import NetworkTypes

/// A table with every kind of statement, set and element.
func sampleTable() throws -> Table {
    let v4 = try need(IPAddress("10.1.0.5")), v6 = try need(IPAddress("fd00::5"))
    let network = try need(IPPrefix("10.1.4.0/22")), octets = try need(IPPrefix("10.1.0.0/24"))
    let network6 = try need(IPPrefix("fd00:1::/64")), odd6 = try need(IPPrefix("fd00:1:8000::/33"))
    let host = try need(IPPrefix("10.9.8.7/32"))
    return Table(
        Table.Identifier(.inet, "sample"), comment: "a sample",
        sets: [
            ElementSet(
                "verdicts4", key: [.ipv4_addr], value: .verdict,
                elements: [Element([.address(v4)], value: .verdict(.goto("leaf")), comment: "tag one")]),
            ElementSet(
                "verdicts6", key: [.ipv6_addr], value: .verdict,
                elements: [Element([.address(v6)], value: .verdict(.jump("leaf")))]),
            ElementSet(
                "ports4", key: [.inet_proto, .inet_service], value: .data([.ipv4_addr, .inet_service]),
                elements: [
                    Element(
                        [.transport(.tcp), .port(8080)], value: .data([.address(v4), .port(80)]), comment: "tag")
                ]),
            ElementSet(
                "addresses4", key: [.ipv4_addr, .inet_proto, .inet_service], value: .data([.ipv4_addr, .inet_service])),
            ElementSet(
                "ports6", key: [.inet_proto, .inet_service], value: .data([.ipv6_addr, .inet_service]),
                elements: [
                    Element(
                        [.transport(.udp), .port(53)], value: .data([.address(v6), .port(5353)]), comment: "tag")
                ]),
            ElementSet(
                "pairs", key: [.ifname, .ifname], value: .verdict,
                elements: [Element([.interface("br0"), .interface("br0")], value: .verdict(.return))]),
            ElementSet("bridges", key: [.ifname], elements: [Element([.interface("br0")], comment: "net")]),
            ElementSet("marks", key: [.mark], elements: [Element([.mark(0x2000)])]),
            ElementSet(
                "ranges", key: [.ipv4_addr], flags: .interval,
                elements: [
                    Element(
                        [.address(network.first)], through: [.address(network.last)], comment: "a network"),
                    Element([.address(host.first)]),
                ]),
        ],
        chains: [
            Chain(
                "leaf", comment: "where others jump to",
                rules: [
                    Rule(.to(network), .verdict(.return)), Rule(.to(octets), .verdict(.return)),
                    Rule(.to(host), .verdict(.return)), Rule(.to(network6), .verdict(.return)),
                    Rule(.from(odd6), .verdict(.return)), Rule(.counter, .masquerade, comment: "the rest"),
                ]),
            Chain(
                "forwards",
                rules: [
                    Rule(.destinationMap(.ipv4, [.ipDestination, .transport, .destinationPort], map: "addresses4")),
                    Rule(.destinationMap(.ipv4, [.transport, .destinationPort], map: "ports4")),
                    Rule(.destinationMap(.ipv6, [.transport, .destinationPort], map: "ports6")),
                    Rule(
                        .from(octets), .match(.transport, .transport(.tcp)), .match(.destinationPort, .port(81)),
                        .destinationTo(v4, port: 80)),
                    Rule(.match(.transport, .transport(.udp)), .destinationTo(v6, port: 80)),
                    Rule(.destinationTo(v4, port: nil)),
                ]),
            Chain(
                "prerouting", hook: BaseHook(.nat, .prerouting, priority: -100),
                rules: [Rule(.isLocalDestination, .verdict(.jump("forwards")))]),
            Chain(
                "postrouting", hook: BaseHook(.nat, .postrouting, priority: 100),
                rules: [
                    Rule(.isDestinationTranslated, .verdictMap(.ipDestination, map: "verdicts4")),
                    Rule(.verdictMap(.ip6Source, map: "verdicts6")),
                    Rule(.family(.ipv4), .match(.outputInterface, .interface("eth0")), .sourceTo(v4)),
                ]),
            Chain(
                "forward", hook: BaseHook(.filter, .forward, priority: 0, policy: .drop),
                rules: [
                    Rule(.verdictMap(.inputInterface, .outputInterface, map: "pairs")),
                    Rule(
                        .lookup(.inputInterface, set: "bridges"), .lookup(.outputInterface, set: "bridges"),
                        .verdict(.drop)),
                    Rule(.connectionState([.established, .related]), .verdict(.accept)),
                    Rule(.setMark(0x2000)),
                    Rule(.match(.mark, .mark(0x2000)), .verdict(.accept)),
                    Rule(.lookup(.mark, set: "marks"), .verdict(.accept)),
                    Rule(
                        .network(.ipSource, octets, isNegated: true),
                        .match(.inputInterface, .interface("eth0"), isNegated: true), .verdict(.drop)),
                    Rule(.lookup([.ipSource], set: "ranges", isNegated: true), .verdict(.accept)),
                ]),
        ])
}

struct NotThere: Error {}

func need<Value>(_ value: Value?) throws -> Value {
    guard let value else { throw NotThere() }
    return value
}
