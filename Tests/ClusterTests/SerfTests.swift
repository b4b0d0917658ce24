import JSON
import System
import TestSupport
import Testing

/// Our daemons and stock serf agents are one cluster.
@Suite(
    .serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: Cluster.hasAgent, "serf is not installed"))
struct SerfTests {
    private static let firstKey = "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="
    private static let secondKey = "YmJiYmJiYmJiYmJiYmJiYg=="

    @Test func fiveOfEachAreOneCluster() throws {
        let cluster = try Cluster()
        for number in 1...5 {
            // Compression on is the agents' default; off is what they send to older ones.
            if number == 5 {
                try cluster.startAgent("agent5", 5, "-disable-compression", "-retry-join=127.0.0.11")
            } else {
                try cluster.startAgent("agent\(number)", number, "-retry-join=127.0.0.1", "-retry-interval=1s")
            }
            try cluster.startDaemon("daemon\(number)", 10 + number, "--join", "127.0.0.1,127.0.0.2")
        }
        for name in cluster.agents.map(\.name) + cluster.daemons.map(\.name) {
            try cluster.everyone(sees: name, as: "alive")
        }
        let seen = try cluster.agents[3].members()
        #expect(seen.count == 10)
        #expect(
            seen["daemon2"]?.tags.filter { ["kind", "number"].contains($0.key) } == ["kind": "daemon", "number": "12"])
        // By these the daemons find each other; agents show them and have none.
        #expect(seen["daemon2"]?.tags["sw"] == "1" && seen["daemon2"]?.tags["cp"] == "7947")
        #expect(seen["daemon2"]?.tags["id"]?.count == 32)
        #expect(seen["daemon2"]?.address == "127.0.0.12")
        #expect(try cluster.daemons[2].members()["agent4"]?.tags == ["kind": "agent"])

