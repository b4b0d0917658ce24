import Glibc
import JSON
import System
import Testing

@testable import CNI

/// A directory of shell scripts that play plugins; removed with the value.
final class FakePlugins {
    let directory: String

    init() throws {
        var random = KernelRandom()
        directory = "\(Environment.current()["TMPDIR"] ?? "/tmp")/swiftlet-delegate-\(String(random.next(), radix: 16))"
        try Files.makeDirectories(directory, mode: 0o755)
    }

    deinit {
        for name in (try? Files.list(directory)) ?? [] {
            if (try? Files.remove("\(directory)/\(name)")) == nil { unsafe rmdir("\(directory)/\(name)") }
        }
        unsafe rmdir(directory)
    }

    func path(_ name: String) -> String { "\(directory)/\(name)" }

    /// Writes an executable script. Its parts are unquoted shell.
    @discardableResult
    func script(_ name: String, _ body: String, mode: UInt32 = 0o755) throws -> String {
        // Not by a descriptor of ours: a child that another test starts at this moment would hold it until its exec, and
        // the script were busy for as long.
        let outcome = try Spawn.run(
            "/bin/sh",
            arguments: ["sh", "-c", #"cat >"$1" && chmod "$2" "$1""#, "sh", path(name), String(mode, radix: 8)],
            environment: Environment([("PATH", "/usr/bin:/bin")]), input: Array("#!/bin/sh\n\(body)\n".utf8))
        #expect(outcome.status == 0)
        return path(name)
    }

    func request(version: SpecVersion = .v1_1_0) throws -> Request {
        let input = Array(#"{"name":"net","cniVersion":"\#(version.rawValue)","ipam":{"type":"ipam"}}"#.utf8)
        let environment = Environment([
            ("CNI_COMMAND", "CHECK"), ("CNI_CONTAINERID", "c"), ("CNI_NETNS", "/run/netns/x"),
            ("CNI_IFNAME", "eth0"), ("CNI_ARGS", "A=1;B=2"), ("CNI_PATH", directory), ("PATH", "/usr/bin:/bin"),
            ("TRACEPARENT", "00-1"), ("EMPTY", ""),
        ])
        return Request(
            invocation: Invocation(
                command: .add, containerID: "c", netns: "/run/netns/x", interfaceName: "eth0",
                arguments: "A=1;B=2", path: [directory], environment: environment, input: input),
            configuration: try NetworkConfiguration(parsing: input))
    }
}

/// A file that stays open for writing until told otherwise.
private final class Writer {
    private var file: OwnedFD?

    init(_ file: consuming OwnedFD) { self.file = consume file }

    var isOpen: Bool { file != nil }
    func close() { file = nil }
}

@Suite("Delegation", .serialized) struct DelegateTests {
    let plugins: FakePlugins

    init() throws { plugins = try FakePlugins() }

    private func expectError(_ expected: CNIError, _ body: () throws -> Void) {
        #expect(throws: expected) { try body() }
    }

    @Test("lookup: first regular file, executable or not, empty directories skipped") func find() throws {
        try plugins.script("host-local", "exit 0")
        let (directory, path) = (plugins.directory, plugins.path("host-local"))
        #expect(try Delegate.find("host-local", in: ["/nonexistent", directory]) == path)
        #expect(try Delegate.find("host-local", in: ["", directory + "/"]) == path)
        try Files.makeDirectories(plugins.path("folder"), mode: 0o755)
        expectError(CNIError(104, #"failed to find plugin "folder" in path [\#(directory)]"#)) {
            _ = try Delegate.find("folder", in: [directory])
        }
        expectError(CNIError(104, #"failed to find plugin "none" in path [/a /b]"#)) {
            _ = try Delegate.find("none", in: ["/a", "/b"])
        }
        expectError(CNIError(7, "no plugin name provided")) { _ = try Delegate.find("", in: [directory]) }
        for name in ["../x", "/bin/true", "host-local\0"] {
            expectError(CNIError(7, "invalid plugin name: \(name)")) {
                _ = try Delegate.find(name, in: [directory])
            }
        }
        expectError(CNIError(4, "no paths provided")) { _ = try Delegate.find("x", in: []) }
        expectError(CNIError(4, "no paths provided")) { _ = try Delegate.find("x", in: [""]) }
    }

    @Test("the delegate gets our environment with its command, and the whole configuration") func environment() throws {
        let record = plugins.path("record")
        try plugins.script("ipam", #"env | sort > \#(record).env; cat > \#(record).in; echo null"#)
        let request = try plugins.request()
        let runs: [(String, () throws -> Void)] = [
            ("ADD", { _ = try Delegate.add(type: "ipam", request: request) }),
            ("DEL", { try Delegate.delete(type: "ipam", request: request) }),
            ("CHECK", { try Delegate.check(type: "ipam", request: request) }),
            ("GC", { try Delegate.collectGarbage(type: "ipam", request: request) }),
            ("STATUS", { try Delegate.status(type: "ipam", request: request) }),
        ]
        for (command, run) in runs {
            try run()
            var expected = request.invocation.environment
            expected["CNI_COMMAND"] = command
            let lines = try Files.text("\(record).env").split(separator: "\n").map(String.init)
            for (name, value) in expected.variables { #expect(lines.contains("\(name)=\(value)")) }
            // The shell adds PWD and the like, but nothing of the protocol.
            #expect(lines.filter { $0.hasPrefix("CNI_") }.count == 6)
            #expect(try Files.read("\(record).in") == request.configuration.bytes)
        }
    }

    @Test("another configuration can be handed on") func otherConfiguration() throws {
        let record = plugins.path("record")
        try plugins.script("ipam", "cat > \(record)")
        let other = Array(#"{"name":"other"}"#.utf8)
        try Delegate.delete(type: "ipam", request: plugins.request(), configuration: other)
        #expect(try Files.read(record) == other)
    }

    @Test("results: own version, ours when it has none, null") func results() throws {
        let request = try plugins.request(version: .v0_2_0)
        let address = try #require(IPPrefixes.four)
        let expected = CNIResult(addresses: [.init(address: address)])
        try plugins.script(
            "own", #"echo '{"cniVersion":"1.0.0","ips":[{"address":"10.1.2.3/24"}]}'"#)
        #expect(try Delegate.add(type: "own", request: request) == expected)
        for version in [#""cniVersion":"","#, #""cniVersion":1,"#, ""] {
            try plugins.script("ours", #"echo '{\#(version)"ip4":{"ip":"10.1.2.3/24"}}'"#)
            #expect(try Delegate.add(type: "ours", request: request) == expected)
        }
        try plugins.script("nothing", "echo null")
        #expect(try Delegate.add(type: "nothing", request: request) == CNIResult())
    }

    @Test("results that cannot be read") func badResults() throws {
        let request = try plugins.request()
        try plugins.script("empty", "exit 0")
        expectError(CNIError(104, "failed to unmarshal raw result: unexpected end of JSON input")) {
            _ = try Delegate.add(type: "empty", request: request)
        }
        try plugins.script("future", #"echo '{"cniVersion":"9.9.9"}'"#)
        expectError(CNIError(104, #"unsupported CNI result version "9.9.9""#)) {
            _ = try Delegate.add(type: "future", request: request)
        }
        for garbage in ["hello", "[]", "{", "3"] {
            try plugins.script("garbage", "echo '\(garbage)'")
            #expect {
                try Delegate.add(type: "garbage", request: request)
            } throws: { error in
                let error = error as? CNIError
                return error?.code == 104 && error?.message.hasPrefix("failed to unmarshal raw result: ") == true
            }
        }
        try plugins.script("wrong", #"echo '{"ips":[{"address":"x"}]}'"#)
        expectError(CNIError(6, "ips[0].address: invalid CIDR address: x")) {
            _ = try Delegate.add(type: "wrong", request: request)
        }
        // The other commands have no result to read.
        try Delegate.delete(type: "garbage", request: request)
    }

    @Test("the delegate's own error is passed on as it is", arguments: [3, 7, 11, 50, 103, 999])
    func errorDocument(code: Int) throws {
        try plugins.script(
            "ipam",
            #"echo '{"cniVersion":"1.0.0","code":\#(code),"msg":"no addresses","details":"in range"}'; exit 1"#)
        let request = try plugins.request()
        let expected = CNIError(code, "no addresses", details: "in range")
        expectError(expected) { _ = try Delegate.add(type: "ipam", request: request) }
        expectError(expected) { try Delegate.delete(type: "ipam", request: request) }
        expectError(expected) { try Delegate.status(type: "ipam", request: request) }
    }

    @Test(
        "failures without an error document are described",
        arguments: [
            ("exit 3", "netplugin failed with no error message: exit status 3"),
            ("kill -9 $$", "netplugin failed with no error message: killed by signal 9"),
            ("echo oops >&2; exit 1", #"netplugin failed: "oops\n": exit status 1"#),
            ("echo oops >&2; kill -15 $$", #"netplugin failed: "oops\n": killed by signal 15"#),
            ("echo panic; exit 2", #"netplugin failed but error parsing its diagnostic message "panic\n": "#),
            ("echo '[]'; exit 1", #"netplugin failed but error parsing its diagnostic message "[]\n": "#),
            ("echo '{}'; exit 1", "netplugin failed with no error message: exit status 1"),
            (#"echo '{"msg":"text"}'; exit 1"#, "text"),
            ("head -c 2000000 /dev/zero", "netplugin failed with no error message: its output is larger than"),
        ])
    func undocumented(body: String, message: String) throws {
        try plugins.script("ipam", body)
        let request = try plugins.request()
        let sink = try OwnedFD(opening: "/dev/null", flags: O_WRONLY)
        #expect {
            try Delegate.run(
                plugins.path("ipam"), command: .delete, invocation: request.invocation, configuration: [],
                standardError: sink.rawValue, pause: { pause(milliseconds: 10) })
        } throws: { error in
            guard let error = error as? CNIError else { return false }
            #expect(error.message.hasPrefix(message), "\(error.message)")
            #expect(message == "text" || error.details == "DEL of delegate \(plugins.path("ipam"))")
            return error.code == 104
        }
    }

    @Test("a long complaint is cut") func excerpt() throws {
        try plugins.script("ipam", "head -c 100000 /dev/zero | tr '\\0' x; exit 1")
        #expect {
            try Delegate.delete(type: "ipam", request: plugins.request())
        } throws: { error in
            let message = (error as? CNIError)?.message ?? ""
            return message.contains("xxx…") && message.utf8.count < 2000
        }
    }

    @Test("what cannot be executed is described") func notExecutable() throws {
        try plugins.script("ipam", "exit 0", mode: 0o644)
        #expect {
            try Delegate.delete(type: "ipam", request: plugins.request())
        } throws: { error in
            let error = error as? CNIError
            return error?.code == 104 && error?.message.contains("permission denied (EACCES)") == true
        }
    }

    @Test("what the delegate writes to standard error goes to ours", arguments: ["exit 0", "exit 1"])
    func standardError(ending: String) throws {
        try plugins.script("ipam", "echo warning >&2; echo '{\"code\":7,\"msg\":\"m\"}'; \(ending)")
        let request = try plugins.request()
        let target = plugins.path("stderr")
        let file = try OwnedFD(opening: target, flags: O_WRONLY | O_CREAT, mode: 0o600)
        _ = try? Delegate.run(
            plugins.path("ipam"), command: .delete, invocation: request.invocation, configuration: [],
            standardError: file.rawValue, pause: { pause(milliseconds: 10) })
        #expect(try Files.text(target) == "warning\n")
    }

    @Test("a busy executable is tried six times in all") func busy() throws {
        let path = try plugins.script("ipam", "echo done")
        let invocation = try plugins.request().invocation
        let writer = Writer(try OwnedFD(opening: path, flags: O_WRONLY))
        var pauses = 0
        let run = { (release: Int) throws -> [UInt8] in
            pauses = 0
            return try Delegate.run(
                path, command: .add, invocation: invocation, configuration: [], standardError: 2,
                pause: {
                    pauses += 1
                    if pauses == release { writer.close() }
                    // A child that another test starts at this moment may hold the descriptor until its exec.
                    if pauses >= release { System.pause(milliseconds: 200) }
                })
        }
        #expect {
            try run(100)
        } throws: { error in
            (error as? CNIError)?.message.contains("text file busy (ETXTBSY)") == true
        }
        #expect(pauses == 5)
        #expect(writer.isOpen)
        #expect(try run(3) == Array("done\n".utf8))
        #expect(pauses >= 3)
    }

    @Test("a delegate that does not read its input is no failure") func closedInput() throws {
        try plugins.script("ipam", "exec 0<&-; echo null")
        var request = try plugins.request()
        let padding = String(repeating: "x", count: 500_000)
        let input = Array(#"{"name":"net","cniVersion":"1.1.0","x":"\#(padding)"}"#.utf8)
        request = Request(
            invocation: request.invocation, configuration: try NetworkConfiguration(parsing: input))
        #expect(try Delegate.add(type: "ipam", request: request) == CNIResult())
    }
}
