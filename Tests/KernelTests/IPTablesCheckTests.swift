import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netfilter

private let hasIPTables = (try? IPTables()) != nil

/// CHECK reads the rules, and a refusal that will not change is not asked for again.
@Suite("What the iptables back end finds and gives up", .enabled(if: FreshNamespace.isPermitted && hasIPTables))
struct IPTablesCheckTests {
    private let one = FilterOwner(network: "net", containerID: "one", interfaceName: "eth0")

    /// Each puts another rule in a rule's place, so that their number stays.
    static let changes = [
        "nat CNI-DN-%s 1 -p tcp --dport 8080 -s 10.9.0.0/16 -j CNI-HOSTPORT-SETMARK",
        "nat CNI-DN-%s 3 -p tcp --dport 8080 -j DNAT --to-destination 10.1.0.5:81",
        "nat CNI-HOSTPORT-DNAT 1 -p tcp -m multiport --dports 9090 -j CNI-DN-%s",
        "nat CNI-HOSTPORT-MASQ 1 -m mark --mark 0x4000/0x4000 -j MASQUERADE",
        "nat CNI-HOSTPORT-SETMARK 1 -m comment --comment other -j MARK --set-xmark 0x4000/0x4000",
        "nat CNI-%m 2 -d 10.99.0.0/16 -j RETURN", "nat CNI-%m 1 -d 10.1.0.0/17 -j ACCEPT",
        "nat POSTROUTING 2 -s 10.1.0.77/32 -j CNI-%m",
        "filter CNI-FORWARD 2 -d 10.1.0.5/32 -m comment --comment %t -j DROP",
        "filter CNI-ISOLATION-STAGE-2 1 -o br9 -j DROP",
    ]

    @Test("A rule that says something else", arguments: changes, ["nft", "legacy"])
    func changed(_ change: String, _ variant: String) throws {
        guard Files.exists("/usr/sbin/iptables-\(variant)") else { return }
        let rules = try everyRule("10.1.0.5", "fd00::5", port: 8080)
        let long = change.replacing("%s", with: String(one.portChain.dropFirst(7)))
            .replacing("%m", with: String(one.masqueradeChain.dropFirst(4))).replacing("%t", with: one.tag)
        let words = long.split(separator: " ", maxSplits: 3).map(String.init)
        try inFreshNamespace { _ in
            let filter = try IPTables(variant == "nft" ? .tables : .legacy)
            try filter.add(rules, for: one)
            try filter.check(rules, of: one)
            let before = try Self.saved(variant)
            try filter.add(rules, for: one)
            #expect(try Self.saved(variant) == before)
            _ = try command("iptables-\(variant) -t \(words[0]) -R \(words[1]) \(words[2]) \(words[3])")
            #expect(throws: NetfilterError.self) { try filter.check(rules, of: one) }
            try filter.add(rules, for: one)
            try filter.check(rules, of: one)
        }
    }

    private static func saved(_ variant: String) throws -> [Substring] {
        try command("iptables-\(variant)-save").split(separator: "\n").filter { $0.hasPrefix("-A") }
    }

    @Test("A permanent refusal is asked for twice and not twenty times")
    func refusal() throws {
        let directory = try TemporaryDirectory()
        let save = directory.appending("save"), restore = directory.appending("restore")
        let count = directory.appending("count")
        try Self.write(save, "#!/bin/sh\n")
        try Self.write(restore, "#!/bin/sh\necho x >> \(count)\necho 'no such match' >&2\nexit 2\n")
        let rules = [FilterRule.masquerade(Masquerade(addresses: [try need(IPPrefix("10.1.0.5/24"))]))]
        try inFreshNamespace { [one] _ in
            let programs = IPTables.Programs(save: save, restore: restore)
            let filter = IPTables([.ipv4: programs], environment: .current())
            let error = #expect(throws: NetfilterError.self) { try filter.add(rules, for: one) }
            #expect("\(error.map { "\($0)" } ?? "")".contains("no such match"))
        }
        #expect(try Files.text(count).utf8.count == 2 * (IPTables.sameAttempts + 1))
    }

    private static func write(_ path: String, _ text: String) throws {
        try AtomicFile.replace(path, with: Array(text.utf8), mode: 0o755)
    }
}
