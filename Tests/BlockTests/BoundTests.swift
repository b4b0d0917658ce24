import NetworkTypes
import Testing

@testable import Cluster

/// Numbers that leave nothing to count on with, and words that are somebody else's.
@Suite struct BoundTests {
    private func simulator() throws -> Simulator {
        let names = ["host-0", "host-1"]
        let simulator = Simulator(
            seed: 4, layouts: [try layout("192.168.0.0/24")], bootstraps: names.map { _ in .seeds(names) })
        simulator.faults.detection = milliseconds(10)...milliseconds(50)
        for number in 0..<2 { simulator.start(number) }
        simulator.run(seconds(3))
        return simulator
    }

    struct Claim {
        var epoch: UInt32
        var version: UInt64
    }

    private func tell(_ simulator: Simulator, _ body: BlockMessage.Body) throws {
        let allocator = try #require(simulator.hosts[1].allocator)
        let message = BlockMessage(
            life: allocator.life, layouts: allocator.layoutDigest, universe: allocator.universe ?? 0, body: body)
        simulator.give(.message(message.encoded(), from: simulator.hosts[1].id), to: 0)
    }

    /// The last epoch that can be read would make the next one unreadable, and with it every table that has it.
    @Test(
        arguments: [
            Claim(epoch: 1 << 31 - 1, version: 5), Claim(epoch: 1 << 31 - 2, version: 5),
            Claim(epoch: 1 << 20, version: 5),
            Claim(epoch: 0, version: 1 << 63 - 1), Claim(epoch: 0, version: 1 << 50),
        ])
    func absurdRowsAreRefused(_ claim: Claim) throws {
        let simulator = try simulator()
        let block = BlockID(subnet: 0, number: 3)
        let before = try #require(simulator.hosts[0].allocator?.rows[3].entry)
        let owner = try #require(simulator.hosts[1].allocator?.me)
        let row = BlockRing.Row(
            block: block, entry: BlockEntry(owner: owner, epoch: claim.epoch, version: claim.version, state: .owned))
        try tell(simulator, .rows(.init(chunk: nil, wantsNewer: false, rows: [row])))
        #expect(simulator.hosts[0].allocator?.rows[3].entry == before)
        #expect(simulator.hosts[0].notices.contains(.malformed(simulator.hosts[1].id, .tooLarge)))
        // Both go on: it is taken over, and that can be read.
        simulator.destroy(1)
        simulator.run(seconds(1))
        let token = simulator.operate(0) { .takeover([simulator.hosts[1].id], isGone: true, token: $0) }
        simulator.run(seconds(1))
        #expect(simulator.hosts[0].results[token] == .some(nil))
        simulator.crash(0)
        simulator.start(0)
        #expect(simulator.hosts[0].allocator?.mine.count == 16)
        #expect(simulator.breaches == [])
    }

    /// As many takeovers as an operator can order in a lifetime are one step.
    @Test func aHostThatWasAwayForLongCatchesUp() throws {
        let owner = BlockOwner(host: HostID(rawValue: 1), life: 1)
        let held = BlockEntry(owner: owner, epoch: 3, version: 9)
        #expect(BlockEntry(owner: owner, epoch: 60_000, version: 1 << 39).isPlausible(after: held))
        #expect(!BlockEntry(owner: owner, epoch: 70_000, version: 10).isPlausible(after: held))
        #expect(!BlockEntry(owner: owner, epoch: BlockEntry.epochLimit, version: 10).isPlausible(after: nil))
    }

    @Test func absurdBallotsAreRefused() throws {
        var random = SeededGenerator(seed: 3)
        let other = HostID(rawValue: 2)
        var allocator = try BlockAllocator(
            subnets: [layout("192.168.0.0/24")], host: HostID(rawValue: 1), name: "a", bootstrap: .voters(["b"]),
            memory: .fresh, now: 0, random: &random)
        _ = allocator.handle(.peer(other, .alive), now: 1, random: &random)
        _ = allocator.handle(.start, now: 2, random: &random)
        func hear(_ body: BlockMessage.Body) {
            let message = BlockMessage(life: 9, layouts: allocator.layoutDigest, universe: 0, body: body)
            _ = allocator.handle(.message(message.encoded(), from: other), now: 3, random: &random)
        }
        hear(
            .hello(
                .init(
                    name: "b", table: 1, voters: allocator.votersDigest, wantsReply: false, isDraining: false,
                    hasLostMemory: false)))
        let promised = allocator.promised
        hear(.prepare(.init(round: .max, host: other), voters: allocator.votersDigest))
        hear(.behind(.init(round: .max - 1, host: other), voters: allocator.votersDigest))
        #expect(allocator.promised == promised)
        #expect(allocator.election.highest == .zero)
        hear(.prepare(.init(round: promised.round + 5, host: other), voters: allocator.votersDigest))
        #expect(allocator.promised.round == promised.round + 5)
    }

    // MARK: Signatures

    /// Signs as a test can check: not secret, but different for each key and content.
    struct Signer: RecordAuthority {
        var publicKey: [UInt8]

        init(_ number: UInt8) { publicKey = [UInt8](repeating: number, count: 32) }

        func sign(_ bytes: [UInt8]) -> [UInt8] { Array(SHA512.digest(publicKey + bytes)) }
        func verify(_ bytes: [UInt8], signature: [UInt8], publicKey: [UInt8]) -> Bool {
            Array(SHA512.digest(publicKey + bytes)) == signature
        }
        func hostID(of publicKey: [UInt8]) -> HostID { HostID(rawValue: UInt128(publicKey.first ?? 0)) }
    }

    /// Every kind of message, signed: receivers of the release before read the same from it, and nothing of it may change.
    @Test func signedMessagesAreReadAndChecked() throws {
        let network = try #require(NetworkID(bytes: [UInt8](repeating: 7, count: 32)))
        let other = try #require(NetworkID(bytes: [UInt8](repeating: 8, count: 32)))
        let (one, two, three) = (HostID(rawValue: 1), HostID(rawValue: 2), HostID(rawValue: 3))
        let signer = Signer(1)
        var random = SeededGenerator(seed: 11)
        for (body, _, _) in try CodecTests.golden() {
            let plain = CodecTests.message(body).encoded()
            func verify(
                _ bytes: [UInt8], _ network: NetworkID, _ sender: HostID, _ receiver: HostID
            ) -> BlockSeal.Verdict {
                BlockSeal.verify(bytes, network: network, from: sender, to: receiver, by: signer)
            }
            #expect(verify(plain, network, one, two) == .unsigned)
            let signed = BlockSeal.sign(plain, network: network, from: one, to: two, by: signer)
            #expect(try BlockMessage(signed) == CodecTests.message(body))
            #expect(verify(signed, network, one, two) == .genuine)
            #expect(verify(signed, other, one, two) == .forged)
            #expect(verify(signed, network, one, three) == .forged)
            #expect(verify(signed, network, three, two) == .forged)
            for _ in 0..<20 {
                var bytes = signed
                bytes[random.below(bytes.count)] ^= UInt8(1 + random.below(255))
                #expect(verify(bytes, network, one, two) != .genuine)
            }
            for length in 0..<signed.count {
                #expect(verify(Array(signed.prefix(length)), network, one, two) != .genuine)
            }
        }
    }
}
