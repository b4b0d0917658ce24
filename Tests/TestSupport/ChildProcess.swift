internal import CLinux
internal import Glibc
public import System

/// How a child that was given a time limit ended.
public struct ChildOutcome: Sendable {
    /// The exit status, or the negated number of the signal that ended it.
    public let status: Int32
    /// What it wrote to standard output.
    public let output: [UInt8]
    /// What it wrote to standard error.
    public let errorOutput: [UInt8]
    /// Whether the time limit ended it.
    public let timedOut: Bool
    /// From start to the end of its output, in nanoseconds.
    public let duration: UInt64

    /// Standard output as text.
    public var text: String { String(decoding: output, as: UTF8.self) }
    /// Standard error as text.
    public var errorText: String { String(decoding: errorOutput, as: UTF8.self) }
}

/// Runs one program with a time limit; unlike ``Spawn`` it can kill the child at a chosen instant.
///
/// The child is the leader of a process group of its own and gets the calling thread's namespaces.
public enum ChildProcess {
    /// Runs `path`, feeds it `input` and waits until it and everything that shares its output is gone.
    ///
    /// - Parameters:
    ///   - arguments: without argument zero.
    ///   - limit: milliseconds after which the whole process group is killed.
    ///   - killAfter: nanoseconds after which the child alone gets `SIGKILL`, as a runtime's time limit would do it.
    public static func run(
        _ path: String, _ arguments: [String] = [], environment: Environment, input: [UInt8] = [],
        limit: Int = 30_000, killAfter: UInt64? = nil
    ) throws -> ChildOutcome {
        // The pipe's buffer may be smaller than the input and the child may never read: a file has no such trouble, but
        // a plugin must cope with a pipe, so the pipe it is, written to without blocking.
        let feed = try Pipe()
        let result = try Pipe()
        let complaint = try Pipe()
        let began = monotonicNanoseconds()
        let pid = try start(
            path, [path] + arguments, environment,
            [feed.reader.rawValue, result.writer.rawValue, complaint.writer.rawValue])
        let silence = BrokenPipeSilence()
        defer { silence.end() }
        // Our copies of the child's ends must go, or end of file would never come.
        let writer = feed.intoWriter()
        let reader = result.intoReader()
        let errorReader = complaint.intoReader()
        var conversation = Conversation(
            pid: pid, input: input, began: began, limit: UInt64(limit) &* 1_000_000, killAfter: killAfter)
        let status = conversation.finish(writer: writer, output: reader, error: errorReader)
        return ChildOutcome(
            status: status, output: conversation.output, errorOutput: conversation.errorOutput,
            timedOut: conversation.timedOut, duration: monotonicNanoseconds() &- began)
    }

    private static func start(
        _ path: String, _ arguments: [String], _ environment: Environment, _ descriptors: [Int32]
    ) throws -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for (target, descriptor) in descriptors.enumerated() {
            unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(target))
        }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var defaults = sigset_t()
        unsafe sigfillset(&defaults)
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        var mask = sigset_t()
        unsafe sigemptyset(&mask)
        unsafe posix_spawnattr_setsigmask(&attributes, &mask)
        unsafe posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        var argv: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] =
            unsafe environment.variables.map { unsafe strdup("\($0.name)=\($0.value)") } + [nil]
        defer { unsafe (argv + envp).forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let error = unsafe posix_spawn(&pid, path, &actions, &attributes, &argv, &envp)
        guard error == 0 else { throw SystemError("exec", path, Errno(rawValue: error)) }
        return pid
    }
}

/// A pipe whose two ends are owned apart.
private struct Pipe: ~Copyable {
    let reader: OwnedFD
    let writer: OwnedFD

    init() throws {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe2(&ends, O_CLOEXEC) == 0 else { throw SystemError("create", "pipe", .current) }
        reader = OwnedFD(owning: ends[0])
        writer = OwnedFD(owning: ends[1])
    }

