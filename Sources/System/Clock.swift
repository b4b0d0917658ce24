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

/// The moment at which waiting ends, however many calls the wait is made of.
public struct Deadline: Sendable {
    private let end: UInt64

    /// A moment that many milliseconds from now; not a moment from now when negative.
    public init(milliseconds: Int) {
        let wait = UInt64(max(milliseconds, 0)).multipliedReportingOverflow(by: 1_000_000)
        let sum = monotonicNanoseconds().addingReportingOverflow(wait.overflow ? .max : wait.partialValue)
        end = sum.overflow ? .max : sum.partialValue
    }

    /// The time left, rounded up, as `poll(2)` takes it; 0 when the moment has passed.
    public var remainingMilliseconds: Int32 {
        let now = monotonicNanoseconds()
        return now >= end ? 0 : Int32(clamping: (end - now - 1) / 1_000_000 + 1)
    }
}
