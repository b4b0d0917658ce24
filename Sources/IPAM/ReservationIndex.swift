internal import NetworkTypes
internal import System

/// The index could not be read or written as expected: it is to be rebuilt from the reservation files.
struct IndexFault: Error {}

/// Finds reservations without reading all of them: by owner, and free addresses by number.
///
/// Two hash tables of 512-byte blocks: *entries* (owner's hash → address) and *chunks* (address / 256 → bitmap of the
/// 256 addresses). A key belongs into the block its hash names, or, when that is full, into the next. The tables are in
/// a file, of which an operation touches a handful of blocks, or in memory while they are (re)built.
struct ReservationIndex: ~Copyable {
    private(set) var header: IndexHeader
    private let file: OwnedFD?
    private var memory: [Block]

    /// Whether the tables are in memory and have to be written as a whole.
    var isInMemory: Bool { file == nil }

    /// Opens the file when it is whole, of this boot, finished, and made for the directory as it is now.
    init?(opening path: String, boot: BootID, signature: DirectorySignature) {
        guard let opened = try? OwnedFD(existing: path, isWritable: true),
            let bytes = try? opened.readBytes(count: Block.bytes, at: 0), let header = IndexHeader(bytes[...]),
            header.isClean, header.boot == boot, header.signature == signature, let status = try? opened.status(),
            status.isRegularFile, status.size == (1 + header.entryBlocks + header.chunkBlocks) * Block.bytes
        else { return nil }
        self.header = header
        file = consume opened
        memory = []
    }

    /// Empty tables in memory with room for `count` reservations without growing soon.
    init(boot: BootID?, signature: DirectorySignature, seed: UInt64, room count: Int, chunks: Int) {
        let header = IndexHeader(
            boot: boot ?? BootID(high: 0, low: 0), signature: signature, seed: seed,
            entryBlocks: max(8, count / 5), chunkBlocks: max(4, chunks / 3))
        self.header = header
        file = nil
        memory = [Block](repeating: Block(), count: header.entryBlocks + header.chunkBlocks)
    }

    // MARK: Reservations

    /// The addresses recorded for the owner with this record.
    func addresses(of record: [UInt8]) throws(IndexFault) -> [IPAddress] {
        let hash = hash(record, seed: header.seed)
        var found: [IPAddress] = []
        _ = try probe(entries, hash) { words, slot in
            if words[slot].isUsed, words[slot + 1] == hash { found.append(Self.address(words, slot)) }
            return false
        }
        return found
    }

    /// Records a reservation; whether more room should be made before the next one.
    mutating func insert(_ address: IPAddress, record: [UInt8]) throws(IndexFault) -> Bool {
        try insert(address, hash: hash(record, seed: header.seed))
    }

    private mutating func insert(_ address: IPAddress, hash: UInt64) throws(IndexFault) -> Bool {
        let number = address.number
        let words: [UInt64] = [
            .used(address.family), hash, UInt64(truncatingIfNeeded: number >> 64), UInt64(truncatingIfNeeded: number),
        ]
        if try put(words, into: entries, hash) { header.entrySlots += 1 }
        try setBit(address, true)
        return header.entrySlots > header.entryBlocks * entries.slots * 3 / 4
            || header.chunkSlots > header.chunkBlocks * chunks.slots * 3 / 4
    }

    /// Forgets a reservation.
    mutating func remove(_ address: IPAddress, record: [UInt8]) throws(IndexFault) {
        let hash = hash(record, seed: header.seed)
        let found = try probe(entries, hash) { words, slot in
            words[slot].isUsed && words[slot + 1] == hash && Self.address(words, slot) == address
        }
        guard var place = found else { throw IndexFault() }
        // A block with an empty slot is where a search ends; only in a full one the place must stay marked.
        let isFull = !stride(from: 0, to: entries.slots * entries.width, by: entries.width)
            .contains { place.block.words[$0] == 0 }
        place.block.words.replaceSubrange(place.slot..<(place.slot + 4), with: [isFull ? .removed : 0, 0, 0, 0])
        if !isFull { header.entrySlots -= 1 }
        try store(place)
        try setBit(address, false)
    }

