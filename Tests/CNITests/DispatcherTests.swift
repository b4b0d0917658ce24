import CNI
import JSON
import System
import Testing

@Suite("Dispatch") struct DispatcherTests {
    @Test(
        "SK3 only the right command runs and sees everything as it came",
        arguments: [
            ("ADD", "add"), ("DEL", "delete"), ("CHECK", "check"), ("GC", "collectGarbage"), ("STATUS", "status"),
        ])
    func dispatch(command: String, method: String) throws {
        let commands = FakeCommands()
        let call = Call(command)
        let outcome = call.run(commands)
        #expect(outcome.exitStatus == 0)
        #expect(commands.calls == [method])
        let request = try #require(commands.request)
        #expect(request.invocation.command.rawValue == command)
        #expect(request.invocation.containerID == "some-container-id")
        #expect(request.invocation.netns == "/some/netns/path")
        #expect(request.invocation.interfaceName == "eth0")
        #expect(request.invocation.arguments == "some;extra;args")
        #expect(request.invocation.path == ["/some/cni/path", "/other"])
        #expect(request.invocation.input == call.input)
        #expect(request.configuration.bytes == call.input)
        #expect(request.invocation.environment == call.environment)
        #expect(request.configuration.name == "skel-test")
        #expect(request.configuration.type == "fake")
        #expect(outcome.output.isEmpty == (command != "ADD"))
    }

