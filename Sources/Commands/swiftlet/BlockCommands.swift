import ArgumentParser
import Glibc
import JSON

struct BlockCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "blocks", abstract: "Show who hands out which addresses, and take over from hosts that are gone.",
        subcommands: [List.self, Takeover.self], defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "List the address blocks and the hosts that own them.",
            discussion: """
                STATUS is the owner's: live, failed, left, or unknown when the cluster has forgotten it. Blocks of a host \
                that is not live stay its own until 'swiftlet blocks takeover'.
                """)
        @OptionGroup var common: Common
        @Option(help: "Only this network.") var network: String?

        func run() throws {
            try common.perform { client in
                let query = network.map { "?network=\($0)" } ?? ""
                try common.show(try client.ask("GET", "/v1/blocks\(query)")) { document in
                    var table = Table("NETWORK", "RANGE", "OWNER", "STATUS", "STATE", "USED", "LENT", "ID")
                    for network in try document.member("networks").elements() {
                        let name = try network.cell("network")
                        for row in try Self.merged(try network.member("blocks").elements()) {
                            table.add(
                                name, row.range, row.owner, row.status, row.state, row.used, row.lent, row.id)
                        }
                    }
                    return table.text
                }
            }
        }

        /// Blocks that follow each other and say the same, as one line.
        private struct Row {
            var first: String
            var last: String
            var owner: String
            var status: String
            var state: String
            var used: String
            var lent: String
            var id: String

            var range: String { "\(first)-\(last)" }

            func continues(_ other: Row) -> Bool {
                (owner, status, state, id) == (other.owner, other.status, other.state, other.id)
                    && (used, lent) == ("-", "-") && (other.used, other.lent) == ("-", "-")
            }
        }

        private static func merged(_ blocks: [Reader]) throws -> [Row] {
            var rows: [Row] = []
            for block in blocks {
                let ends = try block.cell("range").split(separator: "-").map(String.init)
                let used = try block.cell("used")
                let lent = try block.member("lent").object()?.members.count ?? 0
                let row = Row(
                    first: ends.first ?? "", last: ends.last ?? "", owner: try block.cell("owner"),
                    status: try block.cell("ownerStatus"), state: try block.cell("state"),
                    used: used == "0" ? "-" : used, lent: lent == 0 ? "-" : "\(lent)", id: try block.cell("ownerID"))
                if let last = rows.last, row.continues(last) {
                    rows[rows.count - 1].last = row.last
                } else {
                    rows.append(row)
                }
            }
            return rows
        }
    }

    struct Takeover: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take over the address blocks of hosts that do not come back.",
            discussion: """
                Without --gone a majority of the known hosts must be there and see that the named ones are away. With \
                --gone you vouch that they never come back as they were: nobody else needs to see it, so that one of two \
                hosts can go on. If a container still runs there, its address will be handed out a second time.
                """)
        @OptionGroup var common: Common
        @Argument(help: "The hosts' names or ids.") var hosts: [String]
        @Flag(help: "Vouch that the hosts are gone for good.") var gone = false
        @Option(help: "Only this network (default: all).") var network: String?
        @Flag(help: "Do not ask.") var yes = false

        func run() throws {
            try common.perform { client in
                if gone, !yes, isAtTerminal, !confirmed() { throw ExitCode(1) }
                var body = Object([("hosts", .array(hosts.map { .string($0) })), ("gone", .bool(gone))])
                if let network { body["network"] = .string(network) }
                try common.show(try client.ask("POST", "/v1/blocks/takeover", .object(body))) { document in
                    var table = Table("NETWORK", "RESULT")
                    for member in try document.member("networks").object()?.members ?? [] {
                        table.add(member.key, try Reader(member.value).string() ?? "")
                    }
                    return table.text
                }
            }
        }

        private var isAtTerminal: Bool { isatty(0) == 1 && isatty(2) == 1 }

        /// Says what is risked, and takes a yes.
        private func confirmed() -> Bool {
            let names = hosts.joined(separator: ", ")
            complain(
                "the address blocks of \(names) go to this host. If a container still runs on \(names), or comes back with "
                    + "its disk, its address will be handed out a second time, and both lose traffic.")
            complain("Is \(names) gone for good? [y/N]")
            return ["y", "yes"].contains(readLine()?.lowercased() ?? "")
        }
    }
}
