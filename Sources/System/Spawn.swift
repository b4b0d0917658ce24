internal import CLinux

/// What a finished child process left behind.
public struct ProcessOutcome: Equatable, Sendable {
    /// The exit status, or the negated number of the signal that ended it.
    public let status: Int32
    /// What it wrote to standard output.
    public let output: [UInt8]
    /// What it wrote to standard error; empty when that was passed through.
    public let errorOutput: [UInt8]
}

/// Runs other programs. No shell, no `fork` without exec; descriptors are closed on exec by their own flags.
public enum Spawn {
    /// Runs `path`, feeds it `input` and collects its output.
    ///
    /// - Parameters:
    ///   - arguments: including argument zero.
    ///   - inherited: descriptors the child is to have under the same numbers, closed on exec or not.
    ///   - passErrorThrough: the child writes to our standard error instead of a pipe.
    ///   - limit: output beyond this many bytes ends the run with `EFBIG`.
    /// - Throws: the errno of a failed exec (`ETXTBSY`, `ENOENT`, …) or of a failed pipe.
    public static func run(
        _ path: String, arguments: [String], environment: Environment, input: [UInt8] = [],
        inherited: [Int32] = [], passErrorThrough: Bool = false, limit: Int = 16 << 20
    ) throws(SystemError) -> ProcessOutcome {
        swiftlet_keep_children()
        let standardInput = try Pipe(), standardOutput = try Pipe(), standardError = try Pipe()
        let pid = try start(
            path, arguments, environment,
            [
                (standardInput.reader.rawValue, 0), (standardOutput.writer.rawValue, 1),
                (passErrorThrough ? 2 : standardError.writer.rawValue, 2),
            ] + inherited.map { ($0, $0) })
        // Our copies of the child's ends must go, or end of file would never come.
        let writer = standardInput.intoWriter()
        let outputReader = standardOutput.intoReader()
        let errorReader = standardError.intoReader()
        var exchange = Exchange(input: input, limit: limit)
        var failure: Errno?
        do {
            let signal = BrokenPipeSignal()
            defer { signal.restore() }
            try exchange.run(writer: writer, output: outputReader, error: errorReader)
        } catch {
            failure = error
            _ = kill(pid, SIGKILL)
        }
        var status: Int32 = 0
        do {
            _ = try retrying { unsafe waitpid(pid, &status, 0) }
        } catch {
            // Somebody else has reaped it: how it ended is not known, and not to be taken for success.
            failure = failure ?? error
        }
        if let failure { throw SystemError("run", path, failure) }
        return ProcessOutcome(
            status: swiftlet_wait_status(status), output: exchange.output, errorOutput: exchange.errorOutput)
    }

    private static func start(
        _ path: String, _ arguments: [String], _ environment: Environment, _ redirections: [(Int32, Int32)]
    ) throws(SystemError) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for (from, to) in redirections {
            // A dup2 onto itself would keep close-on-exec; posix_spawn clears it in that case.
            unsafe posix_spawn_file_actions_adddup2(&actions, from, to)
        }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // Where we ignore SIGPIPE, the child must start with the default, and with SIGCHLD's it can wait for its own.
        var defaults = sigset_t()
        unsafe sigemptyset(&defaults)
        unsafe sigaddset(&defaults, SIGPIPE)
        unsafe sigaddset(&defaults, SIGCHLD)
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        // Nor must it inherit what the calling thread happens to block.
        var mask = sigset_t()
        unsafe sigemptyset(&mask)
        unsafe posix_spawnattr_setsigmask(&attributes, &mask)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        let argv = CStringArray(arguments)
        let envp = CStringArray(environment.variables.map { "\($0.name)=\($0.value)" })
        var pid: pid_t = 0
        let error = unsafe posix_spawn(&pid, path, &actions, &attributes, argv.pointers, envp.pointers)
        guard error == 0 else { throw SystemError("exec", path, Errno(rawValue: error)) }
        return pid
    }
}

/// A pipe whose two ends are owned apart.
private struct Pipe: ~Copyable {
    let reader: OwnedFD
    let writer: OwnedFD

