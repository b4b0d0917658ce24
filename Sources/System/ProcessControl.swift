internal import CLinux

/// Makes writes to a closed pipe fail with `EPIPE` instead of ending the process.
public func ignoreBrokenPipes() {
    swiftlet_ignore_broken_pipes()
}

/// Says that this process's threads wait for each other and need no heap of their own; never in a process of many threads.
public func shareOneHeap() {
    swiftlet_share_heap()
}

/// Ends the process at once with `status`.
public func exitProcess(_ status: Int32) -> Never {
    exit(status)
}

/// The effective user id, which peers on a Unix socket see.
public func effectiveUserIdentifier() -> UInt32 {
    geteuid()
}
