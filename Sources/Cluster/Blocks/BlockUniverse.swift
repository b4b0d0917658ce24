import NetworkTypes

/// The first split of a network's blocks. Tables that began with different ones must not be mixed.
struct BlockUniverse: Hashable, Sendable {
    /// How many hosts can share.
    static let limit = 256

    enum Split: Hashable, Sendable {
        /// Hosts by name; each claims its share when it starts.
        case seeds([String])
        /// Hosts that were agreed on; they own their shares from the beginning.
        case hosts([BlockOwner])
    }

    let split: Split

    /// Sorts and removes doubles; nil for nobody or too many.
    init?(_ split: Split) {
        switch split {
        case .seeds(let names): self.split = .seeds(Set(names).sorted())
        case .hosts(let owners): self.split = .hosts(Set(owners).sorted())
        }
        guard (1...Self.limit).contains(count) else { return nil }
    }

    var count: Int {
        switch split {
        case .seeds(let names): names.count
        case .hosts(let owners): owners.count
        }
    }

    /// Whose share a block is in, as the place in the sorted list. Shares are consecutive blocks.
    func part(of block: Int, count blocks: Int) -> Int { blocks > 0 ? block * count / blocks : 0 }

    func isShare(of name: String, block: Int, count blocks: Int) -> Bool {
        guard case .seeds(let names) = split else { return false }
        return names[part(of: block, count: blocks)] == name
    }

    /// The row a block begins with; nil until its seed claims it.
    func entry(of block: Int, count blocks: Int) -> BlockEntry? {
        guard case .hosts(let owners) = split else { return nil }
        return BlockEntry(owner: owners[part(of: block, count: blocks)])
    }

    /// Never 0, which stands for "not decided".
    func digest(layouts: UInt64) -> UInt64 {
        var writer = BlockWriter()
        writer.fixed(layouts)
        write(to: &writer)
        return Self.digest(of: writer.bytes)
    }

    static func digest(of bytes: [UInt8]) -> UInt64 {
        max(1, SHA512.digest(bytes).prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
    }

    /// What tells networks of one name with different subnets apart.
    static func digest(of layouts: [BlockLayout]) -> UInt64 {
        var writer = BlockWriter()
        for layout in layouts {
            for prefix in [layout.subnet, layout.pool] {
                writer.bytes += prefix.address.bytes
                writer.count(prefix.length)
            }
            writer.count(layout.blockBits)
        }
        return digest(of: writer.bytes)
    }

    func write(to writer: inout BlockWriter) {
        switch split {
        case .seeds(let names):
            writer.bytes.append(1)
            writer.list(names) { $0.text($1) }
        case .hosts(let owners):
            writer.bytes.append(2)
            writer.list(owners) { $0.owner($1) }
        }
    }

    init(from reader: inout BlockReader) throws(BlockWireFault) {
        let universe: BlockUniverse?
        switch try reader.byte() {
        case 1:
            universe = BlockUniverse(
                .seeds(try reader.list(atMost: Self.limit) { (item) throws(BlockWireFault) in try item.text() }))
        case 2:
            universe = BlockUniverse(
                .hosts(try reader.list(atMost: Self.limit) { (item) throws(BlockWireFault) in try item.owner() }))
        default: throw .unknownKind
        }
        guard let universe else { throw .badValue }
        self = universe
    }
}
