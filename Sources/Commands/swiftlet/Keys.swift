import ArgumentParser
import JSON

struct Keys: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List and change the gossip keys of all nodes.",
        discussion: "To rotate: install the new key, use it, remove the old one; each step must succeed everywhere.",
        subcommands: [List.self, Install.self, Use.self, Remove.self], defaultSubcommand: List.self)

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show which keys how many nodes have.")
        @OptionGroup var common: Common
        func run() throws { try Keys.run(common, "GET", "/v1/keys", nil) }
    }

    struct Install: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Add a key on every node.")
        @OptionGroup var common: Common
        @Argument(help: "16, 24 or 32 bytes in base64.") var key: String
        func run() throws { try Keys.run(common, "POST", "/v1/keys/install", key) }
    }

    struct Use: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Encrypt with an installed key everywhere.")
        @OptionGroup var common: Common
        @Argument(help: "An installed key in base64.") var key: String
        func run() throws { try Keys.run(common, "POST", "/v1/keys/use", key) }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove a key, not the one in use, everywhere.")
        @OptionGroup var common: Common
        @Argument(help: "A key in base64.") var key: String
        func run() throws { try Keys.run(common, "POST", "/v1/keys/remove", key) }
    }

    /// Exit status 1 when not every node did what was asked.
    private static func run(_ common: Common, _ method: String, _ path: String, _ key: String?) throws {
        try common.perform { client in
            let (status, document) = try client.exchange(method, path, key.map { ["key": .string($0)] })
            if let reason = try Reader(document).member("error").string() {
                throw ControlClient.Failure.refused(status: status, reason)
            }
            try common.show(document) { answer in
                var lines = ["\(try answer.cell("succeeded"))/\(try answer.cell("nodes")) nodes reported success"]
                for failure in try answer.member("failed").object()?.members ?? [] {
                    lines.append("\(failure.key): \(try answer.member("failed").cell(failure.key))")
                }
                let keys = try answer.member("keys").object()?.members ?? []
                if !keys.isEmpty {
                    var table = Table("KEY", "NODES")
                    for key in keys { table.add(key.key, key.value.text()) }
                    lines.append(table.text)
                }
                return lines.joined(separator: "\n")
            }
            if status >= 300 { throw ExitCode(1) }
        }
    }
}
