import NetworkTypes
internal import StateMachine

extension BlockAllocator {
    typealias Loan = BlockMessage.Loan

    // MARK: Borrowing

    mutating func borrow(_ address: IPAddress, _ token: UInt64) {
        guard let block = block(of: address) else {
            let isInside = layouts.contains { $0.subnet.contains(address) }
            return refuse(token, isInside ? .notUsable : .unknownSubnet)
        }
        guard layouts[block.subnet].isUsable(address) else { return refuse(token, .notUsable) }
        // One loan, one user: else the first to return it would end it for the second.
        guard loans[address] == nil, !borrows.contains(where: { $0.loan.address == address }) else {
            return refuse(token, .inUse)
        }
        let loan = Loan(address: address, number: loanNumber())
        borrows.append(PendingBorrow(token: token, loan: loan, deadline: now + settings.patience))
    }

    mutating func loanNumber() -> UInt64 {
        nextLoan &+= 1
        return nextLoan
    }

    /// Who asked has gone: else the next to ask would find the address taken by nobody.
    mutating func giveUp(_ token: UInt64) { borrows.removeAll { $0.token == token } }

    /// Ends what can be ended, and asks owners.
    mutating func endBorrows() {
        guard !borrows.isEmpty else { return }
        var waiting: [PendingBorrow] = []
        for var item in borrows {
            switch outcome(of: item) {
            case .granted: grant(item.token)
            case .refused(let refusal): refuse(item.token, refusal)
            case .waits(let owner):
                if now >= item.deadline {
                    refuse(
                        item.token, owner.map { .noAnswer([$0]) } ?? (split == nil ? undecided : .inUse))
                    continue
                }
                if let owner, item.sentAt.map({ now >= $0 + settings.retryInterval }) ?? true {
                    item.sentAt = now
                    send(.borrow(item.loan), to: owner)
                }
                waiting.append(item)
            }
        }
        borrows = waiting
    }

    private enum Outcome {
        case granted
        case refused(Refusal)
        case waits(HostID?)
    }

    private var undecided: Refusal { .undecided(waitingFor: unheard) }

    private mutating func outcome(of item: PendingBorrow) -> Outcome {
        let address = item.loan.address
        guard let block = block(of: address) else { return .refused(.notUsable) }
        if isEmptying { return .refused(.draining) }
        guard split != nil else { return .waits(nil) }
        guard let entry = ring[block] else { return .refused(.unowned) }
        if mine.contains(block) {
            if entry.state == .resting { return .refused(.resting) }
            if let lent = lent[address] { return .refused(.lent(to: lent.borrower.host)) }
            if disputed.contains(block) { return .refused(.inUse) }
            // The block or the address is just going away: what comes of it decides.
            if withdrawals.values.contains(where: { $0.block == block && ($0.address ?? address) == address }) {
                return .waits(nil)
            }
            write(.owned, at: block)
            return .granted
        }
        if entry.owner.host == host { return .refused(.resting) }
        return isPartner(entry.owner.host) ? .waits(entry.owner.host) : .refused(.ownerAway(entry.owner.host))
    }

    mutating func hearLend(_ loan: Loan, from peer: HostID) {
        if let place = borrows.firstIndex(where: { $0.loan == loan }) {
            hold(loan)
            grant(borrows.remove(at: place).token)
        } else if let subnet = block(of: loan.address)?.subnet, let ask = asks[subnet], ask.takesAddress,
            ask.token == loan.number, ask.donor == peer, loans[loan.address] == nil,
            let place = needs.firstIndex(where: { $0.subnet == subnet })
        {
            hold(loan)
            asks[subnet] = nil
            lenders[subnet] = peer
            grant(needs.remove(at: place).token, lent: loan.address)
        } else if loans[loan.address] != nil {
            hold(loan)
        } else {
            // It was given up in the meantime. The same answer may come again, when the owner has lent it to another.
            if let subnet = block(of: loan.address)?.subnet, asks[subnet]?.token == loan.number { asks[subnet] = nil }
            send(.giveBack([loan]), to: peer)
        }
    }

