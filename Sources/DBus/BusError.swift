public import System

/// Why talking over the bus failed.
public enum BusError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The address, which is given, names no Unix socket.
    case noAddress(String)
    /// A system call failed; nobody listens when ``isAbsent``.
    case system(SystemError)
    /// The bus did not believe who we are; its words.
    case refused(String)
    /// There was no answer in time to what is named. What was asked for may still happen.
    case timedOut(String)
    /// The bus closed the connection.
    case closed
    /// The bus sent what the specification does not allow, or a type this client does not read; the reason.
    case malformed(String)
    /// We were asked to send what cannot be sent; the reason. Nothing was.
    case invalid(String)
    /// The method's own error: its name, such as "org.freedesktop.DBus.Error.ServiceUnknown", and its text.
    case failed(name: String, text: String)

    /// Whether there is no bus at all: no socket, or nobody who listens on it.
    public var isAbsent: Bool {
        guard case .system(let error) = self else { return false }
        return [.noSuchFileOrDirectory, .notDirectory, .connectionRefused].contains(error.errno)
    }

    /// Whether nobody has the name that was called: the service is not running, or has ended meanwhile.
    public var isUnowned: Bool {
        guard case .failed(let name, _) = self else { return false }
        return ["NameHasNoOwner", "ServiceUnknown"].contains { name == "org.freedesktop.DBus.Error.\($0)" }
    }

    /// Whether firewalld itself has refused; else it was not reached, or its answer was not.
    public var isFirewalldsAnswer: Bool { firewalldCode != nil }

    /// For example "D-Bus: org.freedesktop.DBus.Error.AccessDenied: Sender is not authorized".
    public var description: String {
        switch self {
        case .noAddress(let text): "D-Bus: no Unix socket in the address \"\(text)\""
        case .system(let error): "D-Bus: \(error)"
        case .refused(let words): "D-Bus: authentication refused: \(words)"
        case .timedOut(let operation): "D-Bus: no answer in time to \(operation)"
        case .closed: "D-Bus: the bus closed the connection"
        case .malformed(let reason): "D-Bus: malformed message: \(reason)"
        case .invalid(let reason): "D-Bus: cannot send: \(reason)"
        case .failed(let name, let text): "D-Bus: \(name)\(text.isEmpty ? "" : ": \(text)")"
        }
    }
}
