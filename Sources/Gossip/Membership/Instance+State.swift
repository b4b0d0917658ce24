internal import StateMachine

extension Instance {
    // MARK: Alive

    /// A node announced itself, directly or through others.
    mutating func announced(_ announcement: Alive) {
        var alive = announcement
        if alive.endpoint.port == 0 { alive.endpoint = Endpoint(address: alive.endpoint.address, port: endpoint.port) }
        if alive.node == name { return announcedSelf(alive) }
        guard alive.versions.isCompatible(with: .own) else { return notice(.incompatible(alive.node)) }
        guard let slot = table.slot(of: alive.node), let record = table[slot] else {
            return welcome(alive)
        }
        guard isPlausible(alive.incarnation, after: record.incarnation) else { return implausible(alive.node) }
        if record.endpoint != alive.endpoint {
            guard record.state.isGone, alive.incarnation > record.incarnation else {
                if record.isRetired { return stale(alive, record) }
                return conflict(alive, record)
            }
            guard record.state == .left || now - record.stateChanged >= settings.deadNodeReclaim else {
                return conflict(alive, record)
            }
            return beginMove(of: slot, to: alive)
        }
        guard alive.incarnation > record.incarnation else {
            if record.isRetired { stale(alive, record) }
            return
        }
        accept(alive, in: slot)
    }

    private mutating func welcome(_ alive: Alive) {
        guard isPlausible(alive.incarnation, after: 0) else { return implausible(alive.node) }
        guard table.count < settings.memberLimit else { return count(.membersRefused) }
        let record = MemberRecord(
            name: alive.node, endpoint: alive.endpoint, meta: alive.meta, versions: alive.versions,
            incarnation: alive.incarnation, state: .dead, stateChanged: now)
        accept(alive, in: table.add(record, random: &random), isNew: true)
    }

    private mutating func accept(_ alive: Alive, in slot: Int, isNew: Bool = false) {
        guard var record = table[slot] else { return }
        let old = record
        record.endpoint = alive.endpoint
        record.meta = alive.meta
        record.versions = alive.versions
        record.incarnation = alive.incarnation
        record.suspicion = nil
        record.pendingMove = nil
        record.isRetired = false
        // A node that is about to leave does not announce itself anew: this one was started again.
        if record.status == .leaving, old.isListed, !old.state.isGone { record.status = .alive }
        if old.state != .alive {
            record.state = .alive
            record.stateChanged = now
        }
        table[slot] = record
        if old.isRetired { table.enlist(slot, random: &random) }
        broadcast(alive.encode(), about: alive.node)
        if old.state.isGone || !old.isListed {
            memberJoined(slot, isNew: isNew)
        } else if old.meta != alive.meta || old.endpoint != alive.endpoint {
            directives.append(.member(.updated, Member(record)))
        }
    }

    /// Somebody announces us: an echo, our past self, or somebody with our name.
    private mutating func announcedSelf(_ alive: Alive) {
        guard leavePhase.isMember, let me = table[own] else { return }
        guard alive.endpoint == me.endpoint else { return conflict(alive, me) }
        guard alive.incarnation >= me.incarnation else { return }
        if alive.incarnation == me.incarnation, alive.meta == me.meta, alive.versions == me.versions { return }
        refute(alive.incarnation, accuser: name)
    }

    private mutating func conflict(_ alive: Alive, _ record: MemberRecord) {
        // A node that was restarted elsewhere tells its address again and again until the old one is known to be dead.
        count(.conflicts)
        if alive.node == name || !record.state.isGone {
            notice(.nameConflict(alive.node, known: record.endpoint, claimed: alive.endpoint))
        }
    }

    /// An announcement that is older than what we remember of a node that is gone: a replay, or a node that was
    /// started again and does not know its last incarnation. It is told directly, so that it can refute.
    private mutating func stale(_ alive: Alive, _ record: MemberRecord) {
        count(.stale)
        let accusation = Accusation(node: record.name, incarnation: record.incarnation, from: name)
        transmit(accusation.encode(as: .dead), to: alive.endpoint, checksum: false)
    }

