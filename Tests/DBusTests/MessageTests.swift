import Testing

@testable import DBus

@Suite("Messages")
struct MessageTests {
    private func decoded(_ name: String) throws -> Message { try Message(decoding: Fixtures.bytes(name)) }

    @Test("A call is encoded as dbus-send does it")
    func encoding() throws {
        var call = try Message(.methodCall, [.string("trusted"), .string("10.1.2.3/32")])
        call.serial = 2
        call.path = "/org/fedoraproject/FirewallD1"
        call.interface = "org.fedoraproject.FirewallD1.zone"
        call.member = "addSource"
        call.destination = "org.fedoraproject.FirewallD1"
        #expect(try call.encoded() == Fixtures.bytes("add-source"))
        #expect(try decoded("add-source") == call)
    }

    @Test("What dbus-daemon says is read")
    func decoding() throws {
        let hello = try decoded("hello-reply")
        #expect(hello.kind == .methodReturn && hello.replySerial == 1 && hello.sender == "org.freedesktop.DBus")
        #expect(try hello.values() == [.string(":1.1")])
        let signal = try decoded("name-acquired")
        #expect(signal.kind == .signal && signal.member == "NameAcquired" && signal.replySerial == nil)
        let error = try decoded("service-unknown")
        #expect(error.kind == .error && error.errorName == "org.freedesktop.DBus.Error.ServiceUnknown")
        #expect(
            try error.values() == [
                .string("The name org.fedoraproject.FirewallD1 was not provided by any .service files")
            ])
        #expect(try decoded("owner-reply").values() == [.boolean(false)])
        #expect(try decoded("names-reply").values() == [.strings(["org.freedesktop.DBus", ":1.2"])])
    }

    static let values: [[BusValue]] = [
        [], [.boolean(true)], [.uint32(.max), .string(""), .boolean(false)], [.objectPath("/"), .objectPath("/a/B_1")],
        [.signature(""), .signature("a{sv}(yya(nq))"), .uint32(7)], [.strings([]), .uint32(1)],
        [.strings(["", "é", String(repeating: "x", count: 300)]), .string("end")],
        [.variant(.string("inside")), .variant(.variant(.strings(["a"]))), .boolean(true)],
    ]

    @Test("Every type comes back as it went", arguments: values)
    func roundTrip(values: [BusValue]) throws {
        var message = try Message(.signal, values)
        (message.path, message.interface, message.member) = ("/a", "b.c", "D")
        message.serial = .max
        let read = try Message(decoding: message.encoded())
        #expect(read == message)
        #expect(try read.values() == values)
    }

    @Test("Alignment, by hand: a truth value, a text, texts, a variant")
    func golden() throws {
        var writer = WireWriter()
        try writer.put(.signature("b"))
        try writer.put(.boolean(true))
        try writer.put(.strings(["ab", "c"]))
        try writer.put(.variant(.uint32(0x0102_0304)))
        #expect(
            writer.bytes == [
                1, 0x62, 0, 0, 1, 0, 0, 0, 14, 0, 0, 0, 2, 0, 0, 0, 0x61, 0x62, 0, 0, 1, 0, 0, 0, 0x63, 0, 1, 0x75, 0,
                0, 0, 0, 4, 3, 2, 1,
            ])
    }

    @Test("The other byte order is read")
    func bigEndian() throws {
        let bytes: [UInt8] = [
            0x42, 2, 1, 1, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0, 16, 5, 1, 0x75, 0, 0, 0, 0, 7, 8, 1, 0x67, 0, 2, 0x62, 0x75,
            0, 0, 0, 0, 1, 0, 0, 1, 2,
        ]
        let message = try Message(decoding: bytes)
        #expect(message.serial == 9 && message.replySerial == 7)
        #expect(try message.values() == [.boolean(true), .uint32(0x102)])
    }

    @Test("Header fields from the future are passed over, whatever their type")
    func unknownFields() throws {
        // Field 77 of type a{sv}, (nas) or t before the reply serial.
        let fields: [[UInt8]] = [
            [77, 5, 0x61, 0x7B, 0x73, 0x76, 0x7D, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [77, 5, 0x28, 0x6E, 0x61, 0x73, 0x29, 0, 1, 0, 0, 0, 0, 0, 0, 0],
            [77, 1, 0x74, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8],
        ]
        for field in fields {
            let header: [UInt8] = [0x6C, 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 24, 0, 0, 0]
            let message = try Message(decoding: header + field + [5, 1, 0x75, 0, 3, 0, 0, 0])
            #expect(message.replySerial == 3)
        }
    }

    @Test("What cannot be sent is refused")
    func refusals() {
        #expect(throws: WireError.self) { try Message(.methodCall, [.string("a\0b")]) }
        #expect(throws: WireError.self) { try Message(.methodCall, [.signature("a")]) }
        #expect(throws: WireError.self) {
            try Message(.methodCall, [.strings([String(repeating: "x", count: Message.largest)])]).encoded()
        }
        for path in ["", "a", "/a/", "//", "/a-b", "/a/é"] {
            #expect(throws: WireError.self, "\(path)") { try Message(.methodCall, [.objectPath(path)]) }
        }
        let nested = (0..<100).reduce(BusValue.boolean(true)) { value, _ in .variant(value) }
        #expect(throws: WireError.tooDeep) { try Message(.methodCall, [nested]) }
    }
}

@Suite("Type signatures")
struct SignatureTests {
    @Test("Rows of complete types", arguments: ["", "y", "ybnqiuxtdsoghv", "as", "aaa(ia{s(vv)})a{yv}", "(y)(s)"])
    func valid(text: String) throws {
        try Signature.check(Array(text.utf8))
    }

    @Test(
        "Others",
        arguments: ["a", "(", "()", ")", "(s", "a{", "a{s}", "a{vs}", "a{ss", "a{sss}", "{ss}", "z", "é", "a)"])
    func invalid(text: String) {
        #expect(throws: WireError.self) { try Signature.check(Array(text.utf8)) }
    }

    @Test("Too deep, too long")
    func limits() {
        #expect(throws: WireError.tooDeep) { try Signature.check(Array(repeating: 0x61, count: 100) + [0x79]) }
        #expect(throws: WireError.tooDeep) { try Signature.check(Array(repeating: 0x28, count: 200)) }
        #expect(throws: WireError.self) { try Signature.check(Array(repeating: 0x79, count: 256)) }
    }
}
