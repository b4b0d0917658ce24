internal import Cluster
internal import Crypto
internal import Gossip
internal import JSON
internal import NetworkTypes
internal import System

/// This host's identity: an Ed25519 key (RFC 8032) made once and kept in `<stateDir>/host.key`.
struct HostKey: Sendable {
    private let key: Curve25519.Signing.PrivateKey
    /// The public key, 32 bytes.
    let publicKey: [UInt8]
    /// The first 16 bytes of SHA-256 of the public key.
    let id: HostID

    /// A key that nobody had before.
    init() {
        self.init(Curve25519.Signing.PrivateKey())
    }

    /// The key of a seed of 32 bytes; nil for any other length.
    init?(seed: [UInt8]) {
        guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed) else { return nil }
        self.init(key)
    }

    private init(_ key: Curve25519.Signing.PrivateKey) {
        self.key = key
        publicKey = Array(key.publicKey.rawRepresentation)
        id = Self.id(of: publicKey)
    }

    /// The host that a public key belongs to.
    static func id(of publicKey: [UInt8]) -> HostID {
        HostID(rawValue: SHA256.hash(data: publicKey).prefix(16).reduce(0) { $0 << 8 | UInt128($1) })
    }

    /// The signature of a message, 64 bytes.
    func sign(_ message: [UInt8]) -> [UInt8] {
        // Ed25519 signs anything; only a failing random source, used against side channels, could throw.
        (try? key.signature(for: message)).map { Array($0) } ?? []
    }

    /// Whether `signature` is that of the key's owner.
    static func isValid(_ signature: [UInt8], of message: [UInt8], by publicKey: [UInt8]) -> Bool {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey) else { return false }
        return key.isValidSignature(signature, for: message)
    }

    /// Reads the key of a state directory, or makes it, mode 0600.
    ///
    /// - Throws: when the file is there and is no key: a new identity would leave this host's rows and blocks behind, so
    ///   that is for the operator to decide.
    static func load(directory: String) throws -> (key: HostKey, isNew: Bool) {
        let path = "\(directory)/host.key"
        let made = HostKey()
        let text = Base64.encode(Array(made.key.rawRepresentation)) + "\n"
        if !Files.exists(path), try AtomicFile.create(path, with: Array(text.utf8)) {
            try Files.synchronize(directory: directory)
            return (made, true)
        }
        let found = try Files.text(path)
        guard let seed = Base64.decode(String(found.prefix { !$0.isWhitespace })), let key = HostKey(seed: seed) else {
            throw StartFault(
                "\(path): not 32 bytes in base64; restore it, or remove it to make this host a new one (its address "
                    + "blocks stay with the old identity until a takeover)")
        }
        return (key, false)
    }
}

extension Files {
    /// Forces a directory's entries to stable storage, so that a rename or a new file in it survives a power cut.
    static func synchronize(directory: String) throws(SystemError) {
        let descriptor = try OwnedFD(directory: directory)
        do {
            try descriptor.synchronize()
        } catch {
            throw SystemError("fsync", directory, error)
        }
    }
}
