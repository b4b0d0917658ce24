/// Signs for this host and checks what others signed: Ed25519 (RFC 8032) in the daemon, something cheaper in a simulation.
public protocol RecordAuthority: Sendable {
    /// This host's public key, 32 bytes.
    var publicKey: [UInt8] { get }
    /// This host's signature, at most 255 bytes.
    func sign(_ bytes: [UInt8]) -> [UInt8]
    /// Whether the owner of the public key signed the bytes. Any input is allowed.
    func verify(_ bytes: [UInt8], signature: [UInt8], publicKey: [UInt8]) -> Bool
    /// The host that a public key belongs to: the first 16 bytes of its SHA-256.
    func hostID(of publicKey: [UInt8]) -> HostID
}
