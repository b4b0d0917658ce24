import NetworkTypes
internal import StateMachine

extension BlockAllocator {
    mutating func setStanding(of peer: HostID, _ standing: Standing) {
        guard peer != host else { return }
        if standing == .forgotten { return membershipForgot(peer) }
        var record =
            peers[peer]
            ?? Peer(
                BlockMemory.Member(
                    host: peer, name: nil, life: nil, hasLeft: false, isGone: false, pastLives: []))
        let wasAlive = record.standing == .alive
        let isNew = peers[peer] == nil
        record.standing = standing
        record.member.hasLeft = standing == .left
        if standing == .alive { record.member.isGone = false }
        if standing != .alive || !wasAlive {
            record.hasGreeted = false
            record.isSynced = false
            record.awaited = []
            record.table = nil
            record.proposed = nil
        }
        // It gave everything back: nobody needs to wait for it.
        if standing == .left, record.hasGivenAll, holdsNothing(peer) { record.member.isGone = true }
        peers[peer] = record
        // Whoever is waited for must be known after a restart. What comes before the start is written with it.
        if isNew, startedAt != nil { mustPersist = true } else { shouldPersist = true }
        if standing == .alive, !wasAlive, startedAt != nil { greet(peer, wantsReply: true) }
    }

    /// Membership knows nothing of a host any more. What it owns or has borrowed stays its, and it is waited for before
    /// anything is taken over; only who left with nothing is forgotten here as well.
    private mutating func membershipForgot(_ peer: HostID) {
        guard let record = peers[peer] else { return }
        let isOver = record.member.isGone || peers.count > Self.memberLimit
        if isOver, holdsNothing(peer) {
            peers[peer] = nil
            shouldPersist = true
        } else {
            setStanding(of: peer, record.member.hasLeft ? .left : .failed)
        }
    }

    /// Whether no block is another host's and no address lent to it.
    private func holdsNothing(_ peer: HostID) -> Bool {
        !ring.rows.contains { $0.entry.owner.host == peer } && !lent.values.contains { $0.borrower.host == peer }
    }

    mutating func setPublicName(of peer: HostID, _ name: String) {
        guard peers[peer] != nil, peers[peer]?.member.publicName != name, (1...255).contains(name.utf8.count) else {
            return
        }
        peers[peer]?.member.publicName = name
        shouldPersist = true
    }

    /// Says hello, and what is lent between the two.
    mutating func greet(_ peer: HostID, wantsReply: Bool) {
        send(
            .hello(
                BlockMessage.Hello(
                    name: name, table: ring.digest(), voters: votersDigest, wantsReply: wantsReply,
                    isDraining: isEmptying, hasLostMemory: split == nil && !mayClaim)), to: peer)
        if isPartner(peer) { tellLoans(to: peer) }
    }

    /// Compares tables with one other host now and then.
    mutating func repair() {
        guard now >= nextRepair else { return }
        nextRepair = now + settings.repairInterval
        if shouldPersist { mustPersist = true }
        let peers = alive
        guard !peers.isEmpty else { return }
        compareSomeLoans()
        // A hello that was lost when the host appeared.
        let silent = alive.filter { self.peers[$0]?.hasGreeted == false }.shuffled(using: &random)
        for peer in silent.prefix(16) { greet(peer, wantsReply: true) }
        greet(peers[Int(random.part(of: UInt64(peers.count)))], wantsReply: true)
    }

