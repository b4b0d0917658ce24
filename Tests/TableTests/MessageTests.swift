import Testing

@testable import Cluster

@Suite struct MessageTests {
    private let authority = ToyAuthority(1)
    private var host: HostID { HostID(rawValue: 0x0102_0304_0506_0708_090A_0B0C_0D0E_0F10) }

    private func record(_ key: RecordKey, value: [UInt8]?) -> Record {
        Record(
            key: key, owner: host, version: Version(incarnation: 2, counter: 3), isTombstone: value == nil,
            value: value ?? [], signature: [0xAA, 0xBB])
    }

    private func read(_ body: [UInt8]) throws(TableFault) -> [Message] {
        let host = host
        return try Message.read(body) { _ in host }
    }

    /// The bytes are what other versions of the suite send and expect.
    @Test func recordsKeepTheirBytes() throws {
        let endpoint = record(RecordKey(kind: .endpoint, network: network(0), key: [0x65]), value: [1, 2, 3])
        let bytes = hex(
            """
            0102030405060708090a0b0c0d0e0f10 04 02
            0000000000000000000000000000abcd00000000000000000000000000000001
            01 65 0000000000000002 0000000000000003 0003 010203 02 aabb
            """)
        #expect(endpoint.encoded == bytes)
        #expect(Record(decoding: bytes) == endpoint)
        #expect(endpoint.signedBytes.starts(with: Array("swiftlet record 1\0".utf8) + bytes.prefix(18)))
        #expect(endpoint.wireSize == bytes.count - 16)
        let tombstone = record(.host, value: nil)
        let short = hex("0102030405060708090a0b0c0d0e0f10 01 01 00 0000000000000002 0000000000000003 02 aabb 00000000")
        #expect(tombstone.encoded == short)
        #expect(Record(decoding: short) == tombstone)
        #expect(tombstone.wireSize == short.count - 16)
        #expect(Record(decoding: bytes + [0]) == nil, "bytes after the end")
        #expect(Record(decoding: bytes.dropLast()) == nil)
    }

    @Test func hashesAndDigestsStayAsTheyAre() {
        #expect(RecordKey.host.hash64 == 0x348C_3D1A_F8BE_C8E5)
        #expect(RecordKey(kind: .endpoint, network: network(0), key: [0x65]).hash64 == 0xB836_FFFB_731F_CD62)
        let row = record(.host, value: [1])
        #expect(row.digest(hash: row.key.hash64) == 0x3005_610F_1E17_FEA0)
    }

    private var messages: [Message] {
        let rows = [RowVersion(hash: 5, version: Version(incarnation: 1, counter: 2), tag: 9)]
        let range = BucketRange(owner: host, scope: network(1), low: 1, high: .max)
        let scopes = [ScopeDigest(scope: network(1), digest: 7, count: 3)]
        let items = [
            Message.Rows.Item(record: record(.member(of: network(1)), value: [1]), life: 0),
            Message.Rows.Item(record: record(.host, value: nil), life: 77),
        ]
        let owners = [Message.OwnerDigest(owner: host, digest: 8, count: 1)]
        return [
            .rows(wantsAck: true, [Message.Rows(publicKey: [1, 2], items: items)]), .ack(rows), .refused(rows),
            .summary(
                wantsAck: false,
                Message.Summary(
                    publicKey: [1], asOf: Version(incarnation: 1, counter: 0), scopes: scopes, signature: [3])),
            .offer(scopes),
            .owners(Message.Owners(scope: .none, first: HostID(rawValue: 0), last: host, owners: owners)),
            .versions(id: 12, [Message.VersionList(range: range, rows: rows)]),
            .census(Message.Census(publicKey: [1], range: range, asOf: .zero, rows: rows, signature: [4])),
            .want([Message.Want(range: range, hashes: [1, 2])]), .done(id: 12),
        ]
    }

    @Test func everyMessageComesBack() throws {
        #expect(try read(Message.body(messages)) == messages)
        for message in messages { #expect(try read(Message.body([message])) == [message]) }
    }

    @Test func unknownMessagesAreSkipped() throws {
        let unknown = hex("c8 00000003 010203")
        let body = Message.body([messages[1]]) + unknown + Message.body([messages[2]]).dropFirst()
        #expect(try read(body) == [messages[1], messages[2]])
    }

    /// What a later version adds at the end of a message is passed over.
    @Test func messagesMayGrow() throws {
        for message in messages {
            let body = Message.body([message])
            let length = UInt32(body.count - 6 + 3)
            let head = body.prefix(2) + (0..<4).map { UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * $0)) }
            let grown = Array(head) + body.dropFirst(6) + [1, 2, 3]
            #expect(try read(grown + Message.body([.done(id: 7)]).dropFirst()) == [message, .done(id: 7)])
        }
    }

    @Test func brokenBodiesAreRefused() {
        #expect(throws: TableFault.length) { try read([]) }
        #expect(throws: TableFault.version) { try read([2]) }
        #expect(throws: TableFault.length) { try read(hex("01 02 00000005 0000")) }
        #expect(throws: TableFault.length) { try read(hex("01 02 ffffffff 0000")) }
        #expect(throws: TableFault.tooLarge) { try read(hex("01 02 00000002 ffff")) }
        let counterless = Record(
            key: .host, owner: host, version: Version(incarnation: 1, counter: 0), isTombstone: false, value: [],
            signature: [])
        #expect(Record(decoding: counterless.encoded) == nil, "versions count from 1")
        let long = Record(
            key: .host, owner: host, version: Version(incarnation: 1, counter: 1), isTombstone: false,
            value: [UInt8](repeating: 0, count: 1025), signature: [])
        #expect(Record(decoding: long.encoded) == nil, "a value of 1025 bytes")
    }

    /// Bodies cut at every byte and changed at random: read, or refused; and whatever is read is written as it was.
    @Test func mutatedBodiesEndNothing() {
        var random = SeededGenerator(seed: seed(for: "mutatedBodiesEndNothing"))
        let bodies = messages.map { Message.body([$0]) } + [Message.body(messages)]
        var read = 0
        for body in bodies {
            for length in body.indices { _ = try? self.read(Array(body.prefix(length))) }
            for _ in 0..<(runsLong ? 100_000 : 1000) {
                var changed = body
                for _ in 0...random.below(3) {
                    switch random.below(4) {
                    case 0: changed.remove(at: random.below(changed.count))
                    case 1: changed.insert(UInt8(truncatingIfNeeded: random.next()), at: random.below(changed.count))
                    default: changed[random.below(changed.count)] = UInt8(truncatingIfNeeded: random.next())
                    }
                }
                guard let messages = try? self.read(changed) else { continue }
                read += 1
                #expect((try? self.read(Message.body(messages))) == messages)
            }
        }
        #expect(read > 0)
    }
}
