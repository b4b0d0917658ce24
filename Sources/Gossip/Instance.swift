import NetworkTypes
public import StateMachine

/// One node of a serf cluster: the membership protocol of memberlist (SWIM with Lifeguard) and serf on top of it, as a
/// value without clock, sockets or threads.
///
/// Every input is an `Event` with the time and a source of randomness; every output is a `Directive`, also the next
/// time it wants to be woken. The shell that owns an instance opens the sockets, carries out directives in order and
/// gives events one at a time.
public struct Instance: Sendable {
    /// Why an instance could not be made.
    public enum Fault: Error, Hashable, Sendable {
        /// A setting is out of range.
        case settings(String)
        /// The name is not a valid node name.
        case name(String)
        /// The tags take more than 512 bytes.
        case tagsTooLarge(Int)
        /// The address cannot be announced.
        case endpoint(Endpoint)
        /// There are keys but no cipher.
        case noCipher
    }

    /// What survives a restart, for the shell to keep on disk.
    public struct Memory: Hashable, Sendable {
        /// Our incarnation.
        public var incarnation: UInt32
        /// The member clock.
        public var memberTime: UInt64
        /// The event clock.
        public var eventTime: UInt64
        /// The query clock.
        public var queryTime: UInt64
        /// The nodes that were members, to join again.
        public var peers: [Endpoint]

        /// Makes a memory.
        public init(
            incarnation: UInt32 = 0, memberTime: UInt64 = 0, eventTime: UInt64 = 0, queryTime: UInt64 = 0,
            peers: [Endpoint] = []
        ) {
            self.incarnation = incarnation
            self.memberTime = memberTime
            self.eventTime = eventTime
            self.queryTime = queryTime
            self.peers = peers
        }
    }

    /// The timings and limits.
    public let settings: Settings
    /// Our name.
    public let name: String
    let own: Int

    var now: Nanoseconds
    var random: Xoshiro256
    var envelope: Envelope
    var timers = TimerQueue<Timer>()
    var directives: [Directive] = []
    var counters = [UInt64](repeating: 0, count: Counter.allCases.count)
    var announcedWake: Nanoseconds?

    // SWIM.
    var table = MemberTable()
    var awareness: Awareness
    var sequence: UInt32
    var probe: Probe?
    var probeDue: Nanoseconds = 0
    var indirectDuties: [UInt32: IndirectDuty] = [:]
    var moveProbes: [UInt32: String] = [:]
    /// The suspects; one that is none any more is taken out at the next gossip.
    var suspects: Set<String> = []
    var memberBroadcasts = BroadcastQueue()
    var streams: [StreamID: Stream] = [:]
    var nextStream: UInt64 = 1
    /// What others' streams take before it is known who they are.
    var intake: IntakeBudget<StreamID, IPAddress>

    // Joining and leaving.
    var seeds: [Endpoint] = []
    var joinAttempt = 0
    var joinStreams = 0
    var hasJoined = false
    var leavePhase = LeavePhase.none
    var leaveDeadline: Nanoseconds = 0
    var wasIsolated = true
    /// The last failed member that came back, while an exchange with it is due.
    var returned: String?

    // serf.
    var memberClock = LamportClock()
    var eventClock = LamportClock()
    var queryClock = LamportClock()
    var intents: [String: RecentIntent] = [:]
    var intentBroadcasts = BroadcastQueue()
    var eventBroadcasts = BroadcastQueue()
    var queryBroadcasts = BroadcastQueue()
    var eventRing: EventRing
    var queryRing: QueryRing
    var pendingQueries: [UInt64: PendingQuery] = [:]
    var coordinates = CoordinateTracker()