    consuming func intoReader() -> OwnedFD { reader }
    consuming func intoWriter() -> OwnedFD { writer }
}

/// Keeps `SIGPIPE` from the calling thread while it writes to a child that may have closed its input.
private struct BrokenPipeSilence {
    private var before = sigset_t()

    init() {
        var pipe = sigset_t()
        unsafe sigemptyset(&pipe)
        unsafe sigaddset(&pipe, SIGPIPE)
        unsafe pthread_sigmask(SIG_BLOCK, &pipe, &before)
    }

    func end() {
        var (pipe, now, old) = (sigset_t(), timespec(), before)
        unsafe sigemptyset(&pipe)
        unsafe sigaddset(&pipe, SIGPIPE)
        _ = unsafe sigtimedwait(&pipe, nil, &now)
        unsafe pthread_sigmask(SIG_SETMASK, &old, nil)
    }
}

/// The talk with one child until it is gone.
private struct Conversation {
    let pid: pid_t
    let input: [UInt8]
    let began: UInt64
    let limit: UInt64
    var killAfter: UInt64?
    var output: [UInt8] = []
    var errorOutput: [UInt8] = []
    var timedOut = false

    mutating func finish(writer: consuming OwnedFD, output: borrowing OwnedFD, error: borrowing OwnedFD) -> Int32 {
        var pending: OwnedFD? = consume writer
        var written = 0
        var (outputOpen, errorOpen) = (true, true)
        if let descriptor = pending?.rawValue { _ = swiftlet_set_nonblocking(descriptor) }
        if input.isEmpty { pending = nil }
        while outputOpen || errorOpen {
            var waits = [
                pollfd(fd: pending?.rawValue ?? -1, events: Int16(POLLOUT), revents: 0),
                pollfd(fd: outputOpen ? output.rawValue : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: errorOpen ? error.rawValue : -1, events: Int16(POLLIN), revents: 0),
            ]
            var wait = timeLeft()
            _ = unsafe ppoll(&waits, nfds_t(waits.count), &wait, nil)
            if waits[0].revents != 0, let descriptor = pending?.rawValue {
                let put = unsafe input.withUnsafeBytes { raw in
                    unsafe write(descriptor, raw.baseAddress?.advanced(by: written), raw.count - written)
                }
                if put > 0 { written += put }
                if written == input.count || (put < 0 && Errno.current != .resourceTemporarilyUnavailable) {
                    pending = nil
                }
            }
            if waits[1].revents != 0 { outputOpen = Self.drain(output.rawValue, &self.output) }
            if waits[2].revents != 0 { errorOpen = Self.drain(error.rawValue, &errorOutput) }
        }
        return wait()
    }

    /// Kills what is due and says how long to wait for the next event.
    private mutating func timeLeft() -> timespec {
        let elapsed = monotonicNanoseconds() &- began
        if let killAfter, elapsed >= killAfter {
            _ = kill(pid, SIGKILL)
            self.killAfter = nil
        }
        if elapsed >= limit {
            timedOut = true
            _ = kill(-pid, SIGKILL)
        }
        let next = min(killAfter ?? limit, limit)
        let left = elapsed >= next ? 10_000_000 : next - elapsed
        return timespec(tv_sec: Int(left / 1_000_000_000), tv_nsec: Int(left % 1_000_000_000))
    }

    private mutating func wait() -> Int32 {
        var status: Int32 = 0
        // Output is closed, so the child is gone or about to be; one that closed it and lingers hits the limit.
        while unsafe waitpid(pid, &status, WNOHANG) == 0 {
            _ = timeLeft()
            pause(milliseconds: 1)
        }
        return swiftlet_wait_status(status)
    }

    private static func drain(_ descriptor: Int32, _ bytes: inout [UInt8]) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 16384)
        let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        if count < 0 { return Errno.current == .interrupted }
        bytes.append(contentsOf: chunk[..<count])
        return count > 0
    }
}
