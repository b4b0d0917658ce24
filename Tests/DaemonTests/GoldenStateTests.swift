import Cluster
import Gossip
import JSON
import NetworkTypes
import Overlay
import System
import TestSupport
import Testing

@testable import Daemon

/// The state directory of the release before documents had versions, written by its own daemon on a host `h1` with two
/// networks, two endpoints, one that was removed, and tags. All of it is taken over.
struct GoldenStateTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        let folder = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(
            separator: "/")
        let golden = "\(folder)/Golden/state-1"
        _ = try AtomicFile.create(
            directory.appending("host.key"), with: Array(Files.text("\(golden)/host.key").utf8))
        let text = try Files.text("\(golden)/journal.base64").filter { !$0.isWhitespace }
        _ = try AtomicFile.create(directory.appending("journal"), with: try #require(Base64.decode(text)))
    }

    private func values(_ journal: Journal, _ kind: JournalKey.Kind) -> [(name: String, value: [UInt8])] {
        journal.entries.filter { $0.key.kind == kind.rawValue }
            .map { (String(decoding: $0.key.name, as: UTF8.self), $0.value) }.sorted { $0.name < $1.name }
    }

    @Test func isTakenOver() throws {
        let journal = try Journal(directory: directory.path)
        defer { journal.close() }
        #expect(!journal.mayLackChanges)
        let (key, isNew) = try HostKey.load(directory: directory.path)
        #expect(!isNew && "\(key.id)" == "202970f44be89c2eed15c26397c073fa")

        let networks = values(journal, .network)
        #expect(networks.map(\.name) == ["demonet", "kept"])
        let locals = networks.compactMap { LocalNetwork(journaled: $0.value) }
        #expect(locals.map(\.isKept) == [false, true])
        #expect(locals.map(\.isAnnounced) == [true, true])
        #expect(locals.map { $0.row.subnets.map { "\($0.prefix)" } } == [["192.168.0.0/24"], ["10.77.0.0/24"]])
        #expect(locals.last?.row.seeds == ["h1"])

        let endpoints = values(journal, .endpoint).compactMap { LocalEndpoint(id: $0.name, journaled: $0.value) }
        #expect(Set(endpoints.map(\.containerID)) == ["c1", "c2"])
        #expect(Set(endpoints.map(\.link)) == ["veth1", "veth2"])

        let tags = NodeTags(
            host: key.id, clusterPort: 7947, configured: ["color": "blue", "zone": "z"],
            journaled: journal.entries[JournalKey(.tags)])
        #expect(tags.announced["rack"] == "r9" && tags.announced["color"] == nil && tags.announced["zone"] == "z")
        #expect(tags.announced["sw"] == "1")
        #expect(try journal.memory(directory: directory.path).incarnation > 0)
    }

    @Test func itsRowsAreGenuine() throws {
        let journal = try Journal(directory: directory.path)
        defer { journal.close() }
        let key = try HostKey.load(directory: directory.path).key
        let rows = journal.entries.filter { $0.key.kind == JournalKey.Kind.row.rawValue }
        let records = rows.values.compactMap { Record(decoding: $0) }
        #expect(records.count == rows.count)
        var random = SeededGenerator(for: "golden state")
        let start = try journal.begin(keyIsNew: false, random: &random)
        #expect(start.incarnation == 2 && !start.hasLostMemory)
        var replica = Replica(
            incarnation: start.incarnation, authority: HostAuthority(key: key), rows: records, now: 0, random: &random)
        let directives = replica.handle(.start, now: 0, random: &random)
        #expect(!directives.contains { if case .notice = $0 { true } else { false } })
        #expect(replica.rows(.endpoint).count == 2 && replica.rows(.network).count == 2)
        #expect(replica.rows(.member).count == 1 && replica.rows(.host).count == 1)
        #expect(replica.ownRecords.count { $0.isTombstone } == 1)
        // The address blocks go on from what was written.
        for saved in values(journal, .network) {
            let local = try #require(LocalNetwork(journaled: saved.value))
            let id = try #require(local.networkID(saved.name))
            let bytes = try #require(journal.entries[JournalKey(.blocks, id.bytes)])
            let allocator = try BlockAllocator(
                subnets: local.row.layouts(), host: key.id, name: "h1", bootstrap: .seeds(["h1"]),
                memory: .saved(bytes), now: 0, random: &random)
            // Of "kept" no address was ever asked for, so its blocks are shared out only now.
            #expect(allocator.ranges.flatMap(\.spans).isEmpty == (saved.name == "kept"), "\(saved.name)")
        }
    }

    @Test func documentsHaveVersions() throws {
        let journal = try Journal(directory: directory.path)
        defer { journal.close() }
        func later(_ bytes: [UInt8], _ key: String) throws -> [UInt8] {
            var document = try Value(parsing: bytes)
            #expect(document[key]?.integer == 1)
            document[key] = 2
            return Array(document.text().utf8)
        }
        let network = try #require(values(journal, .network).first)
        let local = try #require(LocalNetwork(journaled: network.value))
        #expect(LocalNetwork(journaled: local.journaled) == local)
        #expect(try LocalNetwork(journaled: later(local.journaled, "version")) == nil)
        let saved = try #require(values(journal, .endpoint).first)
        let endpoint = try #require(LocalEndpoint(id: saved.name, journaled: saved.value))
        #expect(LocalEndpoint(id: saved.name, journaled: endpoint.journaled) == endpoint)
        #expect(try LocalEndpoint(id: saved.name, journaled: later(endpoint.journaled, "version")) == nil)
        func tags(_ bytes: [UInt8]?) -> NodeTags {
            NodeTags(host: HostID(rawValue: 1), clusterPort: 1, configured: [:], journaled: bytes)
        }
        let old = tags(journal.entries[JournalKey(.tags)])
        #expect(old.announced["rack"] == "r9")
        #expect(tags(old.journaled) == old)
        #expect(try tags(later(old.journaled, "")).announced["rack"] == nil)
    }

    @Test(arguments: [
        ("1", true), ("1-2", true), ("1-1", true), ("2", false), ("2-3", false), ("", false), ("0", false),
        ("2-1", false),
        ("1-", false), ("+1", false), ("a", false), ("1-2-3", false), ("99999999999999999999", false),
    ])
    func protocolsAreCompared(tag: String, isSpoken: Bool) {
        #expect(ClusterProtocol.own.isSpoken(by: tag) == isSpoken)
    }
}

extension LocalNetwork {
    /// The id of the network under a name in the usual cluster.
    fileprivate func networkID(_ name: String) -> NetworkID? {
        NetworkID(NetworkIdentity(network: name, cluster: "swiftlet").identifier)
    }
}
