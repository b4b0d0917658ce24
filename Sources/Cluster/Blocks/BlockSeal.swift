/// The signature of a block message: the last field, with the sender's Ed25519 public key and what it signed over network,
/// sender, receiver and message. Receivers of before 2026-12 skip the field.
public enum BlockSeal {
    /// What a message's signature says.
    public enum Verdict: Hashable, Sendable {
        /// The host that is named as sender signed it, for this receiver and network.
        case genuine
        /// It has none.
        case unsigned
        /// It has one, of somebody else or of something else.
        case forged
    }

    private static let tag: UInt8 = 255
    private static let keySize = 32
    private static let signatureSize = 64
    private static let size = keySize + signatureSize

    /// The message with the signature of this host.
    public static func sign(
        _ message: [UInt8], network: NetworkID, from sender: HostID, to receiver: HostID,
        by authority: some RecordAuthority
    ) -> [UInt8] {
        let signature = authority.sign(content(message[...], network, sender, receiver))
        guard authority.publicKey.count == keySize, signature.count == signatureSize else { return message }
        return message + [tag, UInt8(size)] + authority.publicKey + signature
    }

    /// Checks what came from a host.
    public static func verify(
        _ message: [UInt8], network: NetworkID, from sender: HostID, to receiver: HostID,
        by authority: some RecordAuthority
    ) -> Verdict {
        guard let start = start(message) else { return .unsigned }
        let rest = message[(start + 2)...]
        let (key, signature) = (Array(rest.prefix(keySize)), Array(rest.dropFirst(keySize)))
        let signed = content(message[..<start], network, sender, receiver)
        guard authority.hostID(of: key) == sender,
            authority.verify(signed, signature: signature, publicKey: key)
        else { return .forged }
        return .genuine
    }

    /// Where the last field begins, if it is a signature.
    private static func start(_ message: [UInt8]) -> Int? {
        // Version and kind, then fields: tag, length, value.
        var place = 2
        while place < message.count {
            var reader = BlockReader(message[(place + 1)...].prefix(10))
            let length: Int
            do throws(BlockWireFault) { length = try reader.count(atMost: message.count) } catch { return nil }
            let width = 1 + max(1, (Int.bitWidth - length.leadingZeroBitCount + 6) / 7)
            let end = place + width + length
            if end == message.count { return message[place] == tag && length == size ? place : nil }
            place = end
        }
        return nil
    }

    private static func content(
        _ message: ArraySlice<UInt8>, _ network: NetworkID, _ sender: HostID, _ receiver: HostID
    ) -> [UInt8] {
        Array("swiftlet blocks\0".utf8) + network.bytes + sender.bytes + receiver.bytes + message
    }
}
