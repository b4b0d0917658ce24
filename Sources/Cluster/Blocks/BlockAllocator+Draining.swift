import NetworkTypes

extension BlockAllocator {
    // MARK: Draining

    mutating func setDraining(_ isOn: Bool) {
        guard isDraining != isOn else { return }
        isDraining = isOn
        hasReportedDrained = false
        lastDrainWait = 0
        asks = [:]
        mustPersist = true
        rangesDiffer = true
        for peer in alive { greet(peer, wantsReply: false) }
    }

    /// Gives away what is empty, and waits until another host has the same table.
    mutating func drain() {
        let lentCounts = lentCounts
        var waiting = 0
        for block in mine.sorted() {
            guard let entry = ring[block], !withdrawing.contains(block) else { continue }
            let isEmpty = usedCount(of: block) == 0 && lentCounts[block] == nil && !disputed.contains(block)
            switch entry.state {
            case .resting: waiting += 1
            case .owned where isEmpty: withdraw(block, .offer)
            case .offered where isEmpty:
                if let heir = heir(block.subnet) {
                    write(entry.next(owner: heir, state: .offered), at: block)
                    notice(.given([block], to: heir.host))
                }
            default: waiting += 1
            }
        }
        if leaving != nil { return endLeaving() }
        if waiting > 0, waiting != lastDrainWait { notice(.drainWaits(blocks: waiting)) }
        lastDrainWait = waiting
        guard mine.isEmpty, !hasReportedDrained else { return }
        let table = ring.digest()
        if partners.contains(where: { peers[$0]?.table == table }) {
            hasReportedDrained = true
            return notice(.drained)
        }
        guard now >= nextDrainHello else { return }
        nextDrainHello = now + settings.retryInterval
        for peer in partners { greet(peer, wantsReply: true) }
    }

    // MARK: Leaving

    mutating func leave(_ token: UInt64) {
        guard split != nil, leaving == nil else { return grant(token) }
        leaving = Leaving(token: token, deadline: now + settings.patience / 2)
        asks = [:]
        rangesDiffer = true
        for peer in alive { greet(peer, wantsReply: false) }
    }

    /// Answers when everything that can be given is, and all others know of it; or when the time for that is over.
    private mutating func endLeaving() {
        guard let state = leaving, let token = state.token else { return }
        let table = ring.digest()
        let isEmpty = !mine.contains { ring[$0]?.state == .offered } && withdrawals.isEmpty
        let isKnown = partners.allSatisfy { peers[$0]?.table == table }
        if partners.isEmpty || (isEmpty && isKnown) || now >= state.deadline {
            leaving?.token = nil
            // Whoever has the same table sees by this that nothing is left here.
            for peer in partners { greet(peer, wantsReply: false) }
            return grant(token)
        }
        guard now >= nextDrainHello else { return }
        nextDrainHello = now + settings.retryInterval / 5
        for peer in partners { greet(peer, wantsReply: true) }
    }

    /// The partner with the fewest blocks of a subnet.
    private func heir(_ subnet: Int) -> BlockOwner? {
        var counts: [HostID: Int] = [:]
        for number in ring.blocks(of: subnet) {
            if let entry = ring[BlockID(subnet: subnet, number: number)] { counts[entry.owner.host, default: 0] += 1 }
        }
        var best: (owner: BlockOwner, count: Int)?
        for peer in partners {
            guard let record = peers[peer], !record.isDraining, let owner = record.owner else { continue }
            let count = counts[peer] ?? 0
            if count < best?.count ?? .max { best = (owner, count) }
        }
        return best?.owner
    }
}
