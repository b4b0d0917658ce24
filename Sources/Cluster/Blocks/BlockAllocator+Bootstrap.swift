internal import StateMachine

extension BlockAllocator {
    typealias Ballot = BlockMessage.Ballot
    typealias Proposal = BlockMessage.Proposal

    /// An attempt of this host to have its proposal agreed on.
    struct Election: Sendable {
        /// When a majority was first heard.
        var majoritySince: UInt64?
        var nextAttempt: UInt64 = 0
        var attempts = 0
        var ballot: Ballot?
        var promises: [String: Proposal?] = [:]
        var proposal: Proposal?
        var acceptances: Set<String> = []
        /// The highest ballot seen, to go above.
        var highest: Ballot = .zero
    }

    private var quorum: Int { voters.count / 2 + 1 }

    /// How far a ballot may be ahead of those seen: each attempt counts one on.
    static let roundStep: UInt32 = 1 << 16
    /// How many lists of voters are remembered beside the one of now.
    static let formerElectionLimit = 64

    /// How many must answer an attempt of ours. What a host that lost its memory accepted before, others may have to
    /// remember for it: it asks all.
    private var needed: Int { mayVote ? quorum : voters.count }

    /// Whether this host may answer an attempt of another. One that lost its memory answers only who lost it as well, and so
    /// asks all: what was accepted before, nobody else can know.
    private func mayAnswer(_ peer: HostID) -> Bool {
        mayVote || (voters.count > 1 && peers[peer]?.hasLostMemory == true)
    }

    /// Whether this host may speak in the vote: one that lost its memory may have promised something.
    private var mayVote: Bool { mayClaim && !voters.isEmpty }

    /// Names of voters that were not heard.
    var unheard: [String] {
        let heard = Set(alive.compactMap { peers[$0]?.hasGreeted == true ? peers[$0]?.member.name : nil })
        return (seeds.isEmpty ? voters : seeds).filter { $0 != name && !heard.contains($0) }
    }

    /// Whether the hosts that are there have said hello, or were waited for long enough.
    private var isGreeted: Bool {
        guard let startedAt else { return false }
        return now >= startedAt + settings.greetingPatience || alive.allSatisfy { peers[$0]?.isSynced == true }
    }

    /// Comes to a first split, if there is none.
    mutating func decide() {
        guard split == nil, !voters.isEmpty else { return }
        if voters.count == 1 { return decideAlone() }
        var heard: [String: HostID] = [:]
        for peer in alive {
            guard let record = peers[peer], record.hasGreeted, record.voters == votersDigest,
                !record.hasOtherSubnets, let name = record.member.name, name != self.name, voters.contains(name)
            else { continue }
            if heard[name] == nil { heard[name] = peer }
        }
        guard heard.count + 1 >= needed else {
            election.majoritySince = nil
            return
        }
        let since = election.majoritySince ?? now
        election.majoritySince = since
        guard heard.count + 1 == voters.count || now >= since + settings.greetingPatience else { return }
        guard now >= election.nextAttempt else { return }
        let highest = max(promised, election.highest)
        guard highest.round < UInt32.max - Self.roundStep else { return }
        let ballot = Ballot(round: highest.round + 1, host: host)
        // Attempts that cross each other end when one of them is given enough time.
        let interval = settings.retryInterval << UInt64(min(6, election.attempts))
        election.attempts += 1
        election.nextAttempt = now + interval + random.part(of: 2 * interval)
        election.ballot = ballot
        election.proposal = nil
        election.acceptances = []
        election.promises = [name: accepted]
        promised = ballot
        mustPersist = true
        for peer in heard.values.sorted() { send(.prepare(ballot, voters: votersDigest), to: peer) }
    }

    /// Nobody else is named: the split is ours alone, unless somebody who is there has one.
    private mutating func decideAlone() {
        guard let startedAt, isGreeted else { return }
        if !mayVote {
            // The memory was lost. If whoever is known is there and never had a split, there was none; else somebody who
            // has it is waited for, unless the operator says otherwise.
            let isNew = peers.values.allSatisfy { peer in
                guard peer.standing == .alive, peer.hasGreeted else { return false }
                return peer.hasOtherSubnets || (peer.universe == 0 && !peer.hasLostMemory)
            }
            guard isVouchedFor || (isNew && now >= startedAt + settings.greetingPatience) else { return }
        }
        // A live host that greeted and has a split is being asked for it.
        // Of several that could decide alone and see each other, the one with the lowest id does.
        let isFirst = !alive.contains { isAdoptable($0) || ($0 < host && mayDecideAlone($0)) }
        guard isVouchedFor || now >= startedAt + settings.patience || isFirst else { return }
        adopt(BlockUniverse(.hosts([me])))
        if !mayVote {
            for block in mine.sorted() { write(.resting, at: block) }
            isRecovered = true
        }
    }

