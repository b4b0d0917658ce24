public import NetworkTypes

extension BlockAllocator {
    /// Whether the first split is known; until then every need is refused.
    public var isDecided: Bool { split != nil }

    /// A digest of the first split; nil before it is known.
    public var universe: UInt64? { universeDigest == 0 ? nil : universeDigest }

    /// What may be handed out here now, one entry for each subnet. An ADD reads it after its need was granted.
    public var ranges: [SubnetRanges] {
        let addresses = Set(lent.keys).union(withdrawals.values.compactMap(\.address))
        return layouts.indices.map { subnet in
            let layout = layouts[subnet]
            let held = Set(addresses.filter { layout.block(of: $0) != nil }.map(\.number))
            let numbers = usableBlocks(of: subnet).map(\.number)
            var runs: [ClosedRange<Int>] = []
            for number in numbers {
                if let last = runs.last, last.upperBound + 1 == number {
                    runs[runs.count - 1] = last.lowerBound...number
                } else {
                    runs.append(number...number)
                }
            }
            let excluded = held.union(layout.reserved).map { IPAddress(family: layout.subnet.family, number: $0) }
            return SubnetRanges(
                subnet: layout.subnet, gateway: layout.gateway,
                spans: runs.flatMap { layout.usable(of: $0, without: held) },
                excluded: excluded.filter { layout.block(of: $0).map(numbers.contains) ?? false }.sorted())
        }
    }

    /// The blocks whose addresses are handed out here, in order.
    func usableBlocks(of subnet: Int) -> [BlockID] {
        guard !isEmptying else { return [] }
        return mine.filter { block in
            block.subnet == subnet && ring[block]?.state == .owned && !withdrawing.contains(block)
                && !disputed.contains(block)
        }.sorted()
    }

    /// The host that an address belongs to, ourselves included; nil when nobody is known.
    public func owner(of address: IPAddress) -> HostID? { block(of: address).flatMap { ring[$0]?.owner.host } }

    /// Addresses of other hosts' blocks that were lent to this one.
    public var borrowed: [IPAddress] { loans.keys.sorted() }

    /// The whole table.
    public var rows: [Row] {
        var lentOf: [BlockID: [IPAddress: HostID]] = [:]
        for (address, item) in lent {
            if let block = block(of: address) { lentOf[block, default: [:]][address] = item.borrower.host }
        }
        return ring.blocks.map { block in
            let isMine = mine.contains(block)
            return Row(
                block: block, span: layouts[block.subnet].span(of: block.number...block.number), entry: ring[block],
                used: isMine ? usedCount(of: block) : nil, lent: lentOf[block] ?? [:],
                isDisputed: disputed.contains(block))
        }
    }

    /// What tells networks of one name with different subnets apart; ``layoutDigest`` of an allocator for them.
    public static func layoutDigest(of subnets: [BlockLayout]) -> UInt64 { BlockUniverse.digest(of: subnets) }

    /// The same of what an allocator persisted; nil when it cannot be read.
    public static func layoutDigest(ofMemory bytes: [UInt8]) -> UInt64? {
        do throws(BlockWireFault) { return try BlockMemory(bytes).layouts } catch { return nil }
    }

    /// The other hosts that are known of the network, by the names people know them by; those that membership forgot
    /// are among them.
    public var hosts: [(host: HostID, name: String?)] {
        peers.sorted { $0.key < $1.key }.map { ($0.key, $0.value.member.publicName) }
    }

    /// A digest of all rows; equal on two hosts when their tables are.
    public var digest: UInt64 {
        var copy = ring
        return copy.digest()
    }

    /// What an earlier life of this host owned and was not won back yet.
    public var unrecovered: [BlockID] { stale.sorted() }
}
