import GossipFixtures
import Testing

@testable import Gossip

/// Decodes a message and writes it again.
func reencoded(_ message: [UInt8]) throws -> [UInt8] {
    var reader = MessagePackReader(message)
    guard let type = MessageType(rawValue: try reader.byte()) else { throw WireFault.unknownType }
    switch type {
    case .ping: return try Ping(from: &reader).encode()
    case .indirectPing: return try IndirectPing(from: &reader).encode()
    case .ack: return try Ack(from: &reader).encode()
    case .nack: return try Nack(from: &reader).encode()
    case .suspect, .dead: return try Accusation(from: &reader).encode(as: type)
    case .alive: return try Alive(from: &reader).encode()
    case .error: return try ErrorReport(from: &reader).encode()
    case .pushPull:
        var exchange = try PushPull(from: &reader)
        var state = MessagePackReader(exchange.userState)
        #expect(try state.byte() == SerfType.pushPull.rawValue)
        exchange.userState = try SerfState(from: &state).encode()
        #expect(state.remaining == 0)
        return exchange.encode()
    case .user:
        return [MessageType.user.rawValue] + (try reencodedSerf(&reader))
    case .compound:
        let parts = try Compound.parts(&reader)
        return Compound.encode(try parts.map { try reencoded(Array(message[$0])) })
    default: throw WireFault.unknownType
    }
}

private func reencodedSerf(_ reader: inout MessagePackReader) throws -> [UInt8] {
    guard let type = SerfType(rawValue: try reader.byte()) else { throw WireFault.unknownType }
    switch type {
    case .join, .leave: return try Intent(from: &reader).encode(as: type)
    case .userEvent: return try UserEventMessage(from: &reader).encode()
    case .query: return try QueryMessage(from: &reader).encode()
    case .queryResponse: return try QueryResponseMessage(from: &reader).encode()
    case .relay:
        let header = try RelayHeader(from: &reader)
        return header.encode(try reencodedSerf(&reader))
    default: throw WireFault.unknownType
    }
}

@Suite struct VectorTests {
    @Test(arguments: MemberlistVectors.named("leaf")) func messages(_ vector: Vector) throws {
        #expect(toHex(try reencoded(vector.bytes)) == vector.hex)
    }

    /// What is in an envelope, flattened; every envelope that does not depend on chance is made again.
    private func unpacked(_ message: [UInt8]) throws -> [[UInt8]] {
        var reader = MessagePackReader(message)
        switch MessageType(rawValue: try reader.byte()) {
        case .checksummed:
            let sum = try reader.bigEndian(4)
            let inner = Array(message[reader.rest])
            #expect(UInt64(CRC32.checksum(inner[...])) == sum)
            return try unpacked(inner)
        case .compressed:
            let inner = try Envelope.decompress(&reader, limit: Envelope.packetLimit)
            #expect(Envelope.compress(inner) == message)
            return try unpacked(inner)
        case .compound:
            let parts = try Compound.parts(&reader).map { Array(message[$0]) }
            #expect(Compound.encode(parts) == message)
            return parts
        default:
            return [message]
        }
    }

