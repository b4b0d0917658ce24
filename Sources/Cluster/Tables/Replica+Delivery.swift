internal import StateMachine

extension Replica {
    /// Sends changes of ours to the live hosts concerned, until they acknowledge or have not for too long.
    mutating func deliver(_ rows: [(hash: UInt64, scope: NetworkID)], token: UInt64?) {
        var settlement = Settlement()
        for (hash, scope) in rows {
            guard let record = table[host, scope, hash]?.record else { continue }
            let concerned = concerned(in: scope)
            let number = nextNumber()
            var delivery = Delivery(
                scope: scope, version: record.version, number: number, remaining: Set(concerned))
            // Who waits for an older version of the row is served by the newer one.
            delivery.tokens = deliveries[hash]?.tokens ?? []
            if let token { delivery.tokens.append(token) }
            deliveries[hash] = concerned.isEmpty ? nil : delivery
            for host in concerned {
                settlement.waiting[host, default: 0] += 1
                outbox[host, default: []].append(hash)
            }
            if !concerned.isEmpty { setTimer(.delivery(hash: hash, number: number), in: settings.retransmitInterval) }
        }
        guard let token else { return }
        settlement.peers = settlement.waiting.count
        settlements[token] = settlement
        if settlement.waiting.isEmpty {
            settle(token)
        } else {
            setTimer(.settlement(token), in: settings.settleDeadline)
        }
    }

    mutating func settle(_ token: UInt64) {
        guard let settlement = settlements.removeValue(forKey: token) else { return }
        directives.append(
            .settled(token: token, acknowledged: settlement.acknowledged, peers: settlement.peers))
    }

    mutating func deliveryIsDue(_ hash: UInt64, _ number: UInt64) {
        guard let delivery = deliveries[hash], delivery.number == number else { return }
        let remaining = delivery.remaining.sorted()
        guard !remaining.isEmpty, delivery.attempt < settings.retransmits else {
            deliveries[hash] = nil
            for host in remaining { giveUp(on: host) }
            return
        }
        deliveries[hash]?.attempt += 1
        count(.retransmits, by: remaining.count)
        for host in remaining { outbox[host, default: []].append(hash) }
        setTimer(.delivery(hash: hash, number: number), in: settings.retransmitInterval << UInt64(delivery.attempt + 1))
    }

    /// A live host does not acknowledge: the rest is left to an exchange over a stream, as often as is decent.
    mutating func giveUp(on host: HostID) {
        count(.leftToRepair)
        guard let peer = peers[host], peer.status == .alive else { return }
        if peer.complainedAt.map({ now - $0 > .seconds(60) }) ?? true {
            peers[host]?.complainedAt = now
            notice(.unacknowledged(host))
        }
        if peer.exchangedAt.map({ now - $0 > settings.exchangeInterval / 10 }) ?? true { exchange(with: host) }
    }

    /// A host says that it has rows of ours, or what our summary says.
    mutating func acknowledge(_ rows: [RowVersion], by host: HostID) {
        for row in rows {
            if row.hash == 0 {
                peers[host]?.summary = nil
                continue
            }
            guard let delivery = deliveries[row.hash], row.version >= delivery.version,
                deliveries[row.hash]?.remaining.remove(host) != nil
            else { continue }
            for token in delivery.tokens { acknowledge(token, by: host) }
            if delivery.remaining.count == 1 { deliveries[row.hash] = nil }
        }
    }

    private mutating func acknowledge(_ token: UInt64, by host: HostID) {
        guard let left = settlements[token]?.waiting[host] else { return }
        guard left == 1 else {
            settlements[token]?.waiting[host] = left - 1
            return
        }
        settlements[token]?.waiting[host] = nil
        settlements[token]?.acknowledged += 1
        if settlements[token]?.waiting.isEmpty == true { settle(token) }
    }

    /// Nothing more is expected of a host.
    mutating func stopDelivering(to host: HostID) {
        for hash in deliveries.keys.sorted() where deliveries[hash]?.remaining.remove(host) != nil {
            if deliveries[hash]?.remaining.isEmpty == true { deliveries[hash] = nil }
        }
        for token in settlements.keys.sorted() where settlements[token]?.waiting.removeValue(forKey: host) != nil {
            if settlements[token]?.waiting.isEmpty == true { settle(token) }
        }
    }

    /// Puts what is to go to a host into as few datagrams as it takes. Most hosts get the same.
    mutating func flush() {
        guard !outbox.isEmpty else { return }
        var bodies: [[UInt64]: [[UInt8]]] = [:]
        for host in outbox.keys.sorted() {
            guard let hashes = outbox[host] else { continue }
            if bodies[hashes] == nil {
                let slots = hashes.compactMap { hash in
                    deliveries[hash].flatMap { table[self.host, $0.scope, hash] }
                }
                bodies[hashes] = pack(
                    [(publicKey, slots)], wantsAck: true, limit: settings.datagramLimit
                ).map { Message.body([$0]) }
            }
            for body in bodies[hashes] ?? [] { send(body, to: host) }
        }
        outbox.removeAll(keepingCapacity: true)
    }

    /// Rows as messages that fit a body of at most `limit` bytes each; a row that does not fit has one of its own.
    func pack(_ groups: [(publicKey: [UInt8], slots: [Slot])], wantsAck: Bool, limit: Int) -> [Message] {
        // The body's first byte, and the message's type, length, flags and count.
        let overhead = 1 + 5 + 1 + 2
        var result: [Message] = []
        var current: [Message.Rows] = []
        var size = overhead
        for (publicKey, slots) in groups {
            let groupSize = 1 + publicKey.count + 2
            var group = Message.Rows(publicKey: publicKey, items: [])
            if !slots.isEmpty { size += groupSize }
            for slot in slots {
                let rowSize = slot.record.wireSize
                if size + rowSize > limit, !(current.isEmpty && group.items.isEmpty) {
                    if !group.items.isEmpty { current.append(group) }
                    result.append(.rows(wantsAck: wantsAck, current))
                    (current, group.items, size) = ([], [], overhead + groupSize)
                }
                group.items.append(Message.Rows.Item(record: slot.record, life: life(of: slot)))
                size += rowSize
            }
            if !group.items.isEmpty { current.append(group) }
        }
        if !current.isEmpty { result.append(.rows(wantsAck: wantsAck, current)) }
        return result
    }

    /// What is left of a tombstone's life, seconds.
    private func life(of slot: Slot) -> UInt32 {
        slot.expires <= now ? 0 : UInt32(clamping: (slot.expires - now + 999_999_999) / 1_000_000_000)
    }
}
