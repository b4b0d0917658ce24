/// Puts messages into the envelopes of the wire and takes them out: compression, checksum, encryption, label.
struct Envelope: Sendable {
    var keyRing: KeyRing?
    let cipher: (any AuthenticatedCipher)?
    /// The cluster's label in clear, at most 255 bytes; empty for none.
    let label: [UInt8]
    let compresses: Bool
    /// Whether messages in clear are refused while there are keys.
    let requiresEncryption: Bool

    static let nonceLength = 12
    static let tagLength = 16
    /// Version byte, nonce, tag.
    static let overhead = 1 + nonceLength + tagLength
    /// The most a packet may unpack to.
    static let packetLimit = 1 << 16
    /// The most a stream may hold, packed or unpacked.
    static let streamLimit = 24 << 20
    /// Below this a packet is not worth packing.
    private static let compressionFloor = 96

    init(
        keyRing: KeyRing?, cipher: (any AuthenticatedCipher)?, label: [UInt8] = [], compresses: Bool = true,
        requiresEncryption: Bool = true
    ) {
        self.keyRing = keyRing
        self.cipher = cipher
        self.label = label
        self.compresses = compresses
        self.requiresEncryption = requiresEncryption
    }

    /// What an encrypted, labelled packet takes beyond its message.
    var packetOverhead: Int {
        (label.isEmpty ? 0 : 2 + label.count) + (keyRing == nil ? 0 : Self.overhead)
    }

    private var labelHeader: [UInt8] {
        label.isEmpty ? [] : [MessageType.label.rawValue, UInt8(truncatingIfNeeded: label.count)] + label
    }

    // MARK: Compression

    /// The compress message around `message`; nil when it is not shorter.
    static func compress(_ message: [UInt8]) -> [UInt8]? {
        // Type, map header, both keys, algorithm and raw header take 15 to 19 bytes.
        guard let packed = LZW.encode(message, limit: max(0, message.count - 14)) else { return nil }
        var writer = MessagePackWriter(reserving: packed.count + 20)
        writer.byte(MessageType.compressed.rawValue)
        writer.map(2)
        writer.string("Algo")
        writer.unsigned(0)
        writer.string("Buf")
        writer.data(packed)
        return writer.bytes.count < message.count ? writer.bytes : nil
    }

    /// Unpacks a compress message after its type byte.
    static func decompress(_ reader: inout MessagePackReader, limit: Int) throws(WireFault) -> [UInt8] {
        var algorithm: UInt64 = 0
        var packed: Range<Int>?
        for _ in 0..<(try reader.mapCount()) {
            switch try reader.key() {
            case "Algo": algorithm = try reader.unsigned()
            case "Buf": packed = try reader.raw()
            default: try reader.skip()
            }
        }
        guard algorithm == 0, let packed else { throw .badCompression }
        let message = try LZW.decode(reader.bytes, packed, limit: limit)
        guard !message.isEmpty else { throw .badCompression }
        return message
    }

    // MARK: Packets

    /// The datagram of `message`. `checksum` says that the receiver understands the CRC envelope.
    func sealPacket(_ message: [UInt8], checksum: Bool, random: inout some RandomNumberGenerator) -> [UInt8] {
        var packet = message
        if compresses, message.count >= Self.compressionFloor, let packed = Self.compress(message) { packet = packed }
        if checksum {
            var writer = MessagePackWriter(reserving: packet.count + 5)
            writer.byte(MessageType.checksummed.rawValue)
            writer.bigEndian(UInt64(CRC32.checksum(packet[...])), width: 4)
            writer.append(packet)
            packet = writer.bytes
        }
        if keyRing != nil { packet = encrypt(packet, authenticating: label[...], random: &random) }
        return label.isEmpty ? packet : labelHeader + packet
    }

    /// The message, or messages, inside a datagram: label, encryption and CRC are taken off.
    func openPacket(_ datagram: [UInt8]) throws(WireFault) -> MessagePackReader {
        var reader = MessagePackReader(datagram)
        try openLabel(&reader)
        if keyRing != nil {
            if let plain = decrypt(reader.bytes[reader.rest], authenticating: label[...]) {
                reader = MessagePackReader(plain)
            } else if requiresEncryption {
                throw .undecryptable
            }
        }
        if try reader.peek() == MessageType.checksummed.rawValue {
            _ = try reader.byte()
            let expected = try reader.bigEndian(4)
            guard UInt64(CRC32.checksum(reader.bytes[reader.rest])) == expected else { throw .badChecksum }
        }
        guard reader.remaining > 0 else { throw .truncated }
        return reader
    }

