internal import NetworkTypes
internal import StateMachine

/// A stream that is open.
struct Stream: Sendable {
    enum Role: Sendable {
        /// A full-state exchange that we asked for.
        case exchange(isJoin: Bool, isSeed: Bool)
        /// The fallback of the probe with this number.
        case ping(UInt32)
        /// Opened by another node.
        case accepted
    }

    let role: Role
    let peer: Endpoint
    var buffer: [UInt8] = []
}

extension Instance {
    @discardableResult
    mutating func openStream(
        _ role: Stream.Role, to peer: Endpoint, message: [UInt8], timeout: Nanoseconds
    ) -> StreamID {
        let id = StreamID(isOurs: true, number: nextStream)
        nextStream += 1
        streams[id] = Stream(role: role, peer: peer)
        directives.append(.openStream(id, to: peer, envelope.sealStream(message, random: &random)))
        setTimer(.stream(id), in: timeout)
        return id
    }

    mutating func accept(_ id: StreamID, from peer: Endpoint) {
        guard !id.isOurs, leavePhase != .done else { return refuse(id) }
        if let victim = intake.open(id, from: peer.address, isTrusted: isMember(peer.address)) {
            guard victim != id else { return refuse(id) }
            count(.streamsRefused)
            fail(victim)
        }
        streams[id] = Stream(role: .accepted, peer: peer)
        setTimer(.stream(id), in: settings.streamTimeout)
    }

    private mutating func refuse(_ id: StreamID) {
        count(.streamsRefused)
        directives.append(.closeStream(id))
    }

    /// Whether a living member is at an address. Nobody is believed for it, but strangers give way first.
    private func isMember(_ address: IPAddress) -> Bool {
        table.order.contains { table[$0].map { $0.state == .alive && $0.endpoint.address == address } ?? false }
    }

    mutating func receive(_ bytes: [UInt8], on id: StreamID) {
        guard streams[id] != nil else { return }
        streams[id]?.buffer.append(contentsOf: bytes)
        guard let stream = streams[id] else { return }
        do throws(WireFault) {
            // What was sent before a message is complete, is not known to be anybody's whom we know.
            let limit = id.isOurs ? Envelope.streamLimit : min(Envelope.streamLimit, settings.streamMemory)
            guard stream.buffer.count <= limit else { throw .tooLarge }
            for victim in intake.hold(stream.buffer.count, for: id) {
                count(.streamsRefused)
                fail(victim)
            }
            guard streams[id] != nil else { return }
            let message = try envelope.openStream(stream.buffer, limit: limit)
            carryOut(message, on: id, stream)
        } catch {
            if error == .truncated { return }
            refuse(error, from: stream.peer)
            if case .accepted = stream.role, error == .notEncrypted {
                let report = ErrorReport(text: "Encryption is configured but remote state is not encrypted")
                directives.append(.sendStream(id, envelope.sealStream(report.encode(), random: &random)))
            }
            fail(id)
        }
    }

    /// The other side closed, or could not be reached.
    mutating func end(_ id: StreamID) {
        guard let stream = remove(id) else { return }
        if !stream.buffer.isEmpty { refuse(.truncated, from: stream.peer) }
        failed(stream)
    }

    mutating func streamIsLate(_ id: StreamID) {
        if streams[id] != nil { fail(id) }
    }

    /// Closes a stream that is of no more use.
    mutating func drop(_ id: StreamID) {
        if remove(id) != nil { directives.append(.closeStream(id)) }
    }

    private mutating func fail(_ id: StreamID) {
        guard let stream = remove(id) else { return }
        directives.append(.closeStream(id))
        failed(stream)
    }

    private mutating func remove(_ id: StreamID) -> Stream? {
        guard let stream = streams.removeValue(forKey: id) else { return nil }
        if !id.isOurs { intake.close(id) }
        return stream
    }

    private mutating func failed(_ stream: Stream) {
        if case .exchange(_, isSeed: true) = stream.role { seedAnswered(stream.peer, succeeded: false) }
    }

