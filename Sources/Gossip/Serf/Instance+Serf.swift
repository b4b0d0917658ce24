internal import StateMachine

/// An intent about a node that is not known yet.
struct RecentIntent: Sendable {
    var isLeave: Bool
    var time: UInt64
    var received: Nanoseconds
}

extension Instance {
    /// Takes in a serf message. `message` is the whole user message, which is what is gossiped on.
    mutating func receiveSerf(
        _ reader: inout MessagePackReader, message: Range<Int>, from source: Endpoint
    ) throws(WireFault) {
        guard let type = SerfType(rawValue: try reader.byte()) else { throw .unknownType }
        switch type {
        case .leave:
            let intent = try Intent(from: &reader)
            if takeLeave(intent) { gossipIntent(Array(reader.bytes[message]), about: intent.node) }
        case .join:
            let intent = try Intent(from: &reader)
            if takeJoin(intent) { gossipIntent(Array(reader.bytes[message]), about: intent.node) }
        case .userEvent:
            let event = try UserEventMessage(from: &reader)
            if take(event) { gossipEvent(Array(reader.bytes[message])) }
        case .query:
            let query = try QueryMessage(from: &reader)
            if take(query) { gossipQuery(Array(reader.bytes[message])) }
        case .queryResponse:
            take(try QueryResponseMessage(from: &reader))
        case .relay:
            let header = try RelayHeader(from: &reader)
            relay(Array(reader.bytes[reader.rest]), by: header)
        case .pushPull, .conflictResponse, .keyRequest, .keyResponse:
            throw .unknownType
        }
    }

    mutating func gossipIntent(_ message: [UInt8], about node: String) {
        guard message.count <= broadcastLimit else { return count(.broadcastsDropped) }
        intentBroadcasts.add(message, named: node)
        overflow(intentBroadcasts.prune(to: max(settings.queueLimit, 2 * table.count)))
    }

    mutating func gossipEvent(_ message: [UInt8]) {
        guard message.count <= broadcastLimit else { return count(.broadcastsDropped) }
        eventBroadcasts.add(message)
        overflow(eventBroadcasts.prune(to: settings.queueLimit))
    }

    mutating func gossipQuery(_ message: [UInt8]) {
        guard message.count <= broadcastLimit else { return count(.broadcastsDropped) }
        queryBroadcasts.add(message)
        overflow(queryBroadcasts.prune(to: settings.queueLimit))
    }

    private mutating func isPlausible(time: UInt64, of node: String) -> Bool {
        if memberClock.isPlausible(time) { return true }
        implausible(node)
        return false
    }

    // MARK: Intents

    /// A node means to be a member. True when that is news.
    mutating func takeJoin(_ intent: Intent) -> Bool {
        guard isPlausible(time: intent.time, of: intent.node) else { return false }
        memberClock.witness(intent.time)
        guard let slot = table.slot(of: intent.node), let record = table[slot], record.isListed else {
            return remember(intent, isLeave: false)
        }
        guard intent.time > record.statusTime else { return false }
        // Until it is believed to be back, we tell others that it left, and that must bear the time at which it did: with
        // the join's, it would undo the join where that is not known yet, and a stock agent would never take it up again.
        if record.status == .left { return remember(intent, isLeave: false) }
        _ = table.update(slot) { record in
            record.statusTime = intent.time
            if record.status == .leaving, !record.state.isGone { record.status = .alive }
        }
        return true
    }

    /// A node means to leave, or is said to have left. True when that is news.
    mutating func takeLeave(_ intent: Intent) -> Bool {
        guard isPlausible(time: intent.time, of: intent.node) else { return false }
        memberClock.witness(intent.time)
        guard let slot = table.slot(of: intent.node), let record = table[slot], record.isListed else {
            return remember(intent, isLeave: true)
        }
        if slot == own, leavePhase == .none {
            // We are not leaving: say so with a newer time, also when the times are equal, which they can be after a
            // restart or a partition.
            if intent.time >= record.statusTime { broadcastJoin(time: memberClock.time) }
            return false
        }
        guard intent.time > record.statusTime else { return false }
        _ = table.update(slot) { $0.statusTime = intent.time }
        switch record.status {
        case .alive:
            let now = now
            _ = table.update(slot) { record in
                record.status = .leaving
                record.leaveTime = now
            }
        case .failed:
            _ = table.update(slot) { record in
                record.status = .left
                record.state = .left
            }
            if let record = table[slot] { directives.append(.member(.left, Member(record))) }
            if intent.prune { prune(slot) }
        case .left:
            if intent.prune { prune(slot) }
        case .leaving:
            break
        }
        return true
    }

    /// Forgets a member that is gone, but not its incarnation. Members that live are never pruned: the intent may be
    /// forged.
    private mutating func prune(_ slot: Int) {
        guard let record = table[slot], record.state.isGone, slot != own else { return }
        _ = table.update(slot) { record in
            record.isListed = false
            record.isRetired = true
        }
        coordinates.forget(record.name)
        directives.append(.member(.reaped, Member(record)))
    }