    init() throws(SystemError) {
        var ends: (Int32, Int32) = (-1, -1)
        let result = unsafe withUnsafeMutableBytes(of: &ends) { raw in
            unsafe pipe2(raw.baseAddress?.assumingMemoryBound(to: Int32.self), O_CLOEXEC)
        }
        guard result == 0 else { throw SystemError("create", "pipe", .current) }
        reader = OwnedFD(owning: ends.0)
        writer = OwnedFD(owning: ends.1)
    }

    consuming func intoReader() -> OwnedFD { reader }
    consuming func intoWriter() -> OwnedFD { writer }
}

/// Keeps `SIGPIPE` from this thread: a child may close its input before it has read it all.
private struct BrokenPipeSignal {
    private var signals = sigset_t()
    private var previous = sigset_t()

    init() {
        unsafe sigemptyset(&signals)
        unsafe sigaddset(&signals, SIGPIPE)
        unsafe pthread_sigmask(SIG_BLOCK, &signals, &previous)
    }

    func restore() {
        // One that our own write raised is pending now and would end the process.
        var (signals, previous, now) = (signals, previous, timespec())
        while unsafe sigtimedwait(&signals, nil, &now) == SIGPIPE {}
        unsafe pthread_sigmask(SIG_SETMASK, &previous, nil)
    }
}

/// The conversation with a child: feeds its input and drains its outputs without ever blocking on one of them.
private struct Exchange {
    let input: [UInt8]
    let limit: Int
    var output: [UInt8] = []
    var errorOutput: [UInt8] = []

    init(input: [UInt8], limit: Int) {
        self.input = input
        self.limit = limit
    }

    mutating func run(writer: consuming OwnedFD, output: borrowing OwnedFD, error: borrowing OwnedFD) throws(Errno) {
        var pending: OwnedFD? = consume writer
        var written = 0
        var outputOpen = true
        var errorOpen = true
        if let descriptor = pending?.rawValue { _ = swiftlet_set_nonblocking(descriptor) }
        if input.isEmpty { pending = nil }
        while outputOpen || errorOpen {
            var waits = [
                pollfd(fd: pending?.rawValue ?? -1, events: Int16(POLLOUT), revents: 0),
                pollfd(fd: outputOpen ? output.rawValue : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: errorOpen ? error.rawValue : -1, events: Int16(POLLIN), revents: 0),
            ]
            _ = try retrying { unsafe poll(&waits, nfds_t(waits.count), -1) }
            if waits[0].revents != 0, let descriptor = pending?.rawValue {
                let put = unsafe input.withUnsafeBytes { raw in
                    unsafe write(descriptor, raw.baseAddress?.advanced(by: written), raw.count - written)
                }
                if put > 0 { written += put }
                // A child that closed its input early is no error of ours.
                let failed = put < 0 && Errno.current != .resourceTemporarilyUnavailable
                if written == input.count || failed { pending = nil }
            }
            if waits[1].revents != 0 { outputOpen = try drain(output.rawValue, into: &self.output) }
            if waits[2].revents != 0 { errorOpen = try drain(error.rawValue, into: &errorOutput) }
        }
    }

    private func drain(_ descriptor: Int32, into bytes: inout [UInt8]) throws(Errno) -> Bool {
        var chunk = [UInt8](repeating: 0, count: 16384)
        let count = try retrying {
            unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        }
        bytes.append(contentsOf: chunk[..<count])
        if bytes.count > limit { throw .fileTooLarge }
        return count > 0
    }
}

/// A NULL-terminated array of C strings that lives as long as the value.
@safe
private final class CStringArray {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [String]) {
        count = strings.count
        unsafe pointers = .allocate(capacity: strings.count + 1)
        for (index, string) in strings.enumerated() {
            unsafe (pointers + index).initialize(to: strdup(string))
        }
        unsafe (pointers + count).initialize(to: nil)
    }

    deinit {
        for index in 0..<count { unsafe free(pointers[index]) }
        unsafe pointers.deallocate()
    }
}