    /// Notes a loan under its highest number: what is given back is that and everything before.
    private mutating func hold(_ loan: Loan) {
        guard loans[loan.address].map({ $0.number < loan.number }) ?? true else { return }
        loans[loan.address] = loan
        mustPersist = true
    }

    mutating func hearKeep(_ loan: Loan, _ keeping: BlockMessage.Keeping, from peer: HostID) {
        if loans[loan.address] == loan {
            guard keeping == .inUse || keeping == .lent else { return }
            if voidLoans.insert(loan.number).inserted { notice(.loanVoid(loan.address, owner: peer)) }
            return
        }
        guard let place = borrows.firstIndex(where: { $0.loan == loan }) else { return }
        let refusal: Refusal
        switch keeping {
        case .inUse: refusal = .inUse
        case .lent: refusal = .lent(to: peer)
        case .resting: refusal = .resting
        case .notUsable: refusal = .notUsable
        // Our table is behind; it will be told soon.
        case .notMine: return
        }
        let item = borrows.remove(at: place)
        refuse(item.token, refusal)
    }

    mutating func returnLoan(_ address: IPAddress) {
        guard let loan = loans.removeValue(forKey: address) else { return }
        mustPersist = true
        // If this is lost, the owner tells what it lent when the two meet.
        if let owner = owner(of: address), owner != host { send(.giveBack([loan]), to: owner) }
    }

    // MARK: Lending

    /// Answers a host that wants an address of ours, or that says it has it.
    mutating func lend(_ loan: Loan, to peer: HostID) {
        guard let borrower = peers[peer]?.owner else { return }
        guard let block = block(of: loan.address), mine.contains(block), let entry = ring[block] else {
            return send(.keep(loan, .notMine), to: peer)
        }
        guard layouts[block.subnet].isUsable(loan.address) else { return send(.keep(loan, .notUsable), to: peer) }
        if let held = lent[loan.address] {
            guard held.borrower == borrower else { return send(.keep(loan, .lent), to: peer) }
            return recordLoan(loan, borrower)
        }
        if entry.state == .resting { return send(.keep(loan, .resting), to: peer) }
        if disputed.contains(block) || usedAddresses.contains(loan.address) {
            return send(.keep(loan, .inUse), to: peer)
        }
        for (token, item) in withdrawals where item.block == block {
            guard let address = item.address else { return }
            guard address == loan.address, case .lend(let known, let other, _) = item.purpose else { continue }
            guard other == borrower else { return send(.keep(loan, .lent), to: peer) }
            guard known.number < loan.number else { return }
            withdrawals[token]?.purpose = .lend(loan, borrower, isAny: false)
            return
        }
        // Nothing of an offered block is handed out, so nobody needs to look.
        if entry.state == .offered { return recordLoan(loan, borrower) }
        withdraw(block, address: loan.address, .lend(loan, borrower, isAny: false))
    }

    /// Lends whichever address of ours is free, to a host that finds no block.
    mutating func lendAny(_ subnet: Int, number: UInt64, to borrower: BlockOwner) {
        if let held = lent.values.first(where: { $0.borrower == borrower && $0.loan.number == number }) {
            // The answer was lost.
            return send(.lend(held.loan), to: borrower.host)
        }
        guard !isEmptying, let (address, block) = freeAddress(subnet) else {
            return send(.deny(token: number, .none), to: borrower.host)
        }
        let loan = Loan(address: address, number: number)
        if ring[block]?.state == .offered { return recordLoan(loan, borrower) }
        withdraw(block, address: address, .lend(loan, borrower, isAny: true))
        send(.deny(token: number, .wait), to: borrower.host)
    }

