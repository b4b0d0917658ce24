internal import JSON
public import System

/// What a finished command leaves: the texts to print and the exit status.
public struct Outcome: Equatable, Sendable {
    /// Standard output: nothing, or one JSON document.
    public var output: String
    /// Standard error.
    public var errorOutput: String
    /// 0 for success, 1 for an error document.
    public var exitStatus: Int32

    /// Makes an outcome; success without a word by default.
    public init(output: String = "", errorOutput: String = "", exitStatus: Int32 = 0) {
        self.output = output
        self.errorOutput = errorOutput
        self.exitStatus = exitStatus
    }
}

/// Takes one call from the environment and standard input to the plugin's command and back.
///
/// Everything is checked in the order of the reference library, so that of several faults the same one is reported. Two
/// things differ: the namespace is checked before the command runs, and when the result cannot be printed in the
/// requested version, what ADD made is removed again.
public struct Dispatcher {
    /// The most bytes taken from standard input.
    public static let inputLimit = 1 << 20

    /// The version of the reference plugins whose features ours have. Clients such as nerdctl decide by it what a plugin
    /// can do (`firewall` from 1.7.1 on: `ingressPolicy: isolated`); our own version follows as build metadata.
    public static let referenceLevel = "1.9.1"

    private let commands: any PluginCommands
    private let environment: Environment
    private let readInput: (Int) throws(Errno) -> [UInt8]
    private let checkNamespace: (String) throws(CNIError) -> Void
    private let mapError: (any Error) -> CNIError

    /// Prepares a call.
    ///
    /// - Parameters:
    ///   - readInput: reads standard input to its end; `EFBIG` if there is more than the given number of bytes.
    ///   - checkNamespace: throws ``CNIError/ownNamespace`` for the plugin's own namespace, another error of code 8
    ///     for a path that is no namespace; ``checkNamespacePath(_:)`` is the real one.
    ///   - mapError: finds the code for an error that is neither a ``CNIError`` nor about JSON.
    public init(
        commands: any PluginCommands, environment: Environment,
        readInput: @escaping (Int) throws(Errno) -> [UInt8],
        checkNamespace: @escaping (String) throws(CNIError) -> Void,
        mapError: @escaping (any Error) -> CNIError
    ) {
        self.commands = commands
        self.environment = environment
        self.readInput = readInput
        self.checkNamespace = checkNamespace
        self.mapError = mapError
    }

    /// Runs the command.
    public func run() -> Outcome {
        let text = environment["CNI_COMMAND"] ?? ""
        if text.isEmpty, !commands.name.isEmpty { return about }
        var version: SpecVersion?
        do {
            return try dispatch(text, version: &version)
        } catch {
            return Outcome(output: mapped(error).document(version: version).text(.indented), exitStatus: 1)
        }
    }

    /// The text for humans, and for programs that look for the plugin's version.
    private var about: Outcome {
        let versions = commands.supportedVersions.map(\.rawValue).joined(separator: ", ")
        return Outcome(
            errorOutput: """
                CNI \(commands.name) plugin v\(Self.referenceLevel)+swiftlet.\(suiteVersion)
                CNI protocol versions supported: \(versions)

                """)
    }

    /// One compact line, the newest version of all first, whatever the configuration says.
    private var versionReply: Outcome {
        let reply: JSON.Value = [
            "cniVersion": .string(SpecVersion.newest.rawValue),
            "supportedVersions": .array(commands.supportedVersions.map { .string($0.rawValue) }),
        ]
        return Outcome(output: reply.text() + "\n")
    }

    private func dispatch(_ text: String, version: inout SpecVersion?) throws -> Outcome {
        if text.isEmpty { throw EnvironmentRules.missing(["CNI_COMMAND"]) }
        let command = Command(rawValue: text)
        try EnvironmentRules.check(environment, for: command)
        if command == .version { return versionReply }

        let bytes = try input()
        let document = try ConfigurationDocument(parsing: bytes)
        // Only for the error document; what is wrong with the version is said below.
        version = (try? document.versionText()).flatMap(SpecVersion.init(rawValue:))
        guard let command else {
            throw CNIError(CNIError.Code.invalidEnvironment, "unknown CNI_COMMAND: \(text)")
        }
        try checkGate(command, document)
        let supported = try document.supportedVersion(among: commands.supportedVersions)

        let request = Request(
            invocation: invocation(command, bytes),
            configuration: try NetworkConfiguration(document, version: supported))
        try checkNamespace(of: request.invocation)
        return try call(request)
    }