    // MARK: Moving to another address

    /// A name that is gone comes from another address. Any holder of the key can forge that a node left, so the old
    /// address is asked first and told that it is thought gone; if it answers nothing moves.
    private mutating func beginMove(of slot: Int, to alive: Alive) {
        guard let record = table[slot] else { return }
        if let pending = record.pendingMove {
            if pending.endpoint == alive.endpoint, pending.incarnation < alive.incarnation {
                _ = table.update(slot) { $0.pendingMove = alive }
            }
            return
        }
        _ = table.update(slot) { $0.pendingMove = alive }
        let number = nextSequence()
        moveProbes[number] = record.name
        let ping = Ping(sequence: number, node: record.name, source: ProbeSource(endpoint: endpoint, node: name))
        let accusation = Accusation(node: record.name, incarnation: record.incarnation, from: name)
        transmit(
            Compound.encode([ping.encode(), accusation.encode(as: .dead)]), to: record.endpoint, checksum: false)
        setTimer(.move(record.name), in: settings.moveQuarantine)
    }

    mutating func rejectMove(of node: String, answeredBy source: Endpoint) {
        guard let slot = table.slot(of: node), let record = table[slot], let alive = record.pendingMove else { return }
        guard source == record.endpoint else { return }
        _ = table.update(slot) { $0.pendingMove = nil }
        count(.conflicts)
        notice(.nameConflict(node, known: record.endpoint, claimed: alive.endpoint))
    }

    mutating func moveIsDue(_ node: String) {
        for (number, probed) in moveProbes where probed == node { moveProbes[number] = nil }
        guard let slot = table.slot(of: node), let record = table[slot], let alive = record.pendingMove else { return }
        _ = table.update(slot) { $0.pendingMove = nil }
        guard record.state.isGone, alive.incarnation > record.incarnation else { return }
        notice(.moved(node, from: record.endpoint, to: alive.endpoint))
        accept(alive, in: slot)
    }

    // MARK: Incarnations

    /// Whether an incarnation is one that a node can have come to. Without a limit one forged message with the largest
    /// number could never be refuted.
    func isPlausible(_ incarnation: UInt32, after known: UInt32) -> Bool {
        incarnation <= settings.incarnationFloor || incarnation <= known
            || incarnation - known <= settings.incarnationJump
    }

    mutating func implausible(_ node: String) {
        count(.implausible)
        notice(.implausible(node))
    }

    /// Answers an accusation with a higher incarnation.
    private mutating func refute(_ accused: UInt32, accuser: String) {
        guard let me = table[own] else { return }
        guard isPlausible(accused, after: me.incarnation), max(me.incarnation, accused) < .max else {
            return implausible(name)
        }
        awareness.apply(1)
        count(.refutations)
        announceSelf(incarnation: max(me.incarnation, accused) + 1)
        notice(.refuted(incarnation: max(me.incarnation, accused) + 1, accuser: accuser))
    }

    /// Somebody still spreads what was refuted: he missed the refutation, and it is no longer gossiped. Without this a
    /// lossy network has its members convicted in the end, however long suspicions last.
    private mutating func repeatRefutation() {
        guard leavePhase.isMember, !memberBroadcasts.holds(name), let me = table[own] else { return }
        announceSelf(incarnation: me.incarnation)
    }

    /// Announces ourselves with this incarnation.
    mutating func announceSelf(incarnation: UInt32) {
        _ = table.update(own) { $0.incarnation = incarnation }
        guard let me = table[own] else { return }
        let alive = Alive(
            node: name, endpoint: me.endpoint, meta: me.meta, versions: me.versions, incarnation: incarnation)
        broadcast(alive.encode(), about: name)
    }

    // MARK: Suspect

