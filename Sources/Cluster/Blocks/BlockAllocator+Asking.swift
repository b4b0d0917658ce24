import NetworkTypes
internal import StateMachine

extension BlockAllocator {
    // MARK: Asking

    mutating func ask(_ subnet: Int, isUrgent: Bool) {
        guard var ask = asks[subnet] else {
            guard isUrgent || now >= askAfter[subnet] ?? 0 else { return }
            if isUrgent, now < blocksGoneUntil[subnet] ?? 0 { return askForAddress(subnet) }
            guard let donor = donor(subnet, isUrgent: isUrgent, without: []) else {
                return isUrgent ? askForAddress(subnet) : giveUp(subnet, isUrgent: false)
            }
            let ask = Ask(token: random.next(), isUrgent: isUrgent, donor: donor, startedAt: now, sentAt: now)
            asks[subnet] = ask
            return sendAsk(subnet)
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
        sendAsk(subnet)
    }

    private mutating func sendAsk(_ subnet: Int) {
        guard let ask = asks[subnet] else { return }
        send(
            .ask(token: ask.token, subnet: subnet, isUrgent: ask.isUrgent, takesAddress: ask.takesAddress),
            to: ask.donor)
    }

    /// The donor had nothing or did not answer: the next one is asked.
    private mutating func askNext(_ subnet: Int) {
        guard var ask = asks[subnet] else { return }
        ask.tried.insert(ask.donor)
        asks[subnet] = ask
        let next =
            ask.takesAddress
            ? lender(subnet, without: ask.tried) : donor(subnet, isUrgent: ask.isUrgent, without: ask.tried)
        guard let next else {
            guard ask.isUrgent, !ask.takesAddress else { return giveUp(subnet, isUrgent: ask.isUrgent) }
            return askForAddress(subnet, silent: ask.silent)
        }
        ask.donor = next
        ask.token = ask.takesAddress ? loanNumber() : random.next()
        ask.tries = 1
        ask.startedAt = now
        ask.sentAt = now
        asks[subnet] = ask
        sendAsk(subnet)
    }

    /// Nobody has a block to spare: whoever has a free address is asked to lend it.
    private mutating func askForAddress(_ subnet: Int, silent: [HostID] = []) {
        blocksGoneUntil[subnet] = now + 4 * settings.retryInterval
        guard let donor = lender(subnet, without: []) else { return giveUp(subnet, isUrgent: true) }
        asks[subnet] = Ask(
            token: loanNumber(), isUrgent: true, takesAddress: true, donor: donor, startedAt: now, sentAt: now,
            silent: silent)
        sendAsk(subnet)
    }

    private mutating func giveUp(_ subnet: Int, isUrgent: Bool) {
        if awaitsClaim {
            // The share may come any moment.
            asks[subnet] = nil
            return
        }
        if isUrgent {
            // Those that were granted before may have what they need from elsewhere, or be gone.
            let isWorthTrying = holdings(subnet, lentCounts).free > 0
            let refusal = shortage(subnet)
            for need in needs where need.subnet == subnet {
                if isWorthTrying { grant(need.token) } else { refuse(need.token, refusal) }
            }
            needs.removeAll { $0.subnet == subnet }
        }
        asks[subnet] = nil
        askAfter[subnet] = now + 4 * settings.patience + random.part(of: settings.patience)
    }

    /// Who may lend an address: the last one that did, or any that owns a block.
    private mutating func lender(_ subnet: Int, without tried: Set<HostID>) -> HostID? {
        var owners: Set<HostID> = []
        for number in ring.blocks(of: subnet) {
            let block = BlockID(subnet: subnet, number: number)
            guard let entry = ring[block], entry.state != .resting, usableCount(of: block) > 0 else { continue }
            owners.insert(entry.owner.host)
        }
        let able = partners.filter { owners.contains($0) && !tried.contains($0) && peers[$0]?.isDraining != true }
        if let last = lenders[subnet], able.contains(last) { return last }
        return able.isEmpty ? nil : able[Int(random.part(of: UInt64(able.count)))]
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
        if denial == .none, lenders[subnet] == peer { lenders[subnet] = nil }
        switch denial {
        case .none: askNext(subnet)
        case .wait: asks[subnet]?.tries = min(ask.tries, 1)
        }
    }
}
