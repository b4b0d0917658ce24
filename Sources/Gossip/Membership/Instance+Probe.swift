internal import StateMachine

/// A probe of one member that is not decided yet.
struct Probe: Sendable {
    let number: UInt32
    let node: String
    let incarnation: UInt32
    var sent: Nanoseconds
    var isLate = false
    var expectedNacks = 0
    var nacks = 0
    var stream: StreamID?
    var answeredOnStream = false
}

/// A probe that we do for another node.
struct IndirectDuty: Sendable {
    let askedNumber: UInt32
    let asker: Endpoint
    let wantsNack: Bool
}

extension Instance {
    /// Probes the next member of the round that can be probed.
    mutating func probeNext() {
        guard leavePhase.isMember else { return }
        guard probe == nil, now >= probeDue else { return }
        probeDue = now + settings.probeInterval
        timers.add(.probe, at: probeDue)
        var renewed = false
        while true {
            guard let slot = table.advance() else {
                if renewed { return }
                renewed = true
                retire()
                table.renewOrder(random: &random)
                continue
            }
            if let record = table[slot], !record.state.isGone {
                begin(probing: record)
                return
            }
        }
    }

    private mutating func begin(probing record: MemberRecord) {
        let number = nextSequence()
        // Who asks is the packet's source, where the ack goes as well; to say it inside would be a sixth of what an idle
        // node sends.
        let ping = Ping(sequence: number, node: record.name, source: nil).encode()
        count(.probes)
        probe = Probe(number: number, node: record.name, incarnation: record.incarnation, sent: now)
        setTimer(.probeTimeout(number), in: settings.probeTimeout)
        setTimer(.probeEnd(number), in: awareness.scale(settings.probeInterval))
        if record.state == .suspect {
            // The suspect hears of it together with the probe, so that it can refute at once.
            let accusation = Accusation(node: record.name, incarnation: record.incarnation, from: name)
            transmit(
                Compound.encode([ping, accusation.encode(as: .suspect)]), to: record.endpoint,
                checksum: record.versions.protocolMax >= 5)
        } else {
            send(ping, to: record.endpoint)
        }
    }

    /// Tells suspects again what they are accused of, so that one that lives can refute although packets are lost: its
    /// refutation comes back with the ack. However large the cluster is, about eight members at a time do so for each.
    mutating func askSuspects() {
        guard !suspects.isEmpty, leavePhase.isMember else { return }
        for node in suspects.sorted() {
            guard let record = table[node], record.state == .suspect else {
                suspects.remove(node)
                continue
            }
            guard nodeCount <= Self.askers || Int.random(in: 0..<nodeCount, using: &random) < Self.askers else {
                continue
            }
            let source = ProbeSource(endpoint: endpoint, node: name)
            let ping = Ping(sequence: nextSequence(), node: node, source: source)
            let accusation = Accusation(node: node, incarnation: record.incarnation, from: name)
            transmit(
                Compound.encode([accusation.encode(as: .suspect), ping.encode()]), to: record.endpoint,
                checksum: record.versions.protocolMax >= 5)
        }
    }

    private static let askers = 8

    /// No ack in time: others are asked, and a stream is tried.
    mutating func probeIsLate(_ number: UInt32) {
        guard var current = probe, current.number == number, let record = table[current.node] else { return }
        count(.probesLate)
        current.isLate = true
        let helpers = table.pick(settings.indirectChecks, random: &random) {
            $0.name != current.node && $0.state == .alive
        }
        for slot in helpers {
            guard let helper = table[slot] else { continue }
            let wantsNack = helper.versions.protocolMax >= 4
            if wantsNack { current.expectedNacks += 1 }
            let request = IndirectPing(
                sequence: number, node: record.name, target: record.endpoint, wantsNack: wantsNack,
                source: ProbeSource(endpoint: endpoint, node: name))
            send(request.encode(), to: helper.endpoint)
        }
        if settings.usesStreamFallback, record.versions.protocolMax >= 3 {
            let ping = Ping(
                sequence: number, node: record.name, source: ProbeSource(endpoint: endpoint, node: name))
            current.stream = openStream(
                .ping(number), to: record.endpoint, message: ping.encode(),
                timeout: awareness.scale(settings.probeInterval) - settings.probeTimeout)
        }
        probe = current
    }