    /// The first address of the span that nobody holds.
    func firstFree(_ family: AddressFamily, _ span: ClosedRange<UInt128>) throws(IndexFault) -> UInt128? {
        var cursor = span.lowerBound
        while true {
            guard let bitmap = try bitmap(family, cursor >> 8) else { return cursor }
            let offset = Int(cursor & 255)
            for bit in offset..<256 where bitmap[bit >> 6] & (1 << UInt64(bit & 63)) == 0 {
                let candidate = cursor - UInt128(offset) + UInt128(bit)
                return candidate <= span.upperBound ? candidate : nil
            }
            let last = cursor | 255
            if last >= span.upperBound { return nil }
            cursor = last + 1
        }
    }

    // MARK: Growing and writing

    /// The same reservations in memory, with room for twice as many.
    func grown() throws(IndexFault) -> ReservationIndex {
        var reservations: [(hash: UInt64, address: IPAddress)] = []
        for number in 0..<header.entryBlocks {
            let words = try load(number).words
            for slot in stride(from: 0, to: entries.slots * entries.width, by: entries.width)
            where words[slot].isUsed {
                reservations.append((words[slot + 1], Self.address(words, slot)))
            }
        }
        let distinct = Set(reservations.map { ChunkKey($0.address) }).count
        var index = ReservationIndex(
            boot: header.boot, signature: header.signature, seed: header.seed, room: reservations.count * 2,
            chunks: distinct * 2)
        for (hash, address) in reservations { _ = try index.insert(address, hash: hash) }
        return index
    }

    /// Says in the file that a change is under way.
    mutating func markDirty() throws(IndexFault) {
        guard header.isClean, !isInMemory else { return }
        header.isClean = false
        try writeHeader()
    }

    /// Says that all changes are in, and what the directory looks like with them.
    mutating func markClean(_ signature: DirectorySignature) throws(IndexFault) {
        header.isClean = true
        header.signature = signature
        try writeHeader()
    }

    private func writeHeader() throws(IndexFault) {
        try write(header.encoded, at: 0)
    }

    /// The whole file's bytes.
    func encoded() -> [UInt8] {
        var bytes = header.encoded
        bytes.reserveCapacity((1 + memory.count) * Block.bytes)
        for (number, block) in memory.enumerated() {
            bytes += block.encoded(index: number + 1, seed: header.seed)
        }
        return bytes
    }

    // MARK: Tables

    /// One of the two hash tables: where its blocks are and how many words a slot has.
    private struct Table {
        let first: Int
        let blocks: Int
        let width: Int
        var slots: Int { 63 / width }
    }

    private var entries: Table { Table(first: 0, blocks: header.entryBlocks, width: 4) }
    private var chunks: Table { Table(first: header.entryBlocks, blocks: header.chunkBlocks, width: 7) }

    private static func address(_ words: [UInt64], _ slot: Int) -> IPAddress {
        IPAddress(
            family: words[slot] == .used(.ipv4) ? .ipv4 : .ipv6,
            number: UInt128(words[slot + 2]) << 64 | UInt128(words[slot + 3]))
    }

    /// Names 256 addresses.
    struct ChunkKey: Hashable {
        fileprivate let family: AddressFamily
        fileprivate let number: UInt128

        init(_ address: IPAddress) { self.init(address.family, address.number >> 8) }

        fileprivate init(_ family: AddressFamily, _ number: UInt128) {
            self.family = family
            self.number = number
        }

        fileprivate func hash(seed: UInt64) -> UInt64 {
            let high = mixed(UInt64(truncatingIfNeeded: number >> 64) ^ .used(family) ^ seed)
            return mixed(high ^ UInt64(truncatingIfNeeded: number))
        }
    }

    /// A slot: its block's number, its first word, and the block as read.
    private struct Place {
        let number: Int
        let slot: Int
        var block: Block
    }

