import NetworkTypes
import Testing

@testable import Cluster

/// The bytes between hosts and on disk. The golden ones are written by hand from the description of the format, and must
/// never change.
@Suite struct CodecTests {
    static let first = HostID(rawValue: 0x0001_0203_0405_0607_0809_0A0B_0C0D_0E0F)
    static let second = HostID(rawValue: 0xF0F1_F2F3_F4F5_F6F7_F8F9_FAFB_FCFD_FEFF)
    static let owner = BlockOwner(host: first, life: 300)
    static let hex = "000102030405060708090a0b0c0d0e0f"
    static let otherHex = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
    /// Life 5, subnets' digest, first split's digest.
    static let head = "01 01 05" + "02 08 1122334455667788" + "03 08 99aabbccddeeff00"

    static func message(_ body: BlockMessage.Body) -> BlockMessage {
        BlockMessage(life: 5, layouts: 0x1122_3344_5566_7788, universe: 0x99AA_BBCC_DDEE_FF00, body: body)
    }

    static func row(_ number: Int, _ entry: BlockEntry, subnet: Int = 0) -> BlockRing.Row {
        BlockRing.Row(block: BlockID(subnet: subnet, number: number), entry: entry)
    }

    static func loan(_ address: String, _ number: UInt64) throws -> BlockMessage.Loan {
        BlockMessage.Loan(address: try #require(IPAddress(address)), number: number)
    }

    /// Every kind with its bytes after the version.
    static func golden() throws -> [(BlockMessage.Body, kind: String, fields: String)] {
        let ballot = BlockMessage.Ballot(round: 7, host: first)
        let hosts = try #require(BlockUniverse(.hosts([owner])))
        let seeds = try #require(BlockUniverse(.seeds(["b", "a"])))
        let loan = try loan("10.0.0.9", 2)
        let loanHex = "04 0a000009 0000000000000002"
        let six = try Self.loan("fd00::1", 3)
        let entry = BlockEntry(owner: owner, epoch: 1, version: 130, state: .resting)
        return [
            (
                .hello(
                    .init(
                        name: "n1", table: 1, voters: 2, wantsReply: true, isDraining: false, hasLostMemory: true)),
                "01", "04 03 02 6e31" + "05 08 0000000000000001" + "06 08 0000000000000002" + "07 01 01" + "1d 01 01"
            ),
            (.digests([[1], []]), "02", "09 0b 02 01 0000000000000001 00"),
            (
                .rows(
                    .init(
                        chunk: ChunkID(subnet: 1, number: 2), wantsNewer: true,
                        rows: [row(128, entry, subnet: 1), row(129, entry, subnet: 1)])),
                "03", "0a 02 01 02" + "0b 01 01" + "0c 1d 01 \(hex) ac02" + "01 01 8001 02 00 01 8201 03"
            ),
            (.universeWanted, "04", ""),
            (.universe(hosts, voters: 9), "05", "06 08 0000000000000009" + "0d 14 02 01 \(hex) ac02"),
            (.universe(seeds, voters: 0), "05", "06 08 0000000000000000" + "0d 06 01 02 01 61 01 62"),
            (.prepare(ballot, voters: 9), "06", "06 08 0000000000000009" + "0e 11 07 \(hex)"),
            (
                .promise(ballot, voters: 9, accepted: .init(ballot: ballot, universe: hosts)), "07",
                "06 08 0000000000000009" + "0e 11 07 \(hex)" + "0f 25 07 \(hex) 02 01 \(hex) ac02"
            ),
            (
                .accept(.init(ballot: ballot, universe: hosts), voters: 9), "08",
                "06 08 0000000000000009" + "0f 25 07 \(hex) 02 01 \(hex) ac02"
            ),
            (.accepted(ballot, voters: 9), "09", "06 08 0000000000000009" + "0e 11 07 \(hex)"),
            (.behind(ballot, voters: 9), "0a", "06 08 0000000000000009" + "0e 11 07 \(hex)"),
            (.ask(token: 8, subnet: 3, isUrgent: true), "0b", "10 08 0000000000000008" + "11 01 03" + "12 01 01"),
            (.deny(token: 8, .wait), "0c", "10 08 0000000000000008" + "13 01 02"),
            (.borrow(loan), "0d", "14 0d \(loanHex)"),
            (.lend(six), "0e", "14 19 06 fd000000000000000000000000000001 0000000000000003"),
            (.keep(loan, .lent), "0f", "14 0d \(loanHex)" + "15 01 02"),
            (.loans(lent: [loan], held: []), "10", "16 0e 01 \(loanHex)"),
            (.giveBack([loan]), "11", "17 0e 01 \(loanHex)"),
            (
                .fence(.init(number: 4, subjects: [second], digests: [[]])), "12",
                "10 08 0000000000000004" + "18 11 01 \(otherHex)" + "09 02 01 00"
            ),
            (
                .vote(
                    .init(number: 4, alive: second, isBusy: true, isInSync: true, away: [first], held: [loan])),
                "13",
                "10 08 0000000000000004" + "19 11 01 \(otherHex)" + "1a 01 01" + "1b 01 01" + "1c 11 01 \(hex)"
                    + "17 0e 01 \(loanHex)"
            ),
            (.gone([first]), "14", "18 11 01 \(hex)"),
        ]
    }

    private static func bytes(_ hex: String) throws -> [UInt8] {
        let digits = hex.filter { $0 != " " }
        return try #require(Hexadecimal.bytes(digits, count: digits.count / 2))
    }

    @Test func messagesHaveTheirBytes() throws {
        for (body, kind, fields) in try Self.golden() {
            let message = Self.message(body)
            let expected = try Self.bytes("01" + kind + Self.head + fields)
            #expect(Hexadecimal.text(message.encoded()) == Hexadecimal.text(expected), "\(body)")
            #expect(try BlockMessage(expected) == message)
        }
        #expect(Set(try Self.golden().map(\.kind)).count == 20)
    }

    @Test func laterFieldsAreSkipped() throws {
        for (body, kind, fields) in try Self.golden() {
            let later = try Self.bytes("01" + kind + Self.head + "fa 02 ffff" + fields + "fb 00")
            #expect(try BlockMessage(later) == Self.message(body))
        }
        #expect(throws: BlockWireFault.unknownKind) { _ = try BlockMessage([2, 1]) }
        #expect(throws: BlockWireFault.unknownKind) { _ = try BlockMessage([1, 99]) }
        #expect(throws: BlockWireFault.missing) { _ = try BlockMessage([1, 4]) }
        #expect(throws: BlockWireFault.tooLarge) { _ = try BlockMessage([UInt8](repeating: 1, count: 65_537)) }
    }

    static func memory() throws -> BlockMemory {
        var memory = BlockMemory(host: first, life: 5, layouts: 6, isFresh: true)
        memory.universe = BlockUniverse(.hosts([owner]))
        memory.decidedBy = 7
        memory.voters = 7
        memory.promised = .init(round: 1, host: second)
        memory.accepted = .init(ballot: memory.promised, universe: try #require(BlockUniverse(.seeds(["a"]))))
        memory.rows = [row(0, BlockEntry(owner: owner)), row(1, BlockEntry(owner: owner))]
        memory.nextLoan = 12
        memory.lent = [.init(loan: try loan("10.0.0.9", 2), borrower: owner)]
        memory.borrowed = [try loan("fd00::1", 3)]
        memory.members = [
            .init(host: second, name: "n2", life: 9, hasLeft: true, isGone: false, pastLives: [3, 4]),
            .init(host: owner.host, name: nil, life: nil, hasLeft: false, isGone: true, pastLives: []),
        ]
        memory.disputed = [BlockID(subnet: 0, number: 1)]
        return memory
    }

    @Test func memoryHasItsBytes() throws {
        let hex = Self.hex
        let content =
            "53574252 01" + "01 24 \(hex) 05 0000000000000006 01 01 00 000000000000000c"
            + "02 1c 0000000000000007 02 01 \(hex) ac02"
            + "03 2e 0000000000000007 01 \(Self.otherHex) 01 \(Self.otherHex) 01 01 01 61"
            + "04 1b 01 \(hex) ac02 01 00 00 02 00 00 01 02" + "05 20 01 04 0a000009 0000000000000002 \(hex) ac02"
            + "06 1a 01 06 fd000000000000000000000000000001 0000000000000003"
            + "07 30 02 \(Self.otherHex) 01 02 6e32 09 01 00 02 03 04 \(hex) 00 00 00 01 00" + "08 03 01 00 01"
        var hash = BlockHash()
        let bytes = try Self.bytes(content)
        hash.add(bytes)
        let memory = try Self.memory()
        let encoded = memory.encoded()
        #expect(Hexadecimal.text(encoded.dropLast(8)) == Hexadecimal.text(bytes))
        #expect(encoded.suffix(8).reduce(0) { $0 << 8 | UInt64($1) } == hash.value)
        #expect(try BlockMemory(encoded) == memory)
        // FNV-1a's published value for "a".
        var known = BlockHash()
        known.add(Array("a".utf8))
        #expect(known.value == 0xAF63_DC4C_8601_EC8C)
    }

    @Test func numbersHaveOneForm() throws {
        for value: UInt64 in [0, 1, 127, 128, 300, 1 << 32, .max] {
            var writer = BlockWriter()
            writer.number(value)
            var reader = BlockReader(writer.bytes)
            #expect(try reader.number() == value)
            #expect(reader.isAtEnd)
        }
        for bytes: [UInt8] in [[0x80, 0], [0xFF, 0x80, 0], [UInt8](repeating: 0xFF, count: 10)] {
            var reader = BlockReader(bytes)
            #expect(throws: BlockWireFault.self) { _ = try reader.number() }
        }
    }

    /// A full table of 16 subnets with different rows everywhere still goes out in messages of the allowed size.
    @Test func partsFit() throws {
        var random = SeededGenerator(seed: 5)
        var rows: [BlockRing.Row] = []
        for subnet in 0..<3 {
            for number in 0..<BlockLayout.limit {
                let host = HostID(rawValue: UInt128(random.next()) << 64 | UInt128(random.next()))
                let owner = BlockOwner(host: host, life: .max)
                let entry = BlockEntry(owner: owner, epoch: 1 << 30, version: 1 << 61, state: .owned)
                rows.append(Self.row(number, entry, subnet: subnet))
            }
        }
        var read: [BlockRing.Row] = []
        for part in BlockAllocator.parts(of: rows) {
            let message = Self.message(.rows(.init(chunk: nil, wantsNewer: false, rows: part))).encoded()
            #expect(message.count <= BlockMessage.limit)
            guard case .rows(let content) = try BlockMessage(message).body else { continue }
            read += content.rows
        }
        #expect(read == rows)
    }

    /// Whatever comes in: an answer or a fault, no crash, and what is read is written the same way again.
    @Test func noiseIsRefused() throws {
        let seed = UInt64.random(in: 0..<1 << 32)
        var random = SeededGenerator(seed: seed)
        let messages = try Self.golden().map { Self.message($0.0).encoded() }
        let memory = try Self.memory().encoded()
        for message in messages {
            for length in message.indices { tryMessage(Array(message.prefix(length)), seed) }
        }
        for round in 0..<(isLong ? 2_000_000 : 10_000) {
            var bytes = messages[round % messages.count]
            for _ in 0..<1 + random.below(3) {
                switch random.below(4) {
                case 0: bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
                case 2: bytes.remove(at: random.below(bytes.count))
                default: bytes.insert([0xFF, 0x7F, 0x80, 0][random.below(4)], at: random.below(bytes.count))
                }
            }
            tryMessage(bytes, seed)
            if round % 8 == 0 {
                // With a right checksum, so that the reader behind it is reached.
                var content = Array(memory.dropLast(8))
                content[5 + random.below(content.count - 5)] = UInt8(truncatingIfNeeded: random.next())
                var hash = BlockHash()
                hash.add(content)
                var writer = BlockWriter(bytes: content)
                writer.fixed(hash.value)
                _ = try? BlockMemory(writer.bytes)
                _ = try? BlockMemory(content + memory.suffix(8))
            }
        }
    }

    private func tryMessage(_ bytes: [UInt8], _ seed: UInt64) {
        guard let message = try? BlockMessage(bytes) else { return }
        let again = try? BlockMessage(message.encoded())
        #expect(again == message, "seed \(seed): \(Hexadecimal.text(bytes))")
    }

    /// Noise that is well formed: an allocator takes it without harm to what it owns.
    @Test func hostileMessagesDoNotCrash() throws {
        let seed = UInt64.random(in: 0..<1 << 32)
        let names = ["host-0", "host-1"]
        let simulator = Simulator(
            seed: seed, layouts: [try layout("10.0.0.0/20"), try layout("fd00::/64")],
            bootstraps: names.map { _ in .seeds(names) })
        for number in 0..<2 { simulator.start(number) }
        simulator.run(seconds(4))
        var random = SeededGenerator(seed: seed)
        let target = try #require(simulator.hosts[0].allocator)
        let bodies = try Self.golden().map(\.0)
        for round in 0..<(isLong ? 200_000 : 2_000) {
            var message = BlockMessage(
                life: 5, layouts: target.layoutDigest, universe: target.universeDigest,
                body: bodies[round % bodies.count])
            if random.chance(0.1) { message.universe = random.next() }
            if random.chance(0.3) {
                let owner = [target.me, BlockOwner(host: simulator.hosts[1].id, life: 5)][random.below(2)]
                let entry = BlockEntry(
                    owner: owner, epoch: UInt32(random.below(3)), version: UInt64(1 + random.below(5)),
                    state: BlockState.allCases[random.below(3)])
                message.body = .rows(
                    .init(
                        chunk: ChunkID(subnet: random.below(16), number: random.below(64)),
                        wantsNewer: random.chance(0.5),
                        rows: [Self.row(random.below(4096), entry, subnet: random.below(16))]))
            }
            _ = simulator.hosts[0].allocator?.handle(
                .message(message.encoded(), from: simulator.hosts[1].id), now: simulator.now + UInt64(round),
                random: &random)
        }
        #expect(simulator.hosts[0].allocator?.isDecided == true, "seed \(seed)")
    }
}
