import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netfilter

@Suite("The nftables back end in a fresh namespace", .enabled(if: FreshNamespace.isPermitted))
struct NFTablesTests {
    private let one = FilterOwner(network: "net", containerID: "one", interfaceName: "eth0")
    private let two = FilterOwner(network: "net", containerID: "two", interfaceName: "eth0")

    @Test("The base is what its text says, and nft reads it the same way")
    func base() throws {
        try inFreshNamespace { _ in
            let session = try NFTablesSession()
            for table in [BaseLayout.inetTable, BaseLayout.bridgeTable] {
                #expect(try session.uses(ofChain: "prerouting", in: table.identifier) == nil)
                try session.commit(TableCommand.commands(for: table))
                for chain in table.chains where !["admin", "masquerade-all"].contains(chain.name) {
                    let uses = try session.uses(ofChain: chain.name, in: table.identifier)
                    #expect(uses == BaseLayout.uses(of: chain.name, in: table.identifier), "\(chain.name)")
                    let count = try session.ruleCount(ofChain: chain.name, in: table.identifier)
                    #expect(count == chain.rules.count)
                }
                #expect(try session.uses(ofChain: "postrouting-of-nobody", in: table.identifier) == nil)
                #expect(try session.ruleCount(ofChain: "postrouting-of-nobody", in: table.identifier) == 0)
                let listed = try command("nft list table \(table.identifier)")
                #expect(lines(listed) == lines(table.nftText))
                let found = try #require(try session.table(table.identifier))
                #expect(found.chains == table.chains)
            }
        }
    }

    @Test("Every rule goes in, is found by CHECK, and goes with its owner")
    func life() throws {
        let rules = try everyRule("10.1.0.5", "fd00::5", port: 8080)
        try inFreshNamespace { _ in
            let filter = try NFTables()
            #expect(throws: NetfilterError.self) { try filter.check(rules, of: one) }
            try filter.add(rules, for: one)
            try filter.check(rules, of: one)
            try filter.add(rules, for: one)
            let other = try everyRule("10.1.0.6", "fd00::6", port: 8081)
            try filter.add(other, for: two)
            try filter.remove(.all, of: one)
            try filter.check(other, of: two)
            #expect(throws: NetfilterError.self) { try filter.check(rules, of: one) }
            try filter.remove(.all, of: one)
            try filter.remove(.all, of: two)
            try filter.collect(.all, network: "net", keeping: [])
            let session = try NFTablesSession()
            for table in [BaseLayout.inetTable, BaseLayout.bridgeTable] {
                #expect(sorted(try session.table(table.identifier)) == sorted(table))
            }
        }
    }

    @Test("An address taken over stays with its new owner")
    func takeOver() throws {
        let rules = try everyRule("10.1.0.5", "fd00::5", port: 8080)
        let masquerade = rules.filter { if case .masquerade = $0 { true } else { false } }
        try inFreshNamespace { _ in
            let filter = try NFTables()
            try filter.add(masquerade, for: one)
            try filter.add(masquerade, for: two)
            try filter.remove(.all, of: one)
            try filter.check(masquerade, of: two)
            #expect(throws: NetfilterError.self) { try filter.check(masquerade, of: one) }
        }
    }

    @Test("A host port leads to one container")
    func conflict() throws {
        let first = try everyRule("10.1.0.5", "fd00::5", port: 8080)
        let second = try everyRule("10.1.0.6", "fd00::6", port: 8080)
        try inFreshNamespace { _ in
            let filter = try NFTables()
            try filter.add(first, for: one)
            let before = try command("nft list ruleset")
            let error = #expect(throws: NetfilterError.self) { try filter.add(second, for: two) }
            #expect(error == .conflict(subject: "host port tcp . 8080", owner: one.comment))
            #expect(try command("nft list ruleset") == before)
        }
    }

    @Test("A container's host port stays with the network that had it first")
    func sameContainer() throws {
        let again = FilterOwner(network: "other", containerID: one.containerID, interfaceName: "eth7")
        let stranger = FilterOwner(network: "other", containerID: two.containerID, interfaceName: "eth7")
        let mapping = PortMapping(.tcp, hostPort: 8080, containerPort: 80)
        let first = [FilterRule.portForward(PortForward([mapping], to: [try need(IPPrefix("10.1.0.5/16"))]))]
        let second = [FilterRule.portForward(PortForward([mapping], to: [try need(IPPrefix("10.2.0.5/16"))]))]
        try inFreshNamespace { _ in
            let filter = try NFTables()
            try filter.add(first, for: one)
            #expect(throws: NetfilterError.self) { try filter.add(second, for: stranger) }
            try filter.add(second, for: again)
            try filter.check(first, of: one)
            try filter.check(second, of: again)
            try filter.remove(.all, of: again)
            try filter.check(first, of: one)
            #expect(throws: NetfilterError.self) { try filter.check(second, of: again) }
        }
    }

    @Test("Ports with conditions have a chain of their own, which goes with them")
    func conditions() throws {
        let mapping = PortMapping(.tcp, hostPort: 80, containerPort: 8080)
        let address = try #require(IPPrefix("10.1.0.5/24"))
        let rule = FilterRule.portForward(
            PortForward([mapping], to: [address], conditions4: ["ip", "saddr", "!=", "192.0.2.0/24"]))
        try inFreshNamespace { _ in
            let filter = try NFTables()
            try filter.add([rule], for: one)
            try filter.check([rule], of: one)
            let listed = try command("nft list chain inet swiftlet \(Entries.ownerChain(one))")
            #expect(listed.contains("tcp dport 80 ip saddr != 192.0.2.0/24 dnat ip to 10.1.0.5:8080"))
            try filter.add([rule], for: one)
            try filter.remove(.portForward, of: one)
            #expect(try !command("nft list ruleset").contains(one.tag))
        }
    }