    private func isAdoptable(_ peer: HostID) -> Bool {
        peers[peer].map { !$0.hasOtherSubnets && $0.universe != 0 } ?? false
    }

    private func mayDecideAlone(_ peer: HostID) -> Bool {
        guard let record = peers[peer], let name = record.member.name, record.hasGreeted else { return false }
        guard !record.hasOtherSubnets, !record.hasLostMemory, record.universe == 0 else { return false }
        return record.voters == Self.digest(ofVoters: [name])
    }

    static func digest(ofVoters names: [String]) -> UInt64 {
        var writer = BlockWriter()
        writer.list(names) { $0.text($1) }
        return BlockUniverse.digest(of: writer.bytes)
    }

    /// Makes a first split this network's.
    mutating func adopt(_ universe: BlockUniverse?) {
        guard split == nil, let universe else { return }
        split = universe
        decidedBy = votersDigest
        universeDigest = universe.digest(layouts: layoutDigest)
        mustPersist = true
        for block in ring.blocks {
            if let entry = universe.entry(of: block.number, count: layouts[block.subnet].count) {
                store(entry, at: block)
            }
        }
        if case .hosts(let owners) = universe.split {
            // Whoever has a share is waited for before anything is taken over.
            for owner in owners where owner.host != host && peers[owner.host] == nil {
                peers[owner.host] = Peer(
                    BlockMemory.Member(
                        host: owner.host, name: nil, life: owner.life, hasLeft: false, isGone: false, pastLives: []))
            }
        }
        if case .hosts = universe.split, !mayClaim, !isRecovered, voters.count > 1 {
            // What an earlier life handed out in its share may run yet.
            for block in mine.sorted() { write(.resting, at: block) }
        }
        notice(.decided(universe: universeDigest))
        guard startedAt != nil else { return }
        for peer in alive {
            if peers[peer]?.universe == 0 { send(.universe(universe, voters: decidedBy), to: peer) }
            greet(peer, wantsReply: true)
        }
    }

    /// Another host told its first split.
    mutating func hear(_ universe: BlockUniverse, voters theirs: UInt64, from peer: HostID) {
        guard split == nil else { return }
        // Decided by our own election: nothing else can be.
        if theirs == votersDigest { return adopt(universe) }
        peers[peer]?.proposed = universe
        // Otherwise when so many voters are bound to it that no majority is left for another. We are, if we accepted
        // nothing else; that we adopt it binds us.
        let names = alive.compactMap { peers[$0]?.proposed == universe ? peers[$0]?.member.name : nil }
        var bound = Set(names.filter { $0 != name && voters.contains($0) }).count
        if mayVote, accepted == nil || accepted?.universe == universe { bound += 1 }
        if bound >= voters.count - quorum + 1 { return adopt(universe) }
        // A host that was not to vote, or lost its memory with nobody else to ask, takes what there is.
        if !mayVote, voters.count == 1 { adopt(universe) }
    }

    /// What is proposed when nobody accepted anything: a split that exists already, else all that are heard.
    private func proposal() -> BlockUniverse? {
        for peer in alive { if let universe = peers[peer]?.proposed { return universe } }
        var owners = [me]
        for peer in alive {
            guard let record = peers[peer], record.hasGreeted, record.voters == votersDigest,
                !record.hasOtherSubnets, let name = record.member.name, voters.contains(name),
                let owner = record.owner
            else { continue }
            owners.append(owner)
        }
        return BlockUniverse(.hosts(owners))
    }

