internal import StateMachine

extension Replica {
    // MARK: What we have ourselves

    /// Tells a host what we own, until it has it.
    mutating func sendSummary(to host: HostID) {
        guard peers[host]?.status == .alive else { return }
        let number = nextNumber()
        peers[host]?.summary = PendingSummary(number: number, attempt: 0)
        setTimer(.summary(host, number: number), in: settings.retransmitInterval)
        send(Message.body([.summary(wantsAck: true, ownSummary())]), to: host)
    }

    mutating func summaryIsDue(_ host: HostID, _ number: UInt64) {
        guard let pending = peers[host]?.summary, pending.number == number else { return }
        guard pending.attempt < settings.retransmits else {
            peers[host]?.summary = nil
            giveUp(on: host)
            return
        }
        peers[host]?.summary?.attempt += 1
        count(.retransmits)
        setTimer(.summary(host, number: number), in: settings.retransmitInterval << UInt64(pending.attempt + 1))
        send(Message.body([.summary(wantsAck: true, ownSummary())]), to: host)
    }

    private mutating func ownSummary() -> Message.Summary {
        if let summary { return summary }
        var made = Message.Summary(
            publicKey: publicKey, asOf: version, scopes: table.scopes(of: host), signature: [])
        made.signature = authority.sign(made.signedBytes(owner: host))
        summary = made
        return made
    }

    /// An owner says what it has. What we have besides is gone; what differs is asked for.
    mutating func receive(
        _ summary: Message.Summary, from source: HostID, wantsAck: Bool, overStream: Bool
    ) {
        let owner = authority.hostID(of: summary.publicKey)
        guard work(1, for: source) else { return }
        let bytes = summary.signedBytes(owner: owner)
        guard authority.verify(bytes, signature: summary.signature, publicKey: summary.publicKey) else {
            count(.forged)
            notice(.forged(owner: owner, from: source))
            return
        }
        guard owner != host else { return defend(summary) }
        if source == owner, let word = table.owners[owner]?.word, word.asOf > summary.asOf {
            send(Message.body([.summary(wantsAck: false, word)]), to: source)
        }
        var listed: Set<NetworkID> = []
        var items: [Session.Item] = []
        for entry in summary.scopes {
            listed.insert(entry.scope)
            guard holds(entry.scope) else { continue }
            let ours = table.digest(owner, entry.scope)
            if ours.digest == entry.digest {
                table.raiseFloor(owner, entry.scope, to: summary.asOf)
            } else {
                items += ranges(owner, entry.scope, expected: max(Int(entry.count), ours.count))
            }
        }
        for bucket in table.owners[owner]?.buckets ?? [] where !listed.contains(bucket.scope) {
            let range = BucketRange(owner: owner, scope: bucket.scope, low: 0, high: .max)
            prune(range, keeping: [], asOf: summary.asOf, buries: false)
            table.raiseFloor(owner, bucket.scope, to: summary.asOf)
            // Rows that the owner made later, or does not know that it made.
            let left = table.digest(owner, bucket.scope).count
            if left > 0 { items += ranges(owner, bucket.scope, expected: left) }
        }
        table.keep(summary, of: owner)
        guard source == owner else { return }
        if items.isEmpty {
            if wantsAck { send(Message.body([.ack([RowVersion(hash: 0, version: summary.asOf)])]), to: source) }
        } else {
            ask(items, of: source, overStream: overStream)
        }
    }

    /// Drops what an owner does not have any more at a version. Until the floor covers it, a silent slot keeps it from
    /// coming back.
    mutating func prune(_ range: BucketRange, keeping: Set<UInt64>, asOf: Version, buries: Bool) {
        for slot in table.slots(in: range) where slot.record.version <= asOf && !keeping.contains(slot.hash) {
            if buries {
                var buried = slot
                buried.isSilent = true
                table.set(buried, owner: range.owner, scope: range.scope)
            } else {
                table.remove(slot.hash, owner: range.owner, scope: range.scope)
            }
            guard slot.isLive else { continue }
            count(.pruned)
            forget(slot.record, isSuspended: table.owners[range.owner]?.isSuspended ?? true)
        }
        if buries { trimGraves(range.owner, range.scope) }
    }

    // MARK: What we know of all

    mutating func exchangeWithRandomHost() {
        let spread = settings.exchangeInterval / 5
        setTimer(.exchange, in: settings.exchangeInterval - spread / 2 + random.part(of: spread))
        if let host = alive.randomElement(using: &random) { exchange(with: host) }
    }

    mutating func exchangeWithAppeared() {
        let hosts = appeared.shuffled(using: &random).prefix(settings.exchangesAtOnce)
        appeared = []
        for host in hosts { exchange(with: host) }
    }

    /// Compares the whole tables with a host: it answers with what differs.
    mutating func exchange(with host: HostID) {
        guard peers[host]?.status == .alive else { return }
        peers[host]?.exchangedAt = now
        count(.exchanges)
        let scopes = ([NetworkID.none] + networks.sorted()).map {
            ScopeDigest(scope: $0, digest: table.digest(of: $0), count: 0)
        }
        let summary = ownSummary()
        for start in stride(from: 0, to: scopes.count, by: settings.rowsPerStep) {
            let part = Array(scopes[start..<min(scopes.count, start + settings.rowsPerStep)])
            let messages: [Message] = start == 0 ? [.summary(wantsAck: false, summary), .offer(part)] : [.offer(part)]
            send(Message.body(messages), to: host, reliably: true)
        }
    }