    mutating func suspect(_ accusation: Accusation) {
        guard let slot = table.slot(of: accusation.node), let record = table[slot] else { return }
        guard accusation.incarnation >= record.incarnation else {
            if slot == own { repeatRefutation() }
            return
        }
        guard isPlausible(accusation.incarnation, after: record.incarnation) else {
            return implausible(accusation.node)
        }
        if slot == own {
            if leavePhase.isMember { refute(accusation.incarnation, accuser: accusation.from) }
            return
        }
        if var suspicion = record.suspicion {
            guard suspicion.confirm(from: accusation.from) else { return }
            let deadline = suspicion.deadline
            _ = table.update(slot) { $0.suspicion = suspicion }
            broadcast(accusation.encode(as: .suspect), about: accusation.node)
            timers.add(.suspicion(accusation.node), at: deadline)
            return
        }
        if record.state == .left { return remind(of: slot, record) }
        guard record.state == .alive else { return }
        var expected = settings.suspicionMultiplier - 2
        // We and the suspect cannot confirm.
        if nodeCount - 2 < expected || expected < 0 { expected = 0 }
        let minimum = Timing.suspicionMinimum(
            multiplier: settings.suspicionMultiplier, nodes: nodeCount, interval: settings.probeInterval)
        let suspicion = Suspicion(
            from: accusation.from, expected: expected, minimum: minimum,
            maximum: minimum * UInt64(settings.suspicionMaximumMultiplier), start: now)
        let now = now
        _ = table.update(slot) { record in
            record.incarnation = accusation.incarnation
            record.state = .suspect
            record.stateChanged = now
            record.suspicion = suspicion
        }
        suspects.insert(accusation.node)
        timers.add(.suspicion(accusation.node), at: suspicion.deadline)
        broadcast(accusation.encode(as: .suspect), about: accusation.node)
        notice(.suspected(accusation.node, by: accusation.from))
    }

    /// Somebody misses a node that left: the farewell is gossiped again, so that nobody takes it for failed.
    private mutating func remind(of slot: Int, _ record: MemberRecord) {
        guard !record.isRetired, record.status == .left, now - record.reminded >= settings.probeInterval else { return }
        let now = now
        _ = table.update(slot) { $0.reminded = now }
        let farewell = Accusation(node: record.name, incarnation: record.incarnation, from: record.name)
        broadcast(farewell.encode(as: .dead), about: record.name)
    }

    mutating func suspicionIsDue(_ node: String) {
        guard let record = table[node], record.state == .suspect, let suspicion = record.suspicion,
            suspicion.deadline <= now
        else { return }
        declareDead(Accusation(node: node, incarnation: record.incarnation, from: name))
    }

    // MARK: Dead

    /// A node is gone: dead, or left if it says so itself.
    mutating func declareDead(_ accusation: Accusation) {
        guard let slot = table.slot(of: accusation.node), let record = table[slot] else { return }
        guard accusation.incarnation >= record.incarnation else {
            if slot == own { repeatRefutation() }
            return
        }
        guard isPlausible(accusation.incarnation, after: record.incarnation) else {
            return implausible(accusation.node)
        }
        if slot == own {
            if leavePhase.isMember { refute(accusation.incarnation, accuser: accusation.from) }
            return
        }
        guard !record.state.isGone else { return }
        let now = now
        _ = table.update(slot) { record in
            record.suspicion = nil
            record.incarnation = accusation.incarnation
            record.state = accusation.from == accusation.node ? .left : .dead
            record.stateChanged = now
        }
        broadcast(accusation.encode(as: .dead), about: accusation.node)
        memberGone(slot)
    }

    /// Takes those that are gone for long out of the round.
    mutating func retire() {
        for slot in table.order {
            guard let record = table[slot], record.state.isGone, !record.isRetired,
                now - record.stateChanged > settings.gossipToTheDead
            else { continue }
            _ = table.update(slot) { $0.isRetired = true }
        }
    }
}
