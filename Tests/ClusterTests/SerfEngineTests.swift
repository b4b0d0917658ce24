import JSON
import System
import TestSupport
import Testing

/// The daemon with a stock agent as its engine.
@Suite(
    .serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: Cluster.hasAgent, "serf is not installed"))
struct SerfEngineTests {
    private func health(_ cluster: Cluster, _ daemon: Daemon) throws -> String {
        try cluster.lab.tool(
            "curl", "-s", "-w", " %{http_code}", "--unix-socket", daemon.socket, "http://localhost/healthz")
    }

    private func configure(_ cluster: Cluster, key: String) throws {
        try cluster.lab.write(
            "/run/config",
            """
            {"engine": "serf-agent", "serfRPC": "127.0.0.1", "serfRPCAuth": "\(key)", "join": ["127.0.0.2"]}
            """)
        try cluster.lab.write("/run/agent.json", #"{"rpc_auth": "secret"}"#)
    }

    @Test func drivesAnAgent() throws {
        let cluster = try Cluster()
        try configure(cluster, key: "secret")
        // The agent is not there yet: that is no reason not to start.
        let daemon = try cluster.startDaemon("host1", 11, "--config", "/run/config")
        try cluster.eventually("it says that the agent is away") {
            try health(cluster, daemon) == "the serf agent is away\n 503"
        }
        #expect(try daemon.run("event", "early").status == 1)
        try cluster.startAgent("host2", 2)
        try cluster.startAgent("host1", 1, "-config-file=/run/agent.json")
        let other = cluster.agents[0]
        try cluster.eventually("the daemon finds its agent") { try health(cluster, daemon) == "ok\n 200" }

        // The agent joins whom the daemon is told to join, and has the daemon's tags.
        try cluster.eventually("the other agent sees the daemon's tags") {
            let seen = try other.members()["host1"]
            return seen?.status == "alive" && seen?.tags["number"] == "11" && seen?.tags["id"] != nil
        }
        try cluster.eventually("the daemon lists both") {
            let seen = try daemon.members()
            return seen.count == 2 && seen.allSatisfy { $0.value.status == "alive" }
                && seen["host2"]?.address == "127.0.0.2" && seen["host2"]?.tags["kind"] == "agent"
        }
        #expect(try daemon.run("tags", "--set", "zone=z1", "--delete", "kind").status == 0)
        try cluster.eventually("tags change") {
            let tags = try other.members()["host1"]?.tags
            return tags?["zone"] == "z1" && tags?["kind"] == nil
        }

        // Events and queries, both ways.
        try daemon.followEvents()
        _ = try other.serf("event", "deploy", "v42")
        try cluster.eventually("the daemon hears an event") {
            try daemon.events().contains { $0.contains("deploy") && $0.contains("v42") }
        }
        #expect(try daemon.run("event", "hello", "there").status == 0)
        try cluster.eventually("the other agent hears an event") { try other.events().contains("hello there") }
        let answers = try daemon.run("query", "ask", "who")
        #expect(answers.status == 0)
        #expect(answers.text.contains("from host2"))
        let asking = try cluster.start(
            ["serf", "query", "-rpc-addr=127.0.0.2:7373", "-timeout=20s", "-node=host1", "lookup", "x"],
            log: "/run/query.log")
        try cluster.eventually("the query is answered") {
            let line = try daemon.events().last { $0.contains("lookup") }
            guard let number = line?.split(separator: " ").dropFirst().first else { return false }
            return try daemon.run("query", "here it is", "--respond", String(number)).status == 0
        }
        try cluster.eventually("the asker has the answer") {
            try cluster.lab.read("/run/query.log").contains("here it is")
        }
        try cluster.signal("TERM", asking)
        try cluster.eventually("there is a round trip") { try daemon.run("rtt", "host2").status == 0 }
        let keys = try daemon.run("keys", "list")
        #expect(keys.status == 1)
        #expect((keys.text + keys.errorText).contains("encryption not enabled"), "the agents say why there are none")

        // A failure and a departure of others.
        try cluster.startAgent("host3", 3, "-retry-join=127.0.0.2", "-retry-interval=1s")
        try cluster.eventually("a third is seen") { try daemon.members()["host3"]?.status == "alive" }
        try cluster.signal("KILL", cluster.agents[2].pid)
        try cluster.eventually("it is seen to fail") { try daemon.members()["host3"]?.status == "failed" }
        #expect(try daemon.run("force-leave", "host3").status == 0)
        try cluster.eventually("it is seen to have left") { try daemon.members()["host3"]?.status == "left" }

        // The agent dies and comes back without any memory.
        try cluster.signal("KILL", cluster.agents[1].pid)
        try cluster.eventually("it says that the agent is away") {
            try health(cluster, daemon) == "the serf agent is away\n 503"
        }
        #expect(try daemon.members()["host2"]?.status == "alive", "what was known last is shown")
        #expect(try daemon.run("query", "ask").status == 1)
        try cluster.startAgent("host1", 1, "-config-file=/run/agent.json")
        try cluster.eventually("it is there again") { try health(cluster, daemon) == "ok\n 200" }
        try cluster.eventually("with its tags, and joined") {
            let seen = try other.members()["host1"]
            return seen?.status == "alive" && seen?.tags["zone"] == "z1"
        }

        // The daemon goes, the agent stays without the daemon's tags.
        try cluster.signal("TERM", daemon.pid)
        try cluster.eventually("the daemon ended") { !cluster.isRunning(daemon.pid) }
        try cluster.eventually("its tags are gone") {
            let seen = try other.members()["host1"]
            return seen?.status == "alive" && seen?.tags["id"] == nil && seen?.tags["zone"] == nil
        }
    }

    @Test func saysWhyAnAgentIsNotItsEngine() throws {
        let cluster = try Cluster()
        try configure(cluster, key: "wrong")
        try cluster.startAgent("host1", 1, "-config-file=/run/agent.json")
        let daemon = try cluster.startDaemon("host1", 11, "--config", "/run/config")
        try cluster.eventually("a wrong key") { try cluster.lab.read(daemon.log).contains("refuses serfRPCAuth") }
        try configure(cluster, key: "secret")
        let second = try cluster.startDaemon("other", 12, "--config", "/run/config")
        try cluster.eventually("a wrong name") { try cluster.lab.read(second.log).contains("its name is 'host1'") }
        #expect(cluster.isRunning(daemon.pid) && cluster.isRunning(second.pid))
    }

    /// The keys of agents, changed through a daemon that has one of them for its engine.
    @Test func rotatesTheKeysOfAgents() throws {
        let cluster = try Cluster()
        let (old, new) = ("MDEyMzQ1Njc4OWFiY2RlZg==", "ZmVkY2JhOTg3NjU0MzIxMA==")
        for name in ["host1", "host2"] { try cluster.lab.write("/run/\(name).keys", "[\"\(old)\"]") }
        try cluster.startAgent("host1", 1, "-keyring-file=/run/host1.keys")
        try cluster.startAgent(
            "host2", 2, "-keyring-file=/run/host2.keys", "-retry-join=127.0.0.1", "-retry-interval=1s")
        let daemon = try cluster.startDaemon("host1", 11, "--engine", "serf-agent", "--serf-rpc", "127.0.0.1:7373")
        try cluster.eventually("it lists both") { try daemon.members().count == 2 }
        // Asked again until both have answered in time.
        for operation in ["install", "use", "remove"] {
            try cluster.eventually("both \(operation)") {
                try daemon.run("keys", operation, operation == "remove" ? old : new).text.hasPrefix("2/2 nodes")
            }
        }
        try cluster.eventually("both hold the new key alone") {
            let list = try daemon.run("keys", "list")
            return list.status == 0 && list.text.contains(new) && !list.text.contains(old)
        }
        for name in ["host1", "host2"] { #expect(try !cluster.lab.read("/run/\(name).keys").contains(old)) }
        let refused = try daemon.run("keys", "remove", new)
        #expect(refused.status == 1)
        #expect((refused.text + refused.errorText).lowercased().contains("primary"), "\(refused.text)")
        #expect(try daemon.run("keys", "install", "short").status != 0)
    }

    /// `swiftlet leave` means the host's departure: the agent leaves and ends, too.
    @Test func leavesWithItsAgent() throws {
        let cluster = try Cluster()
        try cluster.startAgent("host1", 1)
        try cluster.startAgent("host2", 2, "-retry-join=127.0.0.1", "-retry-interval=1s")
        let daemon = try cluster.startDaemon("host1", 11, "--engine", "serf-agent", "--serf-rpc", "127.0.0.1:7373")
        try cluster.eventually("it lists both") { try daemon.members().count == 2 }
        #expect(try daemon.run("leave").status == 0)
        try cluster.eventually("both ended") {
            !cluster.isRunning(daemon.pid) && !cluster.isRunning(cluster.agents[0].pid)
        }
        try cluster.eventually("it left") { try cluster.agents[1].members()["host1"]?.status == "left" }
    }
}
