internal import JSON
internal import System

/// Runs another plugin as part of our own command, usually an address manager.
///
/// The delegate gets our environment with another `CNI_COMMAND`, and the complete configuration on its standard input.
/// What it writes to standard error goes to ours. Its own error is passed on as it is; when there is none to pass on,
/// the error is ``CNIError/Code/delegate``.
public enum Delegate {
    /// The most bytes taken of a delegate's answer.
    public static let outputLimit = 1 << 20

    private static let attempts = 6

    /// The executable of a plugin type: the first regular file of that name in the directories of `CNI_PATH`.
    ///
    /// An empty directory name is skipped; it would mean whatever directory the runtime happens to be in.
    /// - Throws: code 7 for a missing or invalid name, 4 without directories, 104 when there is no such file; the
    ///   words are the reference library's.
    public static func find(_ type: String, in path: [String]) throws(CNIError) -> String {
        if type.isEmpty { throw CNIError(CNIError.Code.invalidConfiguration, "no plugin name provided") }
        if type.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 }) {
            throw CNIError(CNIError.Code.invalidConfiguration, "invalid plugin name: \(type)")
        }
        if path.allSatisfy(\.isEmpty) {
            throw CNIError(CNIError.Code.invalidEnvironment, "no paths provided")
        }
        for directory in path where !directory.isEmpty {
            let candidate = directory.utf8.last == UInt8(ascii: "/") ? directory + type : "\(directory)/\(type)"
            if let status = try? FileStatus(of: candidate), status.isRegularFile { return candidate }
        }
        throw CNIError(
            CNIError.Code.delegate,
            "failed to find plugin \(type.quoted) in path [\(path.joined(separator: " "))]")
    }

    /// ADD of the plugin `type`.
    ///
    /// - Parameter configuration: what the delegate reads; our own configuration by default.
    /// - Throws: the delegate's error, or code 104.
    public static func add(
        type: String, request: Request, configuration: [UInt8]? = nil
    ) throws(CNIError) -> CNIResult {
        let output = try run(type, .add, request, configuration)
        return try decodeResult(output, version: request.configuration.version)
    }

    /// DEL of the plugin `type`.
    ///
    /// - Throws: the delegate's error, or code 104.
    public static func delete(type: String, request: Request, configuration: [UInt8]? = nil) throws(CNIError) {
        _ = try run(type, .delete, request, configuration)
    }

    /// CHECK of the plugin `type`.
    ///
    /// - Throws: the delegate's error, or code 104.
    public static func check(type: String, request: Request, configuration: [UInt8]? = nil) throws(CNIError) {
        _ = try run(type, .check, request, configuration)
    }

    /// GC of the plugin `type`.
    ///
    /// - Throws: the delegate's error, or code 104.
    public static func collectGarbage(
        type: String, request: Request, configuration: [UInt8]? = nil
    ) throws(CNIError) {
        _ = try run(type, .garbageCollect, request, configuration)
    }

    /// STATUS of the plugin `type`.
    ///
    /// - Throws: the delegate's error, or code 104.
    public static func status(type: String, request: Request, configuration: [UInt8]? = nil) throws(CNIError) {
        _ = try run(type, .status, request, configuration)
    }

    private static func run(
        _ type: String, _ command: Command, _ request: Request, _ configuration: [UInt8]?
    ) throws(CNIError) -> [UInt8] {
        try run(
            find(type, in: request.invocation.path), command: command, invocation: request.invocation,
            configuration: configuration ?? request.configuration.bytes)
    }

    /// Runs an executable and returns what it wrote to standard output.
    ///
    /// An executable that is just being replaced ("text file busy") is tried again each second, six times in all.
    /// - Throws: the error document of the delegate as it is; code 104 when there is none.
    public static func run(
        _ executable: String, command: Command, invocation: Invocation, configuration: [UInt8]
    ) throws(CNIError) -> [UInt8] {
        try run(
            executable, command: command, invocation: invocation, configuration: configuration, standardError: 2,
            pause: { pause(milliseconds: 1000) })
    }

    static func run(
        _ executable: String, command: Command, invocation: Invocation, configuration: [UInt8],
        standardError: Int32, pause: () -> Void
    ) throws(CNIError) -> [UInt8] {
        var environment = invocation.environment
        environment["CNI_COMMAND"] = command.rawValue
        let outcome: ProcessOutcome
        do {
            outcome = try spawn(executable, environment, configuration, pause)
        } catch {
            let reason =
                error.errno == .fileTooLarge
                ? "its output is larger than the limit of \(outputLimit) bytes" : error.description
            throw failure("netplugin failed with no error message: \(reason)", executable, command)
        }
        // Information only: a closed standard error must not turn success into failure.
        if !outcome.errorOutput.isEmpty { try? writeFully(standardError, outcome.errorOutput) }
        if outcome.status == 0 { return outcome.output }
        throw Self.error(of: outcome, executable, command)
    }

    private static func spawn(
        _ executable: String, _ environment: Environment, _ input: [UInt8], _ pause: () -> Void
    ) throws(SystemError) -> ProcessOutcome {
        var attempt = 1
        while true {
            do {
                return try Spawn.run(
                    executable, arguments: [executable], environment: environment, input: input, limit: outputLimit)
            } catch {
                guard error.errno == .textFileBusy, attempt < attempts else { throw error }
            }
            attempt += 1
            pause()
        }
    }

    /// The error a failed delegate reports, or the best description of its failure.
    private static func error(of outcome: ProcessOutcome, _ executable: String, _ command: Command) -> CNIError {
        let ending =
            outcome.status < 0 ? "killed by signal \(-outcome.status)" : "exit status \(outcome.status)"
        if outcome.output.isEmpty {
            let words = excerpt(outcome.errorOutput)
            let message =
                words.isEmpty
                ? "netplugin failed with no error message: \(ending)"
                : "netplugin failed: \(words.quoted): \(ending)"
            return failure(message, executable, command)
        }
        do {
            let root = Reader(try Value(parsing: outcome.output))
            let code = try root.member("code").integer() ?? 0
            let message = try root.member("msg").string() ?? ""
            let details = try root.member("details").string() ?? ""
            if code != 0 || !message.isEmpty {
                return CNIError(code == 0 ? CNIError.Code.delegate : Int(clamping: code), message, details: details)
            }
            return failure("netplugin failed with no error message: \(ending)", executable, command)
        } catch {
            return failure(
                "netplugin failed but error parsing its diagnostic message \(excerpt(outcome.output).quoted): \(error)",
                executable, command)
        }
    }

    /// Reads a result. Without a version of its own it has the configuration's; `null` is an empty result.
    static func decodeResult(_ output: [UInt8], version: SpecVersion) throws(CNIError) -> CNIResult {
        func unreadable(_ reason: String) -> CNIError {
            CNIError(CNIError.Code.delegate, "failed to unmarshal raw result: \(reason)")
        }
        if output.allSatisfy({ [0x20, 0x09, 0x0A, 0x0D].contains($0) }) {
            throw unreadable("unexpected end of JSON input")
        }
        let document: Value
        let ownVersion: String
        do {
            document = try Value(parsing: output)
            // Anything but a text counts as no version, too.
            let member = try Reader(document).member("cniVersion")
            ownVersion = (try? member.string()) ?? ""
        } catch {
            throw unreadable("\(error) result \(excerpt(output).quoted)")
        }
        if ownVersion.isEmpty { return try CNIResult(decoding: document, version: version) }
        guard let spoken = SpecVersion(rawValue: ownVersion) else {
            throw CNIError(CNIError.Code.delegate, "unsupported CNI result version \(ownVersion.quoted)")
        }
        return try CNIResult(decoding: document, version: spoken)
    }

    private static func failure(_ message: String, _ executable: String, _ command: Command) -> CNIError {
        CNIError(CNIError.Code.delegate, message, details: "\(command.rawValue) of delegate \(executable)")
    }

    /// The beginning of what a program wrote, fit for a message.
    private static func excerpt(_ bytes: [UInt8]) -> String {
        let limit = 1024
        return String(decoding: bytes.prefix(limit), as: UTF8.self) + (bytes.count > limit ? "…" : "")
    }
}