    /// A message of the vote. Only hosts with the same list take part, and only until they are decided.
    mutating func vote(_ body: BlockMessage.Body, from peer: HostID) {
        if let split { return send(.universe(split, voters: decidedBy), to: peer) }
        guard let name = peers[peer]?.member.name, name != self.name, voters.contains(name) else { return }
        switch body {
        case .prepare(let ballot, _), .behind(let ballot, _):
            guard isNear(ballot) else { return notice(.malformed(peer, .tooLarge)) }
        case .accept(let proposal, _):
            guard isNear(proposal.ballot) else { return notice(.malformed(peer, .tooLarge)) }
        default: break
        }
        switch body {
        case .prepare, .accept: guard mayAnswer(peer) else { return }
        default: break
        }
        switch body {
        case .prepare(let ballot, let list) where list == votersDigest:
            guard ballot >= promised else { return send(.behind(promised, voters: votersDigest), to: peer) }
            promised = ballot
            mustPersist = true
            send(.promise(ballot, voters: votersDigest, accepted: accepted), to: peer)
        case .promise(let ballot, let list, let accepted) where list == votersDigest:
            guard ballot == election.ballot, election.proposal == nil else { return }
            election.promises.updateValue(accepted, forKey: name)
            propose()
        case .accept(let proposal, let list) where list == votersDigest:
            guard proposal.ballot >= promised else {
                return send(.behind(promised, voters: votersDigest), to: peer)
            }
            promised = proposal.ballot
            accepted = proposal
            mustPersist = true
            send(.accepted(proposal.ballot, voters: votersDigest), to: peer)
        case .accepted(let ballot, let list) where list == votersDigest:
            guard let proposal = election.proposal, ballot == proposal.ballot else { return }
            election.acceptances.insert(name)
            if election.acceptances.count >= needed { adopt(proposal.universe) }
        case .behind(let ballot, let list) where list == votersDigest:
            election.highest = max(election.highest, ballot)
        default: break
        }
    }

    private func isNear(_ ballot: Ballot) -> Bool {
        let highest = max(promised, election.highest).round
        return ballot.round <= highest.addingReportingOverflow(Self.roundStep).partialValue
    }

    /// A majority promised: the highest of what they accepted is proposed again, or something new.
    private mutating func propose() {
        guard let ballot = election.ballot, election.promises.count >= needed, promised <= ballot else { return }
        let known = election.promises.values.compactMap { $0 }.max { $0.ballot < $1.ballot }
        guard let universe = known?.universe ?? proposal() else { return }
        let proposal = Proposal(ballot: ballot, universe: universe)
        promised = ballot
        accepted = proposal
        mustPersist = true
        election.proposal = proposal
        election.acceptances = [name]
        for peer in alive where peers[peer]?.voters == votersDigest {
            send(.accept(proposal, voters: votersDigest), to: peer)
        }
    }

    // MARK: Seeds

    /// Whether this host is a seed that has not taken its share yet.
    var awaitsClaim: Bool { mayClaim && seeds.contains(name) }

    /// A seed takes the blocks of its share that nobody has. It hears a majority of the seeds first: it may be a host that
    /// was made anew under its old name, and its share given away since.
    mutating func claimShare() {
        guard mayClaim, !seeds.isEmpty, isGreeted else { return }
        if seeds.contains(name) {
            let heard = Set(
                partners.compactMap { peers[$0]?.isSynced == true ? peers[$0]?.member.name : nil })
            guard 2 * (heard.filter { seeds.contains($0) && $0 != name }.count + 1) > seeds.count else { return }
        }
        mayClaim = false
        mustPersist = true
        // Rows of an earlier life: the memory was lost and nobody knew. Then the share is won back instead.
        guard stale.isEmpty else {
            isRecovered = false
            return
        }
        for block in ring.blocks where ring[block] == nil && isShare(block, of: name) {
            write(BlockEntry(owner: me), at: block)
        }
    }

    // MARK: The list of voters

    /// The list of voters is another now, since names in it were found. What was promised under the one before is kept: the
    /// list may come back.
    mutating func setVoters(_ names: [String]) {
        let list = Set(names + [name]).sorted()
        guard split == nil, seeds.isEmpty, list != voters, list.count <= BlockUniverse.limit,
            list.allSatisfy({ (1...255).contains($0.utf8.count) })
        else { return }
        keepElection(votersDigest, promised, accepted)
        voters = list
        votersDigest = Self.digest(ofVoters: list)
        let former = formerElections.first { $0.voters == votersDigest }
        promised = former?.promised ?? .zero
        accepted = former?.accepted
        election = Election()
        mustPersist = true
        guard startedAt != nil else { return }
        for peer in alive { greet(peer, wantsReply: true) }
    }

    /// Remembers what was promised under a list of voters. Beyond the limit the oldest is forgotten.
    mutating func keepElection(_ list: UInt64, _ promised: Ballot, _ accepted: Proposal?) {
        guard list != 0, promised != .zero || accepted != nil else { return }
        formerElections.removeAll { $0.voters == list }
        formerElections.append(BlockMemory.Election(voters: list, promised: promised, accepted: accepted))
        formerElections.removeFirst(max(0, formerElections.count - Self.formerElectionLimit))
    }

    func isShare(_ block: BlockID, of name: String) -> Bool {
        split?.isShare(of: name, block: block.number, count: layouts[block.subnet].count) ?? false
    }
}
