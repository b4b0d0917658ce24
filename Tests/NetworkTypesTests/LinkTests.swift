import NetworkTypes
import Testing

@Suite("Link-layer addresses and interface names")
struct LinkTests {
    @Test(
        "MAC text in every form",
        arguments: [
            "02:42:ac:11:00:02", "02-42-AC-11-00-02", "0242.ac11.0002", "0242.AC11.0002",
        ])
    func mac(text: String) {
        #expect(MACAddress(text)?.description == "02:42:ac:11:00:02")
        #expect(MACAddress(text)?.bytes == [2, 0x42, 0xAC, 0x11, 0, 2])
    }

    @Test(
        "no MAC text",
        arguments: [
            "", ":", "02:42:ac:11:00", "02:42:ac:11:00:02:03", "2:42:ac:11:0:2", "02:42-ac:11:00:02", "0242ac110002",
            "02:42:ac:11:00:0g", "+2:42:ac:11:00:02", "02:42:ac:11:00:02 ", "0242.ac11", "-242.ac11.0002",
            "02:42:ac:11:00:é",
        ])
    func notMAC(text: String) {
        #expect(MACAddress(text) == nil)
    }

    @Test("MAC numbers, unicast and locally administered addresses")
    func macNumbers() {
        #expect(MACAddress(number: 0x0242_AC11_0002).description == "02:42:ac:11:00:02")
        #expect(MACAddress(number: 0xFFFF_0242_AC11_0002).description == "02:42:ac:11:00:02")
        #expect(MACAddress(bytes: [1, 2, 3, 4, 5]) == nil)
        #expect(!MACAddress.zero.isUnicast)
        #expect(MACAddress("ff:ff:ff:ff:ff:ff")?.isUnicast == false)
        #expect(MACAddress("01:00:5e:00:00:01")?.isUnicast == false)
        let seed = UInt64.random(in: .min ... .max)
        print("MAC seed \(seed)")
        var random = Seeded(state: seed)
        for _ in 0..<500 {
            let address = MACAddress(locallyAdministered: random.next())
            #expect(address.isUnicast && address.bytes[0] & 3 == 2)
            #expect(MACAddress(address.description) == address)
        }
    }

    @Test("interface names", arguments: ["a", "eth0", "veth12345678901", "eth0.100", "...", "ü", "a-b_c@d"])
    func names(text: String) throws {
        #expect(try InterfaceName(text).description == text)
    }

    @Test(
        "no interface names",
        arguments: [
            ("", InterfaceName.Violation.empty), ("sixteen-bytes-xx", .tooLong), ("üüüüüüüü", .tooLong), (".", .dots),
            ("..", .dots), ("a/b", .characters), ("a:b", .characters), ("a b", .characters), ("a\n", .characters),
            ("a\u{0}b", .characters), ("a\u{A0}", .characters),
        ])
    func notNames(text: String, violation: InterfaceName.Violation) {
        #expect(throws: violation) { try InterfaceName(text) }
        #expect(!violation.description.isEmpty)
    }
}
