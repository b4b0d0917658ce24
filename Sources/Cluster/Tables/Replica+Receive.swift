internal import StateMachine

/// What became of a record that another host showed.
enum Outcome: Hashable, Sendable {
    case taken
    case known
    case old
    case notConcerned
    case resurrected
    case departed
    case forged
    case implausible
    case overLimit
    case conflicting
    case throttled

    /// Whether showing it again would change nothing.
    var isFinal: Bool {
        switch self {
        case .taken, .known, .old, .notConcerned, .resurrected, .conflicting: true
        case .departed, .forged, .implausible, .overLimit, .throttled: false
        }
    }

    var counter: ReplicaCounter {
        switch self {
        case .taken: .recordsTaken
        case .known: .recordsKnown
        case .old: .recordsOld
        case .notConcerned: .notConcerned
        case .resurrected: .resurrections
        case .departed: .departed
        case .forged: .forged
        case .implausible: .implausible
        case .overLimit: .overLimit
        case .conflicting: .conflicting
        case .throttled: .throttled
        }
    }
}

extension Replica {
    /// Takes in the body of a frame.
    mutating func receive(_ body: [UInt8], from source: HostID, overStream: Bool) {
        count(.messagesIn)
        count(.bytesIn, by: body.count)
        guard source != host else { return }
        if peers[source] == nil {
            guard peers.count < 2 * settings.owners else {
                count(.overLimit)
                return
            }
            peers[source] = newPeer()
        }
        guard work(1, for: source) else { return }
        let messages: [Message]
        do throws(TableFault) {
            let authority = authority
            messages = try Message.read(body) { authority.hostID(of: $0) }
        } catch {
            count(.malformed)
            notice(.malformed(error, from: source))
            return
        }
        for message in messages {
            switch message {
            case .rows(let wantsAck, let groups): receive(groups, from: source, wantsAck: wantsAck)
            case .ack(let rows): acknowledge(rows, by: source)
            case .summary(let wantsAck, let summary):
                receive(summary, from: source, wantsAck: wantsAck, overStream: overStream)
            case .offer(let scopes): receive(scopes, from: source)
            case .owners(let list): receive(list, from: source)
            case .versions(let id, let lists): answer(lists, id: id, to: source, overStream: overStream)
            case .census(let census): receive(census, from: source, overStream: overStream)
            case .want(let wants): answer(wants, to: source, overStream: overStream)
            case .done(let id): sessionIsAnswered(source, id)
            case .refused(let rows): defend(rows)
            }
        }
    }

    /// Takes work out of what a host may cause; false when it has caused too much.
    mutating func work(_ amount: Int, for host: HostID) -> Bool {
        let (rate, burst) = (settings.workPerSecond, settings.workBurst)
        let now = now
        guard peers[host]?.budget.take(amount, perSecond: rate, burst: burst, now: now) == false else { return true }
        count(.throttled)
        if peers[host]?.complainedAt.map({ now - $0 > .seconds(60) }) ?? true {
            peers[host]?.complainedAt = now
            notice(.throttled(host))
        }
        return false
    }

    private mutating func receive(_ groups: [Message.Rows], from source: HostID, wantsAck: Bool) {
        var acks: [RowVersion] = []
        if !wantsAck { peers[source]?.session?.isHeard = true }
        for group in groups {
            for item in group.items {
                let record = canonical?(item.record) ?? item.record
                let outcome = take(record, life: item.life, publicKey: group.publicKey, from: source)
                if outcome != .throttled { count(outcome.counter) }
                report(outcome, of: record, from: source)
                remind(source, outcome, record)
                guard wantsAck, outcome.isFinal, record.owner == source else { continue }
                acks.append(RowVersion(hash: record.key.hash64, version: record.version))
            }
        }
        let perBody = max(1, (settings.datagramLimit - 8) / RowVersion.size)
        for start in stride(from: 0, to: acks.count, by: perBody) {
            send(Message.body([.ack(Array(acks[start..<min(acks.count, start + perBody)]))]), to: source)
        }
    }

    private mutating func report(_ outcome: Outcome, of record: Record, from source: HostID) {
        switch outcome {
        case .forged: notice(.forged(owner: record.owner, from: source))
        case .conflicting: notice(.conflicting(owner: record.owner, record.key, record.version))
        case .implausible: notice(.implausible(owner: record.owner, incarnation: record.version.incarnation))
        default: break
        }
    }

