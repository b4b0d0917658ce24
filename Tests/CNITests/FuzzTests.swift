import CNI
import JSON
import NetworkTypes
import System
import Testing

/// Spoils realistic calls in every way and lets them through the whole contract. A trap would end the test process.
@Suite("Fuzz") struct FuzzTests {
    static let seed = UInt64(Environment.current()["SWIFTLET_SEED"] ?? "") ?? KernelRandom.seed()
    static let iterations = Int(Environment.current()["SWIFTLET_FUZZ_ITERATIONS"] ?? "") ?? defaultIterations

    #if DEBUG
        static let defaultIterations = 15_000
    #else
        static let defaultIterations = 100_000
    #endif

    static let interfaces = ["eth0", "eth1"]
    static let plugins = ["bridge", "host-local", "portmap", "firewall", "tuning"]

    @Test("one JSON document, status 0 or 1, whatever comes in") func mutations() throws {
        print("SWIFTLET_SEED=\(Self.seed) SWIFTLET_FUZZ_ITERATIONS=\(Self.iterations)")
        var mutator = Mutator(seed: Self.seed)
        var inputs: [[UInt8]] = []
        for interface in Self.interfaces {
            for plugin in Self.plugins {
                for suffix in ["ADD.in", "DEL.in", "ADD.out"] {
                    inputs.append(try Golden.bytes("\(interface)-\(plugin)-\(suffix)"))
                }
            }
        }
        for version in SpecVersion.allCases {
            let result = ResultTests.text(version)
            inputs.append(Array(result.utf8))
            inputs.append(
                Array(#"{"name":"n","cniVersion":"\#(version.rawValue)","prevResult":\#(result)}"#.utf8))
        }
        inputs.append(
            Array(
                #"{"name":"n","cniVersion":"1.1.0","cni.dev/valid-attachments":[{"containerID":"c","ifname":"e"}],"#
                    .utf8) + Array(#""args":{"cni":{"mac":"x"}},"cni.dev/attachments":null}"#.utf8))
        var succeeded = 0
        for iteration in 0..<Self.iterations {
            let input = mutator.mutate(inputs, iteration)
            var environment = try Golden.environmentOnce
            mutator.mutate(&environment, iteration)
            let outcome = dispatch(environment, input)
            if outcome.exitStatus == 0 { succeeded += 1 }
            check(outcome, environment, input, iteration)
            decode(input)
        }
        // Both paths must have been walked, or the mutations are too wild or too tame.
        #expect(succeeded > Self.iterations / 20)
        #expect(succeeded < Self.iterations * 19 / 20)
    }

    private func dispatch(_ environment: Environment, _ input: [UInt8]) -> Outcome {
        Dispatcher(
            commands: EchoCommands(), environment: environment,
            readInput: { limit throws(Errno) in
                if input.count > limit { throw .fileTooLarge }
                return input
            }, checkNamespace: { _ throws(CNIError) in },
            mapError: { CNIError(CNIError.Code.internal, "\($0)") }
        ).run()
    }

    private func check(_ outcome: Outcome, _ environment: Environment, _ input: [UInt8], _ iteration: Int) {
        let isWellFormed: Bool
        switch outcome.exitStatus {
        case 0:
            let command = environment["CNI_COMMAND"] ?? ""
            isWellFormed =
                (command == "ADD" || command == "VERSION")
                ? isDocument(outcome.output, with: "cniVersion") : outcome.output.isEmpty
        case 1: isWellFormed = isDocument(outcome.output, with: "code") && outcome.errorOutput.isEmpty
        default: isWellFormed = false
        }
        if !isWellFormed {
            Issue.record(
                "iteration \(iteration): \(outcome) of \(environment) and \(String(decoding: input, as: UTF8.self))")
        }
    }

    private func isDocument(_ text: String, with key: String) -> Bool {
        guard let value = try? Value(parsing: Array(text.utf8)) else { return false }
        return (try? Reader(value).member(key).isPresent) == true
    }

    /// Every result that can be read must survive being printed and read again.
    private func decode(_ input: [UInt8]) {
        guard let value = try? Value(parsing: input) else { return }
        for version in [SpecVersion.v0_2_0, .v0_4_0, .v1_1_0] {
            guard let result = try? CNIResult(decoding: value, version: version) else { continue }
            for target in SpecVersion.allCases {
                guard let document = try? result.document(target) else { continue }
                let again = try? CNIResult(decoding: document, version: target)
                // Before 0.3.0 routes are regrouped by family, so only the newer ones come back as they were.
                let isFaithful = target == version || (version >= .v1_0_0 && target >= .v1_0_0)
                if isFaithful, version >= .v0_3_0 {
                    #expect(again == result, "\(document.text())")
                } else if again == nil {
                    Issue.record("\(document.text()) cannot be read back")
                }
            }
        }
    }
}

/// Uses every part of a request, as a plugin would.
private struct EchoCommands: PluginCommands {
    let name = "fuzz"

    private func touch(_ request: Request) throws -> CNIResult {
        _ = try CNIArguments(parsing: request.invocation.arguments, known: ["IP", "MAC"])
        _ = try request.configuration.validAttachments()
        _ = try request.configuration.args.member("cni").member("mac").string()
        for mapping in try request.configuration.runtimeConfig.member("portMappings").elements() {
            _ = try mapping.member("hostPort").integer(in: 1...65535)
        }
        for ranges in try request.configuration.ipam.member("ranges").elements() {
            for range in try ranges.elements() { _ = try range.member("subnet").string() }
        }
        let result = try request.configuration.previousResult() ?? CNIResult(interfaces: [.init(name: "eth0")])
        for address in result.addresses { _ = result.interface(of: address) }
        return result
    }

    func add(_ request: Request) throws -> CNIResult { try touch(request) }
    func delete(_ request: Request) throws { _ = try touch(request) }
    func check(_ request: Request) throws { _ = try touch(request) }
    func collectGarbage(_ request: Request) throws { _ = try touch(request) }
    func status(_ request: Request) throws { _ = try touch(request) }
}

extension KernelRandom {
    fileprivate static func seed() -> UInt64 {
        var random = KernelRandom()
        return random.next() >> 1
    }
}

extension Golden {
    static var environmentOnce: Environment {
        get throws { try cachedEnvironment.get() }
    }
    private static let cachedEnvironment = Result { try environment("eth0-bridge-ADD.env") }
}

/// Seeded damage to texts and environments.
private struct Mutator {
    private var generator: SeededGenerator

    /// Pieces that mean something to a decoder.
    private static let tokens: [[UInt8]] = [
        "null", "true", "{}", "[]", "\"\"", "0", "-1", "1.5", "1e400", "99999999999999999999", "9223372036854775807",
        "-9223372036854775808", "\\u0000", "\\ud800", "\u{301}", "\"name\":\"x\",", "\"NAME\":null,", "\"ips\":",
        "\"cniVersion\":\"1.1.0\",", "\"cniVersion\":\"0.2.0\",", "10.0.0.1/33", "::ffff:1.2.3.4/96", "fd00::/64",
        "[[[[[[[[", "{\"a\":", ",", ":", "\"", "\\", "\n",
    ].map { Array($0.utf8) }

    private static let values: [String] = [
        "", "ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", "NOPE", "a/b", "..", "eth0", "a\u{301}b", "IP=1;", ";;",
        "=", "IgnoreUnknown=maybe", "IgnoreUnknown=1;FOO=bar", "/opt/cni/bin::/x", "\u{FFFD}", "%s%n",
        String(repeating: "x", count: 5000),
    ]

    private static let names = [
        "CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH", "CNI_NETNS_OVERRIDE",
    ]

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    private mutating func below(_ bound: Int) -> Int { Int(generator.next() % UInt64(max(1, bound))) }

    mutating func mutate(_ inputs: [[UInt8]], _ iteration: Int) -> [UInt8] {
        var bytes = inputs[below(inputs.count)]
        for _ in 0..<below(4) {
            let place = below(bytes.count)
            switch below(7) {
            case 0 where !bytes.isEmpty: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
            case 1 where !bytes.isEmpty: bytes[place] ^= 1 << UInt8(below(8))
            case 2: bytes.removeLast(min(bytes.count, below(bytes.count)))
            case 3: bytes.insert(contentsOf: Self.tokens[below(Self.tokens.count)], at: place)
            case 4:
                let end = min(bytes.count, place + 1 + below(40))
                bytes.removeSubrange(min(place, end)..<end)
            case 5:
                let end = min(bytes.count, place + 1 + below(80))
                bytes.insert(contentsOf: bytes[min(place, end)..<end], at: below(bytes.count))
            default: replaceValue(&bytes)
            }
        }
        return bytes
    }

    /// Puts a token where a value was, which keeps the text JSON more often than not.
    private mutating func replaceValue(_ bytes: inout [UInt8]) {
        let colons = bytes.indices.filter { bytes[$0] == UInt8(ascii: ":") }
        guard !colons.isEmpty else { return }
        let start = colons[below(colons.count)] + 1
        let end = bytes[start...].firstIndex { ",}]".utf8.contains($0) } ?? bytes.count
        bytes.replaceSubrange(start..<end, with: Self.tokens[below(14)])
    }

    mutating func mutate(_ environment: inout Environment, _ iteration: Int) {
        let commands = ["ADD", "DEL", "CHECK", "GC", "STATUS"]
        environment["CNI_COMMAND"] = commands[below(commands.count)]
        if below(4) == 0 {
            environment[Self.names[below(Self.names.count)]] = Self.values[below(Self.values.count)]
        }
    }
}
