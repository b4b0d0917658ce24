internal import CLinux

/// Makes writes to a closed pipe fail with `EPIPE` instead of ending the process.
public func ignoreBrokenPipes() {
    _ = unsafe signal(SIGPIPE, SIG_IGN)
}

/// Ends the process at once with `status`.
public func exitProcess(_ status: Int32) -> Never {
    exit(status)
}
