/// The gossip keys: the primary one encrypts, all of them are tried to decrypt.
public struct KeyRing: Hashable, Sendable {
    /// Why a key operation was refused.
    public enum Fault: Error, Hashable, Sendable {
        /// A key must have 16, 24 or 32 bytes.
        case badLength
        /// The key is not in the ring.
        case unknownKey
        /// The primary key cannot be removed.
        case isPrimary
        /// More keys than a node holds.
        case full
    }

    /// The most keys a ring holds: every one may be tried on every packet.
    public static let limit = 32

    /// The keys, the primary first. Never empty.
    public private(set) var keys: [[UInt8]]

    /// A ring of the primary key and others; duplicates are dropped.
    public init(primary: [UInt8], others: [[UInt8]] = []) throws(Fault) {
        guard Self.isValid(primary) else { throw .badLength }
        keys = [primary]
        for key in others { try install(key) }
    }

    /// The key that encrypts.
    public var primary: [UInt8] { keys[0] }

    static func isValid(_ key: [UInt8]) -> Bool { [16, 24, 32].contains(key.count) }

    /// Adds a key; one that is there already is no fault.
    public mutating func install(_ key: [UInt8]) throws(Fault) {
        guard Self.isValid(key) else { throw .badLength }
        guard !keys.contains(key) else { return }
        guard keys.count < Self.limit else { throw .full }
        keys.append(key)
    }

    /// Makes an installed key the primary one.
    public mutating func use(_ key: [UInt8]) throws(Fault) {
        guard let index = keys.firstIndex(of: key) else { throw .unknownKey }
        keys.insert(keys.remove(at: index), at: 0)
    }

    /// Forgets a key; one that is not there is no fault.
    public mutating func remove(_ key: [UInt8]) throws(Fault) {
        guard key != primary else { throw .isPrimary }
        keys.removeAll { $0 == key }
    }
}
