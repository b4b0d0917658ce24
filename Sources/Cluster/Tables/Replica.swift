public import StateMachine

/// One host's copy of the replicated tables, as a value without clock, sockets or threads.
///
/// Every input is a `ReplicaEvent` with the time and a source of randomness; every output is a `ReplicaDirective`, also
/// the next time it wants to be woken. The rows of this host are changed by events alone; the rows of others come in
/// messages, each signed by its owner.
public struct Replica: Sendable {
    /// The first byte of every body that a replica sends or takes. Other protocols of the same port begin with another.
    public static let protocolByte: UInt8 = 0x01

    /// This host: what the authority's public key says.
    public let host: HostID
    /// The timings and limits.
    public let settings: ReplicaSettings
    let authority: any RecordAuthority
    let publicKey: [UInt8]

    var now: Nanoseconds
    var random: Xoshiro256
    var timers = TimerQueue<Timer>()
    /// Whether the tombstones are looked at soon.
    var endsTombstones = false
    var directives: [ReplicaDirective] = []
    var counters = [UInt64](repeating: 0, count: ReplicaCounter.allCases.count)
    var announcedWake: Nanoseconds?
    var isStarted = false

    // The rows, and what is derived from them.
    var table = Table()
    /// The version of the last change of ours.
    public internal(set) var version: Version
    /// The networks that this host is on.
    var networks: Set<NetworkID> = []
    /// The other hosts on each network, alive or not, by id.
    var members: [NetworkID: [HostID]] = [:]
    /// Owners whose rows are refused up to an incarnation.
    var departed: [HostID: UInt64] = [:]
    /// Hosts whose leaving is believed: they signed it, or are of a release that does not sign.
    var farewells: Set<HostID> = []

    // The hosts.
    var peers: [HostID: Peer] = [:]
    var alive: [HostID] = []
    var appeared: [HostID] = []

    // What is under way.
    var deliveries: [UInt64: Delivery] = [:]
    var settlements: [UInt64: Settlement] = [:]
    var outbox: [HostID: [UInt64]] = [:]
    var lastNumber: UInt64 = 0
    var summary: Message.Summary?
    var defences: Budget
    /// How many more incarnations this run may be moved by words that nobody has signed.
    var unsignedRise: UInt64
    /// Lets a simulation of many replicas hold each record once.
    var canonical: (@Sendable (Record) -> Record)?

    /// Makes the copy of a host that has just started. `incarnation` is on disk and above every one used before; `rows`
    /// are this host's own rows from its journal, tombstones included.
    public init(
        incarnation: UInt64, authority: any RecordAuthority, settings: ReplicaSettings = ReplicaSettings(),
        rows: [Record] = [], now: Nanoseconds, random: inout some RandomNumberGenerator
    ) {
        publicKey = authority.publicKey
        host = authority.hostID(of: publicKey)
        self.authority = authority
        self.settings = settings
        self.now = now
        self.random = Xoshiro256(from: &random)
        version = Version(incarnation: incarnation, counter: 0)
        defences = Budget(burst: 100, now: now)
        unsignedRise = settings.unsignedRiseLimit
        table.add(host, publicKey: publicKey, isSuspended: false)
        for record in rows { restore(record) }
    }

    /// Takes in one event and says what is to be done. Time never goes back between calls.
    public mutating func handle(
        _ event: ReplicaEvent, now time: Nanoseconds, random generator: inout some RandomNumberGenerator
    ) -> [ReplicaDirective] {
        now = max(now, time)
        random.stir(generator.next())
        switch event {
        case .start: start()
        case .peer(let host, let status): note(host, status)
        case .message(let body, let source, let overStream): receive(body, from: source, overStream: overStream)
        case .farewell(let token): sayFarewell(token)
        case .outrun(let incarnation): outrun(by: incarnation)
        case .timer: break
        case .change(let change, let token): apply([change], token: token)
        case .changes(let changes, let token): apply(changes, token: token)
        }
        // A bounded number, so that a timer that is set for now cannot hold the caller.
        for _ in 0..<4096 {
            guard let timer = timers.popDue(now) else { break }
            fire(timer)
        }
        flush()
        if let next = timers.next, next != announcedWake || next <= now {
            announcedWake = next
            directives.append(.wake(at: next))
        }
        var result: [ReplicaDirective] = []
        swap(&result, &directives)
        return result
    }

    /// When it wants to be woken next.
    public var nextDeadline: Nanoseconds? { timers.next }

    /// How often something happened.
    public func count(of counter: ReplicaCounter) -> UInt64 { counters[counter.rawValue] }
}

extension Replica {
    mutating func count(_ counter: ReplicaCounter, by amount: Int = 1) {
        counters[counter.rawValue] &+= UInt64(clamping: amount)
    }

    mutating func notice(_ notice: ReplicaNotice) { directives.append(.notice(notice)) }

    mutating func setTimer(_ timer: Timer, in interval: Nanoseconds) { timers.add(timer, at: now &+ interval) }

    mutating func nextNumber() -> UInt64 {
        lastNumber &+= 1
        return lastNumber
    }

    private mutating func start() {
        guard !isStarted else { return }
        isStarted = true
        for bucket in table.owners[host]?.buckets ?? [] {
            for slot in bucket.slots where slot.isLive {
                directives.append(.changed(RowChange(.appeared, Row(record: slot.record, isSuspended: false))))
            }
        }
        setTimer(.exchange, in: random.part(of: settings.exchangeInterval))
    }

    private mutating func fire(_ timer: Timer) {
        switch timer {
        case .exchange: exchangeWithRandomHost()
        case .appearances: exchangeWithAppeared()
        case .delivery(let hash, let number): deliveryIsDue(hash, number)
        case .summary(let host, let number): summaryIsDue(host, number)
        case .settlement(let token): settle(token)
        case .session(let host, let id): sessionIsLate(host, id)
        case .tombstones: endTombstones()
        case .grace(let owner, let era): graceEnds(owner, era)
        case .departed(let owner): forgetDeparted(owner)
        }
    }

    /// Sends a body: in a datagram when it fits and `reliably` is not asked for.
    mutating func send(_ body: [UInt8], to host: HostID, reliably: Bool = false) {
        count(.messagesOut)
        if reliably || body.count > settings.datagramLimit {
            count(.streamBytesOut, by: body.count)
            directives.append(.sendReliably(to: host, body: body))
        } else {
            count(.datagramBytesOut, by: body.count)
            directives.append(.send(to: host, body: body))
        }
    }

    /// Whether rows of a scope are kept here.
    func holds(_ scope: NetworkID) -> Bool { scope == .none || networks.contains(scope) }

    /// The live hosts that get the records of a network, or all live hosts for `NetworkID.none`; this one excluded.
    public func concerned(in network: NetworkID) -> [HostID] {
        network == .none ? alive : (members[network] ?? []).filter { peers[$0]?.status == .alive }
    }
}
