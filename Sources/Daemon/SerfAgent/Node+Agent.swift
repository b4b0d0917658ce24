internal import Gossip
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import NetworkTypes
internal import StateMachine

/// A stock serf agent as the engine: it does the gossip, we follow it over its IPC (serf's `ipc.go`, version 1) and show
/// the same control API.
extension Node {
    /// How often its members are asked for: its event stream holds member events back for up to four seconds.
    private static let pollInterval = TimeAmount.seconds(1)
    private static let connectTimeout = TimeAmount.seconds(5)
    private static let firstRetry: Int64 = 250
    private static let longestRetry: Int64 = 15_000

    // MARK: The connection

    /// Connects, and again for ever whenever the connection is lost.
    func connectAgent() {
        guard let settings = agent?.settings, !isLeaving else { return }
        agent?.generation += 1
        let generation = agent?.generation ?? 0
        guard let address = try? settings.address.socketAddress() else { return }
        ClientBootstrap(group: loop)
            .connectTimeout(Self.connectTimeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AgentHandler(node: self, generation: generation))
                }
            }
            .connect(to: address)
            .whenComplete { result in
                self.assumeIsolated { node in
                    switch result {
                    case .success(let channel): node.greetAgent(channel)
                    case .failure(let error): node.agentLost("\(error)", generation)
                    }
                }
            }
    }

    /// The connection is gone: everybody who waits is told, and it is tried again with growing pauses.
    func agentLost(_ reason: String, _ generation: Int) {
        guard var state = agent, state.generation == generation else { return }
        let waiting = state.waiting.values
        // Who still waits for the header is told by it.
        let asking = state.asking.filter { state.waiting[$0.key] == nil }.values
        // Each reason once: the attempts go on for ever.
        if state.isReady || state.lastFault != reason {
            log.warning("the serf agent is away", metadata: ["at": "\(state.settings.address)", "why": "\(reason)"])
        }
        // Half of the pause is random, so that the daemons of a cluster do not come back together.
        let longest = min(Self.firstRetry << Int64(min(state.attempt, 10)), Self.longestRetry)
        let pause = longest / 2 + Int64.random(in: 0...longest / 2)
        state.channel?.close(promise: nil)
        state.channel = nil
        state.generation += 1
        state.attempt += 1
        state.isReady = false
        state.isAsked = false
        state.waiting = [:]
        state.asking = [:]
        state.unanswered = [:]
        state.stream = nil
        state.header = nil
        state.lastFault = reason
        agent = state
        for one in waiting { one.done(AgentState.Reply(error: "the serf agent is away: \(reason)", body: nil)) }
        for one in asking { one.done(one) }
        loop.scheduleTask(in: .milliseconds(pause)) { self.assumeIsolated { $0.connectAgent() } }
    }

    private func dropAgent(_ reason: String) { agentLost(reason, agent?.generation ?? 0) }

    private func greetAgent(_ channel: any Channel) {
        guard let settings = agent?.settings else { return channel.close(promise: nil) }
        agent?.channel = channel
        askAgent("handshake", ["Version": .integer(1)]) { reply in
            self.assumeIsolated { node in
                guard reply.error.isEmpty else { return node.dropAgent(reply.error) }
                guard let key = settings.key else { return node.checkAgent() }
                node.askAgent("auth", ["AuthKey": .text(key)]) { reply in
                    self.assumeIsolated { node in
                        guard reply.error.isEmpty else {
                            return node.dropAgent("it refuses serfRPCAuth: \(reply.error)")
                        }
                        node.checkAgent()
                    }
                }
            }
        }
    }

    /// The agent must have our name, or the others would know this host by two.
    private func checkAgent() {
        askAgent("stats", hasBody: true) { reply in
            self.assumeIsolated { node in
                guard let name = reply.body?["agent"]?["name"]?.text else {
                    return node.dropAgent(reply.error.isEmpty ? "it does not tell its name" : reply.error)
                }
                guard name == node.name else {
                    return node.dropAgent("its name is '\(name)' and ours '\(node.name)': set node to its name")
                }
                node.followAgent()
            }
        }
    }

    private func followAgent() {
        let stream = askAgent("stream", ["Type": .text("*")]) { reply in
            self.assumeIsolated { node in
                if !reply.error.isEmpty { node.dropAgent(reply.error) }
            }
        }
        agent?.stream = stream
        agent?.announced = [:]
        announceToAgent(tags.announced) { reason in
            guard let reason else { return }
            self.assumeIsolated { $0.log.error("the serf agent takes no tags: \(reason)") }
        }
        pollAgent()
    }

    /// Asks for the members, and again after a while. An agent that does not answer is given up.
    private func pollAgent() {
        guard let generation = agent?.generation, agent?.channel != nil else { return }
        guard agent?.isAsked != true else { return dropAgent("it does not answer") }
        agent?.isAsked = true
        askAgent("members", hasBody: true) { reply in
            self.assumeIsolated { $0.agentMembers(reply) }
        }
        let wait = agent?.isReady == true ? Self.pollInterval : Self.connectTimeout
        loop.scheduleTask(in: wait) {
            self.assumeIsolated { node in
                if node.agent?.generation == generation { node.pollAgent() }
            }
        }
    }

    /// Asks at once, because something happened.
    private func refreshAgent() {
        askAgent("members", hasBody: true) { reply in self.assumeIsolated { $0.agentMembers(reply) } }
    }

    private func agentMembers(_ reply: AgentState.Reply) {
        guard let body = reply.body, reply.error.isEmpty else { return }
        agent?.isAsked = false
        var members: [String: Member] = [:]
        for value in body["Members"]?.elements ?? [] {
            guard let member = Member(agent: value, now: clock(), known: agent?.members) else { continue }
            members[member.name] = member
        }
        if agent?.isReady == false {
            agent?.isReady = true
            agent?.attempt = 0
            log.info("the serf agent is there", metadata: ["members": "\(members.count)"])
            // The first poll waited for as long as a connection may take.
            loop.scheduleTask(in: Self.pollInterval) { self.assumeIsolated { $0.joinByAgent() } }
        }
        let old = agent?.members ?? [:]
        agent?.members = members
        for (name, member) in members.sorted(by: { $0.key < $1.key }) {
            if let change = member.change(since: old[name]) { note(change, member) }
        }
        for (name, member) in old.sorted(by: { $0.key < $1.key }) where members[name] == nil { note(.reaped, member) }
    }

    /// While the agent is alone it is told to join whom the configuration names.
    private func joinByAgent() {
        guard let state = agent, state.isReady, !state.join.isEmpty, !isLeaving else { return }
        guard !state.members.values.contains(where: { $0.name != name && $0.status == .alive }) else { return }
        askAgent("join", ["Existing": .texts(state.join), "Replay": .bool(false)], hasBody: true) { reply in
            self.assumeIsolated { node in
                if !reply.error.isEmpty {
                    node.log.warning("no node to join answers", metadata: ["agent": "\(reply.error)"])
                }
                node.loop.scheduleTask(in: .seconds(10)) { self.assumeIsolated { $0.joinByAgent() } }
            }
        }
    }

    // MARK: Talking

    /// Sends a request; `done` is called once, with an error when there is no agent.
    @discardableResult
    func askAgent(
        _ command: String, _ body: [String: PackedValue]? = nil, hasBody: Bool = false,
        done: @escaping @Sendable (AgentState.Reply) -> Void
    ) -> Int64 {
        guard let channel = agent?.channel else {
            done(AgentState.Reply(error: "the serf agent is away: \(agent?.lastFault ?? "")", body: nil))
            return -1
        }
        agent?.sequence += 1
        let sequence = agent?.sequence ?? 0
        agent?.waiting[sequence] = AgentState.Waiting(hasBody: hasBody, done: done)
        var bytes: [UInt8] = []
        PackedValue.map(["Command": .text(command), "Seq": .integer(sequence)]).encode(into: &bytes)
        if let body { PackedValue.map(body).encode(into: &bytes) }
        channel.writeAndFlush(ByteBuffer(bytes: bytes), promise: nil)
        return sequence
    }

    /// Headers have two keys, "Error" and "Seq", as no body has; a body belongs to the header before it.
    func agentSaid(_ value: PackedValue, _ generation: Int) {
        guard agent?.generation == generation else { return }
        if case .map(let members) = value, members.count == 2, let error = members["Error"]?.text,
            let sequence = members["Seq"]?.number
        {
            agent?.header = (sequence, error)
            // A body follows an error, too, unless the agent does not talk to us at all.
            guard let waiting = agent?.waiting[sequence], !waiting.hasBody || error.hasSuffix(" required") else {
                return
            }
            agent?.waiting[sequence] = nil
            return waiting.done(AgentState.Reply(error: error, body: nil))
        }
        guard let header = agent?.header else { return dropAgent("it does not speak serf's IPC") }
        agent?.header = nil
        if let waiting = agent?.waiting.removeValue(forKey: header.sequence) {
            waiting.done(AgentState.Reply(error: header.error, body: value))
        } else if agent?.asking[header.sequence] != nil {
            agentAnswered(header.sequence, value)
        } else if header.sequence == agent?.stream {
            agentTold(value)
        }
    }

    private func agentAnswered(_ sequence: Int64, _ record: PackedValue) {
        let node = record["From"]?.text ?? ""
        switch record["Type"]?.text {
        case "ack": agent?.asking[sequence]?.acks.append(node)
        case "response": agent?.asking[sequence]?.answers.append((node, record["Payload"]?.octets ?? []))
        default:
            guard let asking = agent?.asking.removeValue(forKey: sequence) else { return }
            asking.done(asking)
        }
    }

    private func agentTold(_ record: PackedValue) {
        let name = record["Name"]?.text ?? ""
        let payload = record["Payload"]?.octets ?? []
        let time = UInt64(clamping: record["LTime"]?.number ?? 0)
        switch record["Event"]?.text {
        case "user":
            var coalesce = false
            if case .bool(let value)? = record["Coalesce"] { coalesce = value }
            tell(.userEvent(UserEvent(time: time, name: name, payload: payload, coalesce: coalesce)))
        case "query":
            let own = number()
            // The agent forgets them by itself; we keep the last.
            if agent?.unanswered.count ?? 0 >= 1024, let oldest = agent?.unanswered.keys.min() {
                agent?.unanswered[oldest] = nil
            }
            agent?.unanswered[own] = record["ID"]?.number
            tell(.agentQuery(name: name, payload: payload, time: time, number: own))
        default: refreshAgent()
        }
    }

    // MARK: Tags, leaving

    /// Gives the agent our tags; those it has from elsewhere stay. `done` gets the reason when it refuses.
    func announceToAgent(_ tags: [String: String], done: @escaping @Sendable (String?) -> Void) {
        let gone = (agent?.announced ?? [:]).keys.filter { tags[$0] == nil }.sorted()
        askAgent("tags", ["Tags": .map(tags.mapValues { .text($0) }), "DeleteTags": .texts(gone)]) { reply in
            self.assumeIsolated { node in
                if reply.error.isEmpty {
                    node.agent?.announced = tags
                    node.refreshAgent()
                }
            }
            done(reply.error.isEmpty ? nil : reply.error)
        }
    }

    /// Ends our part: our tags are taken back, so that the others know this host for no daemon's; the agent goes on.
    func leaveAgent() {
        announceToAgent([:]) { _ in self.assumeIsolated { $0.left.succeed() } }
    }
}

