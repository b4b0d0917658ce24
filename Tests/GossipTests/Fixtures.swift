import GossipFixtures
import NetworkTypes
import Testing

@testable import Gossip

extension Vector: CustomTestStringConvertible {
    /// The name of the bytes.
    public var testDescription: String { name }
}

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
}

/// Not a cipher, but it has the shape of one: a keyed stream, and a tag over everything.
struct ToyCipher: AuthenticatedCipher {
    private func mix(_ parts: [ArraySlice<UInt8>]) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for part in parts {
            for byte in part { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            hash = (hash ^ UInt64(part.count)) &* 0x100_0000_01B3
        }
        return hash
    }

    private func stream(_ data: ArraySlice<UInt8>, _ key: [UInt8], _ nonce: ArraySlice<UInt8>) -> [UInt8] {
        var generator = SeededGenerator(seed: mix([key[...], nonce]))
        var output: [UInt8] = []
        output.reserveCapacity(data.count + 16)
        var word: UInt64 = 0
        for (index, byte) in data.enumerated() {
            if index % 8 == 0 { word = generator.next() }
            output.append(byte ^ UInt8(truncatingIfNeeded: word >> UInt64(index % 8 * 8)))
        }
        return output
    }

    private func tag(
        _ data: ArraySlice<UInt8>, _ key: [UInt8], _ nonce: ArraySlice<UInt8>, _ more: ArraySlice<UInt8>
    ) -> [UInt8] {
        var generator = SeededGenerator(seed: mix([key[...], nonce, data, more]))
        return (0..<16).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    func seal(
        _ plaintext: ArraySlice<UInt8>, key: [UInt8], nonce: ArraySlice<UInt8>, authenticating: ArraySlice<UInt8>
    ) -> [UInt8] {
        let body = stream(plaintext, key, nonce)
        return body + tag(body[...], key, nonce, authenticating)
    }

    func open(
        _ sealed: ArraySlice<UInt8>, key: [UInt8], nonce: ArraySlice<UInt8>, authenticating: ArraySlice<UInt8>
    ) -> [UInt8]? {
        let body = sealed.dropLast(16)
        guard Array(sealed.suffix(16)) == tag(body, key, nonce, authenticating) else { return nil }
        return stream(body, key, nonce)
    }
}

/// 10.0.x.y:7946
func host(_ number: Int, port: UInt16 = 7946) -> Endpoint {
    Endpoint(address: .v4(IPv4Address(rawValue: 0x0A00_0000 + UInt32(number))), port: port)
}
