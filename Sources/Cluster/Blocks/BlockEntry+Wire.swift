extension BlockWriter {
    /// Rows in the order given: the owners once, then runs of blocks that say the same.
    mutating func rows(_ rows: [BlockRing.Row]) {
        var places: [BlockOwner: Int] = [:]
        var owners: [BlockOwner] = []
        var runs: [(first: BlockID, count: Int, entry: BlockEntry)] = []
        for row in rows {
            if places[row.entry.owner] == nil {
                places[row.entry.owner] = owners.count
                owners.append(row.entry.owner)
            }
            if let last = runs.last, last.entry == row.entry, last.first.subnet == row.block.subnet,
                last.first.number + last.count == row.block.number
            {
                runs[runs.count - 1].count += 1
            } else {
                runs.append((row.block, 1, row.entry))
            }
        }
        list(owners) { $0.owner($1) }
        list(runs) { (writer, run) in
            writer.count(run.first.subnet)
            writer.count(run.first.number)
            writer.count(run.count)
            writer.count(places[run.entry.owner] ?? 0)
            writer.number(run.entry.epoch)
            writer.number(run.entry.version)
            writer.bytes.append(run.entry.state.rawValue)
        }
    }
}

extension BlockReader {
    /// How many blocks the rows of one message cover at most: 16 subnets of 4 096.
    static let rowLimit = BlockAllocator.subnetLimit * BlockLayout.limit

    mutating func rows() throws(BlockWireFault) -> [BlockRing.Row] {
        let owners = try list(atMost: Self.rowLimit) { (item) throws(BlockWireFault) in try item.owner() }
        var rows: [BlockRing.Row] = []
        for _ in 0..<(try count(atMost: Self.rowLimit)) {
            let subnet = try count(atMost: BlockAllocator.subnetLimit - 1)
            let first = try count(atMost: BlockLayout.limit - 1)
            let length = try count(atMost: BlockLayout.limit - first)
            let owner = try count(atMost: Self.rowLimit)
            // Counting never comes near these: see `isPlausible`.
            let epoch = try count(atMost: Int(BlockEntry.epochLimit))
            let version = try count(atMost: Int(BlockEntry.versionLimit))
            guard owner < owners.count, length > 0, version > 0, let state = BlockState(rawValue: try byte()) else {
                throw .badValue
            }
            guard rows.count + length <= Self.rowLimit else { throw .tooLarge }
            let entry = BlockEntry(
                owner: owners[owner], epoch: UInt32(epoch), version: UInt64(version), state: state)
            for number in first..<first + length {
                rows.append(BlockRing.Row(block: BlockID(subnet: subnet, number: number), entry: entry))
            }
        }
        return rows
    }
}
