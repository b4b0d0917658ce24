extension Instance {
    /// How deep compound and compressed messages may be nested.
    private static let nestingLimit = 4

    mutating func receive(_ datagram: [UInt8], from source: Endpoint) {
        count(.datagramsIn)
        count(.bytesIn, by: UInt64(datagram.count))
        do throws(WireFault) {
            guard datagram.count <= Envelope.packetLimit else { throw .tooLarge }
            var reader = try envelope.openPacket(datagram)
            try dispatch(&reader, from: source, depth: 0)
        } catch {
            refuse(error, from: source)
        }
    }

    mutating func refuse(_ fault: WireFault, from source: Endpoint?) {
        count(.malformed)
        notice(.malformed(fault, from: source))
    }

    private mutating func dispatch(
        _ reader: inout MessagePackReader, from source: Endpoint, depth: Int
    ) throws(WireFault) {
        guard depth < Self.nestingLimit else { throw .tooDeep }
        let start = reader.position
        guard let type = MessageType(rawValue: try reader.byte()) else { throw .unknownType }
        switch type {
        case .compound:
            for part in try Compound.parts(&reader) {
                // One bad part does not spoil the others.
                var inner = MessagePackReader(reader.bytes, part)
                do throws(WireFault) {
                    try dispatch(&inner, from: source, depth: depth + 1)
                } catch {
                    refuse(error, from: source)
                }
            }
        case .compressed:
            var inner = MessagePackReader(try Envelope.decompress(&reader, limit: Envelope.packetLimit))
            try dispatch(&inner, from: source, depth: depth + 1)
        case .ping: answer(try Ping(from: &reader), from: source)
        case .indirectPing: help(try IndirectPing(from: &reader), from: source)
        case .ack: receive(try Ack(from: &reader), from: source)
        case .nack: receive(try Nack(from: &reader))
        case .suspect: suspect(try Accusation(from: &reader))
        case .alive: announced(try Alive(from: &reader))
        case .dead: declareDead(try Accusation(from: &reader))
        case .user: try receiveSerf(&reader, message: start..<reader.end, from: source)
        case .pushPull, .encrypted, .error, .checksummed, .label: throw .unknownType
        }
    }

    // MARK: Sending

    /// Sends a message at once, with as many waiting broadcasts as fit beside it.
    mutating func send(_ message: [UInt8], to destination: Endpoint) {
        let used = message.count + Compound.headerLength + Compound.partOverhead + envelope.packetOverhead
        var parts = [message]
        takeBroadcasts(into: &parts, available: settings.packetBudget - used)
        transmit(parts.count == 1 ? message : Compound.encode(parts), to: destination, checksum: false)
    }

    /// Sends a message at once and alone.
    mutating func transmit(_ message: [UInt8], to destination: Endpoint, checksum: Bool) {
        let packet = envelope.sealPacket(message, checksum: checksum, random: &random)
        count(.datagramsOut)
        count(.bytesOut, by: UInt64(packet.count))
        directives.append(.sendDatagram(to: destination, packet))
    }

    /// Takes waiting broadcasts in the order of their importance: members, intents, queries, user events.
    mutating func takeBroadcasts(into parts: inout [[UInt8]], available: Int) {
        guard queuedBroadcasts > 0 else { return }
        var available = available
        // Those that failed long ago count: when they come back, it is they who must hear it.
        let limit = Timing.retransmits(multiplier: settings.retransmitMultiplier, nodes: table.count)
        memberBroadcasts.take(
            into: &parts, available: &available, overhead: Compound.partOverhead, parts: Compound.partLimit,
            limit: limit)
        intentBroadcasts.take(
            into: &parts, available: &available, overhead: Compound.partOverhead, parts: Compound.partLimit,
            limit: limit)
        queryBroadcasts.take(
            into: &parts, available: &available, overhead: Compound.partOverhead, parts: Compound.partLimit,
            limit: limit)
        eventBroadcasts.take(
            into: &parts, available: &available, overhead: Compound.partOverhead, parts: Compound.partLimit,
            limit: limit)
        checkLeaving()
    }

    /// The longest message that fits into a gossip packet.
    var broadcastLimit: Int {
        settings.packetBudget - Compound.headerLength - Compound.partOverhead - 5 - envelope.packetOverhead
    }

    mutating func gossip() {
        setTimer(.gossip, in: settings.gossipInterval)
        askSuspects()
        guard queuedBroadcasts > 0 else { return }
        let horizon = settings.gossipToTheDead
        let targets = table.pick(settings.gossipNodes, random: &random) { record in
            switch record.state {
            case .alive, .suspect: true
            case .dead: now - record.stateChanged <= horizon
            case .left: false
            }
        }
        for slot in targets {
            guard let record = table[slot] else { continue }
            var parts: [[UInt8]] = []
            takeBroadcasts(into: &parts, available: broadcastLimit + Compound.partOverhead)
            guard let first = parts.first else { return }
            transmit(
                parts.count == 1 ? first : Compound.encode(parts), to: record.endpoint,
                checksum: record.versions.protocolMax >= 5)
        }
    }

    /// Queues a message about a member; an older one about the same member is replaced.
    @discardableResult
    mutating func broadcast(_ message: [UInt8], about node: String, isAwaited: Bool = false) -> UInt64? {
        guard message.count <= broadcastLimit else {
            count(.broadcastsDropped)
            return nil
        }
        let id = memberBroadcasts.add(message, named: node, isAwaited: isAwaited)
        guard memberBroadcasts.count > max(settings.queueLimit, 2 * table.count) else { return id }
        overflow(memberBroadcasts.prune(to: max(settings.queueLimit, 2 * table.count)))
        return id
    }

    mutating func overflow(_ dropped: Int) {
        guard dropped > 0 else { return }
        count(.broadcastsDropped, by: UInt64(dropped))
        notice(.queueOverflow(dropped))
    }
}
