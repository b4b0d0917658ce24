/// Real bytes with a few mistakes in them: what gets far into a decoder before it is refused.
package enum Mutation {
    /// The captured bytes and what is inside of them.
    package static let corpus: [[UInt8]] = MemberlistVectors.all.flatMap { [$0.bytes] + $0.plain.map(fromHex) }

    /// The bytes with one to four changes: a bit, a byte that is a special one of msgpack, a cut, one byte more or less,
    /// or their end twice.
    package static func of(_ bytes: [UInt8], _ random: inout some RandomNumberGenerator) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard !bytes.isEmpty else { return [UInt8.random(in: 0...255, using: &random)] }
            let index = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1:
                bytes[index] = [0, 0x7F, 0x80, 0xFF, 0xC0, 0xDF, 0xDD, 0xDB, 0xCF].randomElement(using: &random) ?? 0
            case 2: bytes.removeLast(bytes.count - index)
            case 3: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
            case 4: bytes.remove(at: index)
            default: bytes += bytes[index...]
            }
        }
        return bytes
    }

    /// One of the corpus, changed.
    package static func any(_ random: inout some RandomNumberGenerator) -> [UInt8] {
        of(corpus.randomElement(using: &random) ?? [], &random)
    }
}