    private func openLabel(_ reader: inout MessagePackReader) throws(WireFault) {
        guard try reader.peek() == MessageType.label.rawValue else {
            if label.isEmpty { return }
            throw .wrongLabel
        }
        // Without a label of ours this may still be version byte 244 of nothing we know, so it is refused either way.
        _ = try reader.byte()
        let found = try reader.take(Int(try reader.byte()))
        guard !found.isEmpty, reader.bytes[found].elementsEqual(label) else { throw .wrongLabel }
    }

    // MARK: Streams

    /// The bytes of one message on a stream.
    func sealStream(_ message: [UInt8], random: inout some RandomNumberGenerator) -> [UInt8] {
        var body = message
        if compresses, let packed = Self.compress(message) { body = packed }
        if keyRing != nil {
            var writer = MessagePackWriter(reserving: body.count + 5 + Self.overhead)
            writer.byte(MessageType.encrypted.rawValue)
            writer.bigEndian(UInt64(body.count + Self.overhead), width: 4)
            let header = writer.bytes
            writer.append(encrypt(body, authenticating: (header + label)[...], random: &random))
            body = writer.bytes
        }
        return label.isEmpty ? body : labelHeader + body
    }

    /// The message at the head of a stream. `truncated` means that more bytes are needed. What is wrong with its head is told
    /// before its body is waited for.
    func openStream(_ bytes: [UInt8], limit: Int = Envelope.streamLimit) throws(WireFault) -> StreamMessage {
        var reader = MessagePackReader(bytes)
        try openLabel(&reader)
        let isEncrypted = try reader.peek() == MessageType.encrypted.rawValue
        if isEncrypted {
            let start = reader.position
            _ = try reader.byte()
            let length = Int(try reader.bigEndian(4))
            guard keyRing != nil, length >= Self.overhead else { throw .undecryptable }
            guard length <= limit else { throw .tooLarge }
            guard try reader.peek() <= 1 else { throw .undecryptable }
            let header = reader.bytes[start..<start + 5]
            let sealed = try reader.take(length)
            let authenticated = Array(header) + label
            guard let plain = decrypt(reader.bytes[sealed], authenticating: authenticated[...]) else {
                throw .undecryptable
            }
            reader = MessagePackReader(plain)
            do throws(WireFault) {
                return try StreamMessage(&reader)
            } catch {
                // All of it is here: what is missing will not come.
                throw error == .truncated ? .badValue : error
            }
        }
        guard keyRing == nil || !requiresEncryption else { throw .notEncrypted }
        return try StreamMessage(&reader)
    }

    // MARK: Encryption

    private func encrypt(
        _ message: [UInt8], authenticating: ArraySlice<UInt8>, random: inout some RandomNumberGenerator
    ) -> [UInt8] {
        guard let keyRing, let cipher else { return message }
        var sealed: [UInt8] = [1]
        sealed.reserveCapacity(message.count + Self.overhead)
        for _ in 0..<Self.nonceLength / 4 {
            let word: UInt32 = random.next()
            for shift: UInt32 in [0, 8, 16, 24] { sealed.append(UInt8(truncatingIfNeeded: word >> shift)) }
        }
        let body = cipher.seal(
            message[...], key: keyRing.primary, nonce: sealed[1...], authenticating: authenticating)
        sealed.append(contentsOf: body)
        return sealed
    }

    private func decrypt(_ sealed: ArraySlice<UInt8>, authenticating: ArraySlice<UInt8>) -> [UInt8]? {
        guard let keyRing, let cipher, sealed.count >= Self.overhead, let version = sealed.first, version <= 1 else {
            return nil
        }
        let nonce = sealed.dropFirst().prefix(Self.nonceLength)
        let body = sealed.dropFirst(1 + Self.nonceLength)
        for key in keyRing.keys {
            guard var plain = cipher.open(body, key: key, nonce: nonce, authenticating: authenticating) else {
                continue
            }
            if version == 0 {
                // PKCS #7: the last byte says how many were added to fill a block of 16.
                guard let padding = plain.last, (1...16).contains(padding), plain.count >= Int(padding) else {
                    return nil
                }
                plain.removeLast(Int(padding))
            }
            return plain
        }
        return nil
    }
}