extension Member {
    /// A member of an agent's answer; nil when it is none.
    init?(agent value: PackedValue, now: Nanoseconds, known: [String: Member]?) {
        guard let name = value["Name"]?.text, let status = value["Status"]?.text.flatMap(MemberStatus.init(agent:)),
            let address = value["Addr"]?.octets.flatMap({ IPAddress(bytes: $0) }),
            let port = value["Port"]?.number.flatMap({ UInt16(exactly: $0) })
        else { return nil }
        func byte(_ key: String) -> UInt8 { UInt8(clamping: value[key]?.number ?? 0) }
        let old = known?[name]
        self.init(
            name: name, endpoint: Endpoint(address: address, port: port),
            tags: (value["Tags"]?.members ?? [:]).mapValues { $0.text ?? "" }, status: status,
            versions: ProtocolVersions(
                protocolMin: byte("ProtocolMin"), protocolMax: byte("ProtocolMax"),
                protocolCurrent: byte("ProtocolCur"), delegateMin: byte("DelegateMin"),
                delegateMax: byte("DelegateMax"), delegateCurrent: byte("DelegateCur")),
            since: old?.status == status ? old?.since ?? now : now)
    }

    /// What is news about it.
    fileprivate func change(since old: Member?) -> MemberChange? {
        if old?.status != status {
            switch status {
            case .alive: return .joined
            case .failed: return .failed
            case .left: return .left
            case .leaving: return .updated
            }
        }
        return old?.tags != tags || old?.endpoint != endpoint ? .updated : nil
    }
}

extension MemberStatus {
    /// The agent's word for it.
    fileprivate init?(agent word: String) {
        switch word {
        case "alive": self = .alive
        case "leaving": self = .leaving
        case "left": self = .left
        case "failed": self = .failed
        default: return nil
        }
    }
}
