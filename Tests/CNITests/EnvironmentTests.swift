import CNI
import System
import Testing

@Suite("Environment") struct EnvironmentTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let command: String
        let required: [String]
        var testDescription: String { command }
    }

    static let table = [
        Row(command: "ADD", required: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]),
        Row(command: "DEL", required: ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"]),
        Row(command: "CHECK", required: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]),
        Row(command: "GC", required: ["CNI_PATH"]),
        Row(command: "STATUS", required: ["CNI_PATH"]),
    ]

    @Test("SK1 each variable alone missing or empty", arguments: table)
    func matrix(row: Row) throws {
        for name in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"] {
            for value in [nil, ""] as [String?] {
                let commands = FakeCommands()
                let outcome = Call(row.command, [name: value]).run(commands)
                if row.required.contains(name) {
                    #expect(
                        try errorDocument(outcome) == CNIError(4, "required env variables [\(name)] missing"))
                    #expect(commands.calls.isEmpty)
                } else {
                    #expect(outcome.exitStatus == 0, "\(row.command) does not need \(name): \(outcome.output)")
                    #expect(commands.calls.count == 1)
                }
            }
        }
    }

    @Test("SK2 all missing variables are listed, in order", arguments: table)
    func severalMissing(row: Row) throws {
        var call = Call(row.command)
        call.environment = Environment([("CNI_COMMAND", row.command)])
        let error = try errorDocument(call.run(FakeCommands()))
        #expect(error == CNIError(4, "required env variables [\(row.required.joined(separator: ","))] missing"))
    }

    @Test("SK2 the captions of the reference tests") func missingTriple() throws {
        let outcome = Call("ADD", ["CNI_NETNS": nil, "CNI_IFNAME": nil, "CNI_PATH": nil]).run(FakeCommands())
        #expect(
            try errorDocument(outcome).message == "required env variables [CNI_NETNS,CNI_IFNAME,CNI_PATH] missing")
    }

    @Test("an invalid variable is reported before missing ones") func invalidBeforeMissing() throws {
        let outcome = Call("ADD", ["CNI_CONTAINERID": "no good", "CNI_NETNS": nil]).run(FakeCommands())
        #expect(try errorDocument(outcome).message == "invalid characters in containerID")
    }

    @Test(
        "SK4 SK20 bad container ids are code 4 with the id in details",
        arguments: ["1234%%%", "-a", ".a", "_a", "a b", "a/b", "a\n", "ä", "a\u{301}", "%"])
    func badContainerID(id: String) throws {
        for command in ["ADD", "DEL", "CHECK"] {
            let commands = FakeCommands()
            let outcome = Call(command, ["CNI_CONTAINERID": id]).run(commands)
            #expect(try errorDocument(outcome) == CNIError(4, "invalid characters in containerID", details: id))
            #expect(commands.calls.isEmpty)
        }
    }

    @Test(
        "SK20 good container ids",
        arguments: ["a51debf7e1eb", "A", "0", "a_b.c-d", String(repeating: "f", count: 4096)])
    func goodContainerID(id: String) {
        let commands = FakeCommands()
        #expect(Call("ADD", ["CNI_CONTAINERID": id]).run(commands).exitStatus == 0)
        #expect(commands.request?.attachment.containerID == id)
    }

    @Test("GC and STATUS do not look at container and interface", arguments: ["GC", "STATUS"])
    func garbageCollectionIgnoresIDs(command: String) {
        let outcome = Call(command, ["CNI_CONTAINERID": "%%", "CNI_IFNAME": "a/b"]).run(FakeCommands())
        #expect(outcome == Outcome())
    }

    @Test(
        "SK5 bad interface names",
        arguments: [
            ("1234567890123456", "interface name is too long"), (".", "interface name is . or .."),
            ("..", "interface name is . or .."),
            ("test/test", "interface name contains / or : or whitespace characters"),
            ("test:test", "interface name contains / or : or whitespace characters"),
            ("test test", "interface name contains / or : or whitespace characters"),
            ("a\u{2003}b", "interface name contains / or : or whitespace characters"),
            ("a/\u{301}", "interface name contains / or : or whitespace characters"),
        ])
    func badInterfaceName(name: String, message: String) throws {
        for command in ["ADD", "DEL", "CHECK"] {
            let commands = FakeCommands()
            let error = try errorDocument(Call(command, ["CNI_IFNAME": name]).run(commands))
            let details =
                message.hasSuffix("too long") ? "interface name should be less than 16 characters" : ""
            #expect(error == CNIError(4, message, details: details))
            #expect(commands.calls.isEmpty)
        }
    }

    @Test("interface names of one to fifteen bytes are fine", arguments: ["e", "123456789012345", "eth0.1", "äöü"])
    func goodInterfaceName(name: String) {
        #expect(Call("ADD", ["CNI_IFNAME": name]).run(FakeCommands()).exitStatus == 0)
    }
}
