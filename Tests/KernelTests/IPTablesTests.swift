import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netfilter

private let hasIPTables = (try? IPTables()) != nil

@Suite(
    "The iptables back end in a fresh namespace", .enabled(if: FreshNamespace.isPermitted && hasIPTables))
struct IPTablesTests {
    private let one = FilterOwner(network: "net", containerID: "one", interfaceName: "eth0")
    private let two = FilterOwner(network: "net", containerID: "two", interfaceName: "eth0")

    @Test("Every rule goes in once, is found by CHECK, and goes with its owner")
    func life() throws {
        let rules = try everyRule("10.1.0.5", "fd00::5", port: 8080)
        let other = try everyRule("10.1.0.6", "fd00::6", port: 8081)
        try inFreshNamespace { _ in
            let filter = try IPTables()
            #expect(throws: NetfilterError.self) { try filter.check(rules, of: one) }
            try filter.add(rules, for: one)
            try filter.check(rules, of: one)
            let before = try command("iptables-save").split(separator: "\n").filter { !$0.hasPrefix("#") }
            try filter.add(rules, for: one)
            #expect(try command("iptables-save").split(separator: "\n").filter { !$0.hasPrefix("#") } == before)
            try filter.add(other, for: two)
            try filter.remove(.all, of: one)
            try filter.check(other, of: two)
            #expect(throws: NetfilterError.self) { try filter.check(rules, of: one) }
            try filter.remove(.all, of: one)
            try filter.collect(.all, network: "net", keeping: [])
            for save in ["iptables-save", "ip6tables-save"] {
                let rest = try command(save)
                #expect(!rest.contains("CNI-DN-") && !rest.contains("id:") && !rest.contains(two.tag))
            }
        }
    }

    @Test("Two attachments of one container share a chain, and neither takes the other's masquerade away")
    func siblings() throws {
        let second = FilterOwner(network: "net", containerID: "one", interfaceName: "eth1")
        let rules = [FilterRule.masquerade(Masquerade(addresses: [try #require(IPPrefix("10.1.0.5/24"))]))]
        let others = [FilterRule.masquerade(Masquerade(addresses: [try #require(IPPrefix("10.1.0.6/24"))]))]
        try inFreshNamespace { _ in
            let filter = try IPTables()
            try filter.add(rules, for: one)
            try filter.add(others, for: second)
            try filter.remove(.masquerade, of: second)
            try filter.check(rules, of: one)
            try filter.remove(.masquerade, of: one)
            #expect(try !command("iptables-save").contains("CNI-"))
        }
    }

    @Test("Owners come and go at once, from a cold start")
    func concurrency() throws {
        try inFreshNamespace { namespace in
            let path = namespace.path
            try withThreads(6) { thread in
                try NetworkNamespace(path: path).run {
                    let owner = FilterOwner(network: "n", containerID: "c\(thread)", interfaceName: "e")
                    let rules = try everyRule("10.1.0.\(thread + 2)", "fd00::\(thread + 2)", port: UInt16(80 + thread))
                    let filter = try IPTables()
                    try filter.add(rules, for: owner)
                    try filter.check(rules, of: owner)
                }
            }
            #expect(try command("iptables-save").split(separator: "\n-A CNI-HOSTPORT-DNAT").count == 13)
        }
    }
}
