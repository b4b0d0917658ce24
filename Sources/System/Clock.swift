internal import CLinux

/// Time in nanoseconds from a clock that never goes back (`CLOCK_MONOTONIC`).
public func monotonicNanoseconds() -> UInt64 {
    var now = timespec()
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
}

/// Waits. Only for retries the kernel or another process forces on us; never to wait for an event.
public func pause(milliseconds: Int) {
    var request = timespec(tv_sec: milliseconds / 1000, tv_nsec: (milliseconds % 1000) * 1_000_000)
    var remaining = timespec()
    while unsafe nanosleep(&request, &remaining) != 0, Errno.current == .interrupted { request = remaining }
}
