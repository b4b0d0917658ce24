import Cluster
import Gossip
import NetworkTypes
import System
import TestSupport
import Testing

@testable import Daemon

/// What survives a restart, and what damage does to it.
struct JournalTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private var path: String { directory.appending("journal") }
    private var previous: String { directory.appending("journal.previous") }

    private func change(_ name: String, _ value: String?) -> JournalChange {
        JournalChange(JournalKey(.row, Array(name.utf8)), value.map { Array($0.utf8) })
    }

    private func open() throws -> JournalFile { try JournalFile(directory: directory.path) }

    private func rows(_ file: JournalFile) -> [String: String] {
        Dictionary(
            uniqueKeysWithValues: file.entries.map {
                (String(decoding: $0.key.name, as: UTF8.self), String(decoding: $0.value, as: UTF8.self))
            })
    }

    @Test func keepsWhatWasWritten() throws {
        var file = try open()
        try file.append([change("a", "1"), change("b", "2")])
        try file.append([change("a", nil), change("c", "")])
        #expect(rows(file) == ["b": "2", "c": ""])
        var again = try open()
        #expect(rows(again) == ["b": "2", "c": ""])
        #expect(!again.mayLackChanges)
        try again.compact()
        #expect(rows(try open()) == ["b": "2", "c": ""])
        #expect(try FileStatus(of: path).mode & 0o777 == 0o600)
    }

    @Test func compactsWhatGrows() throws {
        var file = try open()
        let value = String(repeating: "x", count: 64 << 10)
        for number in 0..<40 { try file.append([change("same", "\(number)\(value)")]) }
        #expect(try Files.read(path, limit: 64 << 20).count < 3 << 20)
        #expect(rows(try open())["same"]?.hasPrefix("39x") == true)
    }

    /// Cut anywhere, the journal is what it was after some write, and after the last whole one.
    @Test func bearsATornEndAtEveryByte() throws {
        var file = try open()
        var lengths = [try Files.read(path).count]
        for number in 1...4 {
            try file.append([change("n", "\(number)"), change("k\(number)", "v")])
            lengths.append(try Files.read(path).count)
        }
        let whole = try Files.read(path)
        try Files.remove(previous)
        for length in 0...whole.count {
            try Files.rewrite(path, with: Array(whole[..<length]))
            try Files.remove(previous)
            guard length >= lengths[0] else {
                #expect(throws: StartFault.self, "\(length)") { try open() }
                continue
            }
            let survivors = lengths.count { $0 <= length } - 1
            #expect(rows(try open())["n"] == (survivors == 0 ? nil : "\(survivors)"), "\(length)")
        }
    }

    /// Whatever bit flips, nothing wrong is believed: the state is the one before or after the last write, or there is an
    /// error.
    @Test func noticesFlippedBits() throws {
        var file = try open()
        try file.append([change("a", "0")])
        try file.compact()
        try file.append([change("a", "1")])
        let beforeLast = try Files.read(path).count
        try file.append([change("a", "2"), change("b", "3")])
        let (whole, older) = (try Files.read(path), try Files.read(previous))
        // One bit of every byte, each place in turn: an opening writes to the disk four times.
        for bit in (0..<whole.count).map({ $0 * 8 + $0 % 8 }) {
            var damaged = whole
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            try Files.rewrite(path, with: damaged)
            try Files.rewrite(previous, with: older)
            let found = try? rows(open())
            if bit / 8 >= beforeLast {
                #expect(found == ["a": "1"], "bit \(bit)")
            } else if let found {
                // The snapshot is gone, but the file before it leads up to the changes.
                #expect(found == ["a": "2", "b": "3"], "bit \(bit)")
            }
        }
    }

    @Test func fallsBackAndSaysSo() throws {
        var file = try open()
        try file.append([change("a", "1")])
        try file.compact()
        try file.append([change("a", "2")])
        try Files.rewrite(path, with: [])
        let recovered = try open()
        #expect(rows(recovered) == ["a": "1"])
        #expect(recovered.mayLackChanges)
        // The next start is an ordinary one again.
        #expect(try !open().mayLackChanges)
    }

    @Test func refusesWhenBothAreBad() throws {
        var file = try open()
        try file.append([change("a", "1")])
        try file.compact()
        try Files.rewrite(path, with: Array("nonsense".utf8))
        try Files.rewrite(previous, with: Array("nonsense".utf8))
        let fault = #expect(throws: StartFault.self) { try open() }
        let text = fault?.description ?? ""
        #expect(text.contains("\(path) is damaged at byte 0"))
        #expect(text.contains("journal.previous is damaged at byte 0 too"))
        #expect(text.contains("move both away"))
    }

    @Test func refusesAHoleInTheMiddle() throws {
        var file = try open()
        let first = try Files.read(path).count
        try file.append([change("a", "1")])
        try file.append([change("a", "2")])
        var bytes = try Files.read(path)
        bytes[first + 40] ^= 1
        try Files.rewrite(path, with: bytes)
        let fault = #expect(throws: StartFault.self) { try open() }
        #expect(fault?.description.contains("is damaged at byte \(first)") == true)
    }

    @Test func countsItsStarts() throws {
        var random = SeededGenerator(seed: 1)
        var starts: [Start] = []
        for _ in 1...3 {
            let journal = try Journal(directory: directory.path)
            starts.append(try journal.begin(keyIsNew: true, random: &random))
            journal.close()
        }
        #expect(starts.map(\.incarnation) == [1, 2, 3])
        #expect(starts.allSatisfy { !$0.hasLostMemory })
        #expect(Set(starts.map(\.nonce)).count == 3)
        // When the last starts may be forgotten, none of their numbers is used again.
        try Files.rewrite(path, with: [])
        let journal = try Journal(directory: directory.path)
        #expect(try journal.begin(keyIsNew: true, random: &random).incarnation > 1_000_000)
        journal.close()
    }

    @Test func knowsThatAJournalIsGone() throws {
        var random = SeededGenerator(seed: 1)
        for _ in 1...2 {
            let journal = try Journal(directory: directory.path)
            let start = try journal.begin(keyIsNew: false, random: &random)
            #expect(start.hasLostMemory)
            #expect(start.incarnation > 1_000_000)
            journal.close()
        }
    }

    @Test func takesOverTheGossipMemoryOfEarlierVersions() throws {
        let peers = try [#require(Endpoint(text: "::1")), #require(Endpoint(text: "192.0.2.1:80"))]
        let memory = Instance.Memory(incarnation: .max, memberTime: 5, eventTime: 6, queryTime: .max, peers: peers)
        #expect(Instance.Memory(journaled: memory.journaled) == memory)
        #expect(Instance.Memory(journaled: []) == nil)
        #expect(Instance.Memory(journaled: memory.journaled.dropLast()) == nil)
        let old = #"{"incarnation": 9, "memberTime": 5, "eventTime": 6, "queryTime": 7, "peers": ["192.0.2.1:80"]}"#
        try Files.rewrite(directory.appending("gossip.json"), with: Array(old.utf8))
        for _ in 1...2 {
            let journal = try Journal(directory: directory.path)
            let found = try journal.memory(directory: directory.path)
            #expect(found.incarnation == 9 && found.queryTime == 7 && found.peers == [peers[1]])
            journal.close()
        }
        #expect(!Files.exists(directory.appending("gossip.json")))
    }

    @Test func keepsItsKey() throws {
        let (key, isNew) = try HostKey.load(directory: directory.path)
        #expect(isNew)
        let again = try HostKey.load(directory: directory.path)
        #expect(again.key.id == key.id && !again.isNew)
        #expect(try FileStatus(of: directory.appending("host.key")).mode & 0o777 == 0o600)
        let signature = key.sign([1, 2, 3])
        #expect(HostKey.isValid(signature, of: [1, 2, 3], by: key.publicKey))
        #expect(!HostKey.isValid(signature, of: [1, 2], by: key.publicKey))
        #expect(!HostKey.isValid([], of: [1, 2, 3], by: []))
        try Files.rewrite(directory.appending("host.key"), with: Array("x\n".utf8))
        #expect(throws: StartFault.self) { try HostKey.load(directory: directory.path) }
    }

    /// RFC 8032, 7.1, test 1: the public key of a seed, and the id made of it.
    @Test func derivesTheIdentity() throws {
        func bytes(_ hex: String) -> [UInt8] {
            let digits = hex.compactMap { $0.hexDigitValue.map { UInt8($0) } }
            return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        }
        let seed = bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
        let key = try #require(HostKey(seed: seed))
        #expect(key.publicKey == bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
        #expect(key.id == HostID("21fe31dfa154a261626bf854046fd227"))
        #expect(HostKey.id(of: key.publicKey) == key.id)
    }
}
