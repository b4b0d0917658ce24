import JSON
import System
import TestSupport
import Testing

/// A rolling upgrade: daemons of the release before this one beside this one, hosts that change over with their containers
/// and their state directory, and back. `scripts/test-upgrade.sh` says where the release before is.
@Suite(.serialized, .enabled(if: PreviousRelease.daemon != nil && Namespaces.areAvailable, "scripts/test-upgrade.sh"))
struct UpgradeTests {
    private static let key = "YWFhYWFhYWFhYWFhYWFhYQ=="

    /// Every host knows every live container and has an entry for each of the others'.
    private func expectAgreement(_ hosts: Hosts, _ what: String) throws {
        try hosts.eventually("\(what): all agree") {
            let all = try hosts[0].endpoints()
            return try all.values.allSatisfy { $0.hasSuffix(" live") }
                && hosts.hosts.allSatisfy { host in
                    let others = all.filter { $0.value != "\(host.name) live" }.keys.map {
                        String($0.prefix { $0 != "/" })
                    }
                    return try host.endpoints() == all && Set(host.entries().keys) == Set(others)
                }
        }
    }

    private func move(_ host: OverlayHost, to program: String) throws {
        // Hosts with containers stop without a farewell.
        host.stop("TERM")
        host.program = program
        try host.startDaemon()
    }

    @Test(arguments: [[Self.key], []])
    func hostsChangeOver(keys: [String]) throws {
        let previous = try #require(PreviousRelease.daemon)
        let hosts = try Hosts(3, keys: keys, programs: [previous, previous, previous])
        var containers = 0
        func turnover(_ what: String) throws {
            for host in hosts.hosts {
                containers += 1
                _ = try host.connect("c\(containers)")
                _ = try host.connect("gone")
                try host.disconnect("gone")
            }
            try expectAgreement(hosts, what)
        }
        try turnover("all of the release before")
        let ping = try hosts[0].ping(
            try #require(
                hosts[0].endpoints().first { $0.value == "h2 live" }?.key.split(separator: "/").first.map(String.init)),
            from: "c1", seconds: 12)
        for (index, what) in ["the first", "the second", "the last"].enumerated() {
            try move(hosts[index], to: Cluster.swiftletd)
            try turnover("\(what) of this release")
        }
        let outcome = try ping.outcome()
        #expect(outcome.lost == 0, "\(outcome)")
        // And back, as far as one wants.
        try move(hosts[1], to: previous)
        try turnover("one back")
        try move(hosts[1], to: Cluster.swiftletd)
        try turnover("and forth")
        for host in hosts.hosts {
            #expect(try !host.lab.read(host.log).contains("in a form this version does not know"), "\(host.name)")
        }
    }

    @Test func bothKindsOfFarewellAreUnderstood() throws {
        let previous = try #require(PreviousRelease.daemon)
        let hosts = try Hosts(
            4, keys: [Self.key], programs: [Cluster.swiftletd, previous, Cluster.swiftletd, previous])
        for host in hosts.hosts { _ = try host.connect("c") }
        try expectAgreement(hosts, "mixed")
        for (leaver, watchers) in [(2, [0, 1, 3]), (3, [0, 1])] {
            _ = try hosts[leaver].request("POST", "/v1/leave")
            for watcher in watchers {
                try hosts.eventually("h\(watcher + 1) has let h\(leaver + 1) go", milliseconds: 10_000) {
                    try !hosts[watcher].endpoints().values.contains { $0.hasPrefix("h\(leaver + 1) ") }
                }
            }
        }
    }

    @Test func aLotOfTombstonesIsTakenOver() throws {
        let previous = try #require(PreviousRelease.daemon)
        let hosts = try Hosts(2, programs: [previous])
        _ = try hosts[0].connect("stays")
        for number in 0..<40 {
            _ = try hosts[0].connect("c\(number)")
            try hosts[0].disconnect("c\(number)")
        }
        try move(hosts[0], to: Cluster.swiftletd)
        _ = try hosts[1].connect("other")
        try expectAgreement(hosts, "taken over")
    }
}

/// The executables of the release before this one, if there are any to try.
enum PreviousRelease {
    static let daemon = Environment.current()["SWIFTLET_PREVIOUS_DIR"].map { "\($0)/swiftletd" }
}
