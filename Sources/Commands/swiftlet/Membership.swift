import ArgumentParser
import JSON

struct Members: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the members of the cluster.")
    @OptionGroup var common: Common
    @Option(help: "Only members of this status: alive, leaving, left or failed.")
    var status: String?

    func run() throws {
        try common.perform { client in
            let document = try client.ask("GET", "/v1/members")
            let members = try Reader(document).member("members").elements().filter { member in
                try status == nil || member.cell("status") == status
            }
            try common.show(["members": .array(members.compactMap(\.value))]) { _ in
                var table = Table("NAME", "ADDRESS", "STATUS", "RTT", "TAGS")
                for member in members {
                    let isSelf = try member.member("self").bool() == true
                    table.add(
                        try member.cell("name") + (isSelf ? "*" : ""),
                        "\(try member.cell("address")):\(try member.cell("port"))", try member.cell("status"),
                        try member.milliseconds("estimatedRoundTripMs"), try member.pairs("tags"))
                }
                return table.text
            }
        }
    }
}

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show how the daemon of this host is.")
    @OptionGroup var common: Common

    func run() throws {
        try common.perform { client in
            let document = try client.ask("GET", "/v1/status")
            try common.show(document) { status in
                var table = Table("KEY", "VALUE")
                for key in ["node", "address", "version", "state", "uptimeSeconds", "encrypted", "healthScore"] {
                    table.add(key, try status.cell(key))
                }
                table.add("members", try status.pairs("members"))
                table.add("clocks", try status.pairs("clocks"))
                table.add("incarnation", try status.cell("incarnation"))
                for warning in try status.member("warnings").strings() { table.add("warning", warning) }
                return table.text
            }
        }
    }
}

struct Join: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Join the cluster of any of these nodes.")
    @OptionGroup var common: Common
    @Argument(help: "ADDR or ADDR:PORT.")
    var peers: [String]

    func run() throws {
        try common.perform { client in
            let document = try client.ask(
                "POST", "/v1/join", ["peers": .array(peers.map { .string($0) })])
            try common.show(document) { _ in "joining; see 'swiftlet members'" }
        }
    }
}

struct Leave: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Leave the cluster and end the daemon.")
    @OptionGroup var common: Common

    func run() throws {
        try common.perform { client in
            try common.show(try client.ask("POST", "/v1/leave")) { _ in "left" }
        }
    }
}

struct ForceLeave: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "force-leave", abstract: "Declare a failed member to have left.")
    @OptionGroup var common: Common
    @Argument(help: "The member's name.")
    var name: String
    @Flag(help: "Forget the member at once.")
    var prune = false

    func run() throws {
        try common.perform { client in
            let document = try client.ask(
                "POST", "/v1/force-leave", ["name": .string(name), "prune": .bool(prune)])
            try common.show(document) { _ in "\(name) is declared to have left" }
        }
    }
}

struct Tags: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Change the tags of this node.")
    @OptionGroup var common: Common
    @Option(help: "KEY=VALUE to add or replace; may be repeated.")
    var set: [String] = []
    @Option(help: "KEY to drop; may be repeated.")
    var delete: [String] = []

    func run() throws {
        var changed = Object()
        for pair in set {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard halves.count == 2, !halves[0].isEmpty else {
                throw ValidationError("--set: '\(pair)' is not KEY=VALUE")
            }
            changed[String(halves[0])] = .string(String(halves[1]))
        }
        try common.perform { client in
            let document = try client.ask(
                "POST", "/v1/tags", ["set": .object(changed), "delete": .array(delete.map { .string($0) })])
            try common.show(document) { _ in "announced" }
        }
    }
}

struct RoundTrip: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rtt", abstract: "Estimate the round trip between two members from their coordinates.")
    @OptionGroup var common: Common
    @Argument(help: "A member.")
    var to: String
    @Argument(help: "Another member (default: this node).")
    var from: String?

    func run() throws {
        try common.perform { client in
            let document = try client.ask("GET", ControlClient.path("/v1/rtt", query: [("to", to), ("from", from)]))
            try common.show(document) { answer in
                "\(try answer.cell("from")) <-> \(try answer.cell("to")): \(try answer.milliseconds("estimatedRoundTripMs"))"
            }
        }
    }
}
