/// AES-GCM, given by the shell: the engine has no cryptography of its own.
public protocol AuthenticatedCipher: Sendable {
    /// Encrypts with a key of 16, 24 or 32 bytes and a nonce of 12; the 16-byte tag follows the ciphertext.
    func seal(
        _ plaintext: ArraySlice<UInt8>, key: [UInt8], nonce: ArraySlice<UInt8>, authenticating: ArraySlice<UInt8>
    ) -> [UInt8]

    /// Decrypts ciphertext and tag; nil when the tag does not fit.
    func open(
        _ sealed: ArraySlice<UInt8>, key: [UInt8], nonce: ArraySlice<UInt8>, authenticating: ArraySlice<UInt8>
    ) -> [UInt8]?
}
