import JSON
import System
import TestSupport

/// Nodes of both kinds on one host: every node has an address of 127.0.0.0/8 and its files below /run of a lab.
final class Cluster {
    let lab: Lab
    private(set) var agents: [Agent] = []
    private(set) var daemons: [Daemon] = []
    private var pids: [Int] = []

    init() throws { lab = try Lab(containers: 0) }

    deinit {
        for pid in pids { _ = try? lab.tool("sh", "-c", "kill -9 \(pid) 2>/dev/null; true") }
    }

    /// Whether the stock agent is here; the reason is printed when it is not. For `.enabled(if:)`.
    static let hasAgent: Bool = {
        if Lab.find("serf") != nil { return true }
        print("Tests with stock serf agents are skipped: serf is not installed and scripts/dependencies.sh could not.")
        return false
    }()

    private static let executables = Environment.current()["SWIFTLET_PLUGIN_DIR"] ?? ProductsDirectory.path
    static let swiftletd = "\(executables)/swiftletd"
    static let swiftlet = "\(executables)/swiftlet"

    /// Starts a program that goes on. Whatever happens to the test, it is killed after ten minutes.
    func start(_ arguments: [String], log: String) throws -> Int {
        let line = arguments.map { "'\($0)'" }.joined(separator: " ")
        let script = """
            exec 3>&1 >>\(log) 2>&1 </dev/null
            \(line) 3>&- & pid=$!
            (timeout 600 tail --pid=$pid -f /dev/null || kill -9 $pid) 3>&- &
            echo $pid >&3
            """
        guard let pid = Int(try lab.tool("sh", "-c", script).filter { !$0.isWhitespace }) else {
            throw LabError("\(arguments[0]) did not start")
        }
        pids.append(pid)
        return pid
    }

    func signal(_ name: String, _ pid: Int) throws { try lab.tool("sh", "-c", "kill -\(name) \(pid)") }

    func isRunning(_ pid: Int) -> Bool { (try? lab.tool("sh", "-c", "kill -0 \(pid)")) != nil }

    /// A stock agent at 127.0.0.`number`.
    func startAgent(_ name: String, _ number: Int, _ extra: String...) throws {
        let agent = Agent(cluster: self, name: name, address: "127.0.0.\(number)")
        let handlers = [
            "user=(echo \"$SERF_USER_EVENT \"; cat; echo) | tr -d \"\\n\" >> /run/\(name).events",
            "query:ask=cat >/dev/null; echo -n from \(name)",
        ]
        agent.pid = try start(
            ["serf", "agent", "-node=\(name)", "-bind=\(agent.address):7946", "-rpc-addr=\(agent.address):7373"]
                + ["-log-level=debug", "-tag", "kind=agent"] + handlers.map { "-event-handler=\($0)" } + extra,
            log: agent.log)
        agents.append(agent)
    }

    /// A daemon of ours at 127.0.0.`number`.
    @discardableResult
    func startDaemon(_ name: String, _ number: Int, _ extra: String...) throws -> Daemon {
        let daemon = Daemon(cluster: self, name: name, address: "127.0.0.\(number)")
        daemon.pid = try start(
            [Self.swiftletd, "--node", name, "--bind", daemon.address, "--socket", daemon.socket]
                + ["--state-dir", "/run/\(name).state", "--tag", "kind=daemon", "--tag", "number=\(number)"] + extra,
            log: daemon.log)
        daemons.append(daemon)
        return daemon
    }

    /// Asks until the answer is right; how long that takes is not the question.
    func eventually(_ what: String, _ isSo: () throws -> Bool) throws {
        let deadline = Deadline(milliseconds: 120_000)
        var last: (any Error)?
        while deadline.remainingMilliseconds > 0 {
            do {
                if try isSo() { return }
                last = nil
            } catch { last = error }
            pause(milliseconds: 100)
        }
        var logs = ""
        for daemon in daemons { logs += "--- \(daemon.name)\n" + ((try? lab.read(daemon.log)) ?? "") }
        for agent in agents { logs += "--- \(agent.name)\n" + ((try? agent.notes()) ?? "") }
        throw LabError("never came true: \(what) \(last.map { "(\($0))" } ?? "")\n\(logs)")
    }

    /// Every running node of both kinds sees the member so.
    func everyone(sees name: String, as status: String, except gone: Set<String> = []) throws {
        for agent in agents where !gone.contains(agent.name) {
            try eventually("\(agent.name) sees \(name) \(status)") { try agent.members()[name]?.status == status }
        }
        for daemon in daemons where !gone.contains(daemon.name) {
            try eventually("\(daemon.name) sees \(name) \(status)") { try daemon.members()[name]?.status == status }
        }
    }
}

/// A member as either kind of node tells it.
struct SeenMember {
    let status: String
    let address: String
    let tags: [String: String]

