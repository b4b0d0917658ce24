import GossipFixtures
import NetworkTypes
import StateMachine
import Testing

@testable import Gossip

@Suite struct CodecTests {
    @Test func integersAreShort() throws {
        let cases: [(UInt64, String)] = [
            (0, "00"), (127, "7f"), (128, "cc80"), (255, "ccff"), (256, "cd0100"), (65_536, "ce00010000"),
            (1 << 32, "cf0000000100000000"),
        ]
        for (value, hex) in cases {
            var writer = MessagePackWriter()
            writer.unsigned(value)
            #expect(toHex(writer.bytes) == hex)
            var reader = MessagePackReader(writer.bytes)
            let back = try reader.unsigned()
            #expect(back == value)
        }
        for value: Int64 in [-1, -32, -33, -128, -129, -32_769, -(1 << 40), .min] {
            var writer = MessagePackWriter()
            writer.signed(value)
            var reader = MessagePackReader(writer.bytes)
            let back = try reader.signed()
            #expect(back == value)
        }
    }

    @Test(arguments: ["a3616263", "c403616263", "d903616263", "da0003616263", "c50003616263", "db00000003616263"])
    func everyRawForm(_ hex: String) throws {
        var reader = MessagePackReader(fromHex(hex))
        let text = try reader.string()
        #expect(text == "abc")
    }

    @Test func unknownKeysAreSkipped() throws {
        let odd = "84" + "a15a" + "82a16192c0c3a162cb3ff0000000000000" + "a55365714e6f" + "07" + "a158" + "d40102"
        let more = "a159" + "c70305010203"
        var reader = MessagePackReader(fromHex(odd + more))
        let nack = try Nack(from: &reader)
        #expect(nack.sequence == 7)
        #expect(reader.remaining == 0)
    }

