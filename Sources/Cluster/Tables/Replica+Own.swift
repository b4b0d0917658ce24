internal import StateMachine

extension Replica {
    /// Takes in a row from the journal.
    mutating func restore(_ record: Record) {
        let valid =
            record.owner == host && record.key.key.count <= RecordKey.limit
            && record.value.count <= Record.valueLimit
            && authority.verify(record.signedBytes, signature: record.signature, publicKey: publicKey)
        guard valid else {
            notice(.savedRowRefused(record.key))
            return
        }
        let hash = record.key.hash64
        if let held = table[host, record.key.scope, hash], held.record.version >= record.version { return }
        version = max(version, record.version)
        hold(record, hash: hash)
    }

    /// Makes a change of ours part of the table.
    private mutating func hold(_ record: Record, hash: UInt64) {
        let scope = record.key.scope
        let expires = record.isTombstone ? now &+ settings.tombstoneLifetime : 0
        table.set(Slot(hash: hash, record: record, expires: expires), owner: host, scope: scope)
        table.note(record.version, of: host)
        summary = nil
        if record.isTombstone {
            endTombstonesLater()
            trimGraves(host, scope)
        }
        if record.kind == .member {
            if record.isTombstone { networks.remove(record.network) } else { networks.insert(record.network) }
        }
    }

    /// Signs, journals and announces a change of ours.
    mutating func commit(_ key: RecordKey, value: [UInt8]?, hash: UInt64) {
        version = Version(incarnation: version.incarnation, counter: version.counter &+ 1)
        let unsigned = Record(
            key: key, owner: host, version: version, isTombstone: value == nil, value: value ?? [], signature: [])
        let record = Record(
            key: key, owner: host, version: version, isTombstone: value == nil, value: value ?? [],
            signature: authority.sign(unsigned.signedBytes))
        let previous = table[host, key.scope, hash].flatMap { $0.isLive ? $0.record : nil }
        let wasMember = networks.contains(key.network)
        hold(record, hash: hash)
        directives.append(.persist(record))
        announce(record, previous: previous, isSuspended: false)
        guard key.kind == .member, wasMember != (value != nil) else { return }
        if value == nil { leave(key.network) } else { join(key.network) }
    }

    /// Says what a record's coming in place of a row that was shown means.
    mutating func announce(_ record: Record, previous: Record?, isSuspended: Bool) {
        if record.isTombstone {
            guard let previous else { return }
            directives.append(.changed(RowChange(.gone, Row(record: previous, isSuspended: isSuspended))))
        } else {
            let row = Row(record: record, isSuspended: isSuspended)
            directives.append(.changed(RowChange(previous == nil ? .appeared : .updated, row, previous: previous)))
        }
    }

    /// Makes changes, all or none.
    mutating func apply(_ changes: [RecordChange], token: UInt64?) {
        if let refusal = fault(of: changes) {
            if let token { directives.append(.refused(token: token, refusal)) }
            return
        }
        var sent: [UInt64: NetworkID] = [:]
        var order: [UInt64] = []
        for change in changes {
            let (key, value) = change.parts
            let hash = key.hash64
            let held = table[host, key.scope, hash]?.record
            let isLive = held.map { !$0.isTombstone } ?? false
            if let value {
                if !isLive || held?.value != value { commit(key, value: value, hash: hash) }
            } else {
                guard held != nil else { continue }
                if isLive { commit(key, value: nil, hash: hash) }
            }
            if sent.updateValue(key.scope, forKey: hash) == nil { order.append(hash) }
        }
        deliver(order.map { ($0, sent[$0] ?? .none) }, token: token)
    }

    private func fault(of changes: [RecordChange]) -> Refusal? {
        guard version.counter < .max - UInt64(changes.count), version.incarnation < .max else { return .exhausted }
        var added: [UInt64: RecordKey] = [:]
        var (revived, buried): (Set<UInt64>, Set<UInt64>) = ([], [])
        for change in changes {
            let (key, value) = change.parts
            guard key.key.count <= RecordKey.limit else { return .keyTooLong(key.key.count) }
            if let value, value.count > Record.valueLimit { return .valueTooLong(value.count) }
            let hash = key.hash64
            if let held = table[host, key.scope, hash] {
                guard held.record.key == key else { return .collision }
                if value == nil {
                    if held.isLive { buried.insert(hash) }
                } else if !held.isLive {
                    revived.insert(hash)
                }
            } else if value != nil {
                guard added.updateValue(key, forKey: hash) ?? key == key else { return .collision }
            }
        }
        let more = added.count + revived.count
        let live = (table.owners[host]?.live ?? 0) + more - buried.count
        return live > settings.rowsPerOwner && more > 0 ? .tooManyRows(limit: settings.rowsPerOwner) : nil
    }