    @Test(arguments: MemberlistVectors.named("packet envelope")) func packets(_ vector: Vector) throws {
        let parts = try unpacked(vector.bytes)
        #expect(parts.map(toHex) == vector.plain)
        for part in parts { #expect(try reencoded(part) == part) }
    }

    @Test(arguments: MemberlistVectors.named("tcp push/pull")) func exchanges(_ vector: Vector) throws {
        let parts = try unpacked(vector.bytes)
        #expect(parts.map(toHex) == vector.plain)
        #expect(toHex(try reencoded(parts[0])) == vector.plain[0])
        guard case .pushPull(let exchange) = try Envelope(keyRing: nil, cipher: nil).openStream(vector.bytes) else {
            Issue.record("not an exchange")
            return
        }
        #expect(exchange.isJoin)
        #expect(exchange.nodes.count == 1)
    }

    private func ring(_ vector: Vector) throws -> KeyRing {
        // A wrong key first, so that the ring is searched.
        try KeyRing(primary: [UInt8](repeating: 9, count: 16), others: [fromHex(vector.key ?? "")])
    }

    @Test(arguments: MemberlistVectors.named("udp encrypted") + MemberlistVectors.named("computed: encryption"))
    func encryptedPackets(_ vector: Vector) throws {
        let envelope = Envelope(keyRing: try ring(vector), cipher: AESGCM())
        let reader = try envelope.openPacket(vector.bytes)
        var plain = fromHex(vector.plain[0])
        if plain[0] == MessageType.checksummed.rawValue { plain.removeFirst(5) }
        #expect(toHex(reader.bytes[reader.rest]) == toHex(plain))
    }

    @Test func labelledPacket() throws {
        let vector = try #require(MemberlistVectors.named("computed: label").first)
        let envelope = Envelope(keyRing: try ring(vector), cipher: AESGCM(), label: Array("blue".utf8))
        let reader = try envelope.openPacket(vector.bytes)
        #expect(toHex(reader.bytes[reader.rest]) == vector.plain[0])
        for label in ["", "red", "blues"] {
            let other = Envelope(keyRing: try ring(vector), cipher: AESGCM(), label: Array(label.utf8))
            #expect(throws: WireFault.wrongLabel) { _ = try other.openPacket(vector.bytes) }
        }
    }

    @Test(arguments: MemberlistVectors.named("tcp encrypted")) func encryptedStreams(_ vector: Vector) throws {
        let envelope = Envelope(keyRing: try ring(vector), cipher: AESGCM())
        switch try envelope.openStream(vector.bytes) {
        case .error(let report): #expect(report.text == "Encryption is configured but remote state is not encrypted")
        case .pushPull(let exchange): #expect(!exchange.nodes.isEmpty)
        default: Issue.record("another message")
        }
        for count in 0..<vector.bytes.count {
            #expect(throws: WireFault.truncated) { _ = try envelope.openStream(Array(vector.bytes.prefix(count))) }
        }
    }

    @Test(arguments: MemberlistVectors.named("stream")) func streams(_ vector: Vector) throws {
        let envelope = Envelope(keyRing: nil, cipher: nil)
        let message = try envelope.openStream(vector.bytes)
        switch (vector.name, message) {
        case ("stream err_tcp", .error): break
        case ("stream tcp_ping_out", .ping(let ping)): #expect(ping.encode() == vector.bytes)
        case ("stream tcp_ping_reply", .ack(let ack)):
            #expect(ack == Ack(sequence: 1, payload: nil) || ack.payload == nil)
        case ("stream tcp_user_out", .user(let body)):
            #expect(StreamUserMessage(body: body).encode() == vector.bytes)
        default: Issue.record("\(vector.name) gave \(message)")
        }
    }

    @Test(arguments: MemberlistVectors.named("computed: lzw")) func compression(_ vector: Vector) throws {
        let plain = fromHex(vector.plain[0])
        #expect(LZW.encode(plain).map(toHex) == vector.hex)
        #expect(try LZW.decode(vector.bytes, 0..<vector.bytes.count, limit: 1000) == plain)
    }

    @Test func checksum() {
        let join = fromHex("080182a54c54696d6501a44e6f6465a462657461")
        #expect(CRC32.checksum(join[...]) == 0xAADA_2B16)
    }

    @Test func keyListRequest() throws {
        #expect(toHex(KeyRequest(key: []).encode()) == "0781a34b6579a0")
    }

    @Test func nodeFilter() throws {
        #expect(toHex(QueryFilter.nodes(["d2"]).bytes) == "0091a26432")
        #expect(try QueryFilter(bytes: fromHex("0091a26432")) == .nodes(["d2"]))
    }
}
