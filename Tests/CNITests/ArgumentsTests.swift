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
        arguments: [
            ("True", true), ("true", true), ("TRUE", true), ("T", true), ("t", true), ("1", true), ("False", false),
            ("false", false), ("FALSE", false), ("F", false), ("f", false), ("0", false),
        ])
    func booleans(text: String, ignores: Bool) throws {
        // Its place does not matter.
        for raw in ["IgnoreUnknown=\(text);FOO=1", "FOO=1;IgnoreUnknown=\(text)"] {
            if ignores {
                #expect(try parse(raw)["FOO"] == nil)
            } else {
                let error = #expect(throws: CNIError.self) { try parse(raw) }
                #expect(error?.code == 4)
                #expect(error?.message == #"CNI_ARGS: unknown args ["FOO=1"]"#)
                #expect(error?.details == "known are IP, MAC; IgnoreUnknown=1 passes over all others")
            }
        }
    }

    @Test(
        "SK19 what is refused, in the reference's words",
        arguments: [
            ("K", #"invalid pair "K""#), ("=1", #"invalid pair "=1""#), ("IP", #"invalid pair "IP""#),
            ("IgnoreUnknown=1;IP", #"invalid pair "IP""#),
            ("FOO=1", #"unknown args ["FOO=1"]"#), ("A=1;IP=x;B=2", #"unknown args ["A=1" "B=2"]"#),
            ("ip=1", #"unknown args ["ip=1"]"#), ("FOO=a=b", #"unknown args ["FOO=a=b"]"#),
            ("IgnoreUnknown=1;IgnoreUnknown=0;A=1", #"unknown args ["A=1"]"#),
            (
                "IgnoreUnknown=Xyz",
                #"error parsing value of pair "IgnoreUnknown=Xyz": boolean unmarshal error: invalid input xyz"#
            ),
            (
                "IgnoreUnknown",
                #"error parsing value of pair "IgnoreUnknown": boolean unmarshal error: invalid input "#
            ),
            ("A\"\u{1}=\t", #"unknown args ["A\"\x01=\t"]"#),
            ("IP=\u{301}1;=", #"invalid pair "=""#),
        ])
    func refused(raw: String, message: String) {
        let error = #expect(throws: CNIError.self) { try parse(raw) }
        #expect(error?.code == 4)
        #expect(error?.message == "CNI_ARGS: \(message)")
        #expect(error?.details.isEmpty == false)
    }

    @Test("SK19 what the reference refuses and means something: empty pairs, and values with =") func lenient() throws {
        for raw in ["IP=1;", ";IP=1", "IP=1;;", "MAC=x;;IP=1;"] { #expect(try parse(raw)["IP"] == "1") }
        #expect(try parse(";")["IP"] == nil)
        #expect(try parse("IP=a=b")["IP"] == "a=b")
        #expect(try parse("IP==")["IP"] == "=")
    }

    @Test("SK19 IgnoreUnknown passes over whatever is not known", arguments: ["FOO", "=1", "=", "FOO=a=b", "FOO="])
    func passedOver(word: String) throws {
        for raw in ["IgnoreUnknown=t;\(word);IP=1", "\(word);IP=1;IgnoreUnknown=1;"] {
            #expect(try parse(raw)["IP"] == "1")
        }
    }

    @Test("what runtimes send") func runtimes() throws {
        let podman = try parse("IgnoreUnknown=1;K8S_POD_NAME=web;MAC=02:aa:bb:cc:dd:01;IP=10.88.0.77")
        #expect(podman["MAC"] == "02:aa:bb:cc:dd:01")
        #expect(podman["IP"] == "10.88.0.77")
        let containerd = try parse(
            "K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_INFRA_CONTAINER_ID=c;K8S_POD_UID=d;IgnoreUnknown=1")
        #expect(containerd["IP"] == nil)
    }
}
