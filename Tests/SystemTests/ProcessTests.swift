import System
import Testing

@Suite("Processes")
struct ProcessTests {
    private let plain = Environment([("PATH", "/usr/bin:/bin")])

    private func shell(_ script: String, input: [UInt8] = []) throws -> ProcessOutcome {
        try Spawn.run("/bin/sh", arguments: ["sh", "-c", script], environment: plain, input: input)
    }

    @Test("status, output and error output are told apart")
    func outcome() throws {
        let outcome = try shell("echo out; echo err >&2; exit 7")
        #expect(outcome.status == 7)
        #expect(outcome.output == Array("out\n".utf8))
        #expect(outcome.errorOutput == Array("err\n".utf8))
        #expect(try shell("kill -TERM $$").status == -15)
        #expect(try shell("exit 0").status == 0)
    }

    @Test("two megabytes go in and come out without blocking each other")
    func big() throws {
        let input = (0..<(2 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let outcome = try Spawn.run("/bin/cat", arguments: ["cat"], environment: plain, input: input)
        #expect(outcome.status == 0)
        #expect(outcome.output == input)
        #expect(try shell("cat >&2", input: input).errorOutput == input)
    }

    @Test("a child that does not read its input is no error")
    func unread() throws {
        let outcome = try shell("echo done", input: [UInt8](repeating: 65, count: 1 << 20))
        #expect(outcome.status == 0 && outcome.output == Array("done\n".utf8))
        #expect(try shell("exec <&-; echo done", input: [UInt8](repeating: 65, count: 1 << 20)).status == 0)
    }

    @Test("output beyond the limit ends the run")
    func limit() {
        #expect(throws: SystemError("run", "/bin/sh", .fileTooLarge)) {
            try Spawn.run(
                "/bin/sh", arguments: ["sh", "-c", "while :; do echo xxxxxxxxxxxxxxxx; done"], environment: plain,
                limit: 100_000)
        }
    }

    @Test(
        "a program that cannot be run",
        arguments: [
            ("/nonexistent/program", Errno.noSuchFileOrDirectory), ("/etc/passwd", .permissionDenied),
            ("/etc/passwd/x", .notDirectory),
        ])
    func cannotRun(path: String, errno: Errno) {
        #expect(throws: SystemError("exec", path, errno)) {
            try Spawn.run(path, arguments: [path], environment: plain)
        }
    }

    @Test("a program that is being written is busy, and only as long as it is")
    func busy() throws {
        let scratch = try Scratch()
        let path = try scratch.file("program", "", mode: 0o755)
        do {
            let writer = try OwnedFD(existing: path, isWritable: true)
            try writer.writeAll(Files.read("/bin/true"))
            #expect(throws: SystemError("exec", path, .textFileBusy)) {
                try Spawn.run(path, arguments: ["true"], environment: plain)
            }
        }
        // A child that another test starts at this moment may hold the descriptor until its exec.
        var outcome: ProcessOutcome?
        for _ in 0..<200 where outcome == nil {
            outcome = try? Spawn.run(path, arguments: ["true"], environment: plain)
            if outcome == nil { pause(milliseconds: 10) }
        }
        #expect(outcome?.status == 0)
    }

    @Test("arguments and environment arrive as given, and no descriptor of ours")
    func arguments() throws {
        let scratch = try Scratch()
        let held = try OwnedFD(existing: scratch.file("held", ""))
        let outcome = try Spawn.run(
            "/bin/sh",
            arguments: [
                "zero", "-c", #"printf '%s|' "$0" "$@" "$ONE" "$TWO"; ls -l /proc/self/fd >&2"#, "a b", "", "ü",
            ],
            environment: Environment([("PATH", "/usr/bin:/bin"), ("ONE", "1=1"), ("TWO", "")]))
        #expect(String(decoding: outcome.output, as: UTF8.self) == "a b||ü|1=1||")
        let descriptors = String(decoding: outcome.errorOutput, as: UTF8.self)
        #expect(descriptors.contains("pipe:") && !descriptors.contains(scratch.path))
        _ = consume held
    }

    @Test("an environment keeps order; setting replaces every occurrence")
    func environment() {
        var environment = Environment([("A", "1"), ("B", "2"), ("A", "3")])
        #expect(environment["A"] == "1" && environment["C"] == nil)
        environment["A"] = "4"
        #expect(environment.variables.map(\.name) == ["B", "A"])
        environment["B"] = nil
        #expect(environment == Environment([("A", "4")]))
        #expect(Environment.current()["PATH"] != nil)
    }
}

