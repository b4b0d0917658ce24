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

    /// Starts a program that goes on. Whatever happens to the test, it is killed after two minutes.
    func start(_ arguments: [String], log: String) throws -> Int {
        let line = arguments.map { "'\($0)'" }.joined(separator: " ")
        let script = """
            exec 3>&1 >>\(log) 2>&1 </dev/null
            \(line) 3>&- & pid=$!
            (timeout 120 tail --pid=$pid -f /dev/null || kill -9 $pid) 3>&- &
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
        let deadline = Deadline(milliseconds: 45_000)
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

    /// The lines of its log that tell of trouble. That a seed is not up yet, or a slow machine answers late, is none.
    func complaints() throws -> [Substring] {
        try cluster.lab.read(log).split(separator: "\n").filter { line in
            let isRoutine = [
                "Join failed", "failed to join", "error joining", "Suspect", "suspect", "Was able to connect",
            ].contains {
                line.contains($0)
            }
            return (line.contains("[ERR]") || line.contains("[WARN]") || line.contains("panic")) && !isRoutine
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
                swiftlet, arguments + ["--socket", socket], environment: Environment([("LC_ALL", "C")]), limit: 20_000)
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
