import NetworkTypes
import Testing

@Suite("IP addresses and prefixes")
struct AddressTests {
    @Test(
        "IPv4 text",
        arguments: [
            ("0.0.0.0", 0), ("10.0.0.1", 0x0A00_0001), ("255.255.255.255", 0xFFFF_FFFF), ("1.2.3.4", 0x0102_0304),
        ] as [(String, UInt32)])
    func ipv4(text: String, number: UInt32) {
        #expect(IPv4Address(text)?.rawValue == number)
        #expect(IPv4Address(rawValue: number).description == text)
    }

    @Test(
        "no IPv4 text",
        arguments: [
            "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.1.1.1", "01.2.3.4", "1.2.3.004",
            "+1.2.3.4",
            "-1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4/24", "a.b.c.d", "0x1.2.3.4", "１.2.3.4", "1.2.3.4\u{0}",
            "1,2,3,4",
        ])
    func notIPv4(text: String) {
        #expect(IPv4Address(text) == nil)
        #expect(IPAddress(text) == nil)
    }

    @Test(
        "IPv6 text and its canonical form",
        arguments: [
            ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:DB8::1", "2001:db8::1"),
            ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4"), ("0:0:0:0:0:0:0:0", "::"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
            ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:c000:201"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"), ("fe80::1", "fe80::1"),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ])
    func ipv6(text: String, canonical: String) {
        #expect(IPv6Address(text)?.description == canonical)
        #expect(IPv6Address(canonical) == IPv6Address(text))
    }

    @Test(
        "no IPv6 text",
        arguments: [
            "", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "1:2:3:4::5:6:7:8", "12345::", "g::1",
            "::1%eth0", "::1/64", " ::1", "::1 ", ":1::", "1::2:", "1:2:3:4:5:6:7:", ":2:3:4:5:6:7:8", "::1.2.3",
            "::1.2.3.4.5", "1.2.3.4::", "::01.2.3.4", "::+1", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "[::1]",
            "::\u{0}",
        ])
    func notIPv6(text: String) {
        #expect(IPv6Address(text) == nil)
        #expect(IPAddress(text) == nil)
    }

    @Test("every address survives being written and read")
    func roundTrip() {
        let seed = UInt64.random(in: .min ... .max)
        print("address round trip seed \(seed)")
        var random = Seeded(state: seed)
        for _ in 0..<3000 {
            // Runs of zeros make the interesting texts.
            var number = UInt128(random.next()) << 64 | UInt128(random.next())
            for group in 0..<8 where Bool.random(using: &random) { number &= ~(0xFFFF << UInt128(16 * group)) }
            let six = IPv6Address(rawValue: number)
            #expect(IPv6Address(six.description) == six)
            #expect(IPv6Address(bytes: six.bytes) == six)
            #expect(!six.description.contains(":::"))
            let four = IPv4Address(rawValue: UInt32(truncatingIfNeeded: number))
            #expect(IPv4Address(four.description) == four)
            #expect(IPv4Address(bytes: four.bytes) == four)
            let length = Int.random(in: 0...128, using: &random)
            guard let prefix = IPPrefix(.v6(six), length: length) else {
                Issue.record("no prefix of length \(length)")
                continue
            }
            if six.mappedIPv4 == nil { #expect(IPPrefix(prefix.description) == prefix) }
            #expect(prefix.first <= prefix.address && prefix.address <= prefix.last)
            #expect(prefix.contains(prefix.first) && prefix.contains(prefix.last))
            #expect(prefix.network.network == prefix.network && prefix.overlaps(prefix.network))
            if let after = prefix.last.next { #expect(!prefix.contains(after)) }
            #expect(prefix.mask.leadingZeroBitCount == (length == 0 ? 128 : 0))
            #expect(prefix.mask.nonzeroBitCount == length)
        }
    }

    @Test("noise never traps, and what is taken is written back to the same value")
    func noise() {
        let seed = UInt64.random(in: .min ... .max)
        print("address noise seed \(seed)")
        var random = Seeded(state: seed)
        let alphabet = Array("0123456789abcdefABCDEF:.%/ -+é\u{0}")
        let good = Array("2001:db8::192.0.2.1/64")
        for _ in 0..<20000 {
            var text = Bool.random(using: &random) ? good : []
            for _ in 0..<Int.random(in: 0...12, using: &random) {
                let letter = alphabet.randomElement(using: &random) ?? "0"
                let place = Int.random(in: 0...text.count, using: &random)
                if place < text.count, Bool.random(using: &random) {
                    text[place] = letter
                } else {
                    text.insert(letter, at: place)
                }
            }
            let string = String(text)
            if let address = IPAddress(string) { #expect(IPAddress(address.description) == address) }
            if let prefix = IPPrefix(string) { #expect(IPPrefix(prefix.description) == prefix) }
            if let address = MACAddress(string) { #expect(MACAddress(address.description) == address) }
            if let name = try? InterfaceName(string) { #expect(name.description == string) }
        }
    }

    @Test(
        "prefix text",
        arguments: [
            ("10.0.0.1/24", "10.0.0.0", "10.0.0.255"), ("10.0.0.1/0", "0.0.0.0", "255.255.255.255"),
            ("10.0.0.1/32", "10.0.0.1", "10.0.0.1"), ("10.0.0.1/31", "10.0.0.0", "10.0.0.1"),
            ("2001:db8::5/64", "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff"),
            ("::5/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("::5/128", "::5", "::5"), ("::5/126", "::4", "::7"),
        ])
    func prefixes(text: String, first: String, last: String) throws {
        let prefix = try #require(IPPrefix(text))
        #expect(prefix.description == text)
        #expect(prefix.first.description == first)
        #expect(prefix.last.description == last)
    }

    @Test(
        "no prefix text",
        arguments: [
            "", "/", "10.0.0.1", "10.0.0.1/", "/24", "10.0.0.1/33", "::/129", "10.0.0.1/-1", "10.0.0.1/+1",
            "10.0.0.1/08",
            "10.0.0.1/24/", "10.0.0.1/24/1", "10.0.0.1/ 24", "10.0.0/8", "::ffff:10.0.0.1/120", "10.0.0.1/1000",
            "10.0.0.1/٤",
        ])
    func notPrefixes(text: String) {
        #expect(IPPrefix(text) == nil)
    }

    @Test("prefixes contain and overlap within a family only")
    func containment() throws {
        func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }
        func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }
        #expect(try prefix("10.1.2.3/8").contains(address("10.255.0.1")))
        #expect(try !prefix("10.0.0.0/8").contains(address("11.0.0.0")))
        #expect(try !prefix("::/0").contains(address("10.0.0.1")))
        #expect(try prefix("10.0.0.0/8").overlaps(prefix("10.1.0.0/16")))
        #expect(try prefix("10.1.0.0/16").overlaps(prefix("10.0.0.0/8")))
        #expect(try !prefix("10.0.0.0/9").overlaps(prefix("10.128.0.0/9")))
        #expect(try !prefix("0.0.0.0/0").overlaps(prefix("::/0")))
        #expect(IPPrefix.any(.ipv4).description == "0.0.0.0/0")
        #expect(IPPrefix(try address("10.0.0.1"), length: 33) == nil)
        #expect(IPPrefix(try address("::1"), length: -1) == nil)
        #expect(IPPrefix(host: try address("::1")).description == "::1/128")
    }

    @Test("addresses of either family")
    func either() throws {
        #expect(IPAddress("::ffff:10.0.0.1") == IPAddress("10.0.0.1"))
        #expect(IPAddress("255.255.255.255")?.next == nil)
        #expect(IPAddress("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")?.next == nil)
        #expect(IPAddress("10.0.0.255")?.next?.description == "10.0.1.0")
        let sorted = ["::1", "10.0.0.2", "9.0.0.1", "::"].compactMap { IPAddress($0) }.sorted().map(\.description)
        #expect(sorted == ["9.0.0.1", "10.0.0.2", "::", "::1"])
        #expect(IPAddress(bytes: [1, 2, 3]) == nil)
        #expect(IPAddress(bytes: [10, 0, 0, 1])?.description == "10.0.0.1")
        #expect(IPAddress(family: .ipv4, number: 1 << 40).description == "0.0.0.0")
        func all(_ texts: String..., property: (IPAddress) -> Bool) -> [Bool] {
            texts.map { IPAddress($0).map(property) ?? false }
        }
        #expect(
            all("127.0.0.1", "127.9.9.9", "::1", "::2", "128.0.0.1") { $0.isLoopback } == [
                true, true, true, false, false,
            ])
        #expect(
            all("169.254.0.1", "fe80::1", "febf::1", "fec0::1", "10.0.0.1") { $0.isLinkLocal } == [
                true, true, true, false, false,
            ])
        #expect(all("0.0.0.0", "::", "::1") { $0.isUnspecified } == [true, true, false])
    }
}

/// A reproducible generator (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
