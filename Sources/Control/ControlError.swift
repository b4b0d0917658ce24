public import JSON
public import System

/// Why the daemon did not do what it was asked.
public enum ControlError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Nobody listens on the socket, or we may not talk to it.
    case unreachable(String, Errno)
    /// The daemon went away, or took too long, before it had answered.
    case broken(String, Errno)
    /// What came back is not an answer in HTTP and JSON.
    case malformed(String)
    /// The daemon said no, and why.
    case refused(ControlRefusal)

    /// The CNI error code (specification, "Error"): 11 "try again" while the daemon is away, its own for a refusal.
    public var code: Int {
        switch self {
        case .unreachable, .broken: 11
        case .malformed: 999
        case .refused(let refusal): refusal.code
        }
    }

    /// What happened, one line.
    public var message: String {
        switch self {
        case .unreachable(let socket, let errno): "swiftletd does not answer on \(socket): \(errno)"
        case .broken(let socket, let errno): "swiftletd on \(socket) broke off: \(errno)"
        case .malformed(let reason): "swiftletd's answer cannot be read: \(reason)"
        case .refused(let refusal): refusal.message
        }
    }

    /// What to do about it; empty when nobody knows.
    public var remedy: String {
        switch self {
        case .unreachable(_, .permissionDenied): "run as root, or as a user who may write to the socket"
        case .unreachable:
            "start swiftletd (systemctl start swiftletd), or name its socket with the key \"socket\" or SWIFTLET_SOCKET"
        case .broken: "look at swiftletd's log (journalctl -u swiftletd), then try again"
        case .malformed: "use a swiftletd of the same version"
        case .refused(let refusal): refusal.remedy
        }
    }

    /// Message and remedy.
    public var description: String { remedy.isEmpty ? message : "\(message); \(remedy)" }

    /// Whether the daemon may be there later: nothing was answered.
    public var isAway: Bool {
        switch self {
        case .unreachable, .broken: true
        case .malformed, .refused: false
        }
    }
}

/// The daemon's refusal: `{"error": text, "remedy": text, "code": CNI code}`.
public struct ControlRefusal: Equatable, Sendable {
    /// The HTTP status.
    public let status: Int
    /// What was wrong.
    public let message: String
    /// What to do about it; empty when the daemon does not say.
    public let remedy: String
    /// The CNI error code; 999 when the daemon gives none.
    public let code: Int

    /// Describes a refusal.
    public init(status: Int, message: String, remedy: String = "", code: Int = 999) {
        self.status = status
        self.message = message
        self.remedy = remedy
        self.code = code
    }

    /// Reads a refusal's document, however little of it is there.
    public init(status: Int, _ document: Value) {
        self.status = status
        let reader = Reader(document)
        let text = (try? reader.member("error").string()) ?? nil
        if case .string(let words) = document {
            message = "swiftletd answered \(status): \(words)"
        } else {
            message = text ?? "swiftletd answered \(status)"
        }
        remedy = ((try? reader.member("remedy").string()) ?? nil) ?? ""
        let number = ((try? reader.member("code").integer()) ?? nil) ?? 999
        code = number > 0 ? Int(clamping: number) : 999
    }
}
