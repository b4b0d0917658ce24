import JSON
import Testing

func parsed(_ text: String) throws -> Value { try Value(parsing: Array(text.utf8)) }

@Suite("JSON texts") struct ParserTests {
    @Test("every kind of value") func kinds() throws {
        #expect(
            try parsed(#" {"a":null,"b":[true,false],"c":-7,"d":1.5,"e":"x\u00e4\n","f":{}} "#)
                == [
                    "a": nil, "b": [true, false], "c": -7, "d": .real(1.5), "e": "xä\n", "f": .object(Object()),
                ])
        #expect(try parsed("3") == 3)
        #expect(try parsed(#""a\u0000b""#) == "a\0b")
        #expect(try parsed("9223372036854775807") == .integer(.max))
        #expect(try parsed("-9223372036854775808") == .integer(.min))
    }

    @Test(
        "what is not JSON",
        arguments: [
            "", " ", "{", "[1,]", #"{"a":1,}"#, "{} x", "nul", "'a'", "01", "+1", ".5", #""\x""#, #""\ud800""#,
            "\"a\nb\"", "9223372036854775808", "1e999", #"{"a\u0000":1}"#, #"{"a":1,"a":2,}"#, #"{"a":1,"a":"#,
            "\u{FEFF}1", "NaN", "// x\n1",
        ])
    func invalid(text: String) {
        #expect(throws: SyntaxError.self) { try parsed(text) }
    }

    @Test(
        "text that is not UTF-8",
        arguments: [
            [0x80], [0xC3, 0x28], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82],
        ])
    func invalidUTF8(bytes: [UInt8]) {
        #expect(throws: SyntaxError.self) { try Value(parsing: [0x22] + bytes + [0x22]) }
        #expect(throws: SyntaxError.self) { try Value(parsing: [0x7B, 0x22] + bytes + Array(#"":1}"#.utf8)) }
    }

    @Test("errors say where") func place() {
        #expect {
            try parsed("{\n \"a\": x}")
        } throws: { error in
            let error = error as? SyntaxError
            return error?.line == 2 && error?.description.hasSuffix("at line 2 column 7") == true
        }
    }

    @Test("nesting is limited") func depth() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try parsed(nested(Value.maximumDepth))
        #expect(throws: SyntaxError(reason: "nested deeper than 256 levels")) { try parsed(nested(257)) }
        #expect(throws: SyntaxError.self) { try parsed(nested(100_000)) }
        #expect(throws: SyntaxError.self) { try parsed(String(repeating: #"{"a":"#, count: 100_000)) }
    }

    @Test(
        "a repeated key has its last value, at its last place",
        arguments: [
            (#"{"a":1,"b":2,"a":3}"#, #"{"b":2,"a":3}"#), (#"{"a":1,"A":2,"a":3}"#, #"{"A":2,"a":3}"#),
            (#"{"a":1,"\u0061":2}"#, #"{"a":2}"#),
            (
                #"{"a" : {"b":1,"b":2},"c":[{"d":1,"d" :2}]}"#,
                #"{"a":{"b":2},"c":[{"d":2}]}"#
            ),
            (#"{"a":{"x":1},"a":{"y":2}}"#, #"{"a":{"y":2}}"#), (#"{"":1,"":2}"#, #"{"":2}"#),
            (#"{"a\"":1,"a\"":"b\\","c":":\":"}"#, #"{"a\"":"b\\","c":":\":"}"#),
            ("{\"é\":1,\"e\u{301}\":2,\"x\":0,\"x\":1}", "{\"é\":1,\"e\u{301}\":2,\"x\":1}"),
            ("{\"a\"\n\t\r :1,\"a\":2}", #"{"a":2}"#),
        ])
    func duplicates(text: String, expected: String) throws {
        #expect(try parsed(text).text() == expected)
    }

    @Test("the keys that were repeated are told, each once and only where they were")
    func repeatedKeys() throws {
        guard case .object(let object) = try parsed(#"{"a":{"x":1,"y":2,"x":3,"x":4,"X":5},"b":{"x":1}}"#),
            case .object(let first)? = object["a"], case .object(let second)? = object["b"]
        else {
            Issue.record("no objects")
            return
        }
        #expect(object.repeatedKeys == [] && first.repeatedKeys == ["x"] && second.repeatedKeys == [])
        #expect(.object(first) == (try parsed(#"{"y":2,"x":4,"X":5}"#)))
    }

    @Test("keys in other cases: the last one in the text") func caseInsensitive() throws {
        func value(_ text: String) throws -> Value? {
            guard case .object(let object) = try parsed(text) else { return nil }
            return object.value(caseInsensitive: "hostPort")
        }
        #expect(try value(#"{"HostPort":1}"#) == 1)
        #expect(try value(#"{"hostPort":1,"HOSTPORT":2}"#) == 2)
        #expect(try value(#"{"HOSTPORT":1,"hostPort":2,"HOSTPORT":3}"#) == 3)
        #expect(try value(#"{"hostPorts":1,"host_Port":2}"#) == nil)
    }
}

@Suite("JSON objects") struct ObjectTests {
    @Test("members keep their order through changes") func order() {
        var object = Object([("b", 1), ("a", 2), ("b", 3)])
        #expect(Value.object(object).text() == #"{"b":3,"a":2}"#)
        object["c"] = 4
        object["b"] = nil
        object["d"] = nil
        object["a"] = "x"
        #expect(Value.object(object).text() == #"{"a":"x","c":4}"#)
        #expect(object["A"] == nil)
    }

    @Test("keys are compared byte for byte") func normalForms() {
        let object = Object([("é", 1), ("e\u{301}", 2)])
        #expect(object.members.count == 2)
        #expect(object["e\u{301}"] == 2)
    }
}

@Suite("JSON output") struct WriterTests {
    @Test("layouts") func layouts() {
        let value: Value = ["a": [1, ["b": true]], "c": [], "d": .object(Object()), "e": nil]
        #expect(value.text() == #"{"a":[1,{"b":true}],"c":[],"d":{},"e":null}"#)
        #expect(
            value.text(.indented) == """
                {
                    "a": [
                        1,
                        {
                            "b": true
                        }
                    ],
                    "c": [],
                    "d": {},
                    "e": null
                }
                """)
    }

    @Test(
        "everything written can be read again",
        arguments: [
            "\"\\/\u{8}\u{C}\n\r\t\0\u{1F}\u{7F}äé\u{301}€😀\u{2028}", "</script>&", "", "\u{FFFD}\u{FFFF}",
        ])
    func roundTrip(text: String) throws {
        let value: Value = .object(Object([(text, .string(text))]))
        guard !text.contains("\0") else {
            #expect(try parsed(Value.string(text).text()) == .string(text))
            return
        }
        #expect(try parsed(value.text()) == value)
        #expect(try parsed(value.text(.indented)) == value)
    }

    @Test("numbers", arguments: [1.5, -0.25, 1e300, 1e-300, 123456789012345680.0])
    func numbers(number: Double) throws {
        #expect(try parsed(Value.real(number).text()) == .real(number))
    }
}