    static func read(_ document: Value, address: (Reader) throws -> String?) throws -> [String: SeenMember] {
        var seen: [String: SeenMember] = [:]
        for member in try Reader(document).member("members").elements() {
            var tags: [String: String] = [:]
            for tag in try member.member("tags").object()?.members ?? [] {
                tags[tag.key] = try Reader(tag.value).string()
            }
            seen[try member.member("name").string() ?? ""] = SeenMember(
                status: try member.member("status").string() ?? "", address: try address(member) ?? "", tags: tags)
        }
        return seen
    }
}

/// A stock serf agent.
final class Agent {
    private unowned let cluster: Cluster
    let name: String
    let address: String
    var pid = 0

    init(cluster: Cluster, name: String, address: String) {
        self.cluster = cluster
        self.name = name
        self.address = address
    }

    var log: String { "/run/\(name).log" }

    func serf(_ command: String, _ arguments: String...) throws -> String {
        try cluster.lab.tool("serf", [command, "-rpc-addr=\(address):7373"] + arguments)
    }

    func members() throws -> [String: SeenMember] {
        try SeenMember.read(Value(parsing: Array(try serf("members", "-format=json").utf8))) { member in
            try member.member("addr").string().map { String($0.prefix { $0 != ":" }) }
        }
    }

    /// What its handler wrote about user events.
    func events() throws -> String { try cluster.lab.read("/run/\(name).events") }

    /// Its log without what it tells of every probe and every question of ours.
    func notes() throws -> String {
        try cluster.lab.read(log).split(separator: "\n").filter { !$0.contains("[DEBUG]") }.joined(separator: "\n")
    }

    /// Warnings and errors for which no node of ours needs to have done anything wrong: a seed that is not up yet, and
    /// what a process sees that did not get the processor for seconds. All words of a row are in such an entry.
    private static let routine: [[String]] = [
        ["[WARN] agent: Join failed:", "connection refused"],
        ["[WARN] agent: error joining:", "connection refused"],
        // Late acks: it was suspected, or suspects others and then reaches them by TCP, or not even so in time.
        ["[WARN] memberlist: Refuting a suspect message (from:"],
        ["[WARN] memberlist: Was able to connect to"],
        ["[ERR] memberlist: Failed fallback ping:", "i/o timeout"],
        ["[ERR] memberlist: Push/Pull with", "i/o timeout"],
        // An answer after the query's end. That answers fit their query is seen by their number in the tests.
        ["[WARN] serf: reply for non-running query"],
        ["[WARN] agent: Script", "slow, execution exceeding"],
    ]

    /// The entries of its log that tell of trouble. One that gives several reasons has a line for each.
    func complaints() throws -> [String] {
        var entries: [String] = []
        for line in try cluster.lab.read(log).split(separator: "\n") {
            if ["[DEBUG]", "[INFO]", "[WARN]", "[ERR]"].contains(where: line.contains) || entries.isEmpty {
                entries.append(String(line))
            } else {
                entries[entries.count - 1] += "\n\(line)"
            }
        }
        return entries.filter { entry in
            (entry.contains("[ERR]") || entry.contains("[WARN]") || entry.contains("panic"))
                && !Self.routine.contains { words in words.allSatisfy { entry.contains($0) } }
        }
    }
}

/// A daemon of ours, steered by its command line.
final class Daemon {
    private unowned let cluster: Cluster
    let name: String
    let address: String
    var pid = 0

    init(cluster: Cluster, name: String, address: String) {
        self.cluster = cluster
        self.name = name
        self.address = address
    }

    var log: String { "/run/\(name).log" }
    var socket: String { "/run/\(name).sock" }
    var eventLog: String { "/run/\(name).events" }

    /// Runs `swiftlet`; the exit status is part of the answer.
    func run(_ arguments: String...) throws -> ChildOutcome {
        let (socket, swiftlet) = (socket, Cluster.swiftlet)
        return try cluster.lab.inside {
            try ChildProcess.run(
                swiftlet, arguments + ["--socket", socket], environment: Environment([("LC_ALL", "C")]), limit: 60_000)
        }
    }

    func members() throws -> [String: SeenMember] {
        let outcome = try run("members", "--json")
        guard outcome.status == 0 else { throw LabError("swiftlet members: \(outcome.status) \(outcome.errorText)") }
        return try SeenMember.read(Value(parsing: outcome.output)) { try $0.member("address").string() }
    }

    /// Begins to write its events to a file, and waits until the daemon knows of it.
    func followEvents() throws {
        _ = try cluster.start([Cluster.swiftlet, "events", "--kind", "user,query", "--socket", socket], log: eventLog)
        try cluster.eventually("\(name) has an observer") {
            try cluster.lab.tool("curl", "-s", "--unix-socket", socket, "http://localhost/metrics")
                .contains("swiftletd_observers 1")
        }
    }

    func events() throws -> [String] {
        try cluster.lab.read(eventLog).split(separator: "\n").map(String.init)
    }
}
