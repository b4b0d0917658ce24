/// The table of all blocks of a network: for each subnet an array, the newest word about every block.
struct BlockRing: Hashable, Sendable {
    /// How many blocks one digest covers.
    static let chunk = 64

    /// What a row that came in is to the one held.
    enum Comparison: Hashable, Sendable {
        /// It is the later word, or the first.
        case newer
        /// It is the same.
        case same
        /// It is an earlier word.
        case older
        /// It has the same version and says something else.
        case conflict
    }

    /// A row with its place.
    struct Row: Hashable, Sendable {
        var block: BlockID
        var entry: BlockEntry
    }

    private var entries: [[BlockEntry?]]
    /// Digests that are up to date; nil where a row changed.
    private var digests: [[UInt64?]]

    init(counts: [Int]) {
        entries = counts.map { [BlockEntry?](repeating: nil, count: $0) }
        digests = counts.map { [UInt64?](repeating: nil, count: ($0 + Self.chunk - 1) / Self.chunk) }
    }

    func holds(_ block: BlockID) -> Bool {
        entries.indices.contains(block.subnet) && entries[block.subnet].indices.contains(block.number)
    }

    subscript(_ block: BlockID) -> BlockEntry? {
        get { holds(block) ? entries[block.subnet][block.number] : nil }
        set {
            guard holds(block) else { return }
            entries[block.subnet][block.number] = newValue
            digests[block.subnet][block.number / Self.chunk] = nil
        }
    }

    /// Every block of a subnet in order.
    func blocks(of subnet: Int) -> Range<Int> { entries.indices.contains(subnet) ? entries[subnet].indices : 0..<0 }

    /// Every block in order.
    var blocks: [BlockID] {
        entries.indices.flatMap { subnet in entries[subnet].indices.map { BlockID(subnet: subnet, number: $0) } }
    }

    /// The rows there are.
    var rows: [Row] { blocks.compactMap { block in self[block].map { Row(block: block, entry: $0) } } }

    /// The rows of a chunk.
    func rows(of chunk: ChunkID) -> [Row] {
        guard entries.indices.contains(chunk.subnet), chunk.number >= 0 else { return [] }
        let range = (chunk.number * Self.chunk)..<min((chunk.number + 1) * Self.chunk, .max)
        return range.clamped(to: entries[chunk.subnet].indices).compactMap { number in
            let block = BlockID(subnet: chunk.subnet, number: number)
            return self[block].map { Row(block: block, entry: $0) }
        }
    }

    func compare(_ row: Row) -> Comparison {
        guard let held = self[row.block] else { return .newer }
        if row.entry == held { return .same }
        if row.entry.isNewer(than: held) { return .newer }
        return held.isNewer(than: row.entry) ? .older : .conflict
    }

    /// The digests of every 64 blocks, for each subnet.
    mutating func chunkDigests() -> [[UInt64]] {
        for subnet in digests.indices {
            for number in digests[subnet].indices where digests[subnet][number] == nil {
                digests[subnet][number] = digest(of: ChunkID(subnet: subnet, number: number))
            }
        }
        return digests.map { $0.map { $0 ?? 0 } }
    }

    private func digest(of chunk: ChunkID) -> UInt64 {
        var hash = BlockHash()
        for row in rows(of: chunk) {
            hash.add(UInt64(truncatingIfNeeded: row.block.number))
            hash.add(row.entry.owner.host.bytes)
            hash.add(UInt64(row.entry.owner.life))
            hash.add(UInt64(row.entry.epoch))
            hash.add(row.entry.version)
            hash.add(UInt64(row.entry.state.rawValue))
        }
        return hash.value
    }

    /// One number for the whole table.
    mutating func digest() -> UInt64 {
        var hash = BlockHash()
        for subnet in chunkDigests() { for digest in subnet { hash.add(digest) } }
        return hash.value
    }

    /// The chunks that differ from another table's.
    mutating func differences(from others: [[UInt64]]) -> [ChunkID] {
        let own = chunkDigests()
        var chunks: [ChunkID] = []
        for subnet in own.indices {
            for number in own[subnet].indices {
                let other =
                    others.indices.contains(subnet) && others[subnet].indices.contains(number)
                    ? others[subnet][number] : 0
                if other != own[subnet][number] { chunks.append(ChunkID(subnet: subnet, number: number)) }
            }
        }
        return chunks
    }
}

/// 64 consecutive blocks of a subnet, which are compared by one digest.
struct ChunkID: Hashable, Sendable {
    var subnet: Int
    var number: Int
}