    /// Makes a node that knows nobody yet. `endpoint` is what others reach us at. The generator must be a good one in
    /// production: the nonces of encryption come from it.
    public init(
        name: String, endpoint: Endpoint, tags: [String: String] = [:], settings: Settings = .lan,
        keyRing: KeyRing? = nil, cipher: (any AuthenticatedCipher)? = nil, memory: Memory = Memory(),
        now: Nanoseconds, random: inout some RandomNumberGenerator
    ) throws(Fault) {
        if let fault = settings.fault { throw .settings(fault) }
        guard NodeName.isValid(name) else { throw .name(name) }
        guard !endpoint.address.isUnspecified, endpoint.port != 0 else { throw .endpoint(endpoint) }
        let meta = Tags.encode(tags)
        guard meta.count <= Tags.limit else { throw .tagsTooLarge(meta.count) }
        guard keyRing == nil || cipher != nil else { throw .noCipher }
        self.settings = settings
        self.name = name
        self.now = now
        var generator = Xoshiro256(from: &random)
        envelope = Envelope(
            keyRing: keyRing, cipher: cipher, label: settings.label, compresses: settings.compresses,
            requiresEncryption: settings.requiresEncryption)
        awareness = Awareness(limit: settings.awarenessLimit)
        sequence = UInt32(UInt16(truncatingIfNeeded: generator.next()))
        intake = IntakeBudget(streamLimit: settings.streamLimit, byteLimit: settings.streamMemory)
        eventRing = EventRing(slots: settings.eventSlots)
        queryRing = QueryRing(slots: settings.eventSlots)
        if memory.memberTime > 0 { memberClock = LamportClock(time: memory.memberTime) }
        if memory.eventTime > 0 { eventClock = LamportClock(time: memory.eventTime) }
        if memory.queryTime > 0 { queryClock = LamportClock(time: memory.queryTime) }
        seeds = memory.peers.filter { $0 != endpoint }
        let incarnation = memory.incarnation < .max ? max(1, memory.incarnation + 1) : memory.incarnation
        let record = MemberRecord(
            name: name, endpoint: endpoint, meta: meta, versions: .own, incarnation: incarnation, state: .alive,
            stateChanged: now, isListed: true)
        own = table.add(record, isSelf: true, random: &generator)
        self.random = generator
    }

    /// Takes in one event and says what is to be done. Time never goes back between calls.
    public mutating func handle(
        _ event: Event, now time: Nanoseconds, random generator: inout some RandomNumberGenerator
    ) -> [Directive] {
        now = max(now, time)
        random.stir(generator.next())
        noticePause()
        switch event {
        case .start: start()
        case .datagram(let bytes, let source): receive(bytes, from: source)
        case .streamAccepted(let id, let source): accept(id, from: source)
        case .streamData(let id, let bytes): receive(bytes, on: id)
        case .streamEnded(let id): end(id)
        case .timer: break
        case .command(let command): carryOut(command)
        }
        // A bounded number, so that a timer that is set for now cannot hold the caller.
        for _ in 0..<4096 {
            guard let timer = timers.popDue(now) else { break }
            fire(timer)
        }
        // Timers left over by the bound are due already, perhaps at the very time that was announced last.
        if let next = timers.next, next != announcedWake || next <= now {
            announcedWake = next
            directives.append(.wake(at: next))
        }
        var result: [Directive] = []
        swap(&result, &directives)
        return result
    }

    /// When it wants to be woken next.
    public var nextDeadline: Nanoseconds? { timers.next }

    /// The members: ourselves, the living, and those that failed or left not too long ago.
    public var members: [Member] { table.records.filter(\.isListed).map(Member.init) }

    /// One member.
    public func member(_ name: String) -> Member? {
        table[name].flatMap { $0.isListed ? Member($0) : nil }
    }

    /// What is to be kept for the next start.
    public var memory: Memory {
        Memory(
            incarnation: table[own]?.incarnation ?? 0, memberTime: memberClock.time, eventTime: eventClock.time,
            queryTime: queryClock.time,
            peers: table.records.filter { $0.name != name && $0.isListed && $0.state != .left }.map(\.endpoint))
    }

    /// How often something happened.
    public func count(of counter: Counter) -> UInt64 { counters[counter.rawValue] }

    /// Lifeguard's health score: 0 is well.
    public var healthScore: Int { awareness.score }