    /// An address of ours that nobody has, as far as known: the last of the fullest block, so that empty ones stay whole and
    /// the delegate, which begins at the front, comes to it last.
    private func freeAddress(_ subnet: Int) -> (IPAddress, BlockID)? {
        let lentCounts = lentCounts
        let leaving = Set(withdrawals.values.compactMap(\.address))
        var best: (block: BlockID, free: Int)?
        for block in mine.sorted() where block.subnet == subnet && ring[block]?.state != .resting {
            guard !disputed.contains(block), !withdrawing.contains(block), let used = usedCount(of: block) else {
                continue
            }
            let free = usableCount(of: block) - used - (lentCounts[block] ?? 0)
            if free > 0, free < best?.free ?? .max { best = (block, free) }
        }
        guard let block = best?.block else { return nil }
        let layout = layouts[subnet]
        for number in layout.numbers(of: block.number).reversed() {
            let address = IPAddress(family: layout.subnet.family, number: number)
            guard layout.isUsable(address), !usedAddresses.contains(address), lent[address] == nil,
                !leaving.contains(address)
            else { continue }
            return (address, block)
        }
        return nil
    }

    private mutating func recordLoan(_ loan: Loan, _ borrower: BlockOwner) {
        if let held = lent[loan.address], held.loan.number > loan.number { return }
        let record = BlockMemory.Lent(loan: loan, borrower: borrower)
        if lent[loan.address] != record {
            lent[loan.address] = record
            mustPersist = true
            rangesDiffer = true
        }
        send(.lend(loan), to: borrower.host)
    }

    mutating func finishLoan(_ loan: Loan, _ borrower: BlockOwner, isAny: Bool, block: BlockID, isFree: Bool) {
        if isFree { return recordLoan(loan, borrower) }
        guard isAny else { return send(.keep(loan, .inUse), to: borrower.host) }
        if usedAddresses.insert(loan.address).inserted { used?[block, default: 0] += 1 }
        lendAny(block.subnet, number: loan.number, to: borrower)
    }

    mutating func takeBack(_ returned: [Loan], from peer: HostID) {
        for loan in returned {
            guard let held = lent[loan.address], held.borrower == peers[peer]?.owner, held.loan.number <= loan.number
            else { continue }
            lent[loan.address] = nil
            mustPersist = true
            rangesDiffer = true
        }
    }

    /// The hosts are gone for good, and so is what runs on them.
    mutating func endLoans(to hosts: [HostID]) {
        for (address, item) in lent where hosts.contains(item.borrower.host) {
            lent[address] = nil
            mustPersist = true
            rangesDiffer = true
        }
    }

    // MARK: Comparing

    /// Tells another host what was lent to it and what is held of its addresses.
    mutating func tellLoans(to peer: HostID) {
        guard let other = peers[peer]?.owner else { return }
        let given = lent.values.filter { $0.borrower == other }.map(\.loan).sorted { $0.address < $1.address }
        let held = loans.values.filter { owner(of: $0.address) == peer }.sorted { $0.address < $1.address }
        let limit = BlockMessage.listLimit
        for start in stride(from: 0, to: max(given.count, held.count), by: limit) {
            send(
                .loans(
                    lent: Array(given.dropFirst(start).prefix(limit)),
                    held: Array(held.dropFirst(start).prefix(limit))), to: peer)
        }
    }

    /// One host that something is lent to or from, now and then: what was returned may not have reached it.
    mutating func compareSomeLoans() {
        var others = Set(lent.values.map(\.borrower.host))
        for address in loans.keys { if let owner = owner(of: address) { others.insert(owner) } }
        let present = others.filter { isPartner($0) }.sorted()
        guard !present.isEmpty else { return }
        tellLoans(to: present[Int(random.part(of: UInt64(present.count)))])
    }

    mutating func compareLoans(lent: [Loan], held: [Loan], with peer: HostID) {
        for loan in lent where loans[loan.address] != nil { hold(loan) }
        let unknown = lent.filter { loan in
            loans[loan.address] == nil && !borrows.contains { $0.loan == loan }
                && !asks.values.contains { $0.takesAddress && $0.token == loan.number }
        }
        if !unknown.isEmpty { send(.giveBack(unknown), to: peer) }
        // What is not in our book is taken into it if the address is free, and is reported there if not.
        for loan in held where self.lent[loan.address]?.loan != loan { lend(loan, to: peer) }
    }
}
