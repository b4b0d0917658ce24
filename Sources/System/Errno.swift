internal import CLinux

/// An operating system error number (`errno(3)`), kept whole through every layer.
public struct Errno: Error, RawRepresentable, Hashable, Sendable {
    /// The C error number.
    public let rawValue: Int32

    /// Wraps a C error number.
    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// The calling thread's `errno`, read straight after a failed call.
    public static var current: Errno { Errno(rawValue: swiftlet_errno()) }

    /// Operation not permitted. The corresponding C error is `EPERM`.
    public static let notPermitted = Errno(rawValue: EPERM)
    /// No such file or directory. The corresponding C error is `ENOENT`.
    public static let noSuchFileOrDirectory = Errno(rawValue: ENOENT)
    /// No such process (netlink: no such route). The corresponding C error is `ESRCH`.
    public static let noSuchProcess = Errno(rawValue: ESRCH)
    /// Interrupted call. The corresponding C error is `EINTR`.
    public static let interrupted = Errno(rawValue: EINTR)
    /// Input/output error. The corresponding C error is `EIO`.
    public static let inputOutput = Errno(rawValue: EIO)
    /// Try again. The corresponding C error is `EAGAIN`.
    public static let resourceTemporarilyUnavailable = Errno(rawValue: EAGAIN)
    /// Permission denied. The corresponding C error is `EACCES`.
    public static let permissionDenied = Errno(rawValue: EACCES)
    /// Device or resource busy. The corresponding C error is `EBUSY`.
    public static let resourceBusy = Errno(rawValue: EBUSY)
    /// Already exists. The corresponding C error is `EEXIST`.
    public static let fileExists = Errno(rawValue: EEXIST)
    /// No such device. The corresponding C error is `ENODEV`.
    public static let noSuchDevice = Errno(rawValue: ENODEV)
    /// Not a directory. The corresponding C error is `ENOTDIR`.
    public static let notDirectory = Errno(rawValue: ENOTDIR)
    /// Is a directory. The corresponding C error is `EISDIR`.
    public static let isDirectory = Errno(rawValue: EISDIR)
    /// Invalid argument. The corresponding C error is `EINVAL`.
    public static let invalidArgument = Errno(rawValue: EINVAL)
    /// Text file busy: an executable is being written. The corresponding C error is `ETXTBSY`.
    public static let textFileBusy = Errno(rawValue: ETXTBSY)
    /// File too large. The corresponding C error is `EFBIG`.
    public static let fileTooLarge = Errno(rawValue: EFBIG)
    /// File name too long. The corresponding C error is `ENAMETOOLONG`.
    public static let fileNameTooLong = Errno(rawValue: ENAMETOOLONG)
    /// No space left. The corresponding C error is `ENOSPC`.
    public static let noSpace = Errno(rawValue: ENOSPC)
    /// `EDQUOT`: the user's share of the file system is used up.
    public static let quota = Errno(rawValue: EDQUOT)
    /// Read-only file system. The corresponding C error is `EROFS`.
    public static let readOnlyFileSystem = Errno(rawValue: EROFS)
    /// Numerical result out of range. The corresponding C error is `ERANGE`.
    public static let outOfRange = Errno(rawValue: ERANGE)
    /// Protocol not supported. The corresponding C error is `EPROTONOSUPPORT`.
    public static let protocolNotSupported = Errno(rawValue: EPROTONOSUPPORT)
    /// Address family not supported. The corresponding C error is `EAFNOSUPPORT`.
    public static let addressFamilyNotSupported = Errno(rawValue: EAFNOSUPPORT)
    /// Operation not supported. The corresponding C error is `EOPNOTSUPP`.
    public static let notSupported = Errno(rawValue: EOPNOTSUPP)
    /// Address already in use. The corresponding C error is `EADDRINUSE`.
    public static let addressInUse = Errno(rawValue: EADDRINUSE)
    /// Address not available. The corresponding C error is `EADDRNOTAVAIL`.
    public static let addressNotAvailable = Errno(rawValue: EADDRNOTAVAIL)
    /// No buffer space. The corresponding C error is `ENOBUFS`.
    public static let noBufferSpace = Errno(rawValue: ENOBUFS)
    /// Connection refused: nobody listens. The corresponding C error is `ECONNREFUSED`.
    public static let connectionRefused = Errno(rawValue: ECONNREFUSED)
    /// Connection reset by the peer. The corresponding C error is `ECONNRESET`.
    public static let connectionReset = Errno(rawValue: ECONNRESET)
    /// Broken pipe: the reader is gone. The corresponding C error is `EPIPE`.
    public static let brokenPipe = Errno(rawValue: EPIPE)
    /// Timed out. The corresponding C error is `ETIMEDOUT`.
    public static let timedOut = Errno(rawValue: ETIMEDOUT)
    /// Protocol error: a malformed answer. The corresponding C error is `EPROTO`.
    public static let protocolError = Errno(rawValue: EPROTO)
    /// Message too long. The corresponding C error is `EMSGSIZE`.
    public static let messageTooLong = Errno(rawValue: EMSGSIZE)
}

extension Errno: CustomStringConvertible {
    /// The C library's text in lower case, as Go and coreutils users know it: "no such file or directory".
    public var description: String {
        let text = unsafe String(cString: swiftlet_strerror(rawValue))
        return text.prefix(1).lowercased() + text.dropFirst()
    }

    /// The C name, for example "ENOENT"; "errno 4711" when the number has none.
    public var name: String {
        guard let name = unsafe swiftlet_errno_name(rawValue) else { return "errno \(rawValue)" }
        return unsafe String(cString: name)
    }
}
