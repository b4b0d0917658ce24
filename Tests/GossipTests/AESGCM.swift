@testable import Gossip

/// AES-GCM by FIPS 197 and SP 800-38D, slow and plain, to open captured packets in tests. Production has another.
struct AESGCM: AuthenticatedCipher {
    private static let box: [UInt8] = {
        var box = [UInt8](repeating: 0x63, count: 256)
        var p: UInt8 = 1
        var q: UInt8 = 1
        repeat {
            p = p ^ p << 1 ^ (p & 0x80 == 0 ? 0 : 0x1B)
            q ^= q << 1
            q ^= q << 2
            q ^= q << 4
            if q & 0x80 != 0 { q ^= 0x09 }
            func rotated(_ count: UInt8) -> UInt8 { q << count | q >> (8 - count) }
            box[Int(p)] = q ^ rotated(1) ^ rotated(2) ^ rotated(3) ^ rotated(4) ^ 0x63
        } while p != 1
        return box
    }()

    private static func double(_ value: UInt8) -> UInt8 { value << 1 ^ (value & 0x80 == 0 ? 0 : 0x1B) }

    private static func schedule(_ key: [UInt8]) -> [[UInt8]] {
        let words = key.count / 4
        var output = stride(from: 0, to: key.count, by: 4).map { Array(key[$0..<$0 + 4]) }
        var constant: UInt8 = 1
        for index in words..<4 * (words + 7) {
            var word = output[index - 1]
            if index % words == 0 {
                word = [word[1], word[2], word[3], word[0]].map { box[Int($0)] }
                word[0] ^= constant
                constant = double(constant)
            } else if words > 6, index % words == 4 {
                word = word.map { box[Int($0)] }
            }
            output.append(zip(output[index - words], word).map { $0 ^ $1 })
        }
        return stride(from: 0, to: output.count, by: 4).map { Array(output[$0..<$0 + 4].joined()) }
    }

    private static func encrypt(_ block: [UInt8], _ keys: [[UInt8]]) -> [UInt8] {
        var state = zip(block, keys[0]).map { $0 ^ $1 }
        for round in 1..<keys.count {
            state = state.map { box[Int($0)] }
            state = (0..<16).map { state[($0 + $0 % 4 * 4) % 16] }
            if round < keys.count - 1 {
                for column in stride(from: 0, to: 16, by: 4) {
                    let old = Array(state[column..<column + 4])
                    let all = old.reduce(0, ^)
                    for row in 0..<4 { state[column + row] = old[row] ^ all ^ double(old[row] ^ old[(row + 1) % 4]) }
                }
            }
            state = zip(state, keys[round]).map { $0 ^ $1 }
        }
        return state
    }

    private static func number(_ block: some Sequence<UInt8>) -> UInt128 { block.reduce(0) { $0 << 8 | UInt128($1) } }

    private static func multiply(_ left: UInt128, _ right: UInt128) -> UInt128 {
        var product: UInt128 = 0
        var factor = right
        for bit in 0..<128 {
            if left >> UInt128(127 - bit) & 1 == 1 { product ^= factor }
            factor = factor & 1 == 1 ? factor >> 1 ^ (UInt128(0xE1) << 120) : factor >> 1
        }
        return product
    }

    private static func hash(_ data: ArraySlice<UInt8>, _ more: ArraySlice<UInt8>, _ key: UInt128) -> UInt128 {
        var value: UInt128 = 0
        for part in [more, data] {
            for start in stride(from: part.startIndex, to: part.endIndex, by: 16) {
                var block = Array(part[start..<min(start + 16, part.endIndex)])
                block += [UInt8](repeating: 0, count: 16 - block.count)
                value = multiply(value ^ number(block), key)
            }
        }
        return multiply(value ^ (UInt128(more.count * 8) << 64 | UInt128(data.count * 8)), key)
    }

    private static func counter(_ nonce: ArraySlice<UInt8>, _ count: UInt32) -> [UInt8] {
        Array(nonce) + (0..<4).map { UInt8(truncatingIfNeeded: count >> UInt32(24 - 8 * $0)) }
    }

    private static func stream(_ data: ArraySlice<UInt8>, _ keys: [[UInt8]], _ nonce: ArraySlice<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        for (index, start) in stride(from: data.startIndex, to: data.endIndex, by: 16).enumerated() {
            let pad = encrypt(counter(nonce, UInt32(index + 2)), keys)
            output += zip(data[start..<min(start + 16, data.endIndex)], pad).map { $0 ^ $1 }
        }
        return output
    }

    private static func tag(
        _ sealed: ArraySlice<UInt8>, _ keys: [[UInt8]], _ nonce: ArraySlice<UInt8>, _ more: ArraySlice<UInt8>
    ) -> [UInt8] {
        let key = number(encrypt([UInt8](repeating: 0, count: 16), keys))
        let value = hash(sealed, more, key) ^ number(encrypt(counter(nonce, 1), keys))
        return (0..<16).map { UInt8(truncatingIfNeeded: value >> UInt128(120 - 8 * $0)) }
    }

    func seal(
        _ plaintext: ArraySlice<UInt8>, key: [UInt8], nonce: ArraySlice<UInt8>, authenticating: ArraySlice<UInt8>
    ) -> [UInt8] {
        let keys = Self.schedule(key)
        let body = Self.stream(plaintext, keys, nonce)
        return body + Self.tag(body[...], keys, nonce, authenticating)
    }

    func open(
        _ sealed: ArraySlice<UInt8>, key: [UInt8], nonce: ArraySlice<UInt8>, authenticating: ArraySlice<UInt8>
    ) -> [UInt8]? {
        let keys = Self.schedule(key)
        let body = sealed.dropLast(16)
        guard Self.tag(body, keys, nonce, authenticating) == Array(sealed.suffix(16)) else { return nil }
        return Self.stream(body, keys, nonce)
    }
}
