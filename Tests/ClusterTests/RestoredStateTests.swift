import JSON
import System
import TestSupport
import Testing

/// A host whose state directory is put back to an older copy, or whose journal is lost, is heard again within seconds.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct RestoredStateTests {
    private static let key = "YWFhYWFhYWFhYWFhYWFhYQ=="
    /// Long before the 10 s of an exchange or any membership time-out: it is told at its first frames.
    private static let patience = 8_000

    private func restart(_ host: OverlayHost, _ script: String) throws {
        host.stop("KILL")
        try host.lab.tool("sh", "-ec", script)
        try host.startDaemon()
    }

    private func isKnown(_ hosts: Hosts, _ address: String, of host: OverlayHost, _ what: String) throws {
        for other in hosts.hosts where other !== host {
            try hosts.eventually("\(what): \(other.name) knows \(address)", milliseconds: Self.patience) {
                try other.endpoints()["\(address)/24"] == "\(host.name) live"
            }
        }
    }

    @Test(arguments: [[Self.key], []])
    func anOldCopyIsNoticed(keys: [String]) throws {
        let hosts = try Hosts(3, keys: keys)
        let two = hosts[1]
        for host in hosts.hosts { _ = try host.connect("first") }
        try restart(two, "cp -a /run/state /run/copy")
        // Later runs make changes that the copy does not know.
        for number in 0..<3 {
            _ = try two.connect("later\(number)")
            try restart(two, "true")
        }
        for number in 0..<3 { try two.disconnect("later\(number)") }
        try restart(two, "rm -r /run/state; cp -a /run/copy /run/state")
        let address = try two.connect("afterwards")
        try isKnown(hosts, address, of: two, "an old copy")
        // Once more, from the same copy: the incarnations are the same again.
        try restart(two, "rm -r /run/state; cp -a /run/copy /run/state")
        let again = try two.connect("again")
        try isKnown(hosts, again, of: two, "the same copy")
    }

    @Test func aJournalLostAgainAndAgainIsNoticed() throws {
        let hosts = try Hosts(3, keys: [Self.key])
        let two = hosts[1]
        for host in hosts.hosts { _ = try host.connect("first") }
        for round in 0..<4 {
            try restart(two, "rm /run/state/journal*")
            var address = ""
            try hosts.eventually("it has addresses again") {
                address = (try? two.connect("c\(round)")) ?? ""
                return !address.isEmpty
            }
            try isKnown(hosts, address, of: two, "loss \(round)")
        }
    }
}
