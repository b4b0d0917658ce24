internal import CLinux

/// Makes writes to a closed pipe fail with `EPIPE` instead of ending the process.
public func ignoreBrokenPipes() {
    swiftlet_ignore_broken_pipes()
}

/// Ends the process at once with `status`.
public func exitProcess(_ status: Int32) -> Never {
    exit(status)
}

/// The effective user id, which peers on a Unix socket see.
public func effectiveUserIdentifier() -> UInt32 {
    geteuid()
}