    /// Our place in the network coordinate space.
    public var coordinate: Coordinate { coordinates.coordinate }

    /// The estimated round trip to a member, seconds; nil when its place is not known.
    public func estimatedRoundTrip(to name: String) -> Double? {
        table[name]?.coordinate.map { coordinates.coordinate.distance(to: $0) }
    }

    /// How many broadcasts wait.
    public var queuedBroadcasts: Int {
        memberBroadcasts.count + intentBroadcasts.count + eventBroadcasts.count + queryBroadcasts.count
    }

    /// The gossip keys.
    public var keyRing: KeyRing? { envelope.keyRing }

    /// Uses other keys from now on. A node without keys stays without: whether gossip is encrypted is decided at the start.
    public mutating func replaceKeyRing(_ keyRing: KeyRing) {
        if envelope.keyRing != nil { envelope.keyRing = keyRing }
    }
}

extension Instance {
    mutating func count(_ counter: Counter, by amount: UInt64 = 1) { counters[counter.rawValue] += amount }

    mutating func notice(_ notice: Notice) { directives.append(.notice(notice)) }

    mutating func setTimer(_ timer: Timer, in interval: Nanoseconds) { timers.add(timer, at: now + interval) }

    /// How many nodes the formulas count: all that are not retired.
    var nodeCount: Int { table.order.count + 1 }

    var endpoint: Endpoint { table[own]?.endpoint ?? Endpoint(address: .v4(.init(rawValue: 0)), port: 0) }

    mutating func nextSequence() -> UInt32 {
        sequence &+= 1
        return sequence
    }

    private mutating func start() {
        // Periodic work begins after a random part of its interval, so that nodes started together spread out.
        setTimer(.gossip, in: random.part(of: settings.gossipInterval))
        setTimer(.probe, in: random.part(of: settings.probeInterval))
        setTimer(.pushPull, in: random.part(of: settings.pushPullInterval))
        setTimer(.reconnect, in: random.part(of: settings.reconnectInterval))
        setTimer(.reap, in: random.part(of: settings.reapInterval))
        if let record = table[own] { directives.append(.member(.joined, Member(record))) }
        if !seeds.isEmpty { setTimer(.join, in: 0) }
    }

    private mutating func fire(_ timer: Timer) {
        switch timer {
        case .gossip: gossip()
        case .probe: probeNext()
        case .pushPull: exchangeWithRandomMember()
        case .reconnect: reconnect()
        case .catchUp: catchUp()
        case .reap: reap()
        case .join: joinSeeds()
        case .probeTimeout(let number): probeIsLate(number)
        case .probeEnd(let number): probeIsOver(number)
        case .indirectTimeout(let number): indirectIsLate(number)
        case .suspicion(let node): suspicionIsDue(node)
        case .move(let node): moveIsDue(node)
        case .stream(let id): streamIsLate(id)
        case .query(let time): finishQuery(time)
        case .leave: continueLeaving()
        }
    }

    /// After a stop of the process (SIGSTOP, a paused machine) every timer is late, and so would be every accusation:
    /// all of them are moved by the time that was lost, so that waiting packets are heard first.
    private mutating func noticePause() {
        guard let next = timers.next, now > next else { return }
        let gap = now - next
        guard gap > 2 * settings.probeInterval else { return }
        timers.shift(by: gap)
        for slot in table.order {
            _ = table.update(slot) { $0.suspicion?.start += gap }
        }
        probe?.sent += gap
        awareness.apply(1)
        notice(.paused(gap))
    }
}

extension Member {
    init(_ record: MemberRecord) {
        self.init(
            name: record.name, endpoint: record.endpoint, tags: Tags.decode(record.meta), status: record.status,
            suspectedBy: record.suspicion?.accusers ?? [], versions: record.versions,
            incarnation: record.incarnation, statusTime: record.statusTime, since: record.stateChanged,
            lastAck: record.lastAck, roundTrip: record.roundTrip, answersOnlyStreams: record.answersOnlyStreams,
            coordinate: record.coordinate)
    }
}