    /// Goes through the slots a key can be in until `isWanted` says so.
    private func probe(
        _ table: Table, _ hash: UInt64, isWanted: ([UInt64], Int) throws(IndexFault) -> Bool
    ) throws(IndexFault) -> Place? {
        let home = Int(hash % UInt64(table.blocks))
        for step in 0..<table.blocks {
            let number = table.first + (home + step) % table.blocks
            let block = try load(number)
            var hasEmpty = false
            for slot in stride(from: 0, to: table.slots * table.width, by: table.width) {
                if try isWanted(block.words, slot) { return Place(number: number, slot: slot, block: block) }
                if block.words[slot] == 0 { hasEmpty = true }
            }
            if hasEmpty { return nil }
        }
        return nil
    }

    /// Puts a slot's words where nothing is; whether the place was empty and not one given up.
    private mutating func put(_ words: [UInt64], into table: Table, _ hash: UInt64) throws(IndexFault) -> Bool {
        guard var place = try probe(table, hash, isWanted: { words, slot in !words[slot].isUsed }) else {
            throw IndexFault()
        }
        let wasEmpty = place.block.words[place.slot] == 0
        place.block.words.replaceSubrange(place.slot..<(place.slot + words.count), with: words)
        try store(place)
        return wasEmpty
    }

    private func place(of key: ChunkKey) throws(IndexFault) -> Place? {
        let high = UInt64(truncatingIfNeeded: key.number >> 64), low = UInt64(truncatingIfNeeded: key.number)
        return try probe(chunks, key.hash(seed: header.seed)) { words, slot in
            words[slot] == .used(key.family) && words[slot + 1] == high && words[slot + 2] == low
        }
    }

    private func bitmap(_ family: AddressFamily, _ number: UInt128) throws(IndexFault) -> [UInt64]? {
        guard let place = try place(of: ChunkKey(family, number)) else { return nil }
        return Array(place.block.words[(place.slot + 3)..<(place.slot + 7)])
    }

    private mutating func setBit(_ address: IPAddress, _ isSet: Bool) throws(IndexFault) {
        let key = ChunkKey(address)
        let bit = Int(address.number & 255)
        let mask: UInt64 = 1 << UInt64(bit & 63)
        if var place = try place(of: key) {
            let word = place.slot + 3 + bit >> 6
            if isSet { place.block.words[word] |= mask } else { place.block.words[word] &= ~mask }
            return try store(place)
        }
        guard isSet else { throw IndexFault() }
        var words = [UInt64](repeating: 0, count: 7)
        words[0] = .used(key.family)
        words[1] = UInt64(truncatingIfNeeded: key.number >> 64)
        words[2] = UInt64(truncatingIfNeeded: key.number)
        words[3 + bit >> 6] = mask
        if try put(words, into: chunks, key.hash(seed: header.seed)) { header.chunkSlots += 1 }
    }

    // MARK: Blocks

    private func load(_ number: Int) throws(IndexFault) -> Block {
        guard isInMemory else {
            let bytes = try read((1 + number) * Block.bytes)
            guard let block = Block(bytes[...], index: number + 1, seed: header.seed) else { throw IndexFault() }
            return block
        }
        return memory[number]
    }

    private mutating func store(_ place: Place) throws(IndexFault) {
        if isInMemory {
            memory[place.number] = place.block
        } else {
            let index = place.number + 1
            try write(place.block.encoded(index: index, seed: header.seed), at: index * Block.bytes)
        }
    }

    private func read(_ offset: Int) throws(IndexFault) -> [UInt8] {
        do {
            guard let bytes = try file?.readBytes(count: Block.bytes, at: offset) else { throw Errno.invalidArgument }
            return bytes
        } catch {
            throw IndexFault()
        }
    }

    private func write(_ bytes: [UInt8], at offset: Int) throws(IndexFault) {
        do {
            try file?.writeBytes(bytes, at: offset)
        } catch {
            throw IndexFault()
        }
    }
}

/// The first word of a slot.
extension UInt64 {
    fileprivate static let removed: UInt64 = 3

    fileprivate static func used(_ family: AddressFamily) -> UInt64 { family == .ipv4 ? 1 : 2 }

    fileprivate var isUsed: Bool { self == 1 || self == 2 }
}
