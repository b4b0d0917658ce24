import JSON
import NetworkTypes
import System
import Testing

@testable import IPAM

/// The reference plugin, where it is installed.
private struct Reference {
    static let path = "/usr/lib/cni/host-local"

    /// Says why tests that need it do nothing; true when it is there.
    static func isInstalled() -> Bool {
        if Files.exists(path) { return true }
        print("the reference host-local is not at \(path): nothing to compare with")
        return false
    }

    let directory: String

    /// Runs a command; its result, or the message of its error.
    func run(
        _ command: String, _ owner: Owner, _ ipam: String, runtimeConfig: String = "{}", arguments: String = "",
        network: String = "net"
    ) throws -> String {
        guard case .object(var object) = try Value(parsing: Array(ipam.utf8)) else { return "no object" }
        object["type"] = "host-local"
        object["dataDir"] = .string(directory)
        let document: Value = [
            "cniVersion": "1.0.0", "name": .string(network), "type": "any", "ipam": .object(object),
            "runtimeConfig": try Value(parsing: Array(runtimeConfig.utf8)),
        ]
        let outcome = try Spawn.run(
            Self.path, arguments: ["host-local"],
            environment: Environment([
                ("CNI_COMMAND", command), ("CNI_CONTAINERID", owner.containerID), ("CNI_NETNS", "/none"),
                ("CNI_IFNAME", owner.interfaceName), ("CNI_PATH", "/usr/lib/cni"), ("CNI_ARGS", arguments),
            ]), input: Array(document.text().utf8))
        if outcome.output.isEmpty { return "" }
        let output = Reader(try Value(parsing: outcome.output))
        if outcome.status != 0 { return try output.member("msg").string() ?? "no message" }
        return try output.member("ips").elements().map {
            "\(try $0.member("address").string() ?? "") \(try $0.member("gateway").string() ?? "")"
        }.joined(separator: ", ")
    }
}