    private func input() throws(CNIError) -> [UInt8] {
        let bytes: [UInt8]
        do {
            bytes = try readInput(Self.inputLimit)
        } catch .fileTooLarge {
            throw Self.tooLarge
        } catch {
            throw CNIError(CNIError.Code.inputOutput, "error reading from stdin: \(error)")
        }
        if bytes.count > Self.inputLimit { throw Self.tooLarge }
        return bytes
    }

    private static var tooLarge: CNIError {
        CNIError(
            CNIError.Code.decoding,
            "error unmarshall network config: larger than the limit of \(inputLimit) bytes (1 MiB)")
    }

    private func invocation(_ command: Command, _ bytes: [UInt8]) -> Invocation {
        let path = environment["CNI_PATH"] ?? ""
        return Invocation(
            command: command, containerID: environment["CNI_CONTAINERID"] ?? "",
            netns: environment["CNI_NETNS"] ?? "", interfaceName: environment["CNI_IFNAME"] ?? "",
            arguments: environment["CNI_ARGS"] ?? "",
            path: path.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).map {
                String(Substring($0))
            }, environment: environment, input: bytes)
    }

    /// CHECK came with 0.4.0, GC and STATUS with 1.1.0: both the configuration and the plugin must be that new.
    private func checkGate(_ command: Command, _ document: ConfigurationDocument) throws(CNIError) {
        let first: SpecVersion
        switch command {
        case .check: first = .v0_4_0
        case .garbageCollect, .status: first = .v1_1_0
        case .add, .delete, .version: return
        }
        let wanted = try VersionNumber(parsing: document.versionText())
        if wanted < VersionNumber(first) {
            throw CNIError(
                CNIError.Code.incompatibleVersion, "config version does not allow \(command.rawValue)")
        }
        guard commands.supportedVersions.contains(where: { VersionNumber($0) >= wanted }) else {
            throw CNIError(
                CNIError.Code.incompatibleVersion, "plugin version does not allow \(command.rawValue)")
        }
    }

    /// ADD and CHECK need a namespace other than our own. DEL must work when it is gone or never was one, but must not
    /// take the host's own for the container's.
    private func checkNamespace(of invocation: Invocation) throws(CNIError) {
        let isRequired: Bool
        switch invocation.command {
        case .add, .check: isRequired = commands.needsNamespace
        case .delete: isRequired = false
        case .garbageCollect, .status, .version: return
        }
        if invocation.netns.isEmpty { return }
        do {
            try checkNamespace(invocation.netns)
        } catch .ownNamespace {
            if !invocation.allowsOwnNamespace { throw .ownNamespace }
        } catch {
            if isRequired { throw error }
        }
    }

    private func call(_ request: Request) throws -> Outcome {
        switch request.invocation.command {
        case .add:
            let result = try commands.add(request)
            do {
                return Outcome(output: try result.document(request.configuration.version).text(.indented))
            } catch {
                throw undoing(request, because: error)
            }
        case .delete: try commands.delete(request)
        case .check: try commands.check(request)
        case .garbageCollect: try commands.collectGarbage(request)
        case .status: try commands.status(request)
        case .version: return versionReply
        }
        return Outcome()
    }

    private func undoing(_ request: Request, because reason: CNIError) -> CNIError {
        var error = reason
        do {
            try commands.delete(request)
        } catch let failure {
            error.details += (error.details.isEmpty ? "" : "; ") + "removing what was added failed: \(mapped(failure))"
        }
        return error
    }

    private func mapped(_ error: any Error) -> CNIError {
        switch error {
        case let error as CNIError: error
        case let error as JSON.DecodingError: CNIError(error)
        case let error as JSON.SyntaxError: CNIError(error)
        default: mapError(error)
        }
    }
}
