internal import StateMachine

/// A query of ours while answers are taken.
struct PendingQuery: Sendable {
    let token: UInt64
    let id: UInt32
    let isKeyOperation: Bool
    let deadline: Nanoseconds
    var acknowledged: Set<String> = []
    var answered: Set<String> = []
}

extension Instance {
    // MARK: Asking

    mutating func ask(_ request: QueryRequest, isKeyOperation: Bool) {
        let timeout =
            request.timeout
            ?? Timing.query(
                gossipInterval: settings.gossipInterval, multiplier: settings.queryTimeoutMultiplier, nodes: nodeCount)
        let id = UInt32(truncatingIfNeeded: random.next())
        let query = QueryMessage(
            time: queryClock.time, id: id, origin: endpoint, sourceNode: name,
            filters: request.filters.isEmpty ? nil : request.filters.map(\.bytes),
            flags: request.wantsAcks ? QueryMessage.ackFlag : 0, relayFactor: request.relayFactor,
            timeout: Int64(clamping: timeout), name: request.name,
            payload: request.payload.isEmpty ? nil : request.payload)
        let message = [MessageType.user.rawValue] + query.encode()
        guard message.count - 1 <= settings.queryLimit else {
            return notice(.refused("query takes \(message.count - 1) bytes, the limit is \(settings.queryLimit)"))
        }
        queryClock.increment()
        pendingQueries[query.time] = PendingQuery(
            token: request.token, id: id, isKeyOperation: isKeyOperation, deadline: now + timeout)
        setTimer(.query(query.time), in: timeout)
        _ = take(query)
        gossipQuery(message)
    }

    mutating func finishQuery(_ time: UInt64) {
        guard let pending = pendingQueries.removeValue(forKey: time) else { return }
        directives.append(.queryFinished(token: pending.token))
    }

    mutating func take(_ response: QueryResponseMessage) {
        guard var pending = pendingQueries[response.time], pending.id == response.id else { return }
        if response.isAck {
            guard pending.acknowledged.insert(response.from).inserted else { return }
            directives.append(.queryAck(token: pending.token, from: response.from))
        } else {
            guard pending.answered.insert(response.from).inserted else { return }
            report(response, of: pending)
        }
        pendingQueries[response.time] = pending
    }

    private mutating func report(_ response: QueryResponseMessage, of pending: PendingQuery) {
        let payload = response.payload ?? []
        guard pending.isKeyOperation else {
            directives.append(.queryResponse(token: pending.token, from: response.from, payload: payload))
            return
        }
        var reader = MessagePackReader(payload)
        do throws(WireFault) {
            directives.append(
                .keyResponse(token: pending.token, from: response.from, try KeyResponse(from: &reader)))
        } catch {
            refuse(error, from: nil)
        }
    }

    // MARK: Answering

    /// A query. True when it shall be gossiped on.
    mutating func take(_ query: QueryMessage) -> Bool {
        guard queryClock.isPlausible(query.time) else {
            implausible(query.sourceNode)
            return false
        }
        queryClock.witness(query.time)
        guard queryRing.insert(query.id, at: query.time, time: queryClock.time) else { return false }
        let goesOn = query.flags & QueryMessage.noBroadcastFlag == 0
        guard passes(query.filters ?? []) else { return goesOn }
        let timeout = Nanoseconds(max(0, query.timeout))
        let id = QueryID(
            time: query.time, number: query.id, origin: query.origin, sourceNode: query.sourceNode,
            relayFactor: query.relayFactor, deadline: now + min(timeout, .seconds(3600)))
        if query.flags & QueryMessage.ackFlag != 0 {
            reply(
                QueryResponseMessage(
                    time: id.time, id: id.number, from: name, flags: QueryMessage.ackFlag, payload: nil), to: id)
        }
        if query.name.hasPrefix("_serf_") {
            answerInternal(query, id)
        } else {
            directives.append(
                .query(
                    Query(
                        id: id, time: query.time, name: query.name, payload: query.payload ?? [],
                        source: query.sourceNode, deadline: id.deadline)))
        }
        return goesOn
    }

