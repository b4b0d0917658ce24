import NetworkTypes
internal import StateMachine

extension BlockAllocator {
    // MARK: What is in use

    mutating func setUsage(_ addresses: [IPAddress]) {
        var counts: [BlockID: Int] = [:]
        for address in addresses { if let block = block(of: address) { counts[block, default: 0] += 1 } }
        for block in mine where (counts[block] ?? 0) == 0 && usedCount(of: block) != 0 { emptySince[block] = now }
        used = counts
        usedAddresses = Set(addresses)
    }

    /// One subnet of ours at a glance.
    struct Holdings {
        /// Blocks that are handed out from.
        var owned: [BlockID] = []
        /// Those among them without an address in use or lent.
        var empty: [BlockID] = []
        /// How many addresses are free in them.
        var free = 0
        var isUsed = false
    }

    func holdings(_ subnet: Int, _ lentCounts: [BlockID: Int]) -> Holdings {
        var holdings = Holdings()
        for block in usableBlocks(of: subnet) {
            let usable = usableCount(of: block)
            guard usable > 0 else { continue }
            holdings.owned.append(block)
            let taken = (usedCount(of: block) ?? 0) + (lentCounts[block] ?? 0)
            if taken > 0 { holdings.isUsed = true }
            holdings.free += max(0, usable - taken)
            if usedCount(of: block) == 0, lentCounts[block] == nil { holdings.empty.append(block) }
        }
        return holdings
    }

    // MARK: Needs

    mutating func need(_ subnet: Int, _ token: UInt64, beside: Int) {
        guard layouts.indices.contains(subnet) else { return refuse(token, .unknownSubnet) }
        guard !isEmptying else { return refuse(token, .draining) }
        lastNeed[subnet] = now
        needs.append(
            PendingNeed(token: token, subnet: subnet, deadline: now + settings.patience, beside: max(0, beside)))
    }

    /// Refuses what waited too long.
    mutating func endNeeds() {
        guard !needs.isEmpty else { return }
        for need in needs where isEmptying || now >= need.deadline {
            refuse(need.token, obstacle(subnet: need.subnet))
        }
        let (isEmptying, now) = (isEmptying, now)
        needs.removeAll { isEmptying || now >= $0.deadline }
    }

    /// What a need for addresses of a subnet is refused with if it is not granted: for one who waits no longer.
    public func obstacle(subnet: Int) -> Refusal {
        if isEmptying { return .draining }
        return split == nil || awaitsClaim ? .undecided(waitingFor: unheard) : shortage(subnet)
    }

    /// Why there is no block to be had.
    func shortage(_ subnet: Int) -> Refusal {
        var silent = Set(asks[subnet]?.silent ?? [])
        if let ask = asks[subnet], !ask.tried.contains(ask.donor) { silent.insert(ask.donor) }
        for number in ring.blocks(of: subnet) {
            guard let entry = ring[BlockID(subnet: subnet, number: number)], entry.state == .offered else { continue }
            if entry.owner.host != host, !isPartner(entry.owner.host) { silent.insert(entry.owner.host) }
        }
        return silent.isEmpty ? .exhausted : .noAnswer(silent.sorted())
    }

    // MARK: Growing and shrinking

    /// Takes a block into use when the others are full, keeps one more at hand where addresses are wanted, and offers
    /// those that have become empty.
    ///
    /// The block at hand is offered, not handed out: delegates choose addresses as they like, and one that likes the
    /// newest block would otherwise begin a new one with every address.
    mutating func grow() {
        let lentCounts = lentCounts
        for subnet in layouts.indices {
            var holdings = holdings(subnet, lentCounts)
            let isActive = isActive(subnet, holdings)
            meetNeeds(subnet, holdings)
            while needs.contains(where: { $0.subnet == subnet }) || (holdings.free == 0 && holdings.isUsed),
                let block = reclaimable(subnet, lentCounts)
            {
                write(.owned, at: block)
                holdings = self.holdings(subnet, lentCounts)
                meetNeeds(subnet, holdings)
            }
            if needs.contains(where: { $0.subnet == subnet }) {
                ask(subnet, isUrgent: true)
                continue
            }
            if isActive, holdings.empty.isEmpty, reclaimable(subnet, lentCounts) == nil {
                ask(subnet, isUrgent: false)
            } else {
                asks[subnet] = nil
            }
            let surplus = holdings.empty.count - (isActive ? settings.highWater : 0)
            let rested = holdings.empty.filter { isRested($0) }
            for block in rested.suffix(max(0, surplus)) { withdraw(block, .offer) }
        }
    }

