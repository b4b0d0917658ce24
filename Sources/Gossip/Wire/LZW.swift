/// The LZW dialect of Go's `compress/lzw`: least significant bit first, 8-bit literals, codes of 9 to 12 bits.
enum LZW {
    static let clear = 256
    static let end = 257
    static let firstWidth = 9
    static let lastWidth = 12
    static let tableSize = 1 << lastWidth

    /// Unpacks `bytes[part]`; nothing longer than `limit` comes out.
    static func decode(_ bytes: [UInt8], _ part: Range<Int>, limit: Int) throws(WireFault) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(min(limit, part.count * 2))
        // Each new code costs at least nine bits of input, which bounds the tables of a short message.
        let slots = min(tableSize, part.count + end + 2)
        var suffix = [UInt8](repeating: 0, count: slots)
        var prefix = [UInt16](repeating: 0, count: slots)
        var expansion = [UInt8](repeating: 0, count: slots)
        var width = firstWidth
        var high = end
        var overflow = 1 << firstWidth
        var last = -1
        var bits: UInt32 = 0
        var bitCount = 0
        var position = part.lowerBound

        while true {
            while bitCount < width {
                guard position < part.upperBound else { throw .badCompression }
                bits |= UInt32(bytes[position]) << UInt32(bitCount)
                position += 1
                bitCount += 8
            }
            let code = Int(bits & (1 << UInt32(width) - 1))
            bits >>= UInt32(width)
            bitCount -= width

            if code < clear {
                output.append(UInt8(truncatingIfNeeded: code))
                if last >= 0 {
                    suffix[high] = UInt8(truncatingIfNeeded: code)
                    prefix[high] = UInt16(truncatingIfNeeded: last)
                }
            } else if code == clear {
                width = firstWidth
                high = end
                overflow = 1 << firstWidth
                last = -1
                continue
            } else if code == end {
                return output
            } else if code <= high {
                var walk = code
                var index = slots
                if code == high, last >= 0 {
                    // The code being defined right now: the last expansion followed by its own first byte.
                    walk = last
                    while walk >= clear { walk = Int(prefix[walk]) }
                    index -= 1
                    expansion[index] = UInt8(truncatingIfNeeded: walk)
                    walk = last
                }
                while walk >= clear {
                    guard index > 1 else { throw .badCompression }
                    index -= 1
                    expansion[index] = suffix[walk]
                    walk = Int(prefix[walk])
                }
                index -= 1
                expansion[index] = UInt8(truncatingIfNeeded: walk)
                output.append(contentsOf: expansion[index..<slots])
                if last >= 0 {
                    suffix[high] = UInt8(truncatingIfNeeded: walk)
                    prefix[high] = UInt16(truncatingIfNeeded: last)
                }
            } else {
                throw .badCompression
            }
            guard output.count <= limit else { throw .tooLarge }

            last = code
            high += 1
            if high >= overflow {
                if width == lastWidth {
                    // The table is full: codes keep coming, but none is defined until the next clear.
                    last = -1
                    high -= 1
                } else {
                    width += 1
                    overflow = 1 << width
                }
            }
        }
    }

    /// Packs `bytes`, or gives nil as soon as the result reaches `limit` bytes.
    static func encode(_ bytes: [UInt8], limit: Int = .max) -> [UInt8]? {
        var output: [UInt8] = []
        output.reserveCapacity(min(limit, bytes.count))
        var bits: UInt32 = 0
        var bitCount = 0
        var width = firstWidth
        func put(_ code: Int) {
            bits |= UInt32(code) << UInt32(bitCount)
            bitCount += width
            while bitCount >= 8 {
                output.append(UInt8(truncatingIfNeeded: bits))
                bits >>= 8
                bitCount -= 8
            }
        }

        // Open addressing; an entry is (prefix code, byte, new code) in 12 + 8 + 12 bits, and 0 is free.
        var capacity = 512
        while capacity < min(bytes.count, tableSize) * 4 { capacity *= 2 }
        let mask = capacity - 1
        var table = [UInt32](repeating: 0, count: capacity)
        var high = end
        var overflow = 1 << firstWidth

        put(clear)
        if var code = bytes.first.map({ Int($0) }) {
            next: for index in 1..<max(1, bytes.count) {
                let literal = Int(bytes[index])
                let key = UInt32(code << 8 | literal)
                var slot = Int((key >> 12 ^ key &* 0x9E3B) & UInt32(truncatingIfNeeded: mask))
                while table[slot] != 0 {
                    if table[slot] >> 12 == key {
                        code = Int(table[slot] & 0xFFF)
                        continue next
                    }
                    slot = (slot + 1) & mask
                }
                put(code)
                guard output.count < limit else { return nil }
                code = literal
                high += 1
                if high == overflow {
                    width += 1
                    overflow *= 2
                }
                if high == tableSize - 1 {
                    put(clear)
                    width = firstWidth
                    high = end
                    overflow = 1 << firstWidth
                    for slot in table.indices { table[slot] = 0 }
                } else {
                    table[slot] = key << 12 | UInt32(high)
                }
            }
            put(code)
            high += 1
            if high == overflow { width += 1 }
            if high == tableSize - 1 {
                put(clear)
                width = firstWidth
            }
        }
        put(end)
        if bitCount > 0 { output.append(UInt8(truncatingIfNeeded: bits)) }
        return output.count < limit ? output : nil
    }
}