    /// Whether we are meant.
    private mutating func passes(_ filters: [[UInt8]]) -> Bool {
        let tags = Tags.decode(table[own]?.meta ?? [])
        for filter in filters {
            do throws(WireFault) {
                switch try QueryFilter(bytes: filter) {
                case .nodes(let names):
                    guard names.contains(name) else { return false }
                case .tag(let tag, let expression):
                    guard let pattern = TagExpression(expression), pattern.matches(tags[tag] ?? "") else {
                        return false
                    }
                }
            } catch {
                refuse(error, from: nil)
                return false
            }
        }
        return true
    }

    mutating func respond(to id: QueryID, payload: [UInt8]) {
        guard now <= id.deadline else { return notice(.refused("the query is over")) }
        let response = QueryResponseMessage(
            time: id.time, id: id.number, from: name, flags: 0, payload: payload.isEmpty ? nil : payload)
        let size = response.encode().count
        guard size <= settings.queryResponseLimit else {
            return notice(
                .refused("query response takes \(size) bytes, the limit is \(settings.queryResponseLimit)"))
        }
        reply(response, to: id)
    }

    private mutating func reply(_ response: QueryResponseMessage, to id: QueryID) {
        if id.origin == endpoint { return take(response) }
        let body = response.encode()
        transmit([MessageType.user.rawValue] + body, to: id.origin, checksum: false)
        guard id.relayFactor > 0 else { return }
        let message =
            [MessageType.user.rawValue]
            + RelayHeader(destination: id.origin, node: id.sourceNode).encode(body)
        let helpers = table.pick(Int(id.relayFactor), random: &random) {
            $0.state == .alive && $0.endpoint != id.origin && $0.versions.delegateMax >= 5
        }
        for slot in helpers {
            if let helper = table[slot] { transmit(message, to: helper.endpoint, checksum: false) }
        }
    }

    /// Passes an answer on. Only answers, and only to members, so that nobody can have us send to a third party.
    mutating func relay(_ body: [UInt8], by header: RelayHeader) {
        guard body.first == SerfType.queryResponse.rawValue else { return refuse(.unknownType, from: nil) }
        if header.destination == endpoint {
            var reader = MessagePackReader(body, 1..<body.count)
            if let response = try? QueryResponseMessage(from: &reader) { take(response) }
            return
        }
        let isMember =
            table[header.node]?.endpoint == header.destination
            || header.node.isEmpty && table.records.contains { $0.endpoint == header.destination }
        guard isMember else { return count(.reflectionsAvoided) }
        transmit([MessageType.user.rawValue] + body, to: header.destination, checksum: false)
    }
}

extension QueryFilter {
    /// Reads a filter of the wire: 0 and an array of names, or 1 and a map of tag and expression.
    init(bytes: [UInt8]) throws(WireFault) {
        var reader = MessagePackReader(bytes)
        switch try reader.byte() {
        case 0:
            self = .nodes(try reader.stringList())
        case 1:
            var tag = ""
            var expression = ""
            for _ in 0..<(try reader.mapCount()) {
                switch try reader.key() {
                case "Expr": expression = try reader.string()
                case "Tag": tag = try reader.string()
                default: try reader.skip()
                }
            }
            self = .tag(tag, expression: expression)
        default:
            throw .unknownType
        }
    }

    var bytes: [UInt8] {
        var writer = MessagePackWriter()
        switch self {
        case .nodes(let names):
            writer.byte(0)
            writer.array(names.count)
            for name in names { writer.string(name) }
        case .tag(let tag, let expression):
            writer.byte(1)
            writer.map(2)
            writer.string("Expr")
            writer.string(expression)
            writer.string("Tag")
            writer.string(tag)
        }
        return writer.bytes
    }
}