@Suite("Transactions")
struct TransactionTests {
    private struct Failure: Error, CustomStringConvertible { let description: String }
    private final class Log { var lines: [String] = [] }

    @Test("rolling back undoes in reverse, goes on past failures and reports them")
    func rollBack() {
        let log = Log()
        var transaction = Transaction()
        transaction.push("one") { log.lines.append("one") }
        transaction.push("two") {
            log.lines.append("two")
            throw Failure(description: "it is gone")
        }
        transaction.push("three") { log.lines.append("three") }
        #expect(transaction.depth == 3)
        #expect(transaction.rollBack() == ["undo of two failed: it is gone"])
        #expect(log.lines == ["three", "two", "one"])
    }

    @Test("committing keeps everything")
    func commit() {
        let log = Log()
        var transaction = Transaction()
        transaction.push("one") { log.lines.append("one") }
        transaction.commit()
        #expect(log.lines.isEmpty)
    }

    @Test("an early throw undoes in reverse")
    func earlyThrow() {
        let log = Log()
        func work() throws {
            var transaction = Transaction()
            transaction.push("one") { log.lines.append("one") }
            transaction.push("two") {
                log.lines.append("two")
                throw Failure(description: "ignored")
            }
            if log.lines.isEmpty { throw Failure(description: "step three") }
            transaction.commit()
        }
        #expect(throws: Failure.self) { try work() }
        #expect(log.lines == ["two", "one"])
    }
}

@Suite("Namespaces and errors")
struct NamespaceTests {
    @Test("paths that are no namespace")
    func errors() throws {
        let scratch = try Scratch()
        func reason(_ path: String) -> NamespaceError.Reason? {
            do {
                _ = try NetworkNamespace(path: path)
                return nil
            } catch {
                return error.reason
            }
        }
        #expect(reason("\(scratch.path)/none") == .gone)
        let file = try scratch.file("file", "")
        #expect(reason("\(file)/below") == .gone)
        guard case .notNamespace? = reason(file) else {
            Issue.record("a plain file was taken for a namespace")
            return
        }
        #expect(reason("/proc/self/ns/net") == nil)
        #expect(
            NamespaceError(path: "/x", reason: .notNamespace(magic: 0xEF53)).description
                == "failed to open netns \"/x\": unknown FS magic on \"/x\": ef53")
        #expect(
            NamespaceError(path: "/x", reason: .gone).description
                == "failed to open netns \"/x\": failed to Statfs \"/x\": no such file or directory")
    }

    @Test("a plain file of /proc, or a namespace of another kind, is no network namespace")
    func plainProcFile() throws {
        #expect(throws: NamespaceError(path: "/proc/self/status", reason: .notNamespace(magic: 0x9FA0))) {
            _ = try NetworkNamespace(path: "/proc/self/status").descriptor
        }
        #expect(throws: NamespaceError(path: "/proc/self/ns/uts", reason: .otherKind)) {
            _ = try NetworkNamespace(path: "/proc/self/ns/uts").descriptor
        }
    }

    @Test("the current namespace is the same as itself")
    func same() throws {
        let one = try NetworkNamespace.current(), two = try NetworkNamespace(path: "/proc/self/ns/net")
        #expect(try one.isSame(as: two))
    }

    @Test("a thread's result and error come back")
    func threads() throws {
        #expect(try onThread { 42 } == 42)
        #expect(throws: SystemError("a", "b", .noSpace)) { try onThread { throw SystemError("a", "b", .noSpace) } }
    }

    @Test("error numbers have names and texts")
    func errno() {
        #expect(Errno.noSuchFileOrDirectory.name == "ENOENT")
        #expect(Errno.noSuchFileOrDirectory.description == "no such file or directory")
        #expect(Errno(rawValue: 4711).name == "errno 4711")
        #expect(Errno(rawValue: 4711).description == "unknown error")
    }

    @Test("kernel parameters are read without their newline")
    func sysctl() throws {
        #expect(try Sysctl.read("kernel/ostype") == "Linux")
        #expect(throws: SystemError("open", "/proc/sys/kernel/no_such", .noSuchFileOrDirectory)) {
            try Sysctl.read("kernel/no_such")
        }
        // Writing what is there already writes nothing, so that even a constant may be "written".
        #expect(try Sysctl.write("kernel/ostype", "Linux") == nil)
    }

    @Test("the monotonic clock does not go back; random numbers differ")
    func clocks() {
        let before = monotonicNanoseconds()
        #expect(monotonicNanoseconds() >= before)
        var random = KernelRandom()
        #expect(Set((0..<8).map { _ in random.next() }).count == 8)
    }
}
