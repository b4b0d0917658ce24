internal import Crypto
internal import Gossip

/// The cipher of the gossip: AES-GCM (NIST SP 800-38D) of swift-crypto.
struct AESGCMCipher: AuthenticatedCipher {
    private static let tagLength = 16

    func seal(
        _ plaintext: ArraySlice<UInt8>, key: [UInt8], nonce: ArraySlice<UInt8>, authenticating: ArraySlice<UInt8>
    ) -> [UInt8] {
        // The engine checks keys and makes the nonces, so this cannot fail; an empty packet is one nobody opens.
        guard let nonce = try? AES.GCM.Nonce(data: nonce),
            let box = try? AES.GCM.seal(
                plaintext, using: SymmetricKey(data: key), nonce: nonce, authenticating: authenticating)
        else { return [] }
        return Array(box.ciphertext) + Array(box.tag)
    }

    func open(
        _ sealed: ArraySlice<UInt8>, key: [UInt8], nonce: ArraySlice<UInt8>, authenticating: ArraySlice<UInt8>
    ) -> [UInt8]? {
        guard sealed.count >= Self.tagLength, let nonce = try? AES.GCM.Nonce(data: nonce),
            let box = try? AES.GCM.SealedBox(
                nonce: nonce, ciphertext: sealed.dropLast(Self.tagLength), tag: sealed.suffix(Self.tagLength)),
            let plain = try? AES.GCM.open(box, using: SymmetricKey(data: key), authenticating: authenticating)
        else { return nil }
        return Array(plain)
    }
}
