import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netfilter

@Suite("Tables in a fresh namespace", .enabled(if: FreshNamespace.isPermitted))
struct NetfilterTableTests {
    @Test("A table comes back from the kernel as it was sent, and nft reads it as we write it")
    func roundTrip() throws {
        let table = try sampleTable()
        try inFreshNamespace { _ in
            let session = try NFTablesSession()
            #expect(try session.table(table.identifier) == nil)
            try session.commit(TableCommand.commands(for: table))
            let found = try #require(try session.table(table.identifier))
            #expect(found.comment == table.comment)
            #expect(Set(found.sets.map(\.name)) == Set(table.sets.map(\.name)))
            for set in table.sets {
                let other = found.sets.first { $0.name == set.name }
                #expect(other?.key == set.key && other?.value == set.value && other?.flags == set.flags)
                #expect(Set(other?.elements ?? []) == Set(set.elements), "\(set.name)")
            }
            for chain in table.chains {
                let other = try #require(found.chains.first { $0.name == chain.name })
                #expect(other.hook == chain.hook && other.comment == chain.comment)
                #expect(other.rules == chain.rules)
            }
            let listed = try command("nft list table inet sample")
            #expect(lines(listed) == lines(table.nftText))
        }
    }

    @Test("nft accepts our text, and what it makes of it is what we make")
    func text() throws {
        let table = try sampleTable()
        try inFreshNamespace { _ in
            let path = "/tmp/swiftlet-nft-\(UInt32.random(in: 0...UInt32.max))"
            defer { try? Files.remove(path) }
            #expect(try AtomicFile.create(path, with: Array(table.nftText.utf8)))
            try command("nft -f \(path)")
            #expect(lines(try command("nft list table inet sample")) == lines(table.nftText))
        }
    }
}
