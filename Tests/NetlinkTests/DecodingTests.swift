import NetworkTypes
import System
import Testing

@testable import Netlink

/// Calls `body` with every message of a datagram.
func forEachMessage(in bytes: [UInt8], _ body: (MessageHeader, RawSpan) -> Void) throws(NetlinkFailure) {
    let span = unsafe bytes.span.bytes
    try MessageHeader.forEach(in: span) { body($0, $1) }
}

/// The payload of every message of a recorded answer, save the final `NLMSG_DONE`, put through `decode`.
private func decoded<Value>(_ name: String, _ decode: (RawSpan, inout [Value]) -> Bool) throws -> [Value] {
    var values: [Value] = []
    var malformed = 0
    try forEachMessage(in: try golden(name)) { header, payload in
        if header.type != 3, !decode(payload, &values) { malformed += 1 }
    }
    #expect(malformed == 0)
    return values
}

private func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }
private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

@Suite("Decoding of recorded answers")
struct DecodingTests {
    @Test("Links: kinds, ports, VXLAN settings")
    func links() throws {
        let links = try decoded("answer-links") { payload, links in
            guard let link = Link(payload) else { return false }
            links.append(link)
            return true
        }
        #expect(links.map(\.name) == ["lo", "cni0", "veth1", "veth0", "vxlan0"])
        try #require(links.count == 5)
        let (loopback, bridge, veth1, veth0, vxlan) = (links[0], links[1], links[2], links[3], links[4])
        #expect(loopback.kind == nil)
        #expect(loopback.mac == .zero)
        #expect(loopback.mtu == 65536)
        #expect(bridge.kind == "bridge")
        #expect(bridge.bridge == BridgeState())
        #expect(bridge.mac == MACAddress("02:42:0a:01:00:01"))
        #expect(veth0.kind == "veth")
        #expect(veth0.master == bridge.index)
        #expect(veth0.alias == "pod")
        #expect(veth0.mtu == 1400)
        #expect(veth0.isUp)
        #expect(veth0.peer == veth1.index)
        #expect(veth0.peerNamespace == nil)
        #expect(veth0.port?.hairpin == true)
        #expect(veth0.port?.isolated == true)
        #expect(veth0.port?.learning == true)
        #expect(veth1.port == nil)
        #expect(
            vxlan.vxlan
                == VXLANState(identifier: 4097, local: try address("192.0.2.1"), learning: false, proxy: true))
    }

    @Test("Addresses of both families")
    func addresses() throws {
        let addresses = try decoded("answer-addresses") { payload, addresses in
            guard let address = InterfaceAddress(payload) else { return false }
            addresses.append(address)
            return true
        }
        #expect(addresses.contains { $0.link == 2 && $0.prefix == IPPrefix("10.1.2.1/24") && $0.scope == 0 })
        #expect(addresses.contains { $0.link == 2 && $0.prefix == IPPrefix("2001:db8::1/64") && !$0.isTentative })
        #expect(addresses.contains { $0.link == 1 && $0.prefix == IPPrefix("127.0.0.1/8") && $0.scope == 254 })
    }

    @Test("IPv4 routes: tables, metrics, several next hops")
    func routesIPv4() throws {
        let routes = try decoded("answer-routes-ipv4") { Route.read($0, into: &$1) }
        let expected = [
            Route(destination: try prefix("10.8.0.0/16"), link: 3, table: 1000),
            Route(destination: .any(.ipv4), gateway: try address("10.1.2.2"), link: 2),
            Route(destination: .any(.ipv4), gateway: try address("10.1.2.3"), link: 2),
            Route(
                destination: try prefix("10.1.2.0/24"), link: 2, source: try address("10.1.2.1"), routingProtocol: 2),
            Route(
                destination: try prefix("10.9.0.0/16"), gateway: try address("10.1.2.9"), link: 2, metric: 50, mtu: 1300
            ),
        ]
        #expect(Set(routes) == Set(expected))
        #expect(routes.count == expected.count)
    }

    @Test("IPv6 routes: one for each next hop, default metric left out")
    func routesIPv6() throws {
        let routes = try decoded("answer-routes-ipv6") { Route.read($0, into: &$1) }
        let wanted = try prefix("2001:db8:9::/48")
        let expected = try ["2001:db8::2", "2001:db8::3"].map {
            Route(destination: wanted, gateway: try address($0), link: 2)
        }
        #expect(Set(routes.filter { $0.destination == wanted }) == Set(expected))
        #expect(!routes.contains { $0.destination.length == 128 }, "the local table must not show")
    }

    @Test("Rules")
    func rules() throws {
        let rules = try decoded("answer-rules") { RoutingRule.read($0, into: &$1) }
        let expected = RoutingRule(
            family: .ipv4, priority: 100, source: try prefix("10.1.0.0/16"), inputInterface: "cni0", mark: 0x2000,
            table: 1000)
        #expect(rules.contains(expected))
        #expect(rules.map(\.priority) == [0, 100, 32766, 32767])
    }

    @Test("Neighbours and forwarding entries")
    func neighbours() throws {
        let neighbours = try decoded("answer-neighbours") { payload, entries in
            guard let entry = Neighbour(payload) else { return false }
            entries.append(entry)
            return true
        }
        let wanted = Neighbour(link: 2, address: try address("10.1.2.7"), mac: MACAddress("02:42:0a:01:02:07"))
        #expect(neighbours.contains(wanted))

        let entries = try decoded("answer-forwarding") { payload, entries in
            guard let entry = ForwardingEntry(payload) else { return false }
            entries.append(entry)
            return true
        }
        let mac = try #require(MACAddress("02:42:0a:01:02:09"))
        #expect(
            entries.filter { $0.link == 5 && $0.mac == mac } == [
                ForwardingEntry(
                    link: 5, mac: mac, remote: try address("192.0.2.9"), port: 4790, vni: 4098, state: 0xC0)
            ])
    }

    @Test("A refusal has its errno and the kernel's words")
    func refusal() throws {
        var answers: [Acknowledgement] = []
        try forEachMessage(in: try golden("answer-refusal")) { header, payload in
            Acknowledgement(header, payload).map { answers.append($0) }
        }
        #expect(answers.map(\.failure) == [NetlinkFailure(.invalidArgument, message: "mtu less than device minimum")])
    }

    @Test("An uncapped refusal repeats the request before its attributes")
    func uncapped() throws {
        // error -17; the request: 20 bytes with one byte of payload padded; NLMSGERR_ATTR_MSG "no".
        let payload: [UInt8] =
            [0xEF, 0xFF, 0xFF, 0xFF] + [17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0]
            + [7, 0, 1, 0, 0x6E, 0x6F, 0, 0]
        let span = unsafe payload.span.bytes
        let header = MessageHeader(type: 2, flags: 0x200, sequence: 1, port: 1)
        #expect(Acknowledgement(header, span)?.failure == NetlinkFailure(.fileExists, message: "no"))
        let plain = MessageHeader(type: 2, flags: 0, sequence: 1, port: 1)
        #expect(Acknowledgement(plain, span)?.failure == NetlinkFailure(.fileExists))
    }

    @Test("The extreme error code is no crash")
    func extremeCode() {
        let payload: [UInt8] = [0, 0, 0, 0x80] + [UInt8](repeating: 0, count: 16)
        let span = unsafe payload.span.bytes
        let header = MessageHeader(type: 2, flags: 0x100, sequence: 1, port: 1)
        #expect(Acknowledgement(header, span)?.failure != nil)
    }
}
