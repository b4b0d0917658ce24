import CNI
import System
import Testing

@Suite("Namespace guard") struct NamespaceGuardTests {
    static let noNamespace = CNIError(8, "failed to open netns")

    private func call(_ command: String, _ error: CNIError, _ changes: [String: String?] = [:]) -> Call {
        var call = Call(command, changes)
        call.checkNamespace = { path throws(CNIError) in
            #expect(path == "/some/netns/path")
            throw error
        }
        return call
    }

    @Test("SK22 our own namespace is refused before any work", arguments: ["ADD", "DEL", "CHECK"])
    func ownNamespace(command: String) throws {
        let commands = FakeCommands()
        let outcome = call(command, .ownNamespace).run(commands)
        #expect(
            try errorDocument(outcome)
                == CNIError(8, "plugin's netns and netns from CNI_NETNS should not be the same"))
        #expect(commands.calls.isEmpty)
    }

    @Test("SK22 unless CNI_NETNS_OVERRIDE is set", arguments: ["1", "true", "TRUE", "tRuE"])
    func override(value: String) {
        for command in ["ADD", "DEL", "CHECK"] {
            let commands = FakeCommands()
            let outcome = call(command, .ownNamespace, ["CNI_NETNS_OVERRIDE": value]).run(commands)
            #expect(outcome.exitStatus == 0)
            #expect(commands.calls.count == 1)
        }
    }

    @Test("SK22 other values of CNI_NETNS_OVERRIDE do nothing", arguments: ["", "0", "yes", "false", " 1"])
    func noOverride(value: String) throws {
        let outcome = call("ADD", .ownNamespace, ["CNI_NETNS_OVERRIDE": value]).run(FakeCommands())
        #expect(try errorDocument(outcome).code == 8)
    }

    @Test("ADD and CHECK need a namespace, override or not", arguments: ["ADD", "CHECK"])
    func noNamespace(command: String) throws {
        for changes in [[:], ["CNI_NETNS_OVERRIDE": "1"]] as [[String: String?]] {
            let commands = FakeCommands()
            #expect(try errorDocument(call(command, Self.noNamespace, changes).run(commands)) == Self.noNamespace)
            #expect(commands.calls.isEmpty)
        }
    }

    @Test("DEL works when the namespace is gone or never was one") func deleteWithoutNamespace() {
        let commands = FakeCommands()
        #expect(call("DEL", Self.noNamespace).run(commands) == Outcome())
        #expect(call("DEL", .ownNamespace, ["CNI_NETNS": ""]).run(commands) == Outcome())
        #expect(commands.calls == ["delete", "delete"])
    }

    @Test("GC and STATUS have no namespace", arguments: ["GC", "STATUS"])
    func garbageCollection(command: String) {
        #expect(call(command, .ownNamespace).run(FakeCommands()) == Outcome())
    }

    @Test("a plugin that does not enter the namespace only keeps off its own") func addressManager() throws {
        let commands = FakeCommands()
        commands.needsNamespace = false
        #expect(call("ADD", Self.noNamespace).run(commands).exitStatus == 0)
        #expect(try errorDocument(call("ADD", .ownNamespace).run(commands)).code == 8)
    }

    @Test("the real check knows our own namespace, files and nothing") func realCheck() {
        #expect(throws: CNIError.ownNamespace) {
            try Dispatcher.checkNamespacePath("/proc/thread-self/ns/net")
        }
        let gone = #"failed to open netns "/nope": failed to Statfs "/nope": no such file or directory"#
        #expect(throws: CNIError(8, gone)) { try Dispatcher.checkNamespacePath("/nope") }
        #expect {
            try Dispatcher.checkNamespacePath("/etc/passwd")
        } throws: { error in
            (error as? CNIError)?.message.hasPrefix(
                #"failed to open netns "/etc/passwd": unknown FS magic on "/etc/passwd": "#) == true
        }
    }
}
