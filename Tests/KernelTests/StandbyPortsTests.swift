import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netfilter

/// Host ports that several networks of one container ask for: one has them, the others wait.
@Suite("Ports on standby", .enabled(if: FreshNamespace.isPermitted))
struct StandbyPortsTests {
    /// An attachment of a container, with an address of its own.
    struct Attachment: Hashable {
        let owner: FilterOwner
        let addresses: [IPPrefix]

        init(_ container: String, _ interface: Int) throws {
            let network = "net\(interface)"
            owner = FilterOwner(network: network, containerID: container, interfaceName: "eth\(interface)")
            let host = Int(container.utf8.last ?? 0)
            addresses = [
                try need(IPPrefix("10.\(interface).0.\(host)/16")), try need(IPPrefix("fd00:\(interface)::\(host)/64")),
            ]
        }

        func rules(_ ports: [UInt16] = [8080], conditions: [String] = []) -> [FilterRule] {
            let host = IPAddress("192.0.2.1")
            let mappings =
                ports.map { PortMapping(.tcp, hostPort: $0, containerPort: 80) }
                + (conditions.isEmpty
                    ? ports.map { PortMapping(.udp, hostAddress: host, hostPort: $0, containerPort: 53) } : [])
            return [.portForward(PortForward(mappings, to: addresses, conditions4: conditions))]
        }
    }

    /// Who has a port of all addresses, by the comment, in both families alike.
    static func holder(_ port: UInt16) throws -> String? {
        let key: [Datum] = [.transport(.tcp), .port(port)]
        let session = try NFTablesSession()
        let found = try [AddressFamily.ipv4, .ipv6].map { family in
            let place = BaseLayout.hostPorts(family)
            return try session.element(key, of: place.set, in: place.table)?.comment
        }
        #expect(found[0] == found[1])
        return found[0]
    }

