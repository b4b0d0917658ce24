/// A failed system call: what was tried, on what, and why it failed.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The call or action, for example "open".
    public let operation: String
    /// The object: a path, a descriptor's purpose.
    public let subject: String
    /// The cause.
    public let errno: Errno

    /// Describes a failed call.
    public init(_ operation: String, _ subject: String, _ errno: Errno) {
        self.operation = operation
        self.subject = subject
        self.errno = errno
    }

    /// For example "open /etc/x: no such file or directory (ENOENT)".
    public var description: String { "\(operation) \(subject): \(errno) (\(errno.name))" }
}

/// Calls `body` until it does not fail with `EINTR`; a result of -1 is thrown as the errno.
@inline(__always)
func retrying<Result: SignedInteger>(_ body: () -> Result) throws(Errno) -> Result {
    while true {
        let result = body()
        if result != -1 { return result }
        let errno = Errno.current
        if errno != .interrupted { throw errno }
    }
}