@Suite("Side by side with the reference plugin")
struct ReferenceTests {
    private static let sets =
        #"""
        {"ranges": [[{"subnet": "10.0.0.0/28"}, {"subnet": "10.0.1.0/29", "rangeStart": "10.0.1.1",
          "rangeEnd": "10.0.1.6", "gateway": "10.0.1.4"}], [{"subnet": "2001:db8::/123", "rangeEnd": "2001:db8::16"}]]}
        """#

    private func ours(_ scratch: Scratch, _ command: String, _ owner: Owner, _ ipam: String, _ runtimeConfig: String)
        -> String
    {
        do {
            let host = scratch.host()
            switch command {
            case "ADD":
                let parsed = try configuration(ipam, runtimeConfig: runtimeConfig)
                return try host.allocate(parsed, for: owner).addresses
                    .map { "\($0.prefix) \($0.gateway.map(\.description) ?? "")" }.joined(separator: ", ")
            case "DEL": try host.release(owner)
            default: try host.check(owner)
            }
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test("the same sequence leaves the same files and gives the same answers")
    func sequence() throws {
        guard Reference.isInstalled() else { return }
        let seed = UInt64.random(in: .min ... .max)
        print("reference sequence seed \(seed)")
        var random = Seeded(state: seed)
        let (mine, theirs) = (try Scratch(), try Scratch())
        let reference = Reference(directory: theirs.path)
        let sets = try configuration(Self.sets).rangeSets
        for step in 0..<150 {
            let owner = owner(
                "c\(Int.random(in: 0..<26, using: &random))", "eth\(Int.random(in: 0..<2, using: &random))")
            var runtimeConfig = "{}"
            let command = ["ADD", "ADD", "ADD", "DEL", "DEL", "CHECK"].randomElement(using: &random) ?? "ADD"
            if command == "ADD", Int.random(in: 0..<4, using: &random) == 0 {
                let ranges = sets.flatMap(\.ranges)
                let range = ranges.randomElement(using: &random) ?? ranges[0]
                let address = IPAddress(
                    family: range.start.family, number: .random(in: range.numbers, using: &random))
                runtimeConfig = #"{"ips": ["\#(address)"]}"#
            }
            let what: Comment = "\(step): \(command) \(owner) \(runtimeConfig)"
            let before = Files.exists("\(theirs.path)/net") ? try theirs.files() : [:]
            let expected = try reference.run(command, owner, Self.sets, runtimeConfig: runtimeConfig)
            let answer = ours(mine, command, owner, Self.sets, runtimeConfig)
            #expect(answer == expected, what)
            if answer.hasPrefix("failed to allocate for range 1"), expected == answer {
                // The reference has reserved and given back an address of the first set: it differs in its pointer and,
                // when the owner had an address of that set before, in that one too. Ours changes nothing; so go on
                // from there.
                for (name, content) in before { try theirs.write(name, content) }
                for name in try theirs.files().keys where before[name] == nil {
                    try Files.remove("\(theirs.path)/net/\(name)")
                }
            }
            if Files.exists("\(mine.path)/net") {
                let (one, other) = (try mine.files(), try theirs.files())
                #expect(one == other, what)
            }
        }
        #expect(try mine.files().count > 3)
        let names = try Files.list("\(mine.path)/net").sorted()
        #expect(try names == Files.list("\(theirs.path)/net").sorted())
    }

    @Test(
        "faults of configurations have the reference's texts",
        arguments: [
            "{}", #"{"subnet": "10.0.0.0/31"}"#, #"{"subnet": "10.0.0.9/24"}"#, #"{"ranges": [[]]}"#,
            #"{"subnet": "2001:db8:1::24:19ff:fee1:c44a/64"}"#,
            #"{"subnet": "10.0.0.0/24", "rangeStart": "10.0.1.0"}"#,
            #"{"subnet": "10.0.0.0/24", "rangeEnd": "10.0.1.0"}"#,
            #"{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.9", "rangeEnd": "10.0.0.8"}"#,
            #"{"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "2001:db8::/64"}]]}"#,
            #"{"ranges": [[{"subnet": "10.1.2.0/24"}, {"subnet": "10.1.0.0/16"}]]}"#,
            #"{"ranges": [[{"subnet": "10.1.2.0/24"}], [{"subnet": "2001:db8::/64"}], [{"subnet": "10.1.2.0/24"}]]}"#,
            #"{"subnet": "10.0.0.0/24", "resolvConf": "/nonexistent/resolv.conf"}"#,
        ])
    func faults(ipam: String) throws {
        guard Reference.isInstalled() else { return }
        let scratch = try Scratch()
        let theirs = try Reference(directory: scratch.path).run("ADD", owner("a"), ipam)
        let mine = failure { _ = try scratch.host().allocate(configuration(ipam), for: owner("a")) }
        // After an operating system's text ours names the errno too.
        #expect(mine == theirs || mine.hasPrefix(theirs + " ("))
    }

    @Test("both take turns on one directory")
    func turns() throws {
        guard Reference.isInstalled() else { return }
        let scratch = try Scratch()
        let reference = Reference(directory: scratch.path)
        let ipam = #"{"subnet": "10.0.0.0/24"}"#
        for round in 0..<8 {
            let (one, two) = (owner("ours\(round)"), owner("theirs\(round)"))
            #expect(ours(scratch, "ADD", one, ipam, "{}") == "10.0.0.\(2 + 2 * round)/24 10.0.0.1")
            #expect(try reference.run("ADD", two, ipam) == "10.0.0.\(3 + 2 * round)/24 10.0.0.1")
            #expect(ours(scratch, "ADD", two, ipam, "{}").hasSuffix("duplicate allocation is not allowed"))
            #expect(try reference.run("CHECK", one, ipam) == "")
            #expect(ours(scratch, "CHECK", two, ipam, "{}") == "")
        }
        for round in 0..<8 {
            #expect(try reference.run("DEL", owner("ours\(round)"), ipam) == "")
            #expect(ours(scratch, "DEL", owner("theirs\(round)"), ipam, "{}") == "")
        }
        #expect(try scratch.reservations().isEmpty)
    }

    @Test("both at once never give an address twice")
    func atOnce() async throws {
        guard Reference.isInstalled() else { return }
        let scratch = try Scratch()
        let ipam = #"{"subnet": "10.0.0.0/24"}"#
        let results = try await withThrowingTaskGroup(of: [String].self) { group in
            for worker in 0..<4 {
                group.addTask {
                    try (0..<15).map { number in
                        let owner = owner("w\(worker)-\(number)")
                        return worker % 2 == 0
                            ? ours(scratch, "ADD", owner, ipam, "{}")
                            : try Reference(directory: scratch.path).run("ADD", owner, ipam)
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(results.count == 60 && Set(results).count == 60)
        #expect(results.allSatisfy { $0.hasSuffix("/24 10.0.0.1") })
        #expect(try scratch.reservations().count == 60)
        #expect(try scratch.files()["last_reserved_ip.0"] == "10.0.0.61")
    }
}
