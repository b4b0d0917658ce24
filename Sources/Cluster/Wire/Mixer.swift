/// The 64-bit hash by which rows are named and compared between hosts. It is part of the wire: both sides compute it from
/// what they hold. It needs no secrecy: an owner that looks for collisions harms its own rows alone.
struct Mixer {
    private(set) var state: UInt64

    init(_ seed: UInt64) { state = seed }

    /// The finalizer of SplitMix64 (Steele, Lea and Flood), which every word passes.
    mutating func mix(_ word: UInt64) {
        var value = (state ^ word) &+ 0x9E37_79B9_7F4A_7C15
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        state = value ^ value >> 31
    }

    mutating func mix(_ number: UInt128) {
        mix(UInt64(truncatingIfNeeded: number >> 64))
        mix(UInt64(truncatingIfNeeded: number))
    }

    mutating func mix(_ bytes: [UInt8]) {
        mix(UInt64(bytes.count))
        var word: UInt64 = 0
        for (index, byte) in bytes.enumerated() {
            word = word << 8 | UInt64(byte)
            if index & 7 == 7 {
                mix(word)
                word = 0
            }
        }
        if bytes.count & 7 != 0 { mix(word) }
    }
}

extension RecordKey {
    /// The name of the key among the rows of one owner; never 0.
    var hash64: UInt64 {
        var mixer = Mixer(UInt64(kind.rawValue))
        mixer.mix(network.high)
        mixer.mix(network.low)
        mixer.mix(key)
        return max(1, mixer.state)
    }
}

extension Record {
    /// The content in short: the signature's first bytes, which depend on all of it.
    var tag: UInt32 { signature.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } }

    /// What the row adds to the digest of its bucket.
    func digest(hash: UInt64) -> UInt64 {
        var mixer = Mixer(hash)
        mixer.mix(owner.rawValue)
        mixer.mix(version.incarnation)
        mixer.mix(version.counter)
        mixer.mix(UInt64(tag) << 1 | (isTombstone ? 1 : 0))
        return mixer.state
    }
}