    /// This host came onto a network: others send what they own when they see it; the rest is asked for.
    private mutating func join(_ network: NetworkID) {
        for host in concerned(in: network).shuffled(using: &random).prefix(settings.exchangesAtOnce) {
            exchange(with: host)
        }
    }

    /// This host is not on a network any more: the rows of others there do not concern it.
    private mutating func leave(_ network: NetworkID) {
        for owner in table.owners.keys.sorted() where owner != host {
            let isSuspended = table.owners[owner]?.isSuspended ?? false
            for slot in table.dropBucket(owner, network) where slot.isLive {
                directives.append(.changed(RowChange(.gone, Row(record: slot.record, isSuspended: isSuspended))))
            }
        }
    }

    /// Another host has a row of ours. When it is newer than what we have, our journal lost something, or another process
    /// runs with our key: we go on above it, and what we do not have ceases to exist.
    mutating func defend(_ record: Record) -> Outcome {
        let hash = record.key.hash64
        let held = table[host, record.key.scope, hash]?.record
        if let held, record.version < held.version { return .old }
        if let held, record == held { return .known }
        if held == nil, record.version <= version { return .old }
        guard authority.verify(record.signedBytes, signature: record.signature, publicKey: publicKey) else {
            return .forged
        }
        guard record.version.incarnation < .max - 1, defences.take(1, perSecond: 10, burst: 100, now: now) else {
            return .implausible
        }
        if let held, held.version == record.version {
            count(.conflicting)
            notice(.conflicting(owner: host, record.key, record.version))
        }
        if record.version > version {
            rise(above: record.version)
        } else if let held {
            commit(held.key, value: held.isTombstone ? nil : held.value, hash: hash)
            deliver([(hash, held.key.scope)], token: nil)
        }
        return .known
    }

    /// Another host has a summary of ours.
    mutating func defend(_ summary: Message.Summary) {
        guard summary.asOf > version, summary.asOf.incarnation < .max - 1,
            defences.take(1, perSecond: 10, burst: 100, now: now)
        else { return }
        rise(above: summary.asOf)
    }

    /// Another host takes rows of ours for removed: a journal was restored, and their versions were given before. They
    /// get new ones.
    mutating func defend(_ rows: [RowVersion]) {
        for row in rows {
            for scope in (table.owners[host]?.buckets ?? []).map(\.scope) {
                guard let slot = table[host, scope, row.hash], slot.record.version == row.version,
                    defences.take(1, perSecond: 10, burst: 100, now: now)
                else { continue }
                commit(slot.record.key, value: slot.record.isTombstone ? nil : slot.record.value, hash: row.hash)
                deliver([(row.hash, scope)], token: nil)
            }
        }
    }

    /// Others have heard of a later run of this host. Their word is not signed, so what it can do in one run is bounded.
    mutating func outrun(by incarnation: UInt64) {
        guard incarnation >= version.incarnation, incarnation < settings.incarnationLimit else { return }
        let step = incarnation - version.incarnation + 1
        guard step <= unsignedRise, defences.take(10, perSecond: 10, burst: 100, now: now) else {
            count(.implausible)
            return notice(.implausible(owner: host, incarnation: incarnation))
        }
        unsignedRise -= step
        rise(above: Version(incarnation: incarnation, counter: .max))
    }

    /// Goes on with an incarnation above a version of ours that our journal does not know. Every row gets a version of the
    /// new incarnation, since others may know of later changes to it.
    private mutating func rise(above lost: Version) {
        version = Version(incarnation: lost.incarnation + 1, counter: 0)
        directives.append(.persistIncarnation(version.incarnation))
        notice(.journalBehind(incarnation: version.incarnation))
        summary = nil
        let slots = (table.owners[host]?.buckets ?? []).flatMap(\.slots)
        for slot in slots.sorted(by: { $0.record.version < $1.record.version }) {
            commit(slot.record.key, value: slot.record.isTombstone ? nil : slot.record.value, hash: slot.hash)
        }
        deliver(slots.map { ($0.hash, $0.record.key.scope) }, token: nil)
        for peer in alive { sendSummary(to: peer) }
    }
}

extension RecordChange {
    var parts: (key: RecordKey, value: [UInt8]?) {
        switch self {
        case .put(let key, let value): (key, value)
        case .remove(let key): (key, nil)
        }
    }
}
