internal import StateMachine

/// How far leaving has come.
enum LeavePhase: Hashable, Sendable {
    case none
    /// The leave intent is being gossiped.
    case intent(UInt64)
    /// That we are gone is being gossiped.
    case dead(UInt64)
    case propagating
    case done

    /// Whether we still want to be a member.
    var isMember: Bool {
        switch self {
        case .none, .intent: true
        default: false
        }
    }
}

extension Instance {
    // MARK: Joining

    mutating func join(_ peers: [Endpoint]) {
        guard leavePhase == .none else { return notice(.refused("the node is leaving")) }
        for peer in peers where peer != endpoint && !seeds.contains(peer) { seeds.append(peer) }
        hasJoined = false
        joinAttempt = 0
        if joinStreams == 0 { setTimer(.join, in: 0) }
    }

    /// Tries some of the seeds at once.
    mutating func joinSeeds() {
        guard !hasJoined, joinStreams == 0, leavePhase == .none else { return }
        for seed in seeds.shuffled(using: &random).prefix(8) {
            joinStreams += 1
            exchange(with: seed, isJoin: true, isSeed: true)
        }
    }

    mutating func seedAnswered(_ seed: Endpoint, succeeded: Bool) {
        joinStreams = max(0, joinStreams - 1)
        if succeeded {
            if !hasJoined {
                hasJoined = true
                notice(.joinedVia(seed))
            }
            broadcastJoin(time: memberClock.time)
            announceSelf(incarnation: table[own]?.incarnation ?? 1)
            introduce()
        } else if !hasJoined, joinStreams == 0 {
            // For ever, with growing pauses of random length, so that a cluster started together spreads out.
            let doubled = settings.joinRetry << UInt64(min(joinAttempt, 16))
            joinAttempt += 1
            let longest = min(doubled, settings.joinRetryLimit)
            let pause = longest / 2 + random.part(of: longest / 2 + 1)
            setTimer(.join, in: pause)
            notice(.joinFailed(retryIn: pause))
        }
    }

    /// Tells those whom we have just heard of that we are here, each at once. By gossip alone the last of them hears it
    /// rounds later, and what we have to say to him until then is a stranger's.
    private mutating func introduce() {
        guard let me = table[own] else { return }
        let alive = Alive(
            node: name, endpoint: me.endpoint, meta: me.meta, versions: me.versions, incarnation: me.incarnation
        ).encode()
        let news = table.order.compactMap { table[$0] }.filter { $0.state == .alive && $0.stateChanged == now }
        for record in news.shuffled(using: &random).prefix(Self.introductions) {
            transmit(alive, to: record.endpoint, checksum: record.versions.protocolMax >= 5)
        }
    }

    /// The most that are told at once; in larger clusters the others hear by gossip.
    private static let introductions = 256

    // MARK: Coming together again

    /// Tries one failed member, and one seed that no member answers at: this is what heals a partition, since nobody
    /// probes the dead. The chance is such that about one node of the cluster tries each of them per interval.
    mutating func reconnect() {
        setTimer(.reconnect, in: settings.reconnectInterval)
        guard leavePhase == .none else { return }
        var failed: [Endpoint] = []
        var present: Set<Endpoint> = [endpoint]
        for record in table.records where record.name != name {
            if record.state == .alive || record.state == .suspect {
                present.insert(record.endpoint)
            } else if record.status == .failed, record.isListed {
                failed.append(record.endpoint)
            }
        }
        let alive = present.count
        let isIsolated = alive == 1
        if isIsolated, !wasIsolated { notice(.isolated) }
        wasIsolated = isIsolated
        if let peer = failed.randomElement(using: &random),
            Int.random(in: 0..<alive, using: &random) < failed.count
        {
            exchange(with: peer, isJoin: true, isSeed: false)
        }
        guard hasJoined else { return }
        let absent = seeds.filter { !present.contains($0) && !failed.contains($0) }
        if let seed = absent.randomElement(using: &random), Int.random(in: 0..<alive, using: &random) < absent.count {
            exchange(with: seed, isJoin: true, isSeed: false)
        }
    }

    /// A failed member is back. If others are still missed, a partition has healed and we may have slept through the news,
    /// which is told a limited number of times: the one that is back is asked for its half of the cluster.
    mutating func memberReturned(_ node: String) {
        let isDue = returned != nil
        returned = node
        if !isDue {
            setTimer(.catchUp, in: random.part(of: Timing.pushPull(interval: .seconds(1), nodes: table.count)))
        }
    }

    mutating func catchUp() {
        guard let node = returned else { return }
        returned = nil
        guard leavePhase == .none, let record = table[node], !record.state.isGone,
            table.records.contains(where: { $0.status == .failed && $0.isListed })
        else { return }
        exchange(with: record.endpoint, isJoin: false, isSeed: false)
    }

    // MARK: Leaving

    mutating func leave() {
        guard leavePhase == .none else { return }
        let intent = Intent(time: memberClock.time, node: name)
        memberClock.increment()
        _ = table.update(own) { record in
            record.status = .leaving
            record.statusTime = intent.time
        }
        let id = intentBroadcasts.add(
            [MessageType.user.rawValue] + intent.encode(as: .leave), named: name, isAwaited: true)
        leavePhase = .intent(id)
        waitLeaving(hasOthers ? settings.broadcastTimeout : 0)
    }

    private var hasOthers: Bool {
        table.order.contains { table[$0]?.state.isGone == false }
    }

    private mutating func waitLeaving(_ interval: Nanoseconds) {
        leaveDeadline = now + interval
        timers.add(.leave, at: leaveDeadline)
    }

    /// Goes on as soon as the broadcast that is waited for was sent often enough.
    mutating func checkLeaving() {
        switch leavePhase {
        case .intent(let id) where intentBroadcasts.finished.contains(id): waitLeaving(0)
        case .dead(let id) where memberBroadcasts.finished.contains(id): waitLeaving(0)
        default: break
        }
    }

    mutating func continueLeaving() {
        guard now >= leaveDeadline else { return }
        switch leavePhase {
        case .none, .done:
            break
        case .intent:
            guard let me = table[own] else { return }
            let now = now
            _ = table.update(own) { record in
                record.state = .left
                record.stateChanged = now
                record.status = .left
                record.leaveTime = now
            }
            let farewell = Accusation(node: name, incarnation: me.incarnation, from: name)
            let id = broadcast(farewell.encode(as: .dead), about: name, isAwaited: true)
            leavePhase = .dead(id ?? 0)
            waitLeaving(hasOthers ? settings.broadcastTimeout : 0)
        case .dead:
            leavePhase = .propagating
            waitLeaving(hasOthers ? settings.leavePropagation : 0)
        case .propagating:
            leavePhase = .done
            directives.append(.left)
        }
    }
}
