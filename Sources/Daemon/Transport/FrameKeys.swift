internal import Cluster
internal import Crypto
internal import Gossip

/// The keys that seal frames, one for each key of the gossip and each sender's incarnation.
///
/// HKDF with SHA-256 (RFC 5869): input the gossip key, salt the cluster's name, info `swiftlet frame` with sender and
/// incarnation. A key per incarnation lets the counter alone be the nonce.
struct FrameKeys: Sendable {
    private struct Name: Hashable {
        let keyID: UInt32
        let sender: HostID
        let incarnation: UInt64
    }

    private static let cacheLimit = 4096

    private let salt: [UInt8]
    private var roots: [UInt32: [UInt8]] = [:]
    private var cache: [Name: SymmetricKey] = [:]
    /// The id of the key we seal with; nil when there are none.
    private(set) var primary: UInt32?

    init(cluster: String, _ ring: KeyRing?) {
        salt = Array("swiftlet/cluster/\(cluster)".utf8)
        replace(ring)
    }

    /// Takes the keys the gossip has now.
    mutating func replace(_ ring: KeyRing?) {
        roots = [:]
        cache = [:]
        primary = nil
        for key in ring?.keys ?? [] {
            let digest = Self.derive(key, salt, info: Array("swiftlet key id".utf8), count: 4)
            let id = unsafe digest.withUnsafeBytes { bytes in unsafe bytes.reduce(0) { $0 << 8 | UInt32($1) } }
            // 0 says that a body is plain.
            roots[max(id, 1)] = key
            if primary == nil { primary = max(id, 1) }
        }
    }

    /// Whether we have the gossip key with an id.
    func has(_ id: UInt32) -> Bool { roots[id] != nil }

    /// The key of a frame; nil when we do not have the gossip key it comes from.
    mutating func key(_ head: FrameHead) -> SymmetricKey? {
        let name = Name(keyID: head.keyID, sender: head.sender, incarnation: head.incarnation)
        if let key = cache[name] { return key }
        guard let root = roots[head.keyID] else { return nil }
        var info = Array("swiftlet frame".utf8) + head.sender.bytes
        info.append(bigEndian: head.incarnation, width: 8)
        return Self.derive(root, salt, info: info, count: 32)
    }

    /// Keeps a key that has opened a frame. Before that, anybody could fill the memory.
    mutating func remember(_ key: SymmetricKey, for head: FrameHead) {
        if cache.count >= Self.cacheLimit { cache = [:] }
        cache[Name(keyID: head.keyID, sender: head.sender, incarnation: head.incarnation)] = key
    }

    private static func derive(_ key: [UInt8], _ salt: [UInt8], info: [UInt8], count: Int) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: key), salt: salt, info: info, outputByteCount: count)
    }
}