    /// An owner that lost its journal counts anew, and what it says counts as old. Shown what it said before, it goes on
    /// above that.
    private mutating func remind(_ source: HostID, _ outcome: Outcome, _ record: Record) {
        let (owner, scope) = (record.owner, record.key.scope)
        guard source == owner, owner != host, let held = table.owners[owner] else { return }
        switch outcome {
        case .old, .conflicting:
            guard let slot = table[owner, scope, record.key.hash64] else { return }
            for message in pack([(held.publicKey, [slot])], wantsAck: false, limit: settings.datagramLimit) {
                send(Message.body([message]), to: source)
            }
        case .resurrected:
            let refused = Message.refused([RowVersion(hash: record.key.hash64, version: record.version)])
            let word = held.word.map { [Message.summary(wantsAck: false, $0)] } ?? []
            send(Message.body(word + [refused]), to: source)
        default: return
        }
    }

    /// Takes in a record, from its owner or from any other host: its signature proves it, nothing else need have come.
    private mutating func take(_ record: Record, life: UInt32, publicKey: [UInt8], from source: HostID) -> Outcome {
        let owner = record.owner
        if owner == host { return defend(record) }
        let scope = record.key.scope
        guard holds(scope) else { return .notConcerned }
        let hash = record.key.hash64
        let held = table[owner, scope, hash]
        if let held {
            if record.version < held.record.version { return .old }
            if record.version == held.record.version, record == held.record {
                return held.isSilent && !record.isTombstone ? .resurrected : .known
            }
        }
        if let outcome = refusal(of: record, held: held) { return outcome }
        guard work(1, for: source) else { return .throttled }
        guard isGenuine(record, publicKey: publicKey) else { return .forged }
        if let held, held.record.version == record.version { return .conflicting }
        let isSuspended = peers[owner]?.status != .alive
        if table.owners[owner] == nil {
            table.add(owner, publicKey: publicKey, isSuspended: isSuspended)
            if isSuspended { setTimer(.grace(owner, number: 0), in: settings.grace) }
        }
        store(
            record, hash: hash, life: life, previous: held.flatMap { $0.isLive ? $0.record : nil },
            isSuspended: isSuspended)
        if record.key == .host, let slot = table[owner, scope, hash] {
            heardOfHost(record, publicKey: publicKey, slot: slot)
        }
        return .taken
    }

    private mutating func refusal(of record: Record, held: Slot?) -> Outcome? {
        let (owner, incarnation) = (record.owner, record.version.incarnation)
        if let limit = departed[owner], incarnation <= limit { return .departed }
        guard incarnation <= settings.incarnationLimit else { return .implausible }
        guard let known = table.owners[owner] else {
            guard table.owners.count < settings.owners else {
                notice(.tooManyOwners)
                return .overLimit
            }
            return nil
        }
        let highest = known.highest.incarnation
        guard incarnation <= highest || incarnation - highest <= settings.incarnationJump else { return .implausible }
        if held == nil, record.version <= known[record.key.scope]?.floor ?? .zero { return .resurrected }
        // A tombstone takes no room: too many of them end early.
        if !record.isTombstone, held?.isLive != true, known.live >= settings.rowsPerOwner {
            notice(.tooManyRows(owner: owner))
            return .overLimit
        }
        return nil
    }

    private func isGenuine(_ record: Record, publicKey: [UInt8]) -> Bool {
        guard authority.verify(record.signedBytes, signature: record.signature, publicKey: publicKey) else {
            return false
        }
        // A host's own record repeats the key; it must not name another.
        guard record.kind == .host, !record.isTombstone, let row = HostRow(decoding: record.value) else { return true }
        return row.publicKey == publicKey
    }

    private mutating func store(_ record: Record, hash: UInt64, life: UInt32, previous: Record?, isSuspended: Bool) {
        let (owner, scope) = (record.owner, record.key.scope)
        var slot = Slot(hash: hash, record: record)
        if record.isTombstone {
            slot.expires = now &+ min(settings.tombstoneLifetime, .seconds(UInt64(life)))
            slot.isSilent = life == 0
            if !slot.isSilent { endTombstonesLater() }
        }
        table.set(slot, owner: owner, scope: scope)
        if record.isTombstone { trimGraves(owner, scope) }
        table.note(record.version, of: owner)
        announce(record, previous: previous, isSuspended: isSuspended)
        guard record.kind == .member else { return }
        if record.isTombstone {
            removeMember(owner, of: record.network)
        } else {
            let isNew = previous == nil
            addMember(owner, of: record.network)
            // Who comes onto a network is told at once what we own there.
            if isNew, !isSuspended, table.digest(host, record.network).count > 0 { sendSummary(to: owner) }
        }
    }
}
