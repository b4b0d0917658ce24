import JSON
import System
import TestSupport
import Testing

/// The daemon's process: its flags, its socket, its end. These need no stock agent.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct DaemonTests {
    @Test func movesAfterACrashAmongItsOwn() throws {
        let cluster = try Cluster()
        try cluster.startDaemon("daemon1", 11, "--profile", "fast")
        let mover = try cluster.startDaemon("mover", 12, "--profile", "fast", "--join", "127.0.0.11")
        try cluster.everyone(sees: "mover", as: "alive")
        try cluster.signal("KILL", mover.pid)
        try cluster.everyone(sees: "mover", as: "failed", except: ["mover"])
        try cluster.startDaemon("mover", 22, "--profile", "fast", "--join", "127.0.0.11")
        try cluster.eventually("it is seen at its new address") {
            let seen = try cluster.daemons[0].members()["mover"]
            return seen?.status == "alive" && seen?.address == "127.0.0.22"
        }
    }

    @Test func announcesChangedTags() throws {
        let cluster = try Cluster()
        try cluster.lab.write("/run/daemon1.json", #"{"profile": "fast", "tags": {"rack": "r1"}}"#)
        try cluster.startDaemon("daemon1", 11, "--config", "/run/daemon1.json")
        try cluster.startDaemon("daemon2", 12, "--profile", "fast", "--join", "127.0.0.11")
        let (one, two) = (cluster.daemons[0], cluster.daemons[1])
        try cluster.eventually("daemon2 sees the rack") { try two.members()["daemon1"]?.tags["rack"] == "r1" }
        try cluster.lab.write("/run/daemon1.json", #"{"profile": "fast", "tags": {"rack": "r2"}}"#)
        try cluster.signal("HUP", one.pid)
        try cluster.eventually("daemon2 sees the new rack") { try two.members()["daemon1"]?.tags["rack"] == "r2" }
        try cluster.lab.write("/run/daemon1.json", "{")
        try cluster.signal("HUP", one.pid)
        try cluster.eventually("the broken file is refused") { try cluster.lab.read(one.log).contains("not reloaded") }
        #expect(try one.run("tags", "--set", "zone=z1", "--delete", "rack").status == 0)
        try cluster.eventually("daemon2 sees the zone") {
            let tags = try two.members()["daemon1"]?.tags
            return tags?["zone"] == "z1" && tags?["rack"] == nil
        }
    }

    @Test func servesItsSocket() throws {
        let cluster = try Cluster()
        let daemon = try cluster.startDaemon("daemon1", 11)
        try cluster.eventually("it answers") { try daemon.run("status").status == 0 }
        let lab = cluster.lab
        #expect(try lab.tool("stat", "-c", "%a", daemon.socket) == "600\n")
        func curl(_ path: String, _ more: String...) throws -> String {
            try lab.tool(
                "curl", ["-s", "-w", "%{http_code}", "--unix-socket", daemon.socket, "http://localhost\(path)"] + more)
        }
        #expect(try curl("/healthz") == "ok\n200")
        #expect(try curl("/nothing").hasSuffix("404"))
        #expect(try curl("/v1/event", "-d", "{").hasSuffix("400"))
        #expect(try curl("/v1/event", "-d", #"{"name": 1}"#).contains("name: expected a string"))
        #expect(try curl("/v1/join", "-d", #"{"peers": ["x/y"]}"#).hasSuffix("400"))
        #expect(try curl("/v1/keys").hasSuffix("409"))
        #expect(try daemon.run("event", "big", String(repeating: "x", count: 600)).status == 1)
        let metrics = try curl("/metrics")
        #expect(metrics.contains("swiftletd_members{status=\"alive\"} 1\n"))
        for line in metrics.split(separator: "\n").dropLast() where !line.hasPrefix("#") {
            #expect(line.hasPrefix("swiftletd_") && line.split(separator: " ").count == 2, "\(line)")
        }

        // A second daemon takes neither its state nor its socket.
        let second = try cluster.start(
            [Cluster.swiftletd, "--node", "x", "--bind", "127.0.0.12", "--socket", "/run/x.sock"]
                + ["--state-dir", "/run/daemon1.state"], log: "/run/second.log")
        try cluster.eventually("the second ended") { !cluster.isRunning(second) }
        #expect(try lab.read("/run/second.log").contains("another daemon uses /run/daemon1.state"))
        let third = try cluster.start(
            [Cluster.swiftletd, "--node", "x", "--bind", "127.0.0.12", "--socket", daemon.socket, "--state-dir", ""],
            log: "/run/third.log")
        try cluster.eventually("the third ended") { !cluster.isRunning(third) }
        #expect(try lab.read("/run/third.log").contains("another daemon answers on \(daemon.socket)"))
        #expect(try daemon.run("status").status == 0)

        try cluster.signal("TERM", daemon.pid)
        try cluster.eventually("it ended") { !cluster.isRunning(daemon.pid) }
        #expect(try lab.list("/run").filter { $0.hasSuffix(".sock") } == [])
        #expect(try daemon.run("status").status == 2)
    }

    /// A container runtime runs whatever is in a directory of plugins; a daemon must not stay there, nor a caller wait for it.
    @Test func doesNotStartForWhoeverTriesExecutables() throws {
        let lab = try Lab(containers: 0)
        func run(_ environment: [(String, String)], _ arguments: String...) throws -> ChildOutcome {
            try lab.inside {
                try ChildProcess.run(
                    Cluster.swiftletd, arguments, environment: Environment(environment), limit: 20_000)
            }
        }
        let asked = try run([("CNI_COMMAND", "VERSION")])
        #expect(asked.status == 64 && asked.errorText.contains("no CNI plugin"), "\(asked)")
        let silent = try run([])
        #expect(silent.status == 64 && silent.errorText.contains("swiftletd run"), "\(silent)")
        // A child of a unit inherits what the unit was told.
        let inherited = try run([("INVOCATION_ID", "1"), ("SYSTEMD_EXEC_PID", "1")])
        #expect(inherited.status == 64, "\(inherited)")
        #expect(try run([], "info").status == 64)
        #expect(try run([], "--version").status == 0)
        #expect(try lab.list("/run").filter { $0 != "netns" } == [])
    }

    @Test func startsWithTheWord() throws {
        let cluster = try Cluster()
        // A lab has only its loopback device, and a root directory that cannot be written.
        let pid = try cluster.start(
            [Cluster.swiftletd, "run", "--node", "n", "--advertise", "127.0.0.1", "--state-dir", ""],
            log: "/run/word.log")
        try cluster.eventually("it is ready") { try cluster.lab.read("/run/word.log").contains("ready") }
        // It listens on all addresses, without keys.
        #expect(try cluster.lab.read("/run/word.log").contains("there are no keys"))
        let status = try cluster.lab.inside {
            try ChildProcess.run(Cluster.swiftlet, ["status"], environment: Environment([]), limit: 20_000)
        }
        #expect(status.status == 0 && status.text.contains("there are no keys"), "\(status)")
        try cluster.signal("TERM", pid)
        try cluster.eventually("it ended") { !cluster.isRunning(pid) }
    }

    /// What a member's tags say is shown as text, and steers no terminal.
    @Test func showsTagsOfOthersEscaped() throws {
        let cluster = try Cluster()
        try cluster.startDaemon("daemon1", 11)
        try cluster.startDaemon("daemon2", 12, "--join", "127.0.0.11", "--tag", "role=\u{1B}[2J\u{9B}31m\nroot#")
        let one = cluster.daemons[0]
        try cluster.everyone(sees: "daemon2", as: "alive")
        let table = try one.run("members")
        #expect(table.status == 0)
        #expect(table.text.contains("\\u{1b}[2J\\u{9b}31m\\u{a}root#"), "\(table.text)")
        #expect(table.text.split(separator: "\n").count == 3)
        let document = try one.run("members", "--json")
        #expect(!document.text.unicodeScalars.contains { $0 == "\u{1B}" || $0 == "\u{9B}" })
        #expect(try one.members()["daemon2"]?.tags["role"] == "\u{1B}[2J\u{9B}31m\nroot#")
    }

    @Test func survivesNoiseAtItsPorts() throws {
        let cluster = try Cluster()
        let daemon = try cluster.startDaemon("daemon1", 11)
        try cluster.eventually("it answers") { try daemon.run("status").status == 0 }
        let script = """
            for i in $(seq 1 300); do head -c $((i * 4)) /dev/urandom > /dev/udp/127.0.0.11/7946; done
            for i in $(seq 1 30); do head -c $((i * 40)) /dev/urandom > /dev/tcp/127.0.0.11/7946; done 2>/dev/null
            true
            """
        try cluster.lab.tool("bash", "-c", script)
        try cluster.startDaemon("daemon2", 12, "--join", "127.0.0.11")
        try cluster.everyone(sees: "daemon2", as: "alive")
        #expect(cluster.isRunning(daemon.pid))
        let metrics = try cluster.lab.tool("curl", "-s", "--unix-socket", daemon.socket, "http://localhost/metrics")
        let malformed = metrics.split(separator: "\n").first { $0.hasPrefix("swiftletd_gossip_malformed_total ") }
        #expect(malformed != "swiftletd_gossip_malformed_total 0")
    }
}
