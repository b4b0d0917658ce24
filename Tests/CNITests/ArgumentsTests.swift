import CNI
import Testing

@Suite("CNI_ARGS") struct ArgumentsTests {
    private func parse(_ raw: String) throws(CNIError) -> CNIArguments {
        try CNIArguments(parsing: raw, known: ["IP", "MAC"])
    }

    @Test("SK19 known keys, the last one counts") func known() throws {
        #expect(try parse("")["IP"] == nil)
        let arguments = try parse("IP=10.0.0.2;MAC=02:00:00:00:00:01;IP=10.0.0.3")
        #expect(arguments["IP"] == "10.0.0.3")
        #expect(arguments["MAC"] == "02:00:00:00:00:01")
        #expect(arguments["GATEWAY"] == nil)
        #expect(try parse("IP=")["IP"] == "")
    }

    @Test(
        "SK19 IgnoreUnknown and its spellings",
        arguments: [("True", true), ("true", true), ("1", true), ("False", false), ("false", false), ("0", false)])
    func booleans(text: String, ignores: Bool) throws {
        // Its place does not matter.
        for raw in ["IgnoreUnknown=\(text);FOO=1", "FOO=1;IgnoreUnknown=\(text)"] {
            if ignores {
                #expect(try parse(raw)["FOO"] == nil)
            } else {
                #expect(throws: CNIError(999, #"ARGS: unknown args ["FOO=1"]"#)) { try parse(raw) }
            }
        }
    }

    @Test(
        "SK19 what is refused, in the reference's words",
        arguments: [
            ("K", #"ARGS: invalid pair "K""#), ("IP=1;", #"ARGS: invalid pair """#), (";", #"ARGS: invalid pair """#),
            ("IP=a=b", #"ARGS: invalid pair "IP=a=b""#), ("IgnoreUnknown=1;K", #"ARGS: invalid pair "K""#),
            ("FOO=1", #"ARGS: unknown args ["FOO=1"]"#), ("A=1;IP=x;B=2", #"ARGS: unknown args ["A=1" "B=2"]"#),
            ("ip=1", #"ARGS: unknown args ["ip=1"]"#),
            ("IgnoreUnknown=1;IgnoreUnknown=0;A=1", #"ARGS: unknown args ["A=1"]"#),
            (
                "IgnoreUnknown=Xyz",
                #"ARGS: error parsing value of pair "IgnoreUnknown=Xyz": boolean unmarshal error: invalid input xyz"#
            ),
            ("A\"\u{1}=\t", #"ARGS: unknown args ["A\"\x01=\t"]"#),
            ("IP=\u{301}1;=", #"ARGS: unknown args ["="]"#),
        ])
    func refused(raw: String, message: String) {
        #expect(throws: CNIError(999, message)) { try parse(raw) }
    }

    @Test("what runtimes send") func runtimes() throws {
        let podman = try parse("IgnoreUnknown=1;K8S_POD_NAME=web;MAC=02:aa:bb:cc:dd:01;IP=10.88.0.77")
        #expect(podman["MAC"] == "02:aa:bb:cc:dd:01")
        #expect(podman["IP"] == "10.88.0.77")
        let containerd = try parse(
            "K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_INFRA_CONTAINER_ID=c;K8S_POD_UID=d;IgnoreUnknown=1")
        #expect(containerd["IP"] == nil)
    }

    @Test("a value the plugin cannot use") func invalidValue() throws {
        #expect(
            try parse("IP=x").invalidValue(of: "IP", "invalid IP address: x")
                == CNIError(999, #"ARGS: error parsing value of pair "IP=x": invalid IP address: x"#))
    }
}
