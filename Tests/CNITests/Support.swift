import CNI
import JSON
import System
import Testing

/// A plugin that records what it is asked and answers what it is told.
final class FakeCommands: PluginCommands {
    var name = "fake"
    var supportedVersions = SpecVersion.allCases
    var needsNamespace = true
    var result = CNIResult()
    var failure: (any Error)?
    var deleteFailure: (any Error)?
    private(set) var calls: [String] = []
    private(set) var request: Request?

    private func record(_ call: String, _ request: Request) throws {
        calls.append(call)
        self.request = request
        if let failure { throw failure }
    }

    func add(_ request: Request) throws -> CNIResult {
        try record("add", request)
        return result
    }
    func delete(_ request: Request) throws {
        try record("delete", request)
        if let deleteFailure { throw deleteFailure }
    }
    func check(_ request: Request) throws { try record("check", request) }
    func collectGarbage(_ request: Request) throws { try record("collectGarbage", request) }
    func status(_ request: Request) throws { try record("status", request) }
}

/// An error of no kind the contract knows.
struct UntypedError: Error, CustomStringConvertible {
    let description: String
}

/// A call with everything in place, to be spoilt by a test.
struct Call {
    static let complete = [
        ("CNI_CONTAINERID", "some-container-id"), ("CNI_NETNS", "/some/netns/path"), ("CNI_IFNAME", "eth0"),
        ("CNI_ARGS", "some;extra;args"), ("CNI_PATH", "/some/cni/path:/other"),
    ]

    var environment: Environment
    var input = Array(#"{"name":"skel-test","type":"fake","cniVersion":"1.1.0"}"#.utf8)
    var readError: Errno?
    var checkNamespace: (String) throws(CNIError) -> Void = { _ throws(CNIError) in }

    init(_ command: String, _ changes: [String: String?] = [:]) {
        environment = Environment(Self.complete)
        environment["CNI_COMMAND"] = command
        for (name, value) in changes { environment[name] = value }
    }

    func with(input: String) -> Call {
        var call = self
        call.input = Array(input.utf8)
        return call
    }

    func run(_ commands: FakeCommands) -> Outcome {
        let input = input
        let readError = readError
        return Dispatcher(
            commands: commands, environment: environment,
            readInput: { limit throws(Errno) in
                if let readError { throw readError }
                if input.count > limit { throw .fileTooLarge }
                return input
            }, checkNamespace: checkNamespace, mapError: { CNIError(CNIError.Code.internal, "\($0)") }
        ).run()
    }
}

/// The error document on standard output.
func errorDocument(_ outcome: Outcome) throws -> CNIError {
    #expect(outcome.exitStatus == 1)
    #expect(outcome.output.last == "}", "no newline after an error document")
    #expect(outcome.errorOutput.isEmpty)
    let root = Reader(try Value(parsing: Array(outcome.output.utf8)))
    let code = try #require(try root.member("code").integer())
    return CNIError(
        Int(code), try root.member("msg").string() ?? "<none>", details: try root.member("details").string() ?? "")
}

/// The value with object members in alphabetical order at every level, for comparisons that ignore order.
func sorted(_ value: Value) -> Value {
    switch value {
    case .object(let object):
        .object(
            Object(object.members.sorted { $0.key < $1.key }.map { ($0.key, sorted($0.value)) }))
    case .array(let elements): .array(elements.map(sorted))
    default: value
    }
}

func parsed(_ text: String) throws -> Value { try Value(parsing: Array(text.utf8)) }

/// A captured conversation of podman 4.3.1 with the reference plugins 1.1.1.
enum Golden {
    static func bytes(_ name: String) throws -> [UInt8] {
        let tests = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        return try Files.read("/\(tests)/Golden/podman-4.3.1/\(name)")
    }

    static func text(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }

    static func environment(_ name: String) throws -> Environment {
        Environment(
            try text(name).split(separator: "\n").map { line in
                let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
            })
    }
}

/// SplitMix64: small, and the same sequence everywhere for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