    private mutating func carryOut(_ message: StreamMessage, on id: StreamID, _ stream: Stream) {
        switch (stream.role, message) {
        case (.accepted, .pushPull(let remote)):
            // The answer is our state before anything of theirs is merged.
            let state = localState(isJoin: remote.isJoin, answering: remote.nodes)
            directives.append(.sendStream(id, envelope.sealStream(state.encode(), random: &random)))
            drop(id)
            merge(remote)
        case (.accepted, .ping(let ping)):
            if ping.node.isEmpty || ping.node == name {
                let ack = Ack(sequence: ping.sequence, payload: nil).encode()
                directives.append(.sendStream(id, envelope.sealStream(ack, random: &random)))
            }
            drop(id)
        case (.accepted, .user(let body)):
            drop(id)
            var reader = MessagePackReader([MessageType.user.rawValue] + body, 1..<body.count + 1)
            do throws(WireFault) {
                try receiveSerf(&reader, message: 0..<reader.end, from: stream.peer)
            } catch {
                refuse(error, from: stream.peer)
            }
        case (.exchange(let isJoin, let isSeed), .pushPull(let remote)):
            drop(id)
            merge(PushPull(isJoin: isJoin, nodes: remote.nodes, userState: remote.userState))
            if isSeed { seedAnswered(stream.peer, succeeded: true) }
        case (.ping(let number), .ack(let ack)):
            drop(id)
            if ack.sequence == number, probe?.number == number { probe?.answeredOnStream = true }
        case (_, .error(let report)):
            notice(.remoteError(String(report.text.prefix(200)), from: stream.peer))
            fail(id)
        default:
            refuse(.unknownType, from: stream.peer)
            fail(id)
        }
    }

    // MARK: Full-state exchange

    mutating func exchangeWithRandomMember() {
        setTimer(.pushPull, in: Timing.pushPull(interval: settings.pushPullInterval, nodes: nodeCount))
        guard leavePhase.isMember else { return }
        if let slot = table.pick(1, random: &random, where: { $0.state == .alive }).first, let record = table[slot] {
            exchange(with: record.endpoint, isJoin: false, isSeed: false)
        }
    }

    mutating func exchange(with peer: Endpoint, isJoin: Bool, isSeed: Bool) {
        openStream(
            .exchange(isJoin: isJoin, isSeed: isSeed), to: peer,
            message: localState(isJoin: isJoin, answering: []).encode(), timeout: settings.streamTimeout)
    }

    /// Everything we know. `remote` is what the other side said: of the nodes in it that we hold for gone at a newer
    /// incarnation we tell that too, although they are forgotten otherwise.
    private func localState(isJoin: Bool, answering remote: [NodeRecord]) -> PushPull {
        var nodes: [NodeRecord] = []
        nodes.reserveCapacity(table.count)
        if let me = table[own] { nodes.append(NodeRecord(me)) }
        for slot in table.order {
            if let record = table[slot], !record.isRetired { nodes.append(NodeRecord(record)) }
        }
        for node in remote where node.state == .alive {
            if let record = table[node.node], record.isRetired, record.incarnation >= node.incarnation {
                nodes.append(NodeRecord(record))
            }
        }
        return PushPull(isJoin: isJoin, nodes: nodes, userState: serfState.encode())
    }

    private mutating func merge(_ remote: PushPull) {
        count(.exchanges)
        for node in remote.nodes {
            switch node.state {
            case .alive:
                announced(node.alive)
            case .left:
                declareDead(Accusation(node: node.node, incarnation: node.incarnation, from: node.node))
            case .dead, .suspect:
                // Not believed at once: the node gets the chance to refute.
                suspect(Accusation(node: node.node, incarnation: node.incarnation, from: name))
            }
        }
        guard !remote.userState.isEmpty else { return }
        var reader = MessagePackReader(remote.userState)
        do throws(WireFault) {
            guard try reader.byte() == SerfType.pushPull.rawValue else { throw .unknownType }
            mergeSerf(try SerfState(from: &reader))
        } catch {
            refuse(error, from: nil)
        }
    }
}

extension NodeRecord {
    init(_ record: MemberRecord) {
        self.init(
            node: record.name, endpoint: record.endpoint, meta: record.meta, versions: record.versions,
            incarnation: record.incarnation, state: record.state)
    }
}
