public import JSON

/// What a plugin tells the runtime when it fails: the error document of the specification.
public struct CNIError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The numbers of ``CNIError/code``. Below 100 they are the specification's, from 100 on the suite's own.
    public enum Code {
        /// The configuration's version is not supported, by the plugin or for the command.
        public static let incompatibleVersion = 1
        /// A field that is known, but not supported here; the message names key and value.
        public static let unsupportedField = 2
        /// The container is unknown; the runtime need not clean up.
        public static let unknownContainer = 3
        /// `CNI_*` variables are missing or invalid; the message names them.
        public static let invalidEnvironment = 4
        /// Reading or writing failed.
        public static let inputOutput = 5
        /// The input cannot be decoded.
        public static let decoding = 6
        /// The configuration can be decoded, but makes no sense.
        public static let invalidConfiguration = 7
        /// `CNI_NETNS` is no network namespace, or the plugin's own (reference library, not in the specification).
        public static let invalidNamespace = 8
        /// Something is busy; the same call may succeed later.
        public static let tryAgain = 11
        /// STATUS: the plugin cannot serve ADD.
        public static let notAvailable = 50
        /// STATUS: as before, and running containers may have limited connectivity.
        public static let limited = 51
        /// The kernel refused a netlink request.
        public static let netlink = 100
        /// The packet filter refused a rule.
        public static let packetFilter = 101
        /// No free address is left.
        public static let poolExhausted = 102
        /// An object that is not ours is in the way.
        public static let foreignObject = 103
        /// A delegate could not be run or its answer not be understood.
        public static let delegate = 104
        /// None of the above; the reference library's code for every error without one.
        public static let `internal` = 999
    }

    /// The error's number, see ``Code``.
    public var code: Int
    /// What went wrong, one line.
    public var message: String
    /// More about it; empty for nothing. Runtimes print it after the message.
    public var details: String

    /// Makes an error.
    public init(_ code: Int, _ message: String, details: String = "") {
        self.code = code
        self.message = message
        self.details = details
    }

    /// `CNI_NETNS` is the namespace the plugin itself runs in (code 8, the reference library's text).
    public static let ownNamespace = CNIError(
        Code.invalidNamespace, "plugin's netns and netns from CNI_NETNS should not be the same")

    /// The error document: `cniVersion` if known, `code`, `msg`, `details` if any. Printed indented, without newline.
    public func document(version: SpecVersion?) -> JSON.Value {
        var object = JSON.Object()
        if let version { object["cniVersion"] = .string(version.rawValue) }
        object["code"] = .integer(Int64(code))
        object["msg"] = .string(message)
        if !details.isEmpty { object["details"] = .string(details) }
        return .object(object)
    }

    /// As runtimes print it: "message; details".
    public var description: String { details.isEmpty ? message : "\(message); \(details)" }
}

extension CNIError {
    /// The error for text that is not JSON: code 6 with the place.
    public init(_ error: JSON.SyntaxError) {
        self.init(Code.decoding, "invalid JSON: \(error)")
    }

    /// The error for a value that is not what a configuration wants: code 6 for a wrong type, 7 for a wrong value, 2
    /// for something unsupported. The message names the place unless its words are fixed; then `details` does.
    public init(_ error: JSON.DecodingError) {
        let code =
            switch error.kind {
            case .type: Code.decoding
            case .value: Code.invalidConfiguration
            case .unsupported: Code.unsupportedField
            }
        self.init(code, error.description, details: error.isVerbatim ? error.path : "")
    }
}
