import NetworkTypes
import TestSupport
import Testing

@testable import Netfilter

struct NotThere: Error {}

func need<Value>(_ value: Value?) throws -> Value {
    guard let value else { throw NotThere() }
    return value
}

@Suite("Entries of the nftables back end")
struct EntriesTests {
    private let owner = FilterOwner(network: "net", containerID: "one", interfaceName: "eth0")

    @Test("Everything one container can have, as nft writes it")
    func everything() throws {
        let addresses = [try need(IPPrefix("10.1.0.5/24")), try need(IPPrefix("fd00::5/64"))]
        let mappings = [
            PortMapping(.tcp, hostPort: 8080, containerPort: 80),
            PortMapping(.udp, hostAddress: IPAddress("192.0.2.1"), hostPort: 53, containerPort: 5353),
        ]
        let entries = try Entries(
            [
                .masquerade(Masquerade(addresses: addresses)), .portForward(PortForward(mappings, to: addresses)),
                .firewall(
                    Firewall(addresses: addresses.map(\.address), ingress: .isolated, bridge: "br0", port: "veth0")),
                .antiSpoof(AntiSpoof(link: "veth0", mac: MACAddress(number: 0x0242_0a01_0005))),
            ], for: owner)
        var text = ""
        for identifier in entries.tables {
            var table = Table(identifier)
            if identifier == BaseLayout.inet { table.chains = entries.chains }
            for entry in entries.entries where entry.table == identifier {
                var set = entry.set
                set.elements = [entry.element]
                table.sets.append(set)
            }
            text += table.nftText
        }
        #expect(try text == golden("netfilter/container.nft", text))
    }

    @Test("The base")
    func base() throws {
        let text = BaseLayout.inetTable.nftText + BaseLayout.bridgeTable.nftText
        #expect(try text == golden("netfilter/base.nft", text))
    }

    @Test("A chain's name says what is in it")
    func chainNames() throws {
        let one = try need(IPPrefix("10.1.0.5/24")), same = try need(IPPrefix("10.1.0.9/24"))
        let other = try need(IPPrefix("10.1.0.5/16"))
        let names = try [one, same, other].map { address in
            try Entries([.masquerade(Masquerade(addresses: [address]))], for: owner).chains.map(\.name)
        }
        #expect(names[0] == names[1])
        #expect(names[0] != names[2])
    }

    @Test("A port given twice is refused before anything is sent")
    func twice() throws {
        let address = try need(IPPrefix("10.1.0.5/24"))
        let mappings = [80, 81].map { PortMapping(.tcp, hostPort: 8080, containerPort: $0) }
        #expect(throws: NetfilterError.self) {
            try Entries([.portForward(PortForward(mappings, to: [address]))], for: owner)
        }
    }

    @Test(
        "Conditions",
        arguments: [
            ("ip saddr 192.0.2.1", "ip saddr 192.0.2.1"), ("ip saddr != 192.0.2.0/24", "ip saddr != 192.0.2.0/24"),
            ("meta iifname \"eth7\" ip daddr 10.0.0.1", "iifname \"eth7\" ip daddr 10.0.0.1"),
            ("meta mark == 0x2000", "meta mark 0x00002000"),
        ])
    func conditions(_ words: String, _ text: String) throws {
        #expect(try Rule(Conditions.parse([words], .ipv4)).nftText == text)
        let pieces = words.split(separator: " ").map(String.init)
        #expect(try Rule(Conditions.parse(pieces, .ipv4)).nftText == text)
    }

    @Test(
        "Conditions that are not understood are refused",
        arguments: [
            "tcp flags syn", "ip saddr", "ip6 saddr ::1", "ip saddr x", "iifname eth*", "ip saddr != ", "meta",
        ])
    func badConditions(_ words: String) {
        #expect(throws: NetfilterError.self) { try Conditions.parse([words], .ipv4) }
    }
}

@Suite("Rendering and user data")
struct RenderingTests {
    @Test("Ranges that are networks are written as networks")
    func ranges() throws {
        for (first, last, text) in [
            ("10.0.0.0", "10.0.0.255", "10.0.0.0/24"), ("10.0.0.1", "10.0.0.3", "10.0.0.1-10.0.0.3"),
            ("0.0.0.0", "255.255.255.255", "0.0.0.0/0"), ("fd00::", "fd00::ffff", "fd00::/112"),
        ] {
            let low = Datum.address(try need(IPAddress(first))), high = Datum.address(try need(IPAddress(last)))
            #expect(Element([low], through: [high]).nftText == text)
        }
    }

    @Test("Comments are cut at a whole character and cannot break out of their quotes")
    func comments() throws {
        let long = String(repeating: "ä", count: 100)
        let data = userData(type: 0, text: long)
        #expect(data.count <= 130)
        #expect(userText(type: 0, inUserData: data) == String(repeating: "ä", count: 63))
        #expect(userText(type: 1, inUserData: data) == nil)
        #expect(quoted("a\"b\nc") == "\"a'b'c\"")
    }

    @Test("Decoders survive noise")
    func noise() {
        var generator = SystemRandomNumberGenerator()
        let seed = generator.next()
        print("seed \(seed)")
        var state = seed
        for _ in 0..<2000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int(state % 97) {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                bytes.append(UInt8(truncatingIfNeeded: state >> 33))
            }
            state = state &* 6_364_136_223_846_793_005 &+ 1
            // Small lengths and types make attributes likely.
            for index in bytes.indices where index % 4 > 0 || bytes[index] > 40 { bytes[index] &= 0x1F }
            _ = unsafe RuleDecoder.decode(bytes.span.bytes)
            for place in BaseLayout.places(.all) { _ = unsafe bytes.span.bytes.rawElements(of: place.set) }
            _ = Attributes(of: bytes).chain
            _ = Attributes(of: bytes).elementSet
            _ = unsafe TrackedConnection(bytes.span.bytes)
            _ = userText(type: 0, inUserData: bytes)
            _ = IPTablesDump(String(decoding: bytes, as: UTF8.self))
        }
    }
}
