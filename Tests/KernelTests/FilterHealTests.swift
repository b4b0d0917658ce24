import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netfilter

private let hasIPTables = (try? IPTables()) != nil

/// Somebody empties or removes what all containers share: the next ADD makes it anew, and CHECK sees it.
@Suite("What a firewall reload takes comes back with the next ADD", .enabled(if: FreshNamespace.isPermitted))
struct FilterHealTests {
    private let one = FilterOwner(network: "net", containerID: "one", interfaceName: "eth0")
    private let two = FilterOwner(network: "net", containerID: "two", interfaceName: "eth0")

    /// Ways to lose rules while the chains stay, and ways to lose all of it.
    static let damages = [
        "nft flush ruleset", "nft flush table inet swiftlet", "nft delete table inet swiftlet",
        "nft flush chain inet swiftlet prerouting", "nft flush chain inet swiftlet output",
        "nft flush chain inet swiftlet postrouting", "nft flush chain inet swiftlet forward",
        "nft flush chain inet swiftlet hostports", "nft flush chain inet swiftlet isolation",
        "nft flush chain inet swiftlet loopback-guard", "nft flush chain inet swiftlet masquerade-",
        "nft flush chain inet swiftlet hairpin-", "nft flush table bridge swiftlet",
        "nft delete table bridge swiftlet", "nft flush chain bridge swiftlet forward",
    ]

    @Test("nftables", arguments: damages)
    func tables(_ damage: String) throws {
        let rules = try everyRule("10.1.0.5", "fd00::5", port: 8080)
        let others = try everyRule("10.1.0.6", "fd00::6", port: 8081)
        try inFreshNamespace { _ in
            let filter = try NFTables()
            try filter.add(rules, for: one)
            let before = try command("nft list ruleset")
            for line in try Self.lines(damage, before) { _ = try command(line) }
            #expect(try command("nft list ruleset") != before)
            #expect(throws: NetfilterError.self) { try filter.check(rules, of: one) }
            // As every plugin of a chain does: each adds its own.
            for rule in others { try filter.add([rule], for: two) }
            try filter.check(others, of: two)
            for rule in rules { try filter.add([rule], for: one) }
            try filter.check(rules, of: one)
        }
    }

    /// The commands of a damage: a name that ends in "-" is each chain that begins so.
    private static func lines(_ damage: String, _ ruleset: String) throws -> [String] {
        guard damage.hasSuffix("-"), let name = damage.split(separator: " ").last else { return [damage] }
        let chains = ruleset.split(separator: "\n").compactMap { line -> String? in
            let words = line.split(separator: " ").map { $0.filter { $0 != "\t" } }
            guard words.count > 1, words[0] == "chain", words[1].hasPrefix(name), words[1] != "masquerade-all" else {
                return nil
            }
            return words[1]
        }
        #expect(!chains.isEmpty)
        return chains.map { damage.replacing(name, with: "") + $0 }
    }

    static let floods = [
        "iptables -t nat -F", "iptables -t filter -F", "iptables -t nat -F CNI-HOSTPORT-SETMARK",
        "iptables -t nat -F CNI-HOSTPORT-MASQ", "iptables -t nat -F CNI-HOSTPORT-DNAT",
        "iptables -t nat -F PREROUTING", "iptables -t nat -F OUTPUT", "iptables -t nat -F POSTROUTING",
        "iptables -F FORWARD", "iptables -F CNI-FORWARD", "iptables -F CNI-ISOLATION-STAGE-1",
        "iptables -F CNI-ISOLATION-STAGE-2", "iptables -D CNI-ISOLATION-STAGE-1 2", "nft flush ruleset",
    ]

    @Test("iptables", .enabled(if: hasIPTables), arguments: floods)
    func iptables(_ damage: String) throws {
        let rules = try everyRule("10.1.0.5", "fd00::5", port: 8080)
        let others = try everyRule("10.1.0.6", "fd00::6", port: 8081)
        try inFreshNamespace { _ in
            let filter = try IPTables()
            try filter.add(rules, for: one)
            let shared = try Self.sharedRules()
            _ = try command(damage)
            #expect(throws: NetfilterError.self) { try filter.check(rules, of: one) }
            for rule in others { try filter.add([rule], for: two) }
            try filter.check(others, of: two)
            for rule in rules { try filter.add([rule], for: one) }
            try filter.check(rules, of: one)
            #expect(try Self.sharedRules() == shared)
        }
    }

    /// What belongs to no container.
    private static func sharedRules() throws -> [Substring] {
        try command("iptables-save").split(separator: "\n").filter { line in
            line.hasPrefix("-A") && !["10.1.", "id: ", "CNI-DN-"].contains(where: { line.contains($0) })
        }.sorted()
    }

    @Test("A loss is noticed, and what commands do all day is not")
    func monitor() throws {
        let rules = try everyRule("10.1.0.5", "fd00::5", port: 8080)
        try inFreshNamespace { _ in
            let monitor = try RulesetMonitor()
            let filter = try NFTables()
            try filter.add(rules, for: one)
            try filter.remove(.all, of: one)
            try filter.add(rules, for: one)
            #expect(try !monitor.awaitLoss(milliseconds: 0))
            _ = try command("nft add table ip others")
            _ = try command("nft delete table ip others")
            #expect(try !monitor.awaitLoss(milliseconds: 0))
            for damage in ["nft flush table inet swiftlet", "nft delete table bridge swiftlet", "nft flush ruleset"] {
                for rule in rules { try filter.add([rule], for: one) }
                _ = try monitor.awaitLoss(milliseconds: 0)
                _ = try command(damage)
                #expect(try monitor.awaitLoss(milliseconds: 10_000), "\(damage)")
            }
        }
    }
}
