import Glibc
import NetworkTypes
import StateMachine

@testable import Cluster

/// SplitMix64: small, seeded, good enough for tests.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    mutating func below(_ bound: Int) -> Int { bound > 0 ? Int.random(in: 0..<bound, using: &self) : 0 }

    mutating func chance(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &self) < probability }

    mutating func time(_ range: ClosedRange<Nanoseconds>) -> Nanoseconds { UInt64.random(in: range, using: &self) }
}

/// The value of an environment variable.
func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
}

/// Whether the tests that take minutes are asked for.
let runsLong = environment("SWIFTLET_LONG") == "1"

/// A seed from the environment, or a new one; printed, so that a failure can be repeated.
func seed(for name: String) -> UInt64 {
    let seed = environment("SWIFTLET_SEED").flatMap { UInt64($0) } ?? UInt64.random(in: 0..<1 << 48)
    print("\(name): SWIFTLET_SEED=\(seed)")
    return seed
}

/// Not a signature, but it has the shape of one: 64 bytes that depend on the key and on every byte.
struct ToyAuthority: RecordAuthority {
    let publicKey: [UInt8]

    init(_ number: Int) {
        var mixer = Mixer(UInt64(number))
        publicKey = (0..<4).flatMap { _ in
            mixer.mix(1 as UInt64)
            return Self.bytes(of: mixer.state)
        }
    }

    private static func bytes(of word: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) }
    }

    private static func signature(_ bytes: [UInt8], _ key: [UInt8]) -> [UInt8] {
        var mixer = Mixer(0x51_6E)
        mixer.mix(key)
        mixer.mix(bytes)
        let part = Self.bytes(of: mixer.state)
        return (0..<64).map { part[$0 & 7] }
    }

    func sign(_ bytes: [UInt8]) -> [UInt8] { Self.signature(bytes, publicKey) }

    func verify(_ bytes: [UInt8], signature: [UInt8], publicKey: [UInt8]) -> Bool {
        signature == Self.signature(bytes, publicKey)
    }

    func hostID(of publicKey: [UInt8]) -> HostID {
        var mixer = Mixer(2)
        mixer.mix(publicKey)
        let high = mixer.state
        mixer.mix(3 as UInt64)
        return HostID(rawValue: UInt128(high) << 64 | UInt128(mixer.state))
    }
}

extension ToyAuthority {
    var host: HostID { hostID(of: publicKey) }

    /// A record of this host, signed.
    func record(_ key: RecordKey, _ version: Version, value: [UInt8]?) -> Record {
        let plain = Record(
            key: key, owner: host, version: version, isTombstone: value == nil, value: value ?? [], signature: [])
        return Record(
            key: key, owner: host, version: version, isTombstone: value == nil, value: value ?? [],
            signature: sign(plain.signedBytes))
    }
}

func network(_ number: Int) -> NetworkID { NetworkID(high: 0xABCD, low: UInt128(number + 1)) }

func endpointKey(_ network: NetworkID, _ number: Int) -> RecordKey {
    RecordKey(kind: .endpoint, network: network, key: Array("endpoint-\(number)".utf8))
}

func address(_ text: String) -> IPAddress { IPAddress(text) ?? .v4(IPv4Address(rawValue: 0)) }

func hex(_ text: String) -> [UInt8] {
    let digits = text.filter { !$0.isWhitespace }
    return Hexadecimal.bytes(digits, count: digits.count / 2) ?? []
}
