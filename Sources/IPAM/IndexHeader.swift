internal import System

/// What the index says of itself in its first block.
struct IndexHeader: Equatable {
    private static let magic: UInt64 = 0x5844_4E49_4D41_5049  // "IPAMINDX"
    private static let version: UInt64 = 1
    // The header is read before its seed is known.
    private static let seed: UInt64 = 0x6865_6164_6572

    /// The boot it was written in: nothing that was not forced to storage is believed after another.
    var boot: BootID
    /// Whether its changes were finished.
    var isClean: Bool
    /// The directory's identity and state when they were.
    var signature: DirectorySignature
    /// Seeds hashes and checksums.
    var seed: UInt64
    /// The number of blocks with reservations.
    var entryBlocks: Int
    /// The number of blocks with bitmaps.
    var chunkBlocks: Int
    /// The number of reservation slots that are not empty.
    var entrySlots: Int
    /// The number of bitmap slots that are not empty.
    var chunkSlots: Int

    /// Reads a header; nil when it is damaged, of another version or nonsensical.
    init?(_ bytes: ArraySlice<UInt8>) {
        guard let block = Block(bytes, index: 0, seed: Self.seed), block.words[0] == Self.magic,
            block.words[1] == Self.version
        else { return nil }
        let words = block.words
        boot = BootID(high: words[2], low: words[3])
        isClean = words[4] == 1
        signature = DirectorySignature(
            device: words[5], inode: words[6], modified: Int64(bitPattern: words[7]),
            changed: Int64(bitPattern: words[8]), size: words[9])
        seed = words[10]
        let counts = words[11...14].map { Int(exactly: $0) ?? -1 }
        guard counts.allSatisfy({ (0...(1 << 32)).contains($0) }), counts[0] > 0, counts[1] > 0 else { return nil }
        (entryBlocks, chunkBlocks, entrySlots, chunkSlots) = (counts[0], counts[1], counts[2], counts[3])
    }

    /// A header of an index that is being made.
    init(boot: BootID, signature: DirectorySignature, seed: UInt64, entryBlocks: Int, chunkBlocks: Int) {
        self.boot = boot
        self.signature = signature
        self.seed = seed
        self.entryBlocks = entryBlocks
        self.chunkBlocks = chunkBlocks
        isClean = false
        entrySlots = 0
        chunkSlots = 0
    }

    /// The bytes of the first block.
    var encoded: [UInt8] {
        var block = Block()
        let counts = [entryBlocks, chunkBlocks, entrySlots, chunkSlots].map { UInt64($0) }
        let words =
            [
                Self.magic, Self.version, boot.high, boot.low, isClean ? 1 : 2, signature.device, signature.inode,
                UInt64(bitPattern: signature.modified), UInt64(bitPattern: signature.changed), signature.size, seed,
            ] + counts
        block.words.replaceSubrange(..<words.count, with: words)
        return block.encoded(index: 0, seed: Self.seed)
    }
}

/// One boot of the machine.
struct BootID: Equatable {
    let high: UInt64
    let low: UInt64

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// The running boot; nil without `/proc`, and then no index is believed.
    static func current() -> BootID? {
        guard let text = try? Sysctl.read("kernel/random/boot_id") else { return nil }
        let digits = text.filter { $0 != "-" }
        guard digits.utf8.count == 32, let high = UInt64(digits.prefix(16), radix: 16),
            let low = UInt64(digits.suffix(16), radix: 16)
        else { return nil }
        return BootID(high: high, low: low)
    }
}

/// The identity and state of a directory: every file made, renamed or removed in it changes the times.
struct DirectorySignature: Equatable {
    let device: UInt64
    let inode: UInt64
    let modified: Int64
    let changed: Int64
    let size: UInt64
}

extension DirectorySignature {
    init(_ status: FileStatus) {
        self.init(
            device: status.device, inode: status.inode, modified: status.modified, changed: status.changed,
            size: UInt64(max(0, status.size)))
    }
}
