/// 512 bytes of the index: 63 words of content and a checksum, so that no damage is taken for an answer.
struct Block {
    static let words = 64
    static let bytes = 512

    var words: [UInt64]

    /// An empty block.
    init() { words = [UInt64](repeating: 0, count: Self.words) }

    /// Reads a block; nil when it is short or not the one that was written at `index` under `seed`.
    init?(_ bytes: ArraySlice<UInt8>, index: Int, seed: UInt64) {
        guard bytes.count == Self.bytes else { return nil }
        words = []
        words.reserveCapacity(Self.words)
        var position = bytes.startIndex
        for _ in 0..<Self.words {
            var word: UInt64 = 0
            for offset in 0..<8 { word |= UInt64(bytes[position + offset]) << UInt64(8 * offset) }
            words.append(word)
            position += 8
        }
        guard words[63] == checksum(index: index, seed: seed) else { return nil }
    }

    /// The bytes to write at `index`, least significant byte of each word first, checksum included.
    func encoded(index: Int, seed: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.bytes)
        for position in 0..<Self.words {
            let word = position == 63 ? checksum(index: index, seed: seed) : words[position]
            for offset in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * offset))) }
        }
        return bytes
    }

    private func checksum(index: Int, seed: UInt64) -> UInt64 {
        var sum = mixed(seed ^ UInt64(truncatingIfNeeded: index))
        for position in 0..<63 { sum = mixed(sum ^ words[position]) }
        return sum
    }
}

/// Spreads every bit of a word over all of it (the finalizer of SplitMix64).
func mixed(_ word: UInt64) -> UInt64 {
    var word = word &+ 0x9E37_79B9_7F4A_7C15
    word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
    word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
    return word ^ (word >> 31)
}

/// A hash of bytes that nobody can aim at without knowing the seed.
func hash(_ bytes: [UInt8], seed: UInt64) -> UInt64 {
    var sum = seed
    for byte in bytes { sum = mixed(sum ^ UInt64(byte)) }
    return sum
}
