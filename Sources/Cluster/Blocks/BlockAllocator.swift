import NetworkTypes
internal import StateMachine

/// Who may hand out which addresses of one network: the part of it that one host plays, as a value without clock, disk or
/// sockets.
///
/// Every block has one owner, who alone hands out its addresses, lends single ones, or gives the block away. Safety rests
/// on one rule: the owner writes down that it gave before it says so, and the new owner writes down that it has before it
/// uses. No clock, leader or majority is needed for that; only the first split without seeds, and taking over from a host
/// that is gone, ask others.
///
/// Every input is an `Event` with the time and a source of randomness; every output is a `Directive`. The shell carries
/// directives out in order and gives events one at a time. It makes an allocator for every network whose definition it
/// knows, also one that no container of its own is on: others may need blocks that this host owns.
public struct BlockAllocator: Sendable {
    /// How many hosts are known at most before those that failed long ago, and own nothing, are forgotten.
    static let memberLimit = 4096
    /// The most subnets a network has.
    public static let subnetLimit = 16

    /// How the subnets are cut.
    public let layouts: [BlockLayout]
    /// Ourselves.
    public let host: HostID
    /// Our name, as others' `seeds` and `voters` have it.
    public let name: String
    let settings: Settings
    /// What tells networks of one name with different subnets apart.
    public let layoutDigest: UInt64
    /// The seeds, sorted; empty when the first split is voted on.
    let seeds: [String]
    /// Who votes, sorted; empty with seeds.
    var voters: [String]
    var votersDigest: UInt64

    var now: UInt64
    var random: Xoshiro256

    // What is on disk.
    var life: UInt32
    var split: BlockUniverse?
    /// The list of voters by which the split was decided.
    var decidedBy: UInt64
    var mayClaim: Bool
    var isRecovered: Bool
    /// Whether this host is being drained.
    public internal(set) var isDraining: Bool
    var promised: BlockMessage.Ballot
    var accepted: BlockMessage.Proposal?
    /// What was promised under other lists of voters.
    var formerElections: [BlockMemory.Election] = []
    var ring: BlockRing
    var lent: [IPAddress: BlockMemory.Lent] = [:]
    var loans: [IPAddress: BlockMessage.Loan] = [:]
    var peers: [HostID: Peer] = [:]
    var disputed: Set<BlockID> = []
    /// The number of the last loan that was asked for; grows for the whole life.
    var nextLoan: UInt64

    // What is not.
    /// Our blocks, and those of our earlier lives.
    var mine: Set<BlockID> = []
    var stale: Set<BlockID> = []
    var universeDigest: UInt64 = 0
    var startedAt: UInt64?
    var nextRepair: UInt64 = 0
    var election = Election()
    var used: [BlockID: Int]?
    var usedAddresses: Set<IPAddress> = []
    var emptySince: [BlockID: UInt64] = [:]
    var lastNeed: [Int: UInt64] = [:]
    var needs: [PendingNeed] = []
    var borrows: [PendingBorrow] = []
    var asks: [Int: Ask] = [:]
    var askAfter: [Int: UInt64] = [:]
    /// Until when nobody is asked for a block of a subnet before single addresses are asked for.
    var blocksGoneUntil: [Int: UInt64] = [:]
    /// Who lent an address last.
    var lenders: [Int: HostID] = [:]
    /// The host is about to leave.
    var leaving: Leaving?
    var gifts: [HostID: Gift] = [:]
    var withdrawals: [UInt64: Withdrawal] = [:]
    var withdrawing: Set<BlockID> = []
    var nextToken: UInt64 = 1
    var restUntil: [BlockID: UInt64] = [:]
    var fence: FenceAttempt?
    var nextRecovery: UInt64 = 0
    var isVouchedFor = false
    var lastWaiting: Notice?
    var hasReportedDrained = false
    var lastDrainWait = 0
    var nextDrainHello: UInt64 = 0
    var voidLoans: Set<UInt64> = []

    // What the event being handled leads to.
    var mustPersist = false
    var shouldPersist = false
    var rangesDiffer = false
    var pushed: Set<BlockID> = []
    var orders: [Directive] = []
    var outbox: [Directive] = []
    var results: [Directive] = []
    var notices: [Directive] = []
    var announcedWake: UInt64?

    /// Makes the allocator of one network.
    ///
    /// - Parameters:
    ///   - subnets: 1 to 16, in the order of the definition.
    ///   - now: nanoseconds of a clock that never goes back.
    public init(
        subnets: [BlockLayout], host: HostID, name: String, bootstrap: Bootstrap, memory: Memory,
        settings: Settings = Settings(), now: UInt64, random: inout some RandomNumberGenerator
    ) throws(Fault) {
        guard (1...Self.subnetLimit).contains(subnets.count) else { throw .subnets(subnets.count) }
        layouts = subnets
        self.host = host
        self.name = name
        self.settings = settings
        self.now = now
        self.random = Xoshiro256(from: &random)
        layoutDigest = BlockUniverse.digest(of: subnets)
        switch bootstrap {
        case .seeds(let names):
            seeds = Set(names).sorted()
            voters = []
            votersDigest = 0
        case .voters(let names):
            seeds = []
            voters = Set(names + [name]).sorted()
            votersDigest = Self.digest(ofVoters: voters)
        }
        guard (seeds + voters + [name]).allSatisfy({ (1...255).contains($0.utf8.count) }),
            seeds.count <= BlockUniverse.limit, voters.count <= BlockUniverse.limit
        else { throw .names }
        var saved: BlockMemory
        switch memory {
        case .saved(let bytes):
            do throws(BlockWireFault) { saved = try BlockMemory(bytes) } catch { throw .memory }
            guard saved.host == host, saved.layouts == layoutDigest else { throw .foreignMemory }
        case .fresh, .lost:
            let life = UInt32(truncatingIfNeeded: self.random.next() | 1)
            saved = BlockMemory(host: host, life: life, layouts: layoutDigest, isFresh: memory == .fresh)
            mustPersist = true
        }
        life = saved.life
        mayClaim = saved.mayClaim
        isRecovered = saved.isRecovered
        isDraining = saved.isDraining
        decidedBy = saved.decidedBy
        // Numbers given since the last writing are left out; that this start is written makes it so.
        nextLoan = saved.nextLoan &+ 1 << 32
        // Promises belong to one list of voters.
        promised = .zero
        accepted = nil
        ring = BlockRing(counts: subnets.map(\.count))
        restore(saved)
        formerElections = saved.formerElections
        keepElection(saved.voters, saved.promised, saved.accepted)
        if let former = formerElections.first(where: { $0.voters == votersDigest }) {
            (promised, accepted) = (former.promised, former.accepted)
        }
        if split == nil, !seeds.isEmpty { adopt(BlockUniverse(.seeds(seeds))) }
    }