    /// Grants the needs for which there is an address however many others take theirs first.
    private mutating func meetNeeds(_ subnet: Int, _ holdings: Holdings) {
        for need in needs where need.subnet == subnet && holdings.free > need.beside { grant(need.token) }
        needs.removeAll { $0.subnet == subnet && holdings.free > $0.beside }
    }

    private func isActive(_ subnet: Int, _ holdings: Holdings) -> Bool {
        holdings.isUsed || (lastNeed[subnet].map { now < $0 + settings.idle } ?? false)
    }

    /// Whether a block has been empty for so long that its old addresses are forgotten elsewhere.
    private mutating func isRested(_ block: BlockID) -> Bool {
        guard let since = emptySince[block] else {
            emptySince[block] = now
            return false
        }
        return now >= since + settings.rest
    }

    /// One of our own offered blocks: the first that is quite empty, else the one with the most free addresses.
    private func reclaimable(_ subnet: Int, _ lentCounts: [BlockID: Int]) -> BlockID? {
        let offered = mine.filter { $0.subnet == subnet && ring[$0]?.state == .offered && !disputed.contains($0) }
        var best: (block: BlockID, free: Int)?
        for block in offered.sorted() {
            let taken = (lentCounts[block] ?? 0) + (usedCount(of: block) ?? 0)
            let free = usableCount(of: block) - taken
            if free > 0, taken == 0 { return block }
            if free > best?.free ?? 0 { best = (block, free) }
        }
        return best?.block
    }

    // MARK: Withdrawing

    /// Takes a block or an address out of the ranges and asks the shell whether it is in use.
    mutating func withdraw(_ block: BlockID, address: IPAddress? = nil, _ purpose: Withdrawal.Purpose) {
        guard mine.contains(block), address != nil || !withdrawing.contains(block) else { return }
        let token = token()
        withdrawals[token] = Withdrawal(block: block, address: address, purpose: purpose)
        if address == nil { withdrawing.insert(block) }
        rangesDiffer = true
        let span =
            address.map(AddressSpan.init) ?? layouts[block.subnet].span(of: block.number...block.number)
        orders.append(.withdraw(span, token: token))
    }

    /// What was withdrawn is handed out again.
    mutating func cancel(_ token: UInt64) {
        guard let item = withdrawals.removeValue(forKey: token) else { return }
        if item.address == nil { withdrawing.remove(item.block) }
        rangesDiffer = true
    }

    /// The shell looked.
    mutating func finish(_ token: UInt64, isFree: Bool) {
        guard let item = withdrawals[token] else { return }
        cancel(token)
        guard mine.contains(item.block) else { return }
        if !isFree, item.address == nil, usedCount(of: item.block) == 0 { used?[item.block] = 1 }
        switch item.purpose {
        case .offer:
            if isFree { write(.offered, at: item.block) }
        case .give(let asker, let token):
            if isFree, peers[asker.host]?.member.life == asker.life {
                give(item.block, to: asker, token: token)
            } else {
                send(.deny(token: token, .none), to: asker.host)
            }
        case .lend(let loan, let borrower, let isAny):
            finishLoan(loan, borrower, isAny: isAny, block: item.block, isFree: isFree)
        }
    }

    // MARK: Resting

    /// Blocks that were taken over or won back may be used when nobody can hold an older word any more.
    mutating func endRest() {
        let lentCounts = lentCounts
        for block in mine.sorted() where ring[block]?.state == .resting {
            guard let time = restUntil[block] else {
                restUntil[block] = now + settings.rest
                continue
            }
            guard now >= time, let count = usedCount(of: block) else { continue }
            write(count == 0 && lentCounts[block] == nil ? .offered : .owned, at: block)
        }
    }
}
