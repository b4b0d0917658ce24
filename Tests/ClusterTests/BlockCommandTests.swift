import JSON
import System
import TestSupport
import Testing

/// Address blocks as an operator sees and moves them.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct BlockCommandTests {
    private func swiftlet(_ host: OverlayHost, _ arguments: String...) throws -> ChildOutcome {
        try host.lab.inside {
            try ChildProcess.run(
                Cluster.swiftlet, arguments, environment: Environment([("LC_ALL", "C")]), limit: 60_000)
        }
    }

    private func owners(_ host: OverlayHost) throws -> Set<String> {
        let networks = try host.get("/v1/blocks")["networks"]?.elements ?? []
        return Set(networks.flatMap { $0["blocks"]?.elements ?? [] }.map { $0["ownerID"]?.string ?? "" })
    }

    @Test("One of two hosts takes over the blocks of the other, which is gone for good")
    func oneOfTwo() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        let kept = try one.connect("c1")
        let lost = try two.connect("c2")
        try hosts.eventually("h1 knows who owns what") { try owners(one).count == 2 }
        two.stop("KILL")
        try hosts.eventually("h2 has failed") {
            try swiftlet(one, "members", "--status", "failed").text.contains("h2")
        }
        let refused = try swiftlet(one, "blocks", "takeover", "h2")
        #expect(refused.status == 1)
        #expect(refused.errorText.contains("only 1 of 2 known hosts answered"), "\(refused.errorText)")
        #expect(
            refused.errorText.contains("start h2, or, if gone for good: swiftlet blocks takeover h2 --gone"),
            "\(refused.errorText)")
        let away = try one.add("c3", ip: lost)
        #expect(away.code == 11, "\(away)")
        #expect("\(away)".contains("swiftlet blocks takeover h2 --gone"), "\(away)")
        let unknown = try swiftlet(one, "blocks", "takeover", "h9", "--gone")
        #expect(unknown.status == 1 && unknown.errorText.contains("no host 'h9' is known"), "\(unknown.errorText)")
        // Standard input is no terminal: nothing is asked.
        let taken = try swiftlet(one, "blocks", "takeover", "h2", "--gone")
        #expect(taken.status == 0, "\(taken.errorText)")
        #expect(taken.text.contains("demonet") && taken.text.contains("taken over"), "\(taken.text)")
        #expect(try owners(one).count == 1)
        let list = try swiftlet(one, "blocks", "ls").text
        #expect(list.contains("h1") && list.contains("resting") && !list.contains("h2"), "\(list)")
        // The running container's address is its own all the time.
        let inUse = try one.add("c4", ip: kept)
        #expect(!inUse.succeeded, "\(inUse)")
    }

    @Test("Blocks of a host that membership was made to forget are listed and can be taken over")
    func forgotten() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        _ = try one.connect("c1")
        _ = try two.connect("c2")
        try hosts.eventually("h1 knows who owns what") { try owners(one).count == 2 }
        two.stop("KILL")
        try hosts.eventually("h2 has failed") {
            try swiftlet(one, "members", "--status", "failed").text.contains("h2")
        }
        #expect(try swiftlet(one, "force-leave", "h2", "--prune").status == 0)
        try hosts.eventually("h2 is no member") { try !swiftlet(one, "members").text.contains("h2") }
        // A restart does not make it known again.
        one.stop("KILL")
        try one.startDaemon()
        let list = try swiftlet(one, "blocks").text
        #expect(list.contains("h2"), "\(list)")
        let taken = try swiftlet(one, "blocks", "takeover", "h2", "--gone")
        #expect(taken.status == 0, "\(taken.errorText)")
        #expect(try owners(one).count == 1)
    }
}