    @Test(
        "SK6 a configuration without version means 0.1.0",
        arguments: [#""#, #","cniVersion":"""#, #","cniVersion":null"#])
    func noVersion(member: String) throws {
        let commands = FakeCommands()
        commands.result.addresses = [CNIResult.Address(address: try #require(IPPrefixes.four))]
        let outcome = Call("ADD").with(input: #"{"name":"skel-test"\#(member)}"#).run(commands)
        #expect(outcome.exitStatus == 0)
        #expect(commands.request?.configuration.version == .v0_1_0)
        #expect(outcome.output.contains(#""cniVersion": "0.1.0""#))
    }

    @Test("SK7 no version, and the plugin does not speak 0.1.0", arguments: ["ADD", "DEL"])
    func noVersionUnsupported(command: String) throws {
        let commands = FakeCommands()
        commands.supportedVersions = [.v0_4_0, .v1_0_0]
        let error = try errorDocument(Call(command).with(input: #"{"name":"skel-test"}"#).run(commands))
        #expect(
            error
                == CNIError(
                    1, "incompatible CNI versions",
                    details: #"config is "0.1.0", plugin supports ["0.4.0" "1.0.0"]"#))
        #expect(commands.calls.isEmpty)
    }

    @Test("an unknown version is code 1 with the list", arguments: ["ADD", "DEL"])
    func unknownVersion(command: String) throws {
        let input = #"{"name":"skel-test","cniVersion":"9.9.9"}"#
        let error = try errorDocument(Call(command).with(input: input).run(FakeCommands()))
        let supported = #"["0.1.0" "0.2.0" "0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"]"#
        #expect(
            error
                == CNIError(
                    1, "incompatible CNI versions", details: #"config is "9.9.9", plugin supports \#(supported)"#))
    }

    struct Gate: Sendable, CustomTestStringConvertible {
        let command: String
        let config: String
        let plugin: [SpecVersion]
        /// nil when the command runs.
        let error: CNIError?
        var testDescription: String { "\(command) \(config) \(plugin.map(\.rawValue))" }
    }

    static let gates: [Gate] = [
        Gate(
            command: "CHECK", config: "0.3.1", plugin: SpecVersion.allCases,
            error: CNIError(1, "config version does not allow CHECK")),
        Gate(
            command: "CHECK", config: "", plugin: SpecVersion.allCases,
            error: CNIError(1, "config version does not allow CHECK")),
        Gate(command: "CHECK", config: "0.4.0", plugin: SpecVersion.allCases, error: nil),
        Gate(
            command: "CHECK", config: "0.4.0", plugin: [.v0_1_0, .v0_3_1],
            error: CNIError(1, "plugin version does not allow CHECK")),
        Gate(
            command: "CHECK", config: "0.4.0", plugin: [.v1_0_0],
            error: CNIError(
                1, "incompatible CNI versions", details: #"config is "0.4.0", plugin supports ["1.0.0"]"#)),
        Gate(
            command: "CHECK", config: "9.0.0", plugin: SpecVersion.allCases,
            error: CNIError(1, "plugin version does not allow CHECK")),
        Gate(
            command: "GC", config: "1.0.0", plugin: SpecVersion.allCases,
            error: CNIError(1, "config version does not allow GC")),
        Gate(
            command: "GC", config: "1.1.0", plugin: [.v0_4_0, .v1_0_0],
            error: CNIError(1, "plugin version does not allow GC")),
        Gate(command: "GC", config: "1.1.0", plugin: SpecVersion.allCases, error: nil),
        Gate(
            command: "STATUS", config: "1.0.0", plugin: SpecVersion.allCases,
            error: CNIError(1, "config version does not allow STATUS")),
        Gate(
            command: "STATUS", config: "1.1.0", plugin: [.v1_0_0],
            error: CNIError(1, "plugin version does not allow STATUS")),
        Gate(command: "STATUS", config: "1.1.0", plugin: SpecVersion.allCases, error: nil),
        Gate(
            command: "CHECK", config: "0.4.0.0", plugin: SpecVersion.allCases,
            error: CNIError(6, #"invalid version "0.4.0.0": too many parts"#)),
        Gate(
            command: "GC", config: "adsfsadf", plugin: SpecVersion.allCases,
            error: CNIError(6, #"failed to convert major version part "adsfsadf": not a number"#)),
        Gate(
            command: "STATUS", config: "1.x.0", plugin: SpecVersion.allCases,
            error: CNIError(6, #"failed to convert minor version part "x": not a number"#)),
        Gate(
            command: "CHECK", config: "1.1.", plugin: SpecVersion.allCases,
            error: CNIError(6, #"failed to convert micro version part "": not a number"#)),
    ]

    @Test("SK8 SK9 SK10 SK12 version gates of CHECK, GC and STATUS", arguments: gates)
    func gate(gate: Gate) throws {
        let commands = FakeCommands()
        commands.supportedVersions = gate.plugin
        let outcome = Call(gate.command)
            .with(input: #"{"name":"skel-test","cniVersion":"\#(gate.config)"}"#).run(commands)
        if let error = gate.error {
            #expect(try errorDocument(outcome) == error)
            #expect(commands.calls.isEmpty)
        } else {
            #expect(outcome == Outcome())
            #expect(commands.calls.count == 1)
        }
    }

    @Test("SK11 bad network names are code 7", arguments: ["ADD", "DEL", "CHECK", "GC", "STATUS", "NOPE"])
    func badName(command: String) throws {
        let call = Call(command)
        for input in [#"{"cniVersion":"1.1.0"}"#, #"{"name":"","cniVersion":"1.1.0"}"#, "null", #"{"name":null}"#] {
            #expect(
                try errorDocument(call.with(input: input).run(FakeCommands())) == CNIError(7, "missing network name"))
        }
        for name in ["skel-test%", "-a", "a b", "../etc", "a\\u0000b", "ä"] {
            let input = #"{"name":"\#(name)","cniVersion":"1.1.0"}"#
            let error = try errorDocument(call.with(input: input).run(FakeCommands()))
            #expect(error.code == 7)
            #expect(error.message == "invalid characters found in network name")
            #expect(error.details == name.replacing("\\u0000", with: "\0"))
        }
    }

    @Test("SK13 VERSION needs only its command and never reads", arguments: [["CNI_NETNS": "dummy"], [:]])
    func version(others: [String: String]) throws {
        var call = Call("VERSION")
        call.environment = Environment(others.map { ($0.key, $0.value) } + [("CNI_COMMAND", "VERSION")])
        call.readError = .inputOutput
        let commands = FakeCommands()
        let reply =
            #"{"cniVersion":"1.1.0","supportedVersions":["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}"#
        #expect(call.run(commands) == Outcome(output: reply + "\n"))
        commands.supportedVersions = [.v0_4_0]
        #expect(call.run(commands).output == #"{"cniVersion":"1.1.0","supportedVersions":["0.4.0"]}"# + "\n")
        #expect(commands.calls.isEmpty)
    }

    @Test("VERSION as podman asks it, laid out as captured") func capturedVersion() throws {
        var call = Call("VERSION")
        call.environment = try Golden.environment("VERSION.env")
        call.input = try Golden.bytes("VERSION.in")
        let ours = call.run(FakeCommands()).output
        // The captured plugins knew no 1.1.0.
        #expect(
            ours.replacing(#","1.1.0"]"#, with: "]").replacing(#":"1.1.0""#, with: #":"1.0.0""#)
                == (try Golden.text("VERSION.out")))
    }

    @Test("SK14 unknown commands", arguments: ["NOPE", "add", "ADD ", "DELETE"])
    func unknownCommand(command: String) throws {
        let commands = FakeCommands()
        var call = Call(command)
        #expect(try errorDocument(call.run(commands)) == CNIError(4, "unknown CNI_COMMAND: \(command)"))
        // It requires no other variable, but the configuration is looked at first.
        call.environment = Environment([("CNI_COMMAND", command)])
        #expect(try errorDocument(call.run(commands)) == CNIError(4, "unknown CNI_COMMAND: \(command)"))
        #expect(try errorDocument(call.with(input: "{").run(commands)).code == 6)
        #expect(commands.calls.isEmpty)
    }

    @Test("SK15 without a command the about text is for humans", arguments: [nil, ""] as [String?])
    func about(command: String?) throws {
        var call = Call("")
        call.environment["CNI_COMMAND"] = command
        call.readError = .inputOutput
        let commands = FakeCommands()
        commands.name = "firewall"
        commands.supportedVersions = [.v0_4_0, .v1_0_0]
        let outcome = call.run(commands)
        #expect(
            outcome.errorOutput == """
                CNI firewall plugin v1.9.1+swiftlet.\(suiteVersion)
                CNI protocol versions supported: 0.4.0, 1.0.0

                """)
        #expect(outcome.output.isEmpty)
        #expect(outcome.exitStatus == 0)
        commands.name = ""
        #expect(try errorDocument(call.run(commands)) == CNIError(4, "required env variables [CNI_COMMAND] missing"))
    }

    @Test("SK16 unreadable input", arguments: ["ADD", "DEL", "CHECK", "GC", "STATUS", "NOPE"])
    func unreadableInput(command: String) throws {
        var call = Call(command)
        call.readError = .inputOutput
        #expect(
            try errorDocument(call.run(FakeCommands())) == CNIError(5, "error reading from stdin: input/output error"))
    }

    @Test("SK17 an error with a code is passed on as it is") func typedError() throws {
        let commands = FakeCommands()
        commands.failure = CNIError(1234, "insufficient something", details: "more")
        for command in ["ADD", "DEL", "CHECK", "GC", "STATUS"] {
            #expect(
                try errorDocument(Call(command).run(commands))
                    == CNIError(1234, "insufficient something", details: "more"))
        }
    }

    @Test("SK18 any other error gets its code from the table") func untypedError() throws {
        let commands = FakeCommands()
        commands.failure = UntypedError(description: "potato")
        #expect(try errorDocument(Call("ADD").run(commands)) == CNIError(999, "potato"))
    }

    @Test("faults in the configuration carry their place") func configurationFaults() throws {
        let commands = FakeCommands()
        let rows: [(JSON.DecodingError, CNIError)] = [
            (.init(path: "mtu", reason: "expected an integer", kind: .type), CNIError(6, "mtu: expected an integer")),
            (.init(path: "ipam.a", reason: "too small"), CNIError(7, "ipam.a: too small")),
            (.init(path: "vlan", reason: "not here", kind: .unsupported), CNIError(2, "vlan: not here")),
            (
                .init(path: "bridge", reason: "known words", isVerbatim: true),
                CNIError(7, "known words", details: "bridge")
            ),
        ]
        for (failure, expected) in rows {
            commands.failure = failure
            #expect(try errorDocument(Call("ADD").run(commands)) == expected)
        }
        commands.failure = JSON.SyntaxError(reason: "what", line: 1, column: 2)
        #expect(
            try errorDocument(Call("ADD").run(commands)) == CNIError(6, "invalid JSON: what at line 1 column 2"))
    }

    @Test(
        "what is no configuration is code 6 before anything runs", arguments: ["ADD", "DEL", "CHECK", "GC", "STATUS"])
    func undecodable(command: String) throws {
        let deep = String(repeating: "[", count: 100_000)
        let closed = String(repeating: "[", count: 300) + String(repeating: "]", count: 300)
        let inputs = [
            "", " ", "{", "[]", "3", #""name""#, #"{"name":3}"#, #"{"name":"a"} x"#, #"{"name":"a",}"#,
            #"{"name":"a","x":\#(deep)"#, #"{"name":"a","x":\#(closed)}"#, #"{"name":"a","mtu":1e999}"#,
            #"{"name":"a","mtu":99999999999999999999}"#, #"{"name":"a","x":"\ud800"}"#, "\u{FEFF}{}",
        ]
        for input in inputs {
            let error = try errorDocument(Call(command).with(input: input).run(FakeCommands()))
            #expect(error.code == 6, "\(input.prefix(40))")
            #expect(error.message.hasPrefix("error unmarshall network config: "))
        }
        var call = Call(command)
        call.input = Array(#"{"name":"a"#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8)
        #expect(try errorDocument(call.run(FakeCommands())).code == 6)
        let types = [
            #"{"name":"a","cniVersion":1}"#, #"{"name":"a","cniVersion":"1.1.0","type":[]}"#,
            #"{"name":"a","cniVersion":"1.1.0","ipam":"host-local"}"#,
            #"{"name":"a","cniVersion":"1.1.0","ipam":{"type":1}}"#,
        ]
        for input in types {
            #expect(try errorDocument(Call(command).with(input: input).run(FakeCommands())).code == 6)
        }
    }

    @Test("input beyond 1 MiB is refused with the limit") func inputLimit() throws {
        let frame = #"{"name":"a","cniVersion":"1.1.0","x":""}"#
        let full = frame.dropLast(2) + String(repeating: "x", count: 1_048_576 - frame.utf8.count) + #""}"#
        #expect(Call("DEL").with(input: String(full)).run(FakeCommands()).exitStatus == 0)
        let error = try errorDocument(Call("DEL").with(input: full + " ").run(FakeCommands()))
        #expect(error.code == 6)
        #expect(error.message.contains("1048576 bytes"))
    }

    @Test("error documents carry the version when it is known") func errorVersion() throws {
        let commands = FakeCommands()
        commands.failure = CNIError(7, "no \"good\"\n", details: "why")
        let known = Call("ADD").with(input: #"{"name":"a","cniVersion":"0.4.0"}"#).run(commands).output
        #expect(
            known == """
                {
                    "cniVersion": "0.4.0",
                    "code": 7,
                    "msg": "no \\"good\\"\\n",
                    "details": "why"
                }
                """)
        let unknown = Call("ADD", ["CNI_IFNAME": nil]).run(commands).output
        #expect(
            unknown == """
                {
                    "code": 4,
                    "msg": "required env variables [CNI_IFNAME] missing"
                }
                """)
    }

    @Test("a result that cannot be expressed removes what was added") func unprintableResult() throws {
        let commands = FakeCommands()
        let call = Call("ADD").with(input: #"{"name":"a","cniVersion":"0.2.0"}"#)
        let error = try errorDocument(call.run(commands))
        #expect(error.code == 7 && error.message == "cannot convert: no valid IP addresses")
        #expect(error.details.contains("cniVersion 0.3.0 or later"))
        #expect(commands.calls == ["add", "delete"])
        commands.deleteFailure = UntypedError(description: "stuck")
        #expect(try errorDocument(call.run(commands)).details.hasSuffix("removing what was added failed: stuck"))
    }
}
