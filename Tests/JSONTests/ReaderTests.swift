import JSON
import Testing

@Suite("JSON readers") struct ReaderTests {
    private let document: Value = [
        "Name": "net", "mtu": 1500, "flag": true, "none": nil, "list": ["a", "b"], "mixed": ["a", nil, 3],
        "ipam": ["ranges": [[["subnet": 7]]]], "real": .real(1.0), "text": "1500",
    ]

    private func fails(
        _ path: String, _ reason: String, kind: DecodingError.Kind = .type, _ body: () throws -> Void
    ) {
        #expect(throws: DecodingError(path: path, reason: reason, kind: kind)) { try body() }
    }

    @Test("values, in any case of the key") func values() throws {
        let root = Reader(document)
        #expect(try root.member("name").string() == "net")
        #expect(try root.member("MTU").integer() == 1500)
        #expect(try root.member("Flag").bool() == true)
        #expect(try root.member("list").strings() == ["a", "b"])
        #expect(try root.member("mtu").integer(in: 0...1500) == 1500)
    }

    @Test("null and absent are nil or empty, at any depth") func absence() throws {
        for key in ["none", "nothing"] {
            let reader = try Reader(document).member(key)
            #expect(!reader.isPresent)
            #expect(try reader.string() == nil)
            #expect(try reader.bool() == nil)
            #expect(try reader.integer() == nil)
            #expect(try reader.integer(in: 1...2) == nil)
            #expect(try reader.object() == nil)
            #expect(try reader.elements().isEmpty)
            #expect(try reader.strings().isEmpty)
            #expect(try reader.member("deeper").member("still").string() == nil)
        }
    }

    @Test("faults name the place") func faults() throws {
        let root = Reader(document)
        let subnet = try root.member("ipam").member("ranges").elements()[0].elements()[0].member("subnet")
        fails("ipam.ranges[0][0].subnet", "expected a string, found a number") { _ = try subnet.string() }
        fails("flag", "expected an object, found a boolean") { _ = try root.member("flag").member("x") }
        fails("name", "expected an array, found a string") { _ = try root.member("name").elements() }
        fails("text", "expected an integer, found a string") { _ = try root.member("text").integer() }
        fails("real", "expected an integer, found a number") { _ = try root.member("real").integer() }
        fails("ipam", "expected a boolean, found an object") { _ = try root.member("ipam").bool() }
        fails("mixed[1]", "expected a string, found nothing") { _ = try root.member("mixed").strings() }
        fails("mtu", "must be between 0 and 1499, not 1500", kind: .value) {
            _ = try root.member("mtu").integer(in: 0...1499)
        }
        fails("", "expected an object, found an array") { _ = try Reader([]).member("x") }
    }

    @Test("the words of a fault") func description() {
        #expect(DecodingError(path: "a.b", reason: "is wrong").description == "a.b: is wrong")
        #expect(DecodingError(path: "", reason: "is wrong").description == "is wrong")
        #expect(DecodingError(path: "a", reason: "is wrong", isVerbatim: true).description == "is wrong")
    }
}