    /// A host begins an exchange: it is told of every owner in the scopes that differ.
    mutating func receive(_ offer: [ScopeDigest], from source: HostID) {
        send(Message.body([.summary(wantsAck: false, ownSummary())]), to: source, reliably: true)
        for entry in offer where holds(entry.scope) && table.digest(of: entry.scope) != entry.digest {
            let owners = table.owners(in: entry.scope)
            guard work(1 + owners.count / 16, for: source) else { return }
            var first = HostID(rawValue: 0)
            var start = 0
            repeat {
                let end = min(owners.count, start + settings.rowsPerStep)
                let last = end == owners.count ? HostID(rawValue: .max) : owners[end - 1].owner
                let list = Message.Owners(
                    scope: entry.scope, first: first, last: last, owners: Array(owners[start..<end]))
                send(Message.body([.owners(list)]), to: source, reliably: true)
                first = HostID(rawValue: last.rawValue &+ 1)
                start = end
            } while start < owners.count
        }
    }

    /// What a host has of each owner; what differs is compared row by row. Its own rows and ours are left to the two
    /// summaries.
    mutating func receive(_ list: Message.Owners, from source: HostID) {
        guard holds(list.scope), list.first <= list.last else { return }
        var items: [Session.Item] = []
        var named: Set<HostID> = [host, source]
        for entry in list.owners where named.insert(entry.owner).inserted {
            let ours = table.digest(entry.owner, list.scope)
            // Of an owner that departed we want nothing, but the host may lack what we still have.
            guard ours.digest != entry.digest, ours.count > 0 || departed[entry.owner] == nil else { continue }
            items += ranges(entry.owner, list.scope, expected: max(Int(entry.count), ours.count))
        }
        for ours in table.owners(in: list.scope)
        where list.first <= ours.owner && ours.owner <= list.last && !named.contains(ours.owner) {
            items += ranges(ours.owner, list.scope, expected: Int(ours.count))
        }
        ask(items, of: source, overStream: true)
    }

    // MARK: Sessions

    /// A bucket in parts of which each is one step.
    private func ranges(_ owner: HostID, _ scope: NetworkID, expected: Int) -> [Session.Item] {
        let bounded = min(expected, settings.rowsPerOwner + settings.tombstonesPerScope)
        let parts = max(1, (bounded + settings.rowsPerStep - 1) / max(1, settings.rowsPerStep))
        let width = UInt64.max / UInt64(parts)
        return (0..<parts).map { part in
            let low = width * UInt64(part) + (part == 0 ? 0 : 1)
            let high = part == parts - 1 ? .max : width * UInt64(part + 1)
            let range = BucketRange(owner: owner, scope: scope, low: low, high: high)
            return Session.Item(range: range, expected: bounded / parts)
        }
    }

    /// Has buckets compared with a host, one step at a time.
    private mutating func ask(_ items: [Session.Item], of host: HostID, overStream: Bool) {
        guard !items.isEmpty, peers[host] != nil else { return }
        guard var session = peers[host]?.session else {
            peers[host]?.session = Session(
                id: 0, queue: items[...], known: Set(items.map(\.range)))
            askNext(host, overStream: overStream)
            return
        }
        peers[host]?.session = nil
        for item in items where session.known.insert(item.range).inserted { session.queue.append(item) }
        peers[host]?.session = session
    }

    private mutating func askNext(_ host: HostID, overStream: Bool) {
        guard var session = peers[host]?.session else { return }
        peers[host]?.session = nil
        guard !session.queue.isEmpty else { return }
        var lists: [Message.VersionList] = []
        var (expected, size) = (0, 0)
        while let item = session.queue.first {
            let slots = table.slots(in: item.range).filter { !$0.isSilent }
            let rows = max(item.expected, slots.count)
            let bytes = Message.VersionList.size + slots.count * RowVersion.size
            if !lists.isEmpty, expected + rows > settings.rowsPerStep || size + bytes > settings.chunkLimit { break }
            session.queue.removeFirst()
            expected += rows
            size += bytes
            let versions = slots.map { RowVersion($0) }
            lists.append(Message.VersionList(range: item.range, rows: versions))
        }
        session.id = nextNumber()
        let body = Message.body([.versions(id: session.id, lists)])
        let isDatagram = !overStream && body.count <= settings.datagramLimit
        // A datagram may be lost; then the summary that made us ask comes again soon, and must find us ready.
        session.patience = isDatagram ? settings.retransmitInterval * 3 / 2 : settings.exchangeTimeout
        session.isHeard = false
        peers[host]?.session = session
        setTimer(.session(host, id: session.id), in: session.patience)
        send(body, to: host, reliably: !isDatagram)
    }

    mutating func sessionIsAnswered(_ host: HostID, _ id: UInt64) {
        guard peers[host]?.session?.id == id else { return }
        askNext(host, overStream: true)
    }

    mutating func sessionIsLate(_ host: HostID, _ id: UInt64) {
        guard let session = peers[host]?.session, session.id == id else { return }
        guard session.isHeard else {
            peers[host]?.session = nil
            count(.exchangesLate)
            return
        }
        peers[host]?.session?.isHeard = false
        setTimer(.session(host, id: id), in: session.patience)
    }
}
