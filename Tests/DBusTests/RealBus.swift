import CLinux
import DBus
import System
import TestSupport
import Testing

/// A `dbus-daemon` of its own, on a socket in a directory of its own; ended with the value.
final class RealBus {
    /// Whether there can be one here; the reason why not is printed once.
    static let isPossible: Bool = {
        guard program == nil else { return true }
        print("Skipped: tests against a real message bus (no dbus-daemon; install the package dbus-daemon)")
        return false
    }()

    private static let program = ["/usr/bin/dbus-daemon", "/bin/dbus-daemon"].first { Files.exists($0) }

    let address: String
    private let directory: TemporaryDirectory
    private let process: pid_t

    init() throws {
        directory = try TemporaryDirectory()
        let socket = directory.appending("bus")
        address = "unix:path=\(socket)"
        let configuration = directory.appending("bus.conf")
        try Files.rewrite(configuration, with: Array(Self.configuration(address).utf8))
        let program = try #require(Self.program)
        process = try start(program, ["--nofork", "--nopidfile", "--config-file=\(configuration)"])
        try waitFor(socket)
    }

    deinit {
        // It has nothing to put in order, and inherits what signals the test runner blocks.
        _ = kill(process, SIGKILL)
        var status: Int32 = 0
        while unsafe waitpid(process, &status, 0) < 0, Errno.current == .interrupted {}
    }

    private static func configuration(_ address: String) -> String {
        """
        <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
         "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
        <busconfig>
          <type>custom</type>
          <listen>\(address)</listen>
          <auth>EXTERNAL</auth>
          <policy context="default">
            <allow send_destination="*"/>
            <allow receive_sender="*"/>
            <allow own="*"/>
            <deny send_interface="org.freedesktop.DBus" send_member="Forbidden"/>
          </policy>
        </busconfig>
        """
    }

    /// Waits until the bus listens, at most ten seconds.
    private func waitFor(_ socket: String) throws {
        let deadline = Deadline(milliseconds: 10_000)
        while true {
            do {
                _ = try UnixStream(connectingTo: .path(socket), by: deadline)
                return
            } catch {
                guard deadline.remainingMilliseconds > 0 else { throw error }
                pause(milliseconds: 5)
            }
        }
    }
}

private func start(_ program: String, _ arguments: [String]) throws -> pid_t {
    var argv: [UnsafeMutablePointer<CChar>?] = unsafe ([program] + arguments).map { unsafe strdup($0) } + [nil]
    defer { unsafe argv.forEach { unsafe free($0) } }
    var environment: [UnsafeMutablePointer<CChar>?] = unsafe [nil]
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    // It complains when it may not raise its limit of descriptors.
    unsafe posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    var pid: pid_t = 0
    let error = unsafe posix_spawn(&pid, program, &actions, nil, &argv, &environment)
    guard error == 0 else { throw SystemError("exec", program, Errno(rawValue: error)) }
    return pid
}