    private mutating func restore(_ saved: BlockMemory) {
        split = saved.universe
        universeDigest = split?.digest(layouts: layoutDigest) ?? 0
        for row in saved.rows { store(row.entry, at: row.block) }
        for item in saved.lent { lent[item.loan.address] = item }
        for loan in saved.borrowed { loans[loan.address] = loan }
        for member in saved.members where member.host != host { peers[member.host] = Peer(member) }
        disputed = Set(saved.disputed)
    }

    /// Takes in one event and says what is to be done. Time never goes back between calls.
    public mutating func handle(
        _ event: Event, now time: UInt64, random generator: inout some RandomNumberGenerator
    ) -> [Directive] {
        now = max(now, time)
        random.stir(generator.next())
        switch event {
        case .start: start()
        case .peer(let peer, let standing, let name):
            setStanding(of: peer, standing)
            if let name { setPublicName(of: peer, name) }
        case .message(let bytes, let peer): receive(bytes, from: peer)
        case .timer: break
        case .command(let command): carryOut(command)
        }
        advance()
        return flush()
    }

    private mutating func start() {
        guard startedAt == nil else { return }
        startedAt = now
        mustPersist = true
        // Hosts started together spread out.
        nextRepair = now + random.part(of: settings.repairInterval)
        for peer in alive { greet(peer, wantsReply: true) }
    }

    /// Everything that is due or has become possible.
    private mutating func advance() {
        guard startedAt != nil else { return }
        decide()
        if split != nil {
            claimShare()
            endRest()
            recover()
            continueFence()
            if isEmptying { drain() } else { grow() }
        }
        endNeeds()
        endBorrows()
        repair()
    }

    private mutating func carryOut(_ command: Command) {
        switch command {
        case .need(let subnet, let token, let beside): need(subnet, token, beside: beside)
        case .voters(let names): setVoters(names)
        case .leave(let token): leave(token)
        case .borrow(let address, let token): borrow(address, token)
        case .giveUp(let token): giveUp(token)
        case .returnLoan(let address): returnLoan(address)
        case .usage(let addresses): setUsage(addresses)
        case .withdrawn(let token, let isFree): finish(token, isFree: isFree)
        case .drain(let isOn): setDraining(isOn)
        case .takeover(let hosts, let isGone, let token): takeOver(hosts, isGone: isGone, token)
        }
    }

    private mutating func flush() -> [Directive] {
        pushRows()
        var directives: [Directive] = []
        if mustPersist {
            directives.append(.persist(memory.encoded()))
            mustPersist = false
            shouldPersist = false
        }
        if rangesDiffer { directives.append(.rangesChanged) }
        rangesDiffer = false
        for part in [orders, outbox, results, notices] { directives += part }
        (orders, outbox, results, notices) = ([], [], [], [])
        let wake = nextWake
        if startedAt != nil, wake != announcedWake {
            announcedWake = wake
            directives.append(.wake(at: wake))
        }
        return directives
    }

    /// Whatever waits is looked at again after a retry interval; without, at the next repair.
    private var nextWake: UInt64 {
        var wake = nextRepair
        let isWaiting =
            split == nil || fence != nil || !needs.isEmpty || !borrows.isEmpty || !asks.isEmpty
            || (isDraining && !hasReportedDrained) || leaving?.token != nil || (mayClaim && !seeds.isEmpty)
        if isWaiting { wake = min(wake, now + settings.retryInterval) }
        // A block whose rest is over and that still rests waits for the shell's count.
        for time in restUntil.values { wake = min(wake, time > now ? time : now + settings.retryInterval) }
        return max(wake, now + 1)
    }

    /// What is to be on disk.
    private var memory: BlockMemory {
        var memory = BlockMemory(host: host, life: life, layouts: layoutDigest, isFresh: mayClaim)
        memory.universe = split
        memory.isRecovered = isRecovered
        memory.isDraining = isDraining
        memory.decidedBy = decidedBy
        memory.nextLoan = nextLoan
        memory.voters = votersDigest
        memory.promised = promised
        memory.accepted = accepted
        memory.formerElections = formerElections.filter { $0.voters != votersDigest }
        memory.rows = ring.rows
        memory.lent = lent.values.sorted { $0.loan.address < $1.loan.address }
        memory.borrowed = loans.values.sorted { $0.address < $1.address }
        memory.members = peers.sorted { $0.key < $1.key }.map { $0.value.member }
        memory.disputed = disputed.sorted()
        return memory
    }
}
