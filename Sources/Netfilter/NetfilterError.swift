public import System

/// What went wrong with the packet filter.
public enum NetfilterError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kernel refused a request: what was asked, why, and the kernel's own words when it had any.
    case kernel(subject: String, errno: Errno, message: String?)
    /// A system call or a start of a program failed.
    case system(SystemError)
    /// A program of the iptables family failed: its path, status and words.
    case program(path: String, status: Int32, words: String)
    /// Somebody else's entry is in the way, with its owner's tag where it has one.
    case conflict(subject: String, owner: String?)
    /// What should be there is not there.
    case missing(String)
    /// This back end cannot do what was asked, and what would help.
    case unsupported(String)
    /// No back end works here, and what each lacks.
    case unavailable(String)

    /// What happened, in one line.
    public var description: String {
        switch self {
        case .kernel(let subject, let errno, let message):
            "nf_tables: \(subject): \(errno) (\(errno.name))" + (message.map { ": \($0)" } ?? "")
        case .system(let error): "\(error)"
        case .program(let path, let status, let words): "\(path): status \(status): \(words)"
        case .conflict(let subject, let owner): "\(subject) is in use" + (owner.map { " by \($0)" } ?? "")
        case .missing(let what): "missing \(what)"
        case .unsupported(let what): what
        case .unavailable(let why): why
        }
    }

    /// The same, or that a part of the kernel is missing when that is what a first question's refusal means.
    func orUnavailable(_ part: String) -> NetfilterError {
        let errno: Errno?
        switch self {
        // nfnetlink's answer for a subsystem that it does not have.
        case .kernel(_, let refusal, _): errno = refusal == .invalidArgument ? refusal : nil
        // Without nfnetlink there is no such socket.
        case .system(let error):
            let isMissing = error.errno == .protocolNotSupported || error.errno == .addressFamilyNotSupported
            errno = isMissing ? error.errno : nil
        default: errno = nil
        }
        return errno.map { .unavailable("the kernel has no \(part) (\($0.name))") } ?? self
    }

    /// What a part of the kernel answers; nil where the kernel does not have the part.
    @discardableResult
    public static func whereAvailable<Answer>(
        _ ask: () throws(NetfilterError) -> Answer
    ) throws(NetfilterError) -> Answer? {
        do {
            return try ask()
        } catch {
            guard case .unavailable = error else { throw error }
            return nil
        }
    }

    /// The kernel's errno, if it was the kernel.
    public var errno: Errno? {
        if case .kernel(_, let errno, _) = self { errno } else { nil }
    }
}