    /// Takes in a message. Those of hosts that are not seen alive are dropped: a host that answered "I do not see it"
    /// must not take anything from it afterwards, however late it arrives.
    mutating func receive(_ bytes: [UInt8], from peer: HostID) {
        guard peer != host, startedAt != nil, peers[peer]?.standing == .alive else { return }
        let message: BlockMessage
        do throws(BlockWireFault) { message = try BlockMessage(bytes) } catch {
            return notice(.malformed(peer, error))
        }
        guard message.layouts == layoutDigest else {
            if peers[peer]?.hasOtherSubnets == false { notice(.otherSubnets(peer)) }
            peers[peer]?.hasOtherSubnets = true
            peers[peer]?.hasGreeted = true
            peers[peer]?.isSynced = true
            // It is told too.
            if case .hello(let hello) = message.body, hello.wantsReply { greet(peer, wantsReply: false) }
            return
        }
        peers[peer]?.hasOtherSubnets = false
        if let past = peers[peer]?.member.pastLives, past.contains(message.life) {
            if case .rows = message.body { return }
        } else if peers[peer]?.member.life != message.life {
            peers[peer]?.member.life = message.life
            shouldPersist = true
        }
        peers[peer]?.universe = message.universe
        if message.universe != 0, universeDigest != 0, message.universe != universeDigest {
            return meetForeigner(peer, message)
        }
        switch message.body {
        case .hello(let hello): hear(hello, universe: message.universe, from: peer)
        case .universeWanted:
            if let split { send(.universe(split, voters: decidedBy), to: peer) }
        case .universe(let universe, let voters): hear(universe, voters: voters, from: peer)
        case .prepare, .promise, .accept, .accepted, .behind: vote(message.body, from: peer)
        default: if isPartner(peer) { receive(message.body, fromPartner: peer) }
        }
    }

    private mutating func receive(_ body: BlockMessage.Body, fromPartner peer: HostID) {
        switch body {
        case .digests(let digests): compare(digests, with: peer)
        case .rows(let rows): merge(rows, from: peer)
        case .ask(let token, let subnet, let isUrgent, let takesAddress):
            answerAsk(peer, token, subnet, isUrgent: isUrgent, takesAddress: takesAddress)
        case .deny(let token, let denial): hear(denial, token, from: peer)
        case .borrow(let loan): lend(loan, to: peer)
        case .lend(let loan): hearLend(loan, from: peer)
        case .keep(let loan, let keeping): hearKeep(loan, keeping, from: peer)
        case .loans(let lent, let held): compareLoans(lent: lent, held: held, with: peer)
        case .giveBack(let loans): takeBack(loans, from: peer)
        case .fence(let fence): answer(fence, from: peer)
        case .vote(let vote): hear(vote, from: peer)
        case .gone(let hosts): forget(hosts)
        default: break
        }
    }

    /// Two first splits: nothing is mixed, both hosts say so.
    private mutating func meetForeigner(_ peer: HostID, _ message: BlockMessage) {
        if peers[peer]?.reported != message.universe {
            peers[peer]?.reported = message.universe
            notice(.otherUniverse(peer, theirs: message.universe, ours: universeDigest))
        }
        peers[peer]?.hasGreeted = true
        peers[peer]?.isSynced = true
        peers[peer]?.awaited = []
        if case .hello(let hello) = message.body {
            peers[peer]?.member.name = hello.name
            if hello.wantsReply { greet(peer, wantsReply: false) }
        }
    }

    private mutating func hear(_ hello: BlockMessage.Hello, universe: UInt64, from peer: HostID) {
        if peers[peer]?.member.name != hello.name { shouldPersist = true }
        peers[peer]?.member.name = hello.name
        peers[peer]?.isDraining = hello.isDraining
        peers[peer]?.hasLostMemory = hello.hasLostMemory
        peers[peer]?.voters = hello.voters
        peers[peer]?.table = hello.table
        peers[peer]?.hasGreeted = true
        // Only who has the same table can tell that it owns nothing.
        let hasGivenAll = hello.isDraining && hello.table == ring.digest() && holdsNothing(peer)
        peers[peer]?.hasGivenAll = hasGivenAll
        if hello.wantsReply { greet(peer, wantsReply: false) }
        switch (split, universe) {
        case (nil, 0): peers[peer]?.isSynced = true
        case (nil, _): send(.universeWanted, to: peer)
        case (.some(let split), 0):
            peers[peer]?.isSynced = true
            send(.universe(split, voters: decidedBy), to: peer)
        default:
            if hello.table == ring.digest() {
                peers[peer]?.isSynced = true
                peers[peer]?.awaited = []
            } else if hello.wantsReply {
                send(.digests(ring.chunkDigests()), to: peer)
            }
        }
    }

    /// The other's table differs: what differs goes there, and what it knows better comes back.
    private mutating func compare(_ digests: [[UInt64]], with peer: HostID) {
        let chunks = ring.differences(from: digests)
        peers[peer]?.awaited = Set(chunks)
        if chunks.isEmpty { peers[peer]?.isSynced = true }
        for chunk in chunks {
            send(.rows(.init(chunk: chunk, wantsNewer: true, rows: ring.rows(of: chunk))), to: peer)
        }
    }