        try events(cluster)
        try queries(cluster)
        try look(cluster)
        // All is quiet so far. What follows, they may complain of.
        for agent in cluster.agents {
            let complaints = try agent.complaints()
            #expect(complaints == [], "\(agent.name): \(complaints)")
        }
        for daemon in cluster.daemons {
            #expect(try !cluster.lab.read(daemon.log).contains(" error "), "\(daemon.name)")
        }
        try departures(cluster)
    }

    private func events(_ cluster: Cluster) throws {
        for daemon in cluster.daemons { try daemon.followEvents() }
        _ = try cluster.agents[1].serf("event", "-coalesce=false", "deploy", "v42")
        #expect(try cluster.daemons[1].run("event", "hello", "from daemon2", "--no-coalesce").status == 0)
        for daemon in cluster.daemons {
            try cluster.eventually("\(daemon.name) got both events") {
                let events = try daemon.events()
                return events.contains("user deploy: v42") && events.contains("user hello: from daemon2")
            }
        }
        for agent in cluster.agents {
            try cluster.eventually("\(agent.name) got both events") {
                let events = try agent.events()
                return events.contains("deploy v42") && events.contains("hello from daemon2")
            }
        }
        for daemon in cluster.daemons { #expect(try daemon.events().count == 2, "an event came twice") }
    }

    private func queries(_ cluster: Cluster) throws {
        let answer = try cluster.daemons[0].run("query", "ask", "hello", "--timeout", "8000", "--json")
        let reader = Reader(try Value(parsing: answer.output))
        #expect(try Set(reader.member("acks").strings()).count == 10)
        let answers = try reader.member("responses").elements().map { try $0.member("payload").string() ?? "" }
        #expect(answers.sorted() == (1...5).map { "from agent\($0)" })

        // The other way: one of ours answers while the agent waits.
        let daemon = cluster.daemons[4]
        let asking = try cluster.start(
            ["serf", "query", "-rpc-addr=127.0.0.3:7373", "-timeout=15s", "which", "one"], log: "/run/query.log")
        var number: Substring?
        try cluster.eventually("daemon5 is asked") {
            number = try daemon.events().first { $0.hasSuffix("which from agent3: one") }?.split(separator: " ")[1]
            return number != nil
        }
        #expect(try daemon.run("query", "--respond", String(#require(number)), "it was daemon5").status == 0)
        try cluster.eventually("the query ended") { !cluster.isRunning(asking) }
        let text = try cluster.lab.read("/run/query.log")
        #expect(text.contains("Response from 'daemon5': it was daemon5"))
        #expect(text.contains("Total Acks: 10"))
        #expect(text.contains("Total Responses: 1"))
    }

    private func look(_ cluster: Cluster) throws {
        // It waits 3.2 seconds for the answers, which a busy machine may need itself.
        try cluster.eventually("an agent reaches all") {
            try cluster.agents[0].serf("reachability").contains("Successfully contacted all live nodes")
        }
        try cluster.eventually("the agent estimates a round trip to ours") {
            try cluster.agents[0].serf("rtt", "daemon1", "agent1").contains("daemon1 <-> agent1 rtt:")
        }
        try cluster.eventually("ours estimates a round trip to the agent") {
            try cluster.daemons[0].run("rtt", "agent1").text.hasPrefix("daemon1 <-> agent1: ")
        }
    }

    private func departures(_ cluster: Cluster) throws {
        let (agents, daemons) = (cluster.agents, cluster.daemons)
        #expect(try daemons[4].run("leave").status == 0)
        try cluster.eventually("daemon5 ended") { !cluster.isRunning(daemons[4].pid) }
        _ = try agents[4].serf("leave")
        try cluster.signal("KILL", daemons[3].pid)
        try cluster.signal("KILL", agents[3].pid)
        let gone: Set = ["agent4", "agent5", "daemon4", "daemon5"]
        for (name, status) in [
            ("daemon5", "left"), ("agent5", "left"), ("daemon4", "failed"), ("agent4", "failed"),
        ] {
            try cluster.everyone(sees: name, as: status, except: gone)
        }
        // An operator settles it, from one of ours.
        #expect(try daemons[0].run("force-leave", "agent4").status == 0)
        try cluster.everyone(sees: "agent4", as: "left", except: gone)
    }

    @Test func keysRotateAcrossBothKinds() throws {
        let cluster = try Cluster()
        for name in ["agent1", "daemon1", "daemon2"] {
            try cluster.lab.write("/run/\(name).keys", "[\"\(Self.firstKey)\"]")
        }
        try cluster.startAgent("agent1", 1, "-keyring-file=/run/agent1.keys")
        try cluster.startDaemon("daemon1", 11, "--keyring", "/run/daemon1.keys", "--join", "127.0.0.1")
        try cluster.startDaemon("daemon2", 12, "--keyring", "/run/daemon2.keys", "--join", "127.0.0.11")
        let daemon = cluster.daemons[0]
        for name in ["agent1", "daemon1", "daemon2"] { try cluster.everyone(sees: name, as: "alive") }

        // All that is asked here can be asked again: the answers are waited for 3.2 seconds only.
        for operation in ["install", "use"] {
            try cluster.eventually("all three \(operation) the key") {
                try daemon.run("keys", operation, Self.secondKey).text.hasPrefix("3/3 nodes")
            }
        }
        // The agent's own tool takes the old key away and agrees with ours about what is left.
        try cluster.eventually("the agent took the old key from all three") {
            _ = try? cluster.agents[0].serf("keys", "-remove=\(Self.firstKey)")
            let list = try cluster.agents[0].serf("keys", "-list")
            return list.contains(Self.secondKey) && list.contains("[3/3]") && !list.contains(Self.firstKey)
        }
        #expect(try daemon.run("keys").text.contains(Self.secondKey))
        for name in ["agent1", "daemon1", "daemon2"] {
            try cluster.eventually("\(name)'s file holds the new key alone") {
                let text = try cluster.lab.read("/run/\(name).keys")
                return try Reader(Value(parsing: Array(text.utf8))).strings() == [Self.secondKey]
            }
        }
        #expect(try cluster.agents[0].complaints() == [])

        let refused = try daemon.run("keys", "remove", Self.secondKey)
        #expect(refused.status == 1)
        #expect(refused.text.contains("the primary key cannot be removed"))

        // Restarted, it joins with the new key, which it has from its file; one in clear is not let in.
        try cluster.signal("TERM", cluster.daemons[1].pid)
        try cluster.eventually("daemon2 ended") { !cluster.isRunning(cluster.daemons[1].pid) }
        try cluster.startDaemon("daemon2", 12, "--keyring", "/run/daemon2.keys")
        try cluster.startDaemon("clear", 13, "--join", "127.0.0.11")
        try cluster.eventually("the cluster sees daemon2 again") {
            try cluster.agents[0].members()["daemon2"]?.status == "alive"
        }
        for (name, fault) in [("clear", "undecryptable"), ("daemon1", "notEncrypted")] {
            try cluster.eventually("\(name) says why") { try cluster.lab.read("/run/\(name).log").contains(fault) }
        }
        #expect(try cluster.agents[0].members()["clear"] == nil)
        #expect(try daemon.members()["clear"] == nil)
    }

    @Test func aNodeComesBackElsewhere() throws {
        let cluster = try Cluster()
        try cluster.startAgent("agent1", 1)
        try cluster.startDaemon("daemon1", 11, "--join", "127.0.0.1")
        let mover = try cluster.startDaemon("mover", 12, "--join", "127.0.0.1")
        try cluster.everyone(sees: "mover", as: "alive")
        try cluster.signal("TERM", mover.pid)
        try cluster.eventually("it left") { !cluster.isRunning(mover.pid) }
        try cluster.everyone(sees: "mover", as: "left", except: ["mover"])
        // It knows whom to join from its state.
        try cluster.startDaemon("mover", 22)
        try cluster.eventually("both see it at its new address") {
            for seen in [try cluster.agents[0].members()["mover"], try cluster.daemons[0].members()["mover"]] {
                guard seen?.status == "alive", seen?.address == "127.0.0.22" else {
                    throw LabError("it is \(seen.map { "\($0.status) at \($0.address)" } ?? "unknown")")
                }
            }
            return true
        }
        #expect(try cluster.agents[0].complaints() == [])
    }
}
