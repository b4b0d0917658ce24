import NetworkTypes
import Testing

@Suite("Address texts") struct AddressTextTests {
    @Test(
        "accepted, and how they are printed",
        arguments: [
            ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("10.0.0.1", "10.0.0.1"), ("::", "::"),
            ("::1", "::1"), ("1::", "1::"), ("FE80:0::00aB", "fe80::ab"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("1:0:0:4:0:0:0:8", "1:0:0:4::8"), ("64:ff9b::10.0.0.1", "64:ff9b::a00:1"),
            ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("::ffff:1.2.3.4", "1.2.3.4"),
            ("::1:2:3:4:5:6:7", "0:1:2:3:4:5:6:7"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ])
    func accepted(text: String, printed: String) {
        #expect(IPAddress(text)?.description == printed)
        #expect(IPAddress("x\(text)/y".dropFirst().dropLast(2))?.description == printed)
    }

    @Test(
        "refused",
        arguments: [
            "", ".", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "01.2.3.4", "1.2.3.00", "256.1.1.1",
            "1.2.3.4294967297", "+1.2.3.4", "1.2.3.4\u{301}", "１.2.3.4", ":", ":::", "1:::2", "1::2::3", ":1::2",
            "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "1::2:3:4:5:6:7:8", "12345::", "g::", "::1%lo",
            "1:", "::1:", "1.2.3.4::", "::1.2.3.4:1", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", "::01.2.3.4", " ::1",
        ])
    func refused(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("prefix lengths") func prefixes() {
        #expect(IPPrefix("10.1.2.3/24")?.description == "10.1.2.3/24")
        #expect(IPPrefix("10.1.2.3/0")?.length == 0)
        #expect(IPPrefix("::/128")?.length == 128)
        for text in [
            "10.0.0.0", "10.0.0.0/", "/8", "10.0.0.0/33", "::/129", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/-1",
            "10.0.0.0/8/8", "10.0.0.0/8 ", "10.0.0.0/1000", "::ffff:10.0.0.0/104", "10.0.0.0/255.0.0.0",
        ] {
            #expect(IPPrefix(text) == nil, "\(text)")
        }
    }
}

@Suite("Interface names") struct InterfaceNameTests {
    @Test("a combining mark hides nothing") func combiningMarks() throws {
        #expect(throws: InterfaceName.Violation.characters) { try InterfaceName("a/\u{301}") }
        #expect(throws: InterfaceName.Violation.characters) { try InterfaceName("a \u{301}") }
        #expect(throws: InterfaceName.Violation.characters) { try InterfaceName("a\0") }
        #expect(try InterfaceName("ä\u{301}").description == "ä\u{301}")
    }
}
