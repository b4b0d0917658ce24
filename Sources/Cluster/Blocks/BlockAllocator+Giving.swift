import NetworkTypes

extension BlockAllocator {
    // MARK: Giving

    mutating func answerAsk(_ peer: HostID, _ token: UInt64, _ subnet: Int, isUrgent: Bool, takesAddress: Bool) {
        guard layouts.indices.contains(subnet), let asker = peers[peer]?.owner else { return }
        if let gift = gifts[peer], gift.token == token, let entry = ring[gift.block] {
            // The answer was lost, or the question came twice.
            let row = BlockRing.Row(block: gift.block, entry: entry)
            return send(.rows(.init(chunk: nil, wantsNewer: false, rows: [row])), to: peer)
        }
        let isUnderWay = withdrawals.values.contains { item in
            switch item.purpose {
            case .give(asker, token: token): true
            case .lend(let loan, asker, isAny: true): loan.number == token
            default: false
            }
        }
        if isUnderWay { return send(.deny(token: token, .wait), to: peer) }
        let lentCounts = lentCounts
        let offered = mine.filter {
            $0.subnet == subnet && isGivable($0) && lentCounts[$0] == nil && usableCount(of: $0) > 0
        }
        let holdings = holdings(subnet, lentCounts)
        // The last one is given only to who has no address left, and if we have some or want none.
        let spare = offered.count + holdings.empty.count
        let isIdle = !holdings.isUsed && (lastNeed[subnet].map { now >= $0 + 2 * settings.patience } ?? true)
        let mayGiveLast = isIdle || (isUrgent && (!offered.isEmpty || hasMore(holdings)))
        guard spare > 1 || mayGiveLast else {
            guard takesAddress else { return send(.deny(token: token, .none), to: peer) }
            return lendAny(subnet, number: token, to: asker)
        }
        if let block = offered.max() { return give(block, to: asker, token: token) }
        guard let block = holdings.empty.last else {
            return takesAddress
                ? lendAny(subnet, number: token, to: asker) : send(.deny(token: token, .none), to: peer)
        }
        withdraw(block, .give(asker, token: token))
        send(.deny(token: token, .wait), to: peer)
    }

    /// Whether there are free addresses besides the last empty block.
    private func hasMore(_ holdings: Holdings) -> Bool {
        holdings.empty.last.map { holdings.free > usableCount(of: $0) } ?? false
    }

    /// Whether a block of ours is offered and really empty.
    private func isGivable(_ block: BlockID) -> Bool {
        ring[block]?.state == .offered && !disputed.contains(block) && (usedCount(of: block) ?? 0) == 0
    }

    mutating func give(_ block: BlockID, to owner: BlockOwner, token: UInt64) {
        guard mine.contains(block), let entry = ring[block] else { return }
        gifts[owner.host] = Gift(token: token, block: block)
        write(entry.next(owner: owner, state: .offered), at: block)
        notice(.given([block], to: owner.host))
    }
}
