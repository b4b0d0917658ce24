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
    private struct Holdings {
        /// Blocks that are handed out from.
        var owned: [BlockID] = []
        /// Those among them without an address in use or lent.
        var empty: [BlockID] = []
        /// How many addresses are free in them.
        var free = 0
        var isUsed = false
    }

    private func holdings(_ subnet: Int, _ lentCounts: [BlockID: Int]) -> Holdings {
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

    mutating func need(_ subnet: Int, _ token: UInt64) {
        guard layouts.indices.contains(subnet) else { return refuse(token, .unknownSubnet) }
        guard !isDraining else { return refuse(token, .draining) }
        lastNeed[subnet] = now
        needs.append(PendingNeed(token: token, subnet: subnet, deadline: now + settings.patience))
    }

    /// Refuses what waited too long.
    mutating func endNeeds() {
        guard !needs.isEmpty else { return }
        for need in needs where isDraining || now >= need.deadline {
            refuse(need.token, obstacle(subnet: need.subnet))
        }
        needs.removeAll { isDraining || now >= $0.deadline }
    }

    /// What a need for addresses of a subnet is refused with if it is not granted: for one who waits no longer.
    public func obstacle(subnet: Int) -> Refusal {
        if isDraining { return .draining }
        return split == nil ? .undecided(waitingFor: unheard) : shortage(subnet)
    }

    /// Why there is no block to be had.
    private func shortage(_ subnet: Int) -> Refusal {
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
            let isNeeded = needs.contains { $0.subnet == subnet }
            if holdings.free == 0, isNeeded || holdings.isUsed, let block = reclaimable(subnet, lentCounts) {
                write(.owned, at: block)
                holdings = self.holdings(subnet, lentCounts)
            }
            if holdings.free > 0 {
                for need in needs where need.subnet == subnet { grant(need.token) }
                needs.removeAll { $0.subnet == subnet }
            } else if isNeeded {
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

    // MARK: Asking

    private mutating func ask(_ subnet: Int, isUrgent: Bool) {
        guard var ask = asks[subnet] else {
            guard isUrgent || now >= askAfter[subnet] ?? 0 else { return }
            guard let donor = donor(subnet, isUrgent: isUrgent, without: []) else {
                return giveUp(subnet, isUrgent: isUrgent)
            }
            let ask = Ask(token: random.next(), isUrgent: isUrgent, donor: donor, startedAt: now, sentAt: now)
            asks[subnet] = ask
            return send(.ask(token: ask.token, subnet: subnet, isUrgent: isUrgent), to: donor)
        }
        if isUrgent, !ask.isUrgent {
            // Those that had nothing to spare may have something now.
            ask.isUrgent = true
            ask.tried = []
            ask.tries = 0
            ask.startedAt = now
        } else {
            let isThere = isPartner(ask.donor)
            guard now >= ask.sentAt + settings.retryInterval || !isThere else { return }
            if !isThere || ask.tries >= 4 || now >= ask.startedAt + settings.patience {
                ask.silent.append(ask.donor)
                asks[subnet] = ask
                return askNext(subnet)
            }
        }
        ask.tries += 1
        ask.sentAt = now
        asks[subnet] = ask
        send(.ask(token: ask.token, subnet: subnet, isUrgent: ask.isUrgent), to: ask.donor)
    }

    /// The donor had nothing or did not answer: the next one is asked.
    private mutating func askNext(_ subnet: Int) {
        guard var ask = asks[subnet] else { return }
        ask.tried.insert(ask.donor)
        asks[subnet] = ask
        guard let donor = donor(subnet, isUrgent: ask.isUrgent, without: ask.tried) else {
            return giveUp(subnet, isUrgent: ask.isUrgent)
        }
        ask.donor = donor
        ask.token = random.next()
        ask.tries = 1
        ask.startedAt = now
        ask.sentAt = now
        asks[subnet] = ask
        send(.ask(token: ask.token, subnet: subnet, isUrgent: ask.isUrgent), to: donor)
    }

    private mutating func giveUp(_ subnet: Int, isUrgent: Bool) {
        if isUrgent {
            let refusal = shortage(subnet)
            for need in needs where need.subnet == subnet { refuse(need.token, refusal) }
            needs.removeAll { $0.subnet == subnet }
        }
        asks[subnet] = nil
        askAfter[subnet] = now + 4 * settings.patience + random.part(of: settings.patience)
    }

    /// Who is there and has the most empty blocks; when it is urgent also who may have one it keeps.
    private func donor(_ subnet: Int, isUrgent: Bool, without tried: Set<HostID>) -> HostID? {
        var counts: [HostID: (offered: Int, owned: Int)] = [:]
        for number in ring.blocks(of: subnet) {
            let block = BlockID(subnet: subnet, number: number)
            guard let entry = ring[block], entry.state != .resting, entry.owner.host != host, usableCount(of: block) > 0
            else { continue }
            var count = counts[entry.owner.host] ?? (0, 0)
            if entry.state == .offered { count.offered += 1 } else { count.owned += 1 }
            counts[entry.owner.host] = count
        }
        var best: (peer: HostID, offered: Int, owned: Int)?
        for peer in partners where !tried.contains(peer) {
            guard let count = counts[peer], isUrgent || count.offered > 0 else { continue }
            if let held = best, (held.offered, held.owned) >= (count.offered, count.owned) { continue }
            best = (peer, count.offered, count.owned)
        }
        return best?.peer
    }

    mutating func hear(_ denial: BlockMessage.Denial, _ token: UInt64, from peer: HostID) {
        guard let (subnet, ask) = asks.first(where: { $0.value.token == token && $0.value.donor == peer }) else {
            return
        }
        switch denial {
        case .none: askNext(subnet)
        case .wait: asks[subnet]?.tries = min(ask.tries, 1)
        }
    }

    // MARK: Giving

    mutating func answerAsk(_ peer: HostID, _ token: UInt64, _ subnet: Int, isUrgent: Bool) {
        guard layouts.indices.contains(subnet), let asker = peers[peer]?.owner else { return }
        if let gift = gifts[peer], gift.token == token, let entry = ring[gift.block] {
            // The answer was lost, or the question came twice.
            let row = BlockRing.Row(block: gift.block, entry: entry)
            return send(.rows(.init(chunk: nil, wantsNewer: false, rows: [row])), to: peer)
        }
        let isUnderWay = withdrawals.values.contains { item in
            if case .give(asker, let other) = item.purpose { other == token } else { false }
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
        guard spare > 1 || mayGiveLast else { return send(.deny(token: token, .none), to: peer) }
        if let block = offered.max() { return give(block, to: asker, token: token) }
        guard let block = holdings.empty.last else { return send(.deny(token: token, .none), to: peer) }
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

    private mutating func give(_ block: BlockID, to owner: BlockOwner, token: UInt64) {
        guard mine.contains(block), let entry = ring[block] else { return }
        gifts[owner.host] = Gift(token: token, block: block)
        write(entry.next(owner: owner, state: .offered), at: block)
        notice(.given([block], to: owner.host))
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
        case .lend(let loan, let borrower): finishLoan(loan, borrower, isFree: isFree)
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
