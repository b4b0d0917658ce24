import ArgumentParser
import JSON
import System

struct Events: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Print what happens, until interrupted.")
    @OptionGroup var common: Common
    @Option(help: "Only some kinds, separated by commas: member, user, query.")
    var kind: String?
    @Option(help: "End after that many.")
    var count: Int?

    func run() throws {
        try common.perform { client in
            var seen = 0
            try client.lines(ControlClient.path("/v1/events", query: [("kind", kind)])) { line in
                // Flushed line by line: a reader at the other end of a pipe waits for it.
                try? writeFully(1, Array(((common.json ? ShownText.document(line) : Self.readable(line)) + "\n").utf8))
                seen += 1
                return seen != count
            }
        }
    }

    private static func readable(_ line: String) -> String { ShownText.line(words(line)) }

    private static func words(_ line: String) -> String {
        guard let document = try? Value(parsing: Array(line.utf8)) else { return line }
        let event = Reader(document)
        guard let kind = try? event.cell("event"), let name = try? event.cell("name") else { return line }
        switch kind {
        case "user": return "user \(name): \((try? event.cell("payload")) ?? "")"
        case "query":
            let (id, from) = ((try? event.cell("id")) ?? "", (try? event.cell("from")) ?? "")
            return "query \(id) \(name) from \(from): \((try? event.cell("payload")) ?? "")"
        default: return "\(kind) \(name) \((try? event.cell("address")) ?? "")"
        }
    }
}

struct Event: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Send an event to all nodes.")
    @OptionGroup var common: Common
    @Argument(help: "The event's name.")
    var name: String
    @Argument(help: "Its payload; with the name at most 512 bytes.")
    var payload = ""
    @Flag(inversion: .prefixedNo, help: "Whether nodes may merge events of this name.")
    var coalesce = true

    func run() throws {
        try common.perform { client in
            let document = try client.ask(
                "POST", "/v1/event",
                ["name": .string(name), "payload": .string(payload), "coalesce": .bool(coalesce)])
            try common.show(document) { _ in "sent" }
        }
    }
}

struct Query: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask all nodes and print their answers; with --respond, answer a query of theirs.")
    @OptionGroup var common: Common
    @Argument(help: "The query's name; with --respond, the answer.")
    var name: String
    @Argument(help: "Its payload.")
    var payload = ""
    @Option(help: "Ask only this node; may be repeated.")
    var node: [String] = []
    @Option(help: "How long answers are taken, milliseconds.")
    var timeout: Int64?
    @Option(help: "Answer the query with this number of 'swiftlet events'.")
    var respond: Int64?

    func run() throws {
        try common.perform { client in
            if let respond {
                let document = try client.ask(
                    "POST", "/v1/respond", ["id": .integer(respond), "payload": .string(name)])
                return try common.show(document) { _ in "answered" }
            }
            var question = Object([
                ("name", .string(name)), ("payload", .string(payload)), ("nodes", .array(node.map { .string($0) })),
            ])
            if let timeout { question["timeoutMs"] = .integer(timeout) }
            let document = try client.ask(
                "POST", "/v1/query", .object(question), waitingMilliseconds: Int(timeout ?? 600_000) + 5000)
            try common.show(document) { answer in
                var table = Table("NODE", "ANSWER")
                for response in try answer.member("responses").elements() {
                    table.add(try response.cell("from"), try response.cell("payload"))
                }
                return table.text + "\n\(try answer.member("acks").elements().count) acks"
            }
        }
    }
}
