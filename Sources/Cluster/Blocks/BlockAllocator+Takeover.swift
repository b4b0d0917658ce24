import NetworkTypes

extension BlockAllocator {
    /// A takeover, or the winning back of what an earlier life of this host owned, while others are asked.
    struct FenceAttempt: Sendable {
        var number: UInt64
        /// nil when a host wins its own blocks back.
        var token: UInt64?
        var subjects: [HostID]
        /// The operator vouches that the subjects never come back: nobody else needs to see that.
        var isGone = false
        var deadline: UInt64
        var nextSend: UInt64
        /// Who knows nothing that we do not know.
        var agreed: Set<HostID> = []
        /// Addresses of the subjects that others hold.
        var loans: [HostID: [BlockMessage.Loan]] = [:]

        var isRecovery: Bool { token == nil }
    }

    mutating func takeOver(_ hosts: [HostID], isGone: Bool, _ token: UInt64) {
        if hosts == [host] {
            // The operator vouches that nothing of an earlier life matters any more.
            isVouchedFor = true
            nextRecovery = now
            if split == nil, !mayClaim, voters.count > 1 {
                mayClaim = true
                isRecovered = true
                mustPersist = true
            }
            return grant(token)
        }
        guard split != nil else { return refuse(token, .undecided(waitingFor: unheard)) }
        guard !isEmptying else { return refuse(token, .draining) }
        for subject in hosts {
            guard let peer = peers[subject] else { return refuse(token, .unknownHost(subject)) }
            if peer.standing == .alive { return refuse(token, .isAlive(subject, seenBy: host)) }
        }
        guard let first = hosts.first else { return refuse(token, .unknownHost(host)) }
        if let fence, !fence.isRecovery { return refuse(token, .busy(fence.subjects.first ?? first)) }
        begin(Set(hosts).sorted(), isGone: isGone, token)
    }

    private mutating func begin(_ subjects: [HostID], isGone: Bool = false, _ token: UInt64?) {
        fence = FenceAttempt(
            number: random.next(), token: token, subjects: subjects, isGone: isGone,
            deadline: now + settings.takeoverPatience, nextSend: now)
    }

    /// Asks for what earlier lives of this host owned.
    mutating func recover() {
        guard fence == nil, !isRecovered || !stale.isEmpty, now >= nextRecovery, let startedAt else { return }
        nextRecovery = now + settings.repairInterval
        // After a loss of memory the list of hosts is lost too: who is named in the configuration must be known.
        if !isRecovered, !isVouchedFor {
            let known = Set(peers.values.compactMap(\.member.name))
            let unheard = (seeds + voters).filter { $0 != name && !known.contains($0) }
            guard now >= startedAt + settings.greetingPatience, unheard.isEmpty else {
                nextRecovery = now + settings.retryInterval
                return waits(for: [], unheard)
            }
        }
        begin([host], nil)
    }

    /// Hosts that may know, or own, blocks of the subjects and cannot be asked. One that left may have been given a block
    /// that nobody else heard of, and may come back with it.
    private func away(_ subjects: [HostID]) -> [HostID] {
        peers.filter { id, peer in !subjects.contains(id) && peer.standing != .alive && !peer.member.isGone }
            .keys.sorted()
    }

    /// Who must agree: everybody who is there and may take part.
    private var jury: [HostID] {
        alive.filter { id in
            guard let peer = peers[id] else { return false }
            if !peer.hasGreeted { return true }
            return isPartner(id)
        }
    }

    mutating func continueFence() {
        guard var attempt = fence else { return }
        if let subject = attempt.subjects.first(where: { peers[$0]?.standing == .alive }) {
            return end(attempt, .isAlive(subject, seenBy: host))
        }
        let away = isVouchedFor && attempt.isRecovery ? [] : away(attempt.subjects)
        guard away.isEmpty else { return end(attempt, .othersAway(away, subjects: attempt.subjects)) }
        let jury = jury
        let missing = jury.filter { !attempt.agreed.contains($0) }
        if missing.isEmpty {
            let known = jury.count + 1 + attempt.subjects.count { peers[$0]?.standing == .failed }
            guard attempt.isGone || 2 * (jury.count + 1) > known else {
                return end(
                    attempt, .noMajority(answered: jury.count + 1, known: known, subjects: attempt.subjects))
            }
            return complete(attempt)
        }
        guard now < attempt.deadline else { return end(attempt, .noAnswer(missing)) }
        guard now >= attempt.nextSend else { return }
        attempt.nextSend = now + settings.retryInterval
        fence = attempt
        let question = BlockMessage.Fence(
            number: attempt.number, subjects: attempt.subjects, digests: ring.chunkDigests())
        for peer in missing { send(.fence(question), to: peer) }
    }