    private mutating func remember(_ intent: Intent, isLeave: Bool) -> Bool {
        if let known = intents[intent.node], known.time >= intent.time { return false }
        guard intents[intent.node] != nil || intents.count < settings.queueLimit else { return false }
        intents[intent.node] = RecentIntent(isLeave: isLeave, time: intent.time, received: now)
        return true
    }

    /// Tells all that we mean to be a member.
    mutating func broadcastJoin(time: UInt64) {
        let intent = Intent(time: time, node: name)
        memberClock.witness(time)
        _ = table.update(own) { record in
            record.statusTime = max(record.statusTime, time)
        }
        gossipIntent([MessageType.user.rawValue] + intent.encode(as: .join), about: name)
    }

    mutating func forceLeave(_ node: String, prune: Bool) {
        guard let record = table[node], record.isListed, node != name else {
            return notice(.refused("no member \(node)"))
        }
        let intent = Intent(time: memberClock.time, node: node, prune: prune)
        memberClock.increment()
        if takeLeave(intent) {
            gossipIntent([MessageType.user.rawValue] + intent.encode(as: .leave), about: node)
        }
    }

    // MARK: From memberlist

    /// A node is there that was not, for the first time if it `isNew`.
    mutating func memberJoined(_ slot: Int, isNew: Bool) {
        guard let record = table[slot] else { return }
        if record.status == .failed { memberReturned(record.name) }
        let intent = intents.removeValue(forKey: record.name)
        let now = now
        _ = table.update(slot) { record in
            record.status = .alive
            record.leaveTime = 0
            if let intent {
                record.statusTime = max(record.statusTime, intent.time)
                // What was meant before an announcement that is newer than a farewell no longer holds.
                if !record.isListed, intent.isLeave, isNew {
                    record.status = .leaving
                    record.leaveTime = now
                }
            }
            record.isListed = true
        }
        if let record = table[slot] { directives.append(.member(.joined, Member(record))) }
    }

    mutating func memberGone(_ slot: Int) {
        let now = now
        let change = table.update(slot) { record -> MemberChange in
            // A farewell of the node itself is proof enough: its intent may have missed us.
            let change: MemberChange = record.status == .leaving || record.state == .left ? .left : .failed
            record.status = change == .left ? .left : .failed
            record.leaveTime = now
            record.roundTrip = nil
            return change
        }
        guard let change, let record = table[slot] else { return }
        coordinates.forget(record.name)
        if record.isListed { directives.append(.member(change, Member(record))) }
    }

    // MARK: Push/pull

    var serfState: SerfState {
        var state = SerfState()
        state.memberTime = memberClock.time
        state.eventTime = eventClock.time
        state.queryTime = queryClock.time
        for record in table.records where record.isListed {
            state.statusTimes.append(SerfState.StatusTime(node: record.name, time: record.statusTime))
            if record.status == .left { state.leftMembers.append(record.name) }
        }
        state.events = eventRing.recent
        return state
    }

    mutating func mergeSerf(_ state: SerfState) {
        guard memberClock.isPlausible(state.memberTime), eventClock.isPlausible(state.eventTime),
            queryClock.isPlausible(state.queryTime)
        else {
            return implausible("push/pull")
        }
        // The clocks say what comes next, so the time before it has been used.
        if state.memberTime > 0 { memberClock.witness(state.memberTime - 1) }
        if state.eventTime > 0 { eventClock.witness(state.eventTime - 1) }
        if state.queryTime > 0 { queryClock.witness(state.queryTime - 1) }
        let left = Set(state.leftMembers)
        for status in state.statusTimes where left.contains(status.node) {
            _ = takeLeave(Intent(time: status.time, node: status.node))
        }
        for status in state.statusTimes where !left.contains(status.node) {
            _ = takeJoin(Intent(time: status.time, node: status.node))
        }
        for case let slot? in state.events {
            for item in slot.items {
                _ = take(
                    UserEventMessage(time: slot.time, name: item.name, payload: item.payload, coalesce: false))
            }
        }
    }

    // MARK: Housekeeping

    /// Forgets members that failed or left long ago, and old intents.
    mutating func reap() {
        setTimer(.reap, in: settings.reapInterval)
        for (node, intent) in intents where now - intent.received > settings.recentIntentTimeout {
            intents[node] = nil
        }
        for slot in table.slots.indices where slot != own {
            guard let record = table[slot] else { continue }
            if !record.state.isGone {
                stillThere(slot, record)
                continue
            }
            let timeout = record.status == .failed ? settings.reconnectTimeout : settings.tombstoneTimeout
            guard now - record.leaveTime > timeout else { continue }
            table.remove(slot)
            coordinates.forget(record.name)
            if record.isListed { directives.append(.member(.reaped, Member(record))) }
        }
    }

    /// Leaving takes two broadcasts and a moment. Who is still there after three times as long does not leave: its
    /// intent was forged, or is of its life before a restart.
    private mutating func stillThere(_ slot: Int, _ record: MemberRecord) {
        guard record.status == .leaving,
            now - record.leaveTime > 3 * (2 * settings.broadcastTimeout + settings.leavePropagation)
        else { return }
        _ = table.update(slot) { $0.status = .alive }
    }
}
