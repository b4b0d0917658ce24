import Glibc
import System

/// Who starts the daemon without telling it anything: a person, the service manager, or a program that tries what lies in a
/// directory of plugins. Such a one waits for an answer that a daemon does not give.
struct Caller {
    private let environment: Environment
    private let isTerminal: Bool

    init(_ environment: Environment = .current(), isTerminal: Bool = isatty(0) == 1) {
        self.environment = environment
        self.isTerminal = isTerminal
    }

    /// Why the daemon does not start for it; nil when it does.
    var refusal: String? {
        if let command = environment["CNI_COMMAND"] {
            return
                "swiftletd is a daemon and no CNI plugin (CNI_COMMAND is \(command)); it does not belong into a directory "
                + "of plugins. To start it there, say 'swiftletd run'"
        }
        if isTerminal || isUnit { return nil }
        return "say 'swiftletd run' to start the daemon without flags, or --config FILE"
    }

    /// systemd.exec(5): what a unit's own process is told, and its children only inherit.
    private var isUnit: Bool {
        if let pid = environment["SYSTEMD_EXEC_PID"] { return pid == "\(getpid())" }
        return environment["INVOCATION_ID"] != nil && getppid() == 1
    }
}