    /// The whole time of a probe is over: the member is suspect unless its stream answered.
    mutating func probeIsOver(_ number: UInt32) {
        guard let current = probe, current.number == number else { return }
        probe = nil
        timers.add(.probe, at: max(now, probeDue))
        if let stream = current.stream { drop(stream) }
        guard let slot = table.slot(of: current.node) else { return }
        if current.answeredOnStream {
            awareness.apply(-1)
            let now = now
            let wasKnown = table.update(slot) { record in
                record.lastAck = now
                defer { record.answersOnlyStreams = true }
                return record.answersOnlyStreams
            }
            if wasKnown == false { notice(.datagramsLost(current.node)) }
            return
        }
        count(.probesFailed)
        if current.expectedNacks > 0 {
            // Helpers that did not even say no: it may be us who is cut off.
            awareness.apply(max(0, current.expectedNacks - current.nacks))
        } else {
            awareness.apply(1)
        }
        suspect(Accusation(node: current.node, incarnation: current.incarnation, from: name))
    }

    mutating func receive(_ ack: Ack, from source: Endpoint) {
        if let current = probe, current.number == ack.sequence {
            probe = nil
            awareness.apply(-1)
            if let stream = current.stream { drop(stream) }
            // The next probe keeps its time; a probe that took longer than the interval is followed at once.
            if probeDue <= now { setTimer(.probe, in: 0) }
            guard let slot = table.slot(of: current.node) else { return }
            let now = now
            _ = table.update(slot) { record in
                record.lastAck = now
                if source == record.endpoint { record.answersOnlyStreams = false }
            }
            if !current.isLate { learn(from: ack, of: slot, roundTrip: now - current.sent) }
        } else if let duty = indirectDuties.removeValue(forKey: ack.sequence) {
            send(Ack(sequence: duty.askedNumber, payload: nil).encode(), to: duty.asker)
        } else if let node = moveProbes.removeValue(forKey: ack.sequence) {
            rejectMove(of: node, answeredBy: source)
        }
    }

    private mutating func learn(from ack: Ack, of slot: Int, roundTrip: Nanoseconds) {
        let coordinate = ack.payload.flatMap(Coordinate.init(ackPayload:))
        let node = table.update(slot) { record in
            record.roundTrip = roundTrip
            if let coordinate { record.coordinate = coordinate }
            return record.name
        }
        if let node, let coordinate {
            _ = coordinates.observe(node, at: coordinate, roundTrip: roundTrip, random: &random)
        }
    }

    mutating func receive(_ nack: Nack) {
        if probe?.number == nack.sequence { probe?.nacks += 1 }
    }

    // MARK: Answering

    mutating func answer(_ ping: Ping, from source: Endpoint) {
        // A probe of another name reached our address: whoever had it is gone.
        guard ping.node.isEmpty || ping.node == name else { return }
        let ack = Ack(sequence: ping.sequence, payload: coordinates.coordinate.ackPayload)
        let asker = destination(ping.source, from: source)
        send(ack.encode(), to: asker)
        // Who probes us lives. If we hold it for gone, nobody gossips to it any more, so it is told here.
        if let record = table.record(at: asker), record.state.isGone {
            let accusation = Accusation(node: record.name, incarnation: record.incarnation, from: name)
            transmit(accusation.encode(as: .dead), to: asker, checksum: false)
        }
    }

    /// Where an answer goes. The address inside a probe is used only if it is a known member's, so that nobody can
    /// have us send packets to a third party.
    private mutating func destination(_ claimed: ProbeSource?, from source: Endpoint) -> Endpoint {
        guard let claimed, claimed.endpoint != source else { return source }
        if table[claimed.node]?.endpoint == claimed.endpoint { return claimed.endpoint }
        count(.reflectionsAvoided)
        return source
    }

    mutating func help(_ request: IndirectPing, from source: Endpoint) {
        // Without this, anybody could have us send datagrams anywhere.
        guard indirectDuties.count < 1024, table[request.node]?.endpoint == request.target else {
            let asker = destination(request.source, from: source)
            if request.wantsNack { send(Nack(sequence: request.sequence).encode(), to: asker) }
            return
        }
        let number = nextSequence()
        indirectDuties[number] = IndirectDuty(
            askedNumber: request.sequence, asker: destination(request.source, from: source),
            wantsNack: request.wantsNack)
        setTimer(.indirectTimeout(number), in: settings.probeTimeout)
        let ping = Ping(sequence: number, node: request.node, source: ProbeSource(endpoint: endpoint, node: name))
        send(ping.encode(), to: request.target)
    }

    mutating func indirectIsLate(_ number: UInt32) {
        guard let duty = indirectDuties.removeValue(forKey: number) else { return }
        if duty.wantsNack { send(Nack(sequence: duty.askedNumber).encode(), to: duty.asker) }
    }
}