    private mutating func merge(_ rows: BlockMessage.Rows, from peer: HostID) {
        for row in rows.rows { merge(row, from: peer) }
        guard let chunk = rows.chunk else { return }
        if rows.wantsNewer {
            let theirs = Dictionary(rows.rows.map { ($0.block, $0.entry) }, uniquingKeysWith: { first, _ in first })
            let newer = ring.rows(of: chunk).filter { theirs[$0.block] != $0.entry }
            send(.rows(.init(chunk: chunk, wantsNewer: false, rows: newer)), to: peer)
        } else if peers[peer]?.awaited.remove(chunk) != nil, peers[peer]?.awaited.isEmpty == true {
            peers[peer]?.isSynced = true
        }
    }

    /// Takes in one row. That a row of ours changes by another's word is allowed in one case: a higher epoch.
    private mutating func merge(_ row: BlockRing.Row, from peer: HostID) {
        guard ring.holds(row.block) else { return }
        let held = ring[row.block]
        let wasMine = mine.contains(row.block)
        switch ring.compare(row) {
        case .same, .older: return
        case .conflict:
            guard let held, row.entry.isPlausible(after: held) else { return }
            let other = row.entry.owner.host == host ? held.owner.host : row.entry.owner.host
            if disputed.insert(row.block).inserted {
                mustPersist = true
                rangesDiffer = rangesDiffer || wasMine
                let count = wasMine ? usedCount(of: row.block) ?? 0 : 0
                notice(.conflict(row.block, other: other, used: count))
                // The other side stops as well.
                let losing = BlockRing.Row(block: row.block, entry: held)
                for host in Set([peer, row.entry.owner.host]).sorted() where isPartner(host) {
                    send(.rows(.init(chunk: nil, wantsNewer: false, rows: [losing])), to: host)
                }
            }
            if row.entry.outranks(held) {
                store(row.entry, at: row.block)
                if wasMine { abandon(row.block) }
            }
        case .newer:
            guard row.entry.isPlausible(after: held) else { return notice(.malformed(peer, .tooLarge)) }
            if wasMine, let held {
                if row.entry.owner != me, row.entry.epoch > held.epoch {
                    notice(
                        .superseded(row.block, by: row.entry.owner.host, used: usedCount(of: row.block) ?? 0))
                } else {
                    // Only we write the next version, and we did not: the disk was put back to an older state.
                    beginNewLife()
                }
            }
            store(row.entry, at: row.block)
            // A new epoch settles a dispute.
            if let held, row.entry.epoch > held.epoch, disputed.remove(row.block) != nil { mustPersist = true }
            if wasMine, row.entry.owner.host != host { abandon(row.block) }
            if !wasMine, mine.contains(row.block) { gain(row.block) }
        }
    }

    /// What this host remembers is not what it said: everything it owned is won back by asking all others.
    private mutating func beginNewLife() {
        notice(.memoryIsOld)
        let blocks = mine
        life = UInt32(truncatingIfNeeded: random.next() | 1)
        mayClaim = false
        isRecovered = false
        mustPersist = true
        rangesDiffer = true
        mine = []
        stale.formUnion(blocks)
        for token in withdrawals.keys.sorted() { cancel(token) }
    }

    /// A block is ours no more by another's word.
    private mutating func abandon(_ block: BlockID) {
        for (token, item) in withdrawals.sorted(by: { $0.key < $1.key }) where item.block == block { cancel(token) }
        for address in lent.keys where self.block(of: address) == block { lent[address] = nil }
    }

    private mutating func gain(_ block: BlockID) {
        asks[block.subnet] = nil
        notice(.gained([block]))
    }

    /// Others took these hosts over.
    mutating func forget(_ hosts: [HostID]) {
        for host in hosts where peers[host].map({ $0.standing != .alive }) ?? false {
            peers[host]?.member.isGone = true
            shouldPersist = true
        }
        endLoans(to: hosts.filter { peers[$0]?.standing != .alive })
    }
}
