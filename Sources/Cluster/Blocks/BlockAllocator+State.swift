import NetworkTypes

extension BlockAllocator {
    /// Another host, as this one knows it.
    struct Peer: Sendable {
        var member: BlockMemory.Member
        var standing: Standing
        /// Whether it said hello since it was last seen alive.
        var hasGreeted = false
        /// Whether its rows are known here as they were when it said hello.
        var isSynced = false
        var awaited: Set<ChunkID> = []
        var isDraining = false
        /// It is giving away what it has, and has nothing left.
        var hasGivenAll = false
        var hasLostMemory = false
        /// It has other subnets.
        var hasOtherSubnets = false
        /// The first split it goes by; 0 when it knows none.
        var universe: UInt64 = 0
        /// The digest of its table, as it last said.
        var table: UInt64?
        var voters: UInt64 = 0
        /// The first split it told when this host had none.
        var proposed: BlockUniverse?
        /// The foreign split that was reported.
        var reported: UInt64 = 0

        init(_ member: BlockMemory.Member) {
            self.member = member
            standing = member.hasLeft ? .left : .failed
        }

        var owner: BlockOwner? { member.life.map { BlockOwner(host: member.host, life: $0) } }
    }

    struct PendingNeed: Sendable {
        var token: UInt64
        var subnet: Int
        var deadline: UInt64
        /// How many others may take a free address first.
        var beside: Int
    }

    /// What the host does before it leaves.
    struct Leaving: Sendable {
        /// Who waits for it; nil when that was answered.
        var token: UInt64?
        var deadline: UInt64
    }

    struct PendingBorrow: Sendable {
        var token: UInt64
        var loan: BlockMessage.Loan
        var deadline: UInt64
        var sentAt: UInt64?
    }

    /// The search for an empty block in one subnet.
    struct Ask: Sendable {
        var token: UInt64
        var isUrgent: Bool
        /// Nobody has a block: one address will do.
        var takesAddress = false
        var donor: HostID
        var startedAt: UInt64
        var sentAt: UInt64
        var tries = 1
        var tried: Set<HostID> = []
        var silent: [HostID] = []
    }

    /// What was last given to a host that asked, to say the same again.
    struct Gift: Sendable {
        var token: UInt64
        var block: BlockID
    }

    /// Addresses that are not in the ranges any more while the shell makes sure that none of them is in use.
    struct Withdrawal: Sendable {
        enum Purpose: Sendable {
            case offer
            case give(BlockOwner, token: UInt64)
            /// With `isAny` another address will do as well.
            case lend(BlockMessage.Loan, BlockOwner, isAny: Bool)
        }

        var block: BlockID
        var address: IPAddress?
        var purpose: Purpose
    }

    var me: BlockOwner { BlockOwner(host: host, life: life) }

    /// The hosts that are there, in a fixed order.
    var alive: [HostID] { peers.filter { $0.value.standing == .alive }.keys.sorted() }

    /// Those among them with the same subnets and first split.
    var partners: [HostID] { alive.filter(isPartner) }

    func isPartner(_ peer: HostID) -> Bool {
        guard let record = peers[peer], record.standing == .alive, universeDigest != 0 else { return false }
        return !record.hasOtherSubnets && record.universe == universeDigest
    }

    mutating func token() -> UInt64 {
        nextToken &+= 1
        return nextToken
    }

    mutating func notice(_ notice: Notice) { notices.append(.notice(notice)) }

    mutating func grant(_ token: UInt64, lent: IPAddress? = nil) {
        results.append(.granted(token: token, lent: lent))
    }

    /// Whether this host gives away what it has.
    var isEmptying: Bool { isDraining || leaving != nil }

    mutating func refuse(_ token: UInt64, _ refusal: Refusal) {
        results.append(.refused(token: token, refusal))
    }

    mutating func send(_ body: BlockMessage.Body, to peer: HostID) {
        let message = BlockMessage(life: life, layouts: layoutDigest, universe: universeDigest, body: body)
        outbox.append(.send(to: peer, message.encoded()))
    }

    /// Puts a row into the table and keeps the indices.
    mutating func store(_ entry: BlockEntry, at block: BlockID) {
        guard ring.holds(block) else { return }
        ring[block] = entry
        let isMine = entry.owner == me
        let wasMine = mine.contains(block)
        if isMine { mine.insert(block) } else { mine.remove(block) }
        if !isMine, entry.owner.host == host { stale.insert(block) } else { stale.remove(block) }
        if entry.state != .resting || !isMine { restUntil[block] = nil }
        if isMine || wasMine {
            mustPersist = true
            rangesDiffer = true
        }
        shouldPersist = true
    }

    /// Writes the owner's next word, or a new epoch's, and tells everybody.
    mutating func write(_ entry: BlockEntry, at block: BlockID) {
        store(entry, at: block)
        mustPersist = true
        pushed.insert(block)
    }

    /// Moves a block of ours to another state.
    mutating func write(_ state: BlockState, at block: BlockID) {
        guard mine.contains(block), let entry = ring[block], entry.state != state else { return }
        write(entry.next(state: state), at: block)
        if state == .owned { emptySince[block] = now }
    }

    /// Sends the rows that were written to all partners.
    mutating func pushRows() {
        guard !pushed.isEmpty else { return }
        let rows = pushed.sorted().compactMap { block in
            ring[block].map { BlockRing.Row(block: block, entry: $0) }
        }
        pushed = []
        for part in Self.parts(of: rows) {
            for peer in partners { send(.rows(.init(chunk: nil, wantsNewer: false, rows: part)), to: peer) }
        }
    }

    /// Cuts rows so that each part fits into a message: 1 024 runs take at most 43 KiB.
    static func parts(of rows: [BlockRing.Row]) -> [[BlockRing.Row]] {
        var parts: [[BlockRing.Row]] = []
        var part: [BlockRing.Row] = []
        var runs = 0
        for row in rows {
            let isRun =
                part.last.map {
                    $0.entry == row.entry && $0.block.subnet == row.block.subnet
                        && $0.block.number + 1 == row.block.number
                } ?? false
            if !isRun { runs += 1 }
            if runs > 1024 {
                parts.append(part)
                part = []
                runs = 1
            }
            part.append(row)
        }
        if !part.isEmpty { parts.append(part) }
        return parts
    }

    func block(of address: IPAddress) -> BlockID? {
        for subnet in layouts.indices {
            if let number = layouts[subnet].block(of: address) { return BlockID(subnet: subnet, number: number) }
        }
        return nil
    }

    /// How many addresses of each block are lent, or about to be.
    var lentCounts: [BlockID: Int] {
        var counts: [BlockID: Int] = [:]
        for address in lent.keys { if let block = block(of: address) { counts[block, default: 0] += 1 } }
        for item in withdrawals.values where item.address != nil { counts[item.block, default: 0] += 1 }
        return counts
    }

    /// How many addresses are in use; nil while the shell has not told.
    func usedCount(of block: BlockID) -> Int? { used.map { $0[block] ?? 0 } }

    func usableCount(of block: BlockID) -> Int { layouts[block.subnet].usableCount(of: block.number) }
}
