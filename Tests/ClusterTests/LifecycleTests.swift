import System
import TestSupport
import Testing

/// How the daemon starts, is reloaded and ends.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct LifecycleTests {
    private static let firstKey = "YWFhYWFhYWFhYWFhYWFhYQ=="
    private static let secondKey = "YmJiYmJiYmJiYmJiYmJiYg=="

    private func log(_ cluster: Cluster, _ daemon: Daemon) throws -> String { try cluster.lab.read(daemon.log) }

    @Test func tellsTheServiceManager() throws {
        let cluster = try Cluster()
        let listener = """
            import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind("/run/notify.sock")
            while True: print(s.recv(4096).decode().replace(chr(10), " "), flush=True)
            """
        try cluster.lab.write("/run/listener.py", listener)
        _ = try cluster.start(["python3", "/run/listener.py"], log: "/run/notified")
        try cluster.eventually("somebody listens") { try cluster.lab.list("/run").contains("notify.sock") }
        try cluster.lab.write("/run/config", #"{"tags": {"a": "1"}}"#)
        let pid = try cluster.start(
            ["env", "NOTIFY_SOCKET=/run/notify.sock", "WATCHDOG_USEC=400000", Cluster.swiftletd, "--node", "n"]
                + ["--bind", "127.0.0.11", "--socket", "/run/n.sock", "--state-dir", "", "--config", "/run/config"],
            log: "/run/n.log")
        func told(_ text: String) throws {
            try cluster.eventually("it says \(text)") { try cluster.lab.read("/run/notified").contains(text) }
        }
        try told("READY=1 STATUS=ready\n")
        try told("WATCHDOG=1\n")
        try told("STATUS=1 members alive, 0 failed\n")
        try cluster.signal("HUP", pid)
        try told("RELOADING=1 MONOTONIC_USEC=")
        try told("READY=1 STATUS=reloaded\n")
        try cluster.signal("TERM", pid)
        try told("STOPPING=1 STATUS=leaving\n")
    }

    @Test func reloadsWhatItCan() throws {
        let cluster = try Cluster()
        func configure(_ name: String, _ more: String) throws {
            try cluster.lab.write("/run/\(name).json", #"{"profile": "fast", "keyring": "/run/\#(name).keys"\#(more)}"#)
        }
        func keys(_ name: String, _ keys: String...) throws {
            let list = keys.map { "\"\($0)\"" }
            var text = ""
            for key in list { text += text.isEmpty ? key : ", " + key }
            try cluster.lab.write("/run/\(name).keys", "[\(text)]")
        }
        for name in ["d1", "d2"] {
            try keys(name, Self.firstKey)
            try configure(name, "")
        }
        let one = try cluster.startDaemon("d1", 11, "--config", "/run/d1.json")
        let two = try cluster.startDaemon("d2", 12, "--config", "/run/d2.json")
        try cluster.eventually("both answer") { try one.members().count == 1 && two.members().count == 1 }

        // A node to join, a log level, a tag; and what cannot change.
        try configure("d2", #", "join": ["127.0.0.11"], "log": "debug", "tags": {"rack": "r9"}, "bind": "127.0.0.77""#)
        try cluster.signal("HUP", two.pid)
        try cluster.everyone(sees: "d2", as: "alive")
        try cluster.eventually("its tag is seen") { try one.members()["d2"]?.tags["rack"] == "r9" }
        try cluster.eventually("it says what needs a restart") {
            let text = try log(cluster, two)
            // The flag has the last word on bind, so nothing changed there.
            return text.contains("reloaded") && !text.contains("needs a restart")
        }
        try configure("d2", #", "join": ["127.0.0.11"], "seeds": ["d1"]"#)
        try cluster.signal("HUP", two.pid)
        try cluster.eventually("it says what needs a restart") {
            try log(cluster, two).contains("keys=seeds needs a restart")
                || log(cluster, two).contains("needs a restart to take effect")
        }

        // Keys: the new one is known to all before it is used, the old one goes last.
        for list in [[Self.firstKey, Self.secondKey], [Self.secondKey, Self.firstKey], [Self.secondKey]] {
            for (name, daemon) in [("d1", one), ("d2", two)] {
                if list.count == 1 { try keys(name, list[0]) } else { try keys(name, list[0], list[1]) }
                let before = try log(cluster, daemon).split(separator: "\n").count { $0.contains("keys reloaded") }
                try cluster.signal("HUP", daemon.pid)
                try cluster.eventually("\(name) has its keys") {
                    try log(cluster, daemon).split(separator: "\n").count { $0.contains("keys reloaded") } == before + 1
                }
            }
        }
        let listed = try one.run("keys", "list")
        #expect(listed.status == 0)
        #expect(listed.text.contains(Self.secondKey) && !listed.text.contains(Self.firstKey))
        #expect(try one.members()["d2"]?.status == "alive")
    }

    @Test func endsAtOnceWhenToldTwice() throws {
        let cluster = try Cluster()
        try cluster.startDaemon("d1", 11)
        func end(_ signals: [String]) throws -> String {
            let shell = """
                \(Cluster.swiftletd) --node d2 --bind 127.0.0.12 --socket /run/d2.sock --state-dir "" \
                --join 127.0.0.11 & echo $! > /run/d2.pid; wait $!; echo $? > /run/d2.status
                """
            _ = try cluster.lab.tool("rm", "-f", "/run/d2.status", "/run/d2.pid")
            _ = try cluster.start(["sh", "-c", shell], log: "/run/d2.log")
            try cluster.eventually("it joined") { try cluster.daemons[0].members()["d2"]?.status == "alive" }
            let pid = try #require(Int(try cluster.lab.read("/run/d2.pid").filter(\.isNumber)))
            for (number, name) in signals.enumerated() {
                // The first one has begun the leave: one signal that waits is one, however often it was sent.
                if number > 0 {
                    try cluster.eventually("it leaves") { try cluster.lab.read("/run/d2.log").contains("leaving") }
                }
                try cluster.signal(name, pid)
            }
            try cluster.eventually("it ended") { try cluster.lab.list("/run").contains("d2.status") }
            return try cluster.lab.read("/run/d2.status").filter(\.isNumber)
        }
        #expect(try end(["TERM"]) == "0")
        try cluster.eventually("it left") { try cluster.daemons[0].members()["d2"]?.status == "left" }
        #expect(try end(["TERM", "TERM"]) == "143")
    }

    @Test func startFaultsHaveTheirStatus() throws {
        let cluster = try Cluster()
        func run(_ arguments: String...) throws -> ChildOutcome {
            try cluster.lab.inside {
                try ChildProcess.run(Cluster.swiftletd, arguments, environment: Environment([]), limit: 20_000)
            }
        }
        #expect(try run("--profile", "slow").status == 64)
        #expect(try run("--join", "under_/score").status == 64)
        let missing = try run("--config", "/run/missing.json")
        #expect(missing.status == 1)
        #expect(missing.errorText.contains("/run/missing.json"))
        let scope = try run("--bind", "fe80::1%nothing", "--state-dir", "")
        #expect(scope.status == 1)
        #expect(scope.errorText.contains("no interface 'nothing'"))
    }

    @Test func looksHostNamesUpAgain() throws {
        let cluster = try Cluster()
        try cluster.lab.write("/run/hosts", "127.0.0.1 localhost\n")
        try cluster.lab.tool("mount", "--bind", "/run/hosts", "/etc/hosts")
        let one = try cluster.startDaemon("d1", 11, "--profile", "fast")
        let two = try cluster.startDaemon("d2", 12, "--profile", "fast", "--join", "seed.swiftlet.test")
        try cluster.eventually("the name is not found") {
            try log(cluster, two).contains("a node to join is not found")
        }
        // Nobody is there; then the name moves to somebody.
        try cluster.lab.script("echo 127.0.0.99 seed.swiftlet.test > /etc/hosts")
        try cluster.eventually("it is tried") { try log(cluster, two).contains("no node to join answers") }
        try cluster.lab.script("echo 127.0.0.11 seed.swiftlet.test > /etc/hosts")
        try cluster.everyone(sees: "d2", as: "alive")
        // By the command line, too.
        let three = try cluster.startDaemon("d3", 13, "--profile", "fast")
        try cluster.eventually("it answers") { try three.run("status").status == 0 }
        #expect(try three.run("join", "nobody.swiftlet.test").status == 1)
        #expect(try three.run("join", "seed.swiftlet.test:7946").status == 0)
        try cluster.everyone(sees: "d3", as: "alive")
        #expect(cluster.isRunning(one.pid))
    }

    @Test func speaksOverLinkLocalAddresses() throws {
        let cluster = try Cluster()
        try cluster.lab.script(
            """
            ip link add link0 type veth peer name link1
            ip link set link1 up
            ip link set link0 up
            ip address add fe80::11/64 dev link0 nodad
            ip address add fe80::12/64 dev link0 nodad
            """)
        try cluster.startDaemon("d1", 11, "--bind", "fe80::11%link0", "--profile", "fast")
        try cluster.startDaemon("d2", 12, "--bind", "[fe80::12%link0]:7946", "--profile", "fast", "--join", "fe80::11")
        try cluster.everyone(sees: "d2", as: "alive")
        try cluster.everyone(sees: "d1", as: "alive")
        #expect(try cluster.daemons[0].members()["d2"]?.address == "fe80::12")
    }

    @Test func keepsTagsOverARestart() throws {
        let cluster = try Cluster()
        let first = try cluster.startDaemon("d1", 11)
        try cluster.eventually("it answers") { try first.run("status").status == 0 }
        #expect(try first.run("tags", "--set", "zone=z1", "--delete", "number").status == 0)
        try cluster.signal("KILL", first.pid)
        try cluster.eventually("it ended") { !cluster.isRunning(first.pid) }
        let second = try cluster.startDaemon("d1", 11)
        try cluster.eventually("its tags are back") {
            let tags = try second.members()["d1"]?.tags
            return tags?["zone"] == "z1" && tags?["number"] == nil && tags?["kind"] == "daemon"
        }
    }

    /// What cannot be kept is said; the daemon goes on, and keeps it when there is room again.
    @Test func aFullDiskIsNoReasonToEnd() throws {
        let cluster = try Cluster()
        try cluster.lab.tool("sh", "-c", "mkdir /run/small && mount -t tmpfs -o size=128k tmpfs /run/small")
        let first = try cluster.startDaemon("first", 11)
        let full = try cluster.startDaemon("full", 12, "--state-dir", "/run/small/state", "--join", "127.0.0.11")
        try cluster.everyone(sees: "full", as: "alive")
        _ = try? cluster.lab.tool("sh", "-c", "dd if=/dev/zero of=/run/small/rest bs=4k 2>/dev/null")
        // The journal's last page has room for a few more changes.
        var number = 0
        try cluster.eventually("it says that the disk is full") {
            number += 1
            let padding = String(repeating: "x", count: 300)
            _ = try full.run("tags", "--set", "filler=\(number)\(padding)")
            return try cluster.lab.read(full.log).contains("not saved")
        }
        #expect(cluster.isRunning(full.pid))
        try cluster.lab.tool("sh", "-c", "rm /run/small/rest")
        #expect(try full.run("tags", "--set", "late=yes").status == 0)
        try cluster.eventually("it is a member, with its new tags") {
            let seen = try first.members()["full"]
            return seen?.status == "alive" && seen?.tags["late"] == "yes"
        }
        try cluster.signal("KILL", full.pid)
        try cluster.startDaemon("full", 12, "--state-dir", "/run/small/state")
        try cluster.eventually("what was set when there was room is kept") {
            try first.members()["full"]?.tags["late"] == "yes" && first.members()["full"]?.status == "alive"
        }
    }
}