    @Test func lengthsAreCheckedBeforeUse() {
        for hex in ["dbffffffff", "ddffffffff", "dfffffffff", "c6ffffffff"] {
            #expect(throws: WireFault.truncated) {
                var reader = MessagePackReader(fromHex(hex))
                try reader.skip()
            }
        }
        let deep = [UInt8](repeating: 0x91, count: 1000) + [0]
        #expect(throws: WireFault.tooDeep) {
            var reader = MessagePackReader(deep)
            try reader.skip()
        }
    }

    @Test func compressionGoesAround() throws {
        let seed: UInt64 = 11
        var random = SeededGenerator(seed: seed)
        for round in 0..<(isLong ? 20_000 : 150) {
            let alphabet = UInt8.random(in: 1...255, using: &random)
            let length = Int.random(in: 0...(round % 25 == 0 ? 12_000 : 600), using: &random)
            let plain = (0..<length).map { _ in UInt8.random(in: 0...alphabet, using: &random) }
            let packed = try #require(LZW.encode(plain))
            let back = try LZW.decode(packed, 0..<packed.count, limit: length)
            #expect(back == plain, "seed \(seed), round \(round)")
        }
    }

    @Test func bombsAreBounded() throws {
        let packed = try #require(LZW.encode([UInt8](repeating: 0, count: 100_000)))
        #expect(packed.count < 1000)
        #expect(throws: WireFault.tooLarge) { _ = try LZW.decode(packed, 0..<packed.count, limit: 65_536) }
    }

    @Test func broadcastOrder() {
        var queue = BroadcastQueue()
        queue.add([1])
        queue.add([2, 2, 2])
        queue.add([3])
        let id = queue.add([4, 4], named: "x", isAwaited: true)
        func take(_ available: Int, limit: Int = 2) -> [[UInt8]] {
            var messages: [[UInt8]] = []
            var available = available
            queue.take(into: &messages, available: &available, overhead: 2, parts: 255, limit: limit)
            return messages
        }
        // Longest first; what does not fit makes room for what does.
        #expect(take(9) == [[2, 2, 2], [4, 4]])
        // Least sent first, and the newest of equals.
        #expect(take(6) == [[3], [1]])
        queue.add([5, 5, 5], named: "x")
        #expect(queue.finished == [id])
        #expect(take(100) == [[5, 5, 5], [2, 2, 2], [3], [1]])
        #expect(take(100) == [[5, 5, 5]])
        #expect(take(100) == [])
        #expect(queue.count == 0)
        for number in 0..<10 as Range<UInt8> { queue.add([number]) }
        let dropped = queue.prune(to: 4)
        #expect(dropped == 6)
        #expect(queue.count == 4)
    }

    @Test func timersInOrder() {
        var queue = TimerQueue<Timer>()
        for time: Nanoseconds in [5, 3, 9, 3, 1] { queue.add(.probeEnd(UInt32(time)), at: time) }
        #expect(queue.next == 1)
        queue.shift(by: 10)
        let early = queue.popDue(10)
        #expect(early == nil)
        var order: [Timer] = []
        while let timer = queue.popDue(100) { order.append(timer) }
        #expect(order == [1, 3, 3, 5, 9].map { Timer.probeEnd($0) })
    }

    @Test func keyRing() throws {
        let (a, b) = ([UInt8](repeating: 1, count: 16), [UInt8](repeating: 2, count: 32))
        var ring = try KeyRing(primary: a, others: [b, b])
        #expect(ring.keys == [a, b])
        #expect(throws: KeyRing.Fault.isPrimary) { try ring.remove(a) }
        #expect(throws: KeyRing.Fault.badLength) { try ring.install([1, 2]) }
        #expect(throws: KeyRing.Fault.unknownKey) { try ring.use([UInt8](repeating: 3, count: 24)) }
        try ring.use(b)
        try ring.remove(a)
        #expect(ring.keys == [b])
    }

    @Test func envelopesGoAround() throws {
        var random = SeededGenerator(seed: 3)
        let key = [UInt8](repeating: 5, count: 24)
        for label in ["", "blue"] {
            for ring in [nil, try KeyRing(primary: key)] {
                let envelope = Envelope(keyRing: ring, cipher: ToyCipher(), label: Array(label.utf8))
                for length in [1, 50, 500, 1300] {
                    let message = [MessageType.user.rawValue] + (0..<length).map { UInt8($0 % 7) }
                    let packet = envelope.sealPacket(message, checksum: true, random: &random)
                    var reader = try envelope.openPacket(packet)
                    if try reader.peek() == MessageType.compressed.rawValue {
                        _ = try reader.byte()
                        #expect(try Envelope.decompress(&reader, limit: 2000) == message)
                    } else {
                        #expect(Array(reader.bytes[reader.rest]) == message)
                    }
                    let stream = envelope.sealStream(StreamUserMessage(body: message).encode(), random: &random)
                    #expect(try envelope.openStream(stream) == .user(message))
                    #expect(packet.count <= message.count + 5 + envelope.packetOverhead)
                }
            }
        }
    }

    @Test func clearTextIsRefusedWhenThereAreKeys() throws {
        let ring = try KeyRing(primary: [UInt8](repeating: 5, count: 16))
        let plain = Nack(sequence: 7).encode()
        let strict = Envelope(keyRing: ring, cipher: ToyCipher())
        #expect(throws: WireFault.undecryptable) { _ = try strict.openPacket(plain) }
        #expect(throws: WireFault.notEncrypted) {
            _ = try strict.openStream(Ping(sequence: 1, node: "", source: nil).encode())
        }
        let lax = Envelope(keyRing: ring, cipher: ToyCipher(), requiresEncryption: false)
        #expect(try lax.openPacket(plain).remaining == plain.count)
    }

    @Test func tags() {
        #expect(Tags.decode(Tags.encode(["role": "web", "dc": "x1"])) == ["role": "web", "dc": "x1"])
        #expect(Tags.decode(Array("web".utf8)) == ["role": "web"])
        #expect(Tags.decode([0xFF, 0x82]) == [:])
        #expect(toHex(Tags.encode([:])) == "ff80")
    }

    @Test func base64() {
        for (plain, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            #expect(Base64.encode(Array(plain.utf8)) == text)
            #expect(Base64.decode(text) == Array(plain.utf8))
        }
        for bad in ["Zg=", "Z===", "Zg==Zg==", "Z!=="] { #expect(Base64.decode(bad) == nil) }
    }

    @Test(arguments: [
        ("web", "a-web-1", true), ("^web$", "a-web-1", false), ("^web", "web-1", true), ("w.b", "wxb", true),
        ("a|b", "xxb", true), ("^(a|bc)+$", "abcbca", true), ("^(a|bc)+$", "abcb", false), ("x*", "", true),
        ("[0-9]+", "v17", true), ("[^0-9]", "17", false), ("\\d\\w\\s", "1_ ", true), ("\\.", "a", false),
        ("(", "", false), ("*a", "a", false), ("(a*)*b", String(repeating: "a", count: 2000), false), ("", "x", true),
        ("a?b", "b", true), ("[]a]", "]", true), ("^$", "", true), ("^$", "x", false), ("é", "né", true),
    ])
    func expressions(_ expression: String, _ text: String, _ matches: Bool) {
        #expect((TagExpression(expression)?.matches(text) ?? false) == matches)
    }

    @Test func names() {
        #expect(NodeName.isValid("node-1.example"))
        for bad in ["", "a b", "a/b", String(repeating: "x", count: 129)] { #expect(!NodeName.isValid(bad)) }
    }
}