    private mutating func end(_ attempt: FenceAttempt, _ refusal: Refusal) {
        fence = nil
        if let token = attempt.token { return refuse(token, refusal) }
        let waiting: [HostID]
        switch refusal {
        case .othersAway(let hosts, _), .noAnswer(let hosts): waiting = hosts
        case .busy(let host): waiting = [host]
        default: waiting = []
        }
        waits(for: waiting, [])
    }

    /// Says what the winning back of blocks waits for, once.
    private mutating func waits(for hosts: [HostID], _ names: [String]) {
        let waiting = Notice.recovering(waitingFor: hosts, unheard: names)
        if waiting != lastWaiting { notice(waiting) }
        lastWaiting = waiting
    }

    /// Another host asks. Whoever answers takes nothing from the subjects any more, as they are not seen alive.
    mutating func answer(_ question: BlockMessage.Fence, from peer: HostID) {
        let isRecovery = question.subjects == [peer]
        var vote = BlockMessage.Vote(
            number: question.number, alive: nil, isBusy: false, isInSync: false, away: [], held: [])
        if !isRecovery {
            vote.alive = question.subjects.first { $0 == host || $0 == peer || peers[$0]?.standing == .alive }
            if let fence { vote.isBusy = fence.subjects.contains { question.subjects.contains($0) } }
        } else if let life = peers[peer]?.member.life {
            // What an earlier life said does not count from now on, however late it arrives.
            let lives = ring.rows.filter { $0.entry.owner.host == peer }.map(\.entry.owner.life)
            let past = Set(lives + (peers[peer]?.member.pastLives ?? [])).subtracting([life])
            peers[peer]?.member.pastLives = past.sorted().suffix(64)
            mustPersist = true
        }
        let chunks = ring.differences(from: question.digests)
        vote.isInSync = chunks.isEmpty
        for chunk in chunks {
            send(.rows(.init(chunk: chunk, wantsNewer: true, rows: ring.rows(of: chunk))), to: peer)
        }
        vote.away = Array(away(question.subjects).prefix(BlockMessage.listLimit))
        vote.held = Array(
            loans.values.filter { owner(of: $0.address).map(question.subjects.contains) ?? false }
                .sorted { $0.address < $1.address }.prefix(BlockMessage.listLimit))
        send(.vote(vote), to: peer)
    }

    mutating func hear(_ vote: BlockMessage.Vote, from peer: HostID) {
        guard var attempt = fence, attempt.number == vote.number else { return }
        if let subject = vote.alive { return end(attempt, .isAlive(subject, seenBy: peer)) }
        if vote.isBusy { return end(attempt, .busy(peer)) }
        for host in vote.away where host != self.host && peers[host] == nil {
            // We never heard of it; now it is waited for.
            setStanding(of: host, .failed)
        }
        guard vote.isInSync else {
            attempt.nextSend = now + settings.retryInterval / 5
            fence = attempt
            return
        }
        attempt.agreed.insert(peer)
        attempt.loans[peer] = vote.held
        fence = attempt
    }

    private mutating func complete(_ attempt: FenceAttempt) {
        fence = nil
        lastWaiting = nil
        let subjects = Set(attempt.subjects)
        let names = attempt.isRecovery ? [name] : attempt.subjects.compactMap { peers[$0]?.member.name }
        var taken: [BlockID] = []
        for block in ring.blocks {
            if let entry = ring[block] {
                guard subjects.contains(entry.owner.host), entry.owner != me else { continue }
                write(entry.fenced(owner: me), at: block)
            } else if names.contains(where: { isShare(block, of: $0) }) {
                // Nobody who is there ever heard of a claim, but there may have been one.
                write(BlockEntry(owner: me, epoch: 1, version: 1, state: .resting), at: block)
            } else {
                continue
            }
            restUntil[block] = now + settings.rest
            disputed.remove(block)
            taken.append(block)
        }
        for (peer, held) in attempt.loans {
            guard let borrower = peers[peer]?.owner else { continue }
            for loan in held where block(of: loan.address).map(mine.contains) ?? false {
                lent[loan.address] = BlockMemory.Lent(loan: loan, borrower: borrower)
            }
        }
        mustPersist = true
        if !taken.isEmpty { notice(.takenOver(taken, from: attempt.subjects)) }
        if attempt.isRecovery {
            isRecovered = true
        } else {
            forget(attempt.subjects)
            for peer in partners { send(.gone(attempt.subjects), to: peer) }
        }
        if let token = attempt.token { grant(token) }
    }
}