    static func expectNothingLeft(_ networks: [String], _ what: String = "") throws {
        let filter = try NFTables()
        let rest = try command("nft list ruleset")
        #expect(!rest.contains("/eth"), "\(what)\n\(rest)")
        for network in networks { try filter.collect(.all, network: network, keeping: []) }
        let clean = try command("nft list ruleset")
        for network in networks { #expect(!clean.contains(FilterOwner.networkTag(network)), "\(what)\n\(clean)") }
    }

    @Test(
        "The next in line takes over, whoever goes first", arguments: [[0, 1, 2], [0, 2, 1], [1, 0, 2], [2, 1, 0]])
    func order(_ order: [Int]) throws {
        let all = try (1...3).map { try Attachment("c", $0) }
        try inFreshNamespace { _ in
            let filter = try NFTables()
            for one in all { try filter.add(one.rules(), for: one.owner) }
            // Repeated, as runtimes do.
            for one in all.reversed() { try filter.add(one.rules(), for: one.owner) }
            var left = all
            for index in order {
                #expect(try Self.holder(8080) == left[0].owner.comment)
                for one in left { try filter.check(one.rules(), of: one.owner) }
                left.removeAll { $0 == all[index] }
                try filter.remove(.all, of: all[index].owner)
                #expect(throws: NetfilterError.self) { try filter.check(all[index].rules(), of: all[index].owner) }
            }
            #expect(try Self.holder(8080) == nil)
            try Self.expectNothingLeft(["net1", "net2", "net3"])
        }
    }

    @Test("It is one transaction: the port is never free")
    func atomic() throws {
        let first = try Attachment("c", 1), second = try Attachment("c", 2)
        try inFreshNamespace { _ in
            let filter = try NFTables()
            let session = try NFTablesSession()
            try filter.add(first.rules(), for: first.owner)
            try filter.add(second.rules(), for: second.owner)
            let before = try session.generation()
            try filter.remove(.all, of: first.owner)
            #expect(try session.generation() == before + 1)
            let listed = try command("nft list map inet swiftlet hostip_hostports4")
            #expect(listed.contains("192.0.2.1 . udp . 8080") && listed.contains("10.2.0.99 . 53"), "\(listed)")
            #expect(try command("nft list map inet swiftlet hostports6").contains("fd00:2::99 . 80"))
            let standby = try command("nft list set inet swiftlet standby_hostports4")
            #expect(!standby.contains("elements"), "\(standby)")
        }
    }

    @Test("Ports with conditions are handed over with the heir's conditions")
    func conditions() throws {
        let first = try Attachment("c", 1), second = try Attachment("c", 2), third = try Attachment("c", 3)
        let all = [first, second, third]
        @Sendable func rules(_ one: Attachment) -> [FilterRule] {
            one.rules(conditions: ["ip", "saddr", "192.0.2.\(one.owner.interfaceName.utf8.last ?? 0)"])
        }
        try inFreshNamespace { _ in
            let filter = try NFTables()
            for one in all { try filter.add(rules(one), for: one.owner) }
            for one in all { try filter.check(rules(one), of: one.owner) }
            // GC of a network whose attachment waits: its chain is still wanted.
            try filter.collect(.all, network: "net2", keeping: [second.owner])
            try filter.remove(.all, of: first.owner)
            let jumps = try command("nft list map inet swiftlet conditional_hostports4")
            #expect(jumps.contains("jump \(Entries.ownerChain(second.owner))"), "\(jumps)")
            for one in [second, third] { try filter.check(rules(one), of: one.owner) }
            try filter.collect(.all, network: "net2", keeping: [])
            try filter.check(rules(third), of: third.owner)
            #expect(try !command("nft list ruleset").contains(Entries.ownerChain(second.owner)))
            try filter.remove(.portForward, of: third.owner)
            try filter.remove(.all, of: third.owner)
            try Self.expectNothingLeft(["net1", "net2", "net3"])
        }
    }

    @Test("GC hands over, too, and takes who waits for nothing any more")
    func collect() throws {
        let first = try Attachment("c", 1), second = try Attachment("c", 2), third = try Attachment("c", 3)
        try inFreshNamespace { _ in
            let filter = try NFTables()
            for one in [first, second, third] { try filter.add(one.rules(), for: one.owner) }
            try filter.collect(.all, network: "net1", keeping: [])
            #expect(try Self.holder(8080) == second.owner.comment)
            try filter.collect(.portForward, network: "net3", keeping: [])
            try filter.collect(.all, network: "net2", keeping: [])
            try Self.expectNothingLeft(["net1", "net2", "net3"])
        }
    }

    @Test("CHECK misses a place in the line; ADD puts it back")
    func check() throws {
        let first = try Attachment("c", 1), second = try Attachment("c", 2)
        try inFreshNamespace { _ in
            let filter = try NFTables()
            for one in [first, second] { try filter.add(one.rules(), for: one.owner) }
            try command("nft flush set inet swiftlet standby_hostports6")
            #expect(throws: NetfilterError.self) { try filter.check(second.rules(), of: second.owner) }
            try filter.add(second.rules(), for: second.owner)
            try filter.check(second.rules(), of: second.owner)
            // A table of before there was a line.
            try command("nft delete set inet swiftlet standby_hostports4")
            try filter.add(second.rules(), for: second.owner)
            try filter.check(second.rules(), of: second.owner)
            try filter.remove(.all, of: first.owner)
            #expect(try Self.holder(8080) == second.owner.comment)
        }
    }

    @Test("A network's longest name leaves room to know the container by")
    func longName() throws {
        let name = String(repeating: "n", count: 200)
        let first = FilterOwner(network: name, containerID: "container-of-long-name", interfaceName: "eth0")
        let second = FilterOwner(network: name + "2", containerID: first.containerID, interfaceName: "interface-15-ch")
        let one = try Attachment("c", 1), two = try Attachment("c", 2)
        try inFreshNamespace { _ in
            let filter = try NFTables()
            for (owner, rules) in [(first, one.rules()), (second, two.rules())] {
                try filter.add(rules, for: owner)
                try filter.check(rules, of: owner)
            }
            try filter.remove(.all, of: first)
            #expect(try Self.holder(8080) == second.comment)
        }
    }

    @Test("Containers with several networks come and go at random, as a model of it says")
    func model() throws {
        let all = try ["a", "b"].flatMap { container in try (8...11).map { try Attachment(container, $0) } }
        let ports: [UInt16] = [1, 2, 3]
        try inFreshNamespace { _ in
            var random = SeededGenerator(for: "StandbyPortsTests.model")
            let filter = try NFTables()
            // Who has a port and who waits, in the order of coming and of names.
            var holders: [UInt16: Attachment] = [:]
            var added: [Attachment: [UInt16]] = [:]
            for step in 0..<200 {
                let what = "seed \(random.seed), step \(step)"
                let one = random.pick(all) ?? all[0]
                if added[one] == nil {
                    let wanted = ports.filter { _ in random.below(2) == 0 }
                    let isTaken = wanted.contains { port in
                        holders[port].map { $0.owner.containerID != one.owner.containerID } ?? false
                    }
                    if isTaken {
                        #expect(throws: NetfilterError.self, "\(what)") {
                            try filter.add(one.rules(wanted), for: one.owner)
                        }
                    } else {
                        try filter.add(one.rules(wanted), for: one.owner)
                        added[one] = wanted
                        for port in wanted where holders[port] == nil { holders[port] = one }
                    }
                } else {
                    added[one] = nil
                    if random.below(3) == 0 {
                        let network = one.owner.network
                        let valid = added.keys.map(\.owner).filter { $0.network == network }
                        try filter.collect(.all, network: network, keeping: valid)
                    } else {
                        try filter.remove(.all, of: one.owner)
                    }
                    for port in ports where holders[port] == one {
                        holders[port] = all.first { added[$0]?.contains(port) == true }
                    }
                }
                for port in ports { #expect(try Self.holder(port) == holders[port]?.owner.comment, "\(what)") }
                for (one, ports) in added { try filter.check(one.rules(ports), of: one.owner) }
            }
            for one in all { try filter.remove(.all, of: one.owner) }
            try Self.expectNothingLeft((8...11).map { "net\($0)" }, "seed \(random.seed)")
        }
    }

    @Test("Attachments of one container that go at once, in many threads, leave nothing")
    func concurrency() throws {
        let all = try (1...6).map { try Attachment("c", $0) }
        try inFreshNamespace { namespace in
            let path = namespace.path
            for _ in 0..<5 {
                try withThreads(all.count) { thread in
                    try NetworkNamespace(path: path).run {
                        try NFTables().add(all[thread].rules([1, 2]), for: all[thread].owner)
                    }
                }
                for one in all { try NFTables().check(one.rules([1, 2]), of: one.owner) }
                try withThreads(all.count) { thread in
                    try NetworkNamespace(path: path).run { try NFTables().remove(.all, of: all[thread].owner) }
                }
                #expect(try !command("nft list ruleset").contains("/eth"))
            }
        }
    }
}