    @Test("GC removes what is not in the list, and only of its network")
    func collect() throws {
        let stranger = FilterOwner(network: "other", containerID: "x", interfaceName: "eth0")
        let rules = try everyRule("10.1.0.5", "fd00::5", port: 1),
            others = try everyRule("10.1.0.6", "fd00::6", port: 2)
        let foreign = try everyRule("10.2.0.6", "fd02::6", port: 3, bridge: "br1")
        try inFreshNamespace { _ in
            let filter = try NFTables()
            try filter.add(rules, for: one)
            try filter.add(others, for: two)
            try filter.add(foreign, for: stranger)
            try filter.collect(.all, network: "net", keeping: [two])
            try filter.check(others, of: two)
            try filter.check(foreign, of: stranger)
            #expect(try !command("nft list ruleset").contains(one.tag))
            try filter.collect(.all, network: "net", keeping: [])
            #expect(try !command("nft list ruleset").contains(FilterOwner.networkTag("net") + "-"))
            try filter.check(foreign, of: stranger)
        }
    }

    @Test("What was flushed is put back by the next ADD that meets it; the user's chain is left alone")
    func repair() throws {
        let rules = try everyRule("10.1.0.5", "fd00::5", port: 1)
        try inFreshNamespace { _ in
            let filter = try NFTables()
            try filter.add(rules, for: one)
            try command("nft add rule inet swiftlet admin ip saddr 192.0.2.1 drop")
            try command("nft flush chain inet swiftlet postrouting")
            #expect(throws: NetfilterError.self) { try filter.check(rules, of: one) }
            try filter.add(rules, for: one)
            try filter.check(rules, of: one)
            #expect(try command("nft list chain inet swiftlet admin").contains("192.0.2.1"))
        }
    }

    @Test("Owners come and go at once, in many threads")
    func concurrency() throws {
        try inFreshNamespace { namespace in
            let path = namespace.path
            try withThreads(8) { thread in
                try NetworkNamespace(path: path).run {
                    let filter = try NFTables()
                    for round in 0..<12 {
                        let owner = FilterOwner(network: "n", containerID: "c\(thread)-\(round)", interfaceName: "e")
                        let rules = try everyRule(
                            "10.\(thread).0.\(round + 2)", "fd00::\(thread):\(round + 2)",
                            port: UInt16(1000 + thread * 100 + round))
                        try filter.add(rules, for: owner)
                        try filter.check(rules, of: owner)
                        if round % 2 == 0 { try filter.remove(.all, of: owner) }
                    }
                }
            }
            let listed = try command("nft list map inet swiftlet masquerade4")
            #expect(listed.split(separator: "comment").count - 1 == 48)
        }
    }

    @Test("A thousand containers do not make the next one dearer")
    func scale() throws {
        try inFreshNamespace { _ in
            let filter = try NFTables()
            let clock = ContinuousClock()
            for round in 0..<1000 {
                let owner = FilterOwner(network: "n", containerID: "c\(round)", interfaceName: "e")
                let rules = try everyRule(
                    "10.1.\(round / 250).\(round % 250 + 2)", "fd00::\(round + 2)", port: UInt16(1000 + round))
                let time = try clock.measure { try filter.add(rules, for: owner) }
                if [1, 2, 10, 100, 500, 998, 999].contains(round) { print("ADD with \(round) owners: \(time)") }
            }
            let owner = FilterOwner(network: "n", containerID: "c500", interfaceName: "e")
            let time = try clock.measure { try filter.remove(.all, of: owner) }
            print("DEL with 1000 owners: \(time)")
            #expect(try filter.count(.masquerade) == 2 * 999)
        }
    }

    private func sorted(_ table: Table?) -> Table? {
        guard var table else { return nil }
        table.sets.sort { $0.name < $1.name }
        table.chains.sort { $0.name < $1.name }
        return table
    }
}

extension NFTables {
    /// The number of elements of those parts.
    func count(_ parts: FilterParts) throws -> Int {
        let session = try NFTablesSession()
        return try BaseLayout.places(parts).map { try session.elements(of: $0.set, in: $0.table).count }.reduce(0, +)
    }
}

/// All a filter can do, for one container.
func everyRule(_ v4: String, _ v6: String, port: UInt16, bridge: String = "br0") throws -> [FilterRule] {
    let addresses = [try need(IPPrefix("\(v4)/16")), try need(IPPrefix("\(v6)/64"))]
    let host = try need(IPAddress("192.0.2.1"))
    let mappings = [
        PortMapping(.tcp, hostPort: port, containerPort: 80),
        PortMapping(.udp, hostAddress: host, hostPort: port, containerPort: 53),
    ]
    let suffix = "\(port)"
    return [
        .masquerade(Masquerade(addresses: addresses)),
        .portForward(PortForward(mappings, to: addresses)),
        .firewall(
            Firewall(addresses: addresses.map(\.address), ingress: .isolated, bridge: bridge, port: "veth\(suffix)")),
        .antiSpoof(AntiSpoof(link: "veth\(suffix)", mac: MACAddress(locallyAdministered: UInt64(port)))),
    ]
}

/// The lines of a listing, elements all on one, counters without their numbers.
func lines(_ text: String) -> [String] {
    text.replacing("counter packets 0 bytes 0", with: "counter").replacing(",\n", with: ",").split(separator: "\n")
        .map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }.filter { !$0.isEmpty }
}
