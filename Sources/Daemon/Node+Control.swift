internal import Gossip
internal import JSON
internal import NIOCore
internal import NetworkTypes
internal import StateMachine
internal import System

extension Node {
    typealias Answer = @Sendable (ControlResponse) -> Void

    /// Answers a request of the control socket; `later` is called once when the reply says so.
    func answer(_ request: ControlRequest, later: @escaping Answer) -> ControlReply {
        do {
            if let reply = try engine.answer(request, later, self) { return reply }
            switch (request.method, request.path) {
            case ("GET", "/healthz"): return .now(health)
            case ("GET", "/metrics"):
                collectMetrics(later)
                return .later
            case ("GET", "/v1/status"): return .now(ControlResponse(status))
            case ("GET", "/v1/members"): return .now(ControlResponse(members))
            case ("GET", "/v1/rtt"): return .now(try roundTrip(request))
            case ("GET", "/v1/events"):
                let kinds = (request.parameters["kind"] ?? "").split(separator: ",").map(String.init)
                return events(Set(kinds))
            case ("GET", "/v1/keys"): return ask(.list, later)
            case ("POST", "/v1/keys/install"): return ask(.install(try key(request)), later)
            case ("POST", "/v1/keys/use"): return ask(.use(try key(request)), later)
            case ("POST", "/v1/keys/remove"): return ask(.remove(try key(request)), later)
            case ("POST", "/v1/join"): return try join(request, later)
            case ("POST", "/v1/leave"): return leave(later)
            case ("POST", "/v1/force-leave"): return try forceLeave(request)
            case ("POST", "/v1/tags"): return try setTags(request)
            case ("POST", "/v1/event"): return try sendEvent(request)
            case ("POST", "/v1/query"): return try sendQuery(request, later)
            case ("POST", "/v1/respond"): return try respond(request)
            case (_, let path) where ClusterNode.serves(path):
                cluster.take(request, later: later)
                return .later
            default: return .now(.refusal(404, "no \(request.method) \(request.path)"))
            }
        } catch let refusal as Refusal {
            return .now(.refusal(400, refusal.reason))
        } catch {
            return .now(.refusal(400, "\(error)"))
        }
    }

    struct Refusal: Error { let reason: String }

    /// What happens from now on, a line each; all kinds, or some.
    private func events(_ kinds: Set<String>) -> ControlReply {
        .stream(type: "application/x-ndjson") { send in
            let number = self.assumeIsolated { node in
                node.observe { happening in
                    let line = happening.document
                    if kinds.isEmpty || kinds.contains(line.kind) { send(line.value.text() + "\n") }
                }
            }
            return { self.assumeIsolated { $0.ignore(number) } }
        }
    }

    /// 204 in spirit: an empty object, or the engine's reason.
    func outcome(of command: Command) -> ControlReply {
        if let reason = order(command) { return .now(.refusal(409, reason)) }
        return .now(ControlResponse(.object(Object())))
    }

    // MARK: Looking

    private var health: ControlResponse {
        if isLeaving { return ControlResponse(status: 503, text: "leaving\n") }
        if let absence = engine.absence(self) { return ControlResponse(status: 503, text: "\(absence)\n") }
        return ControlResponse(text: "ok\n")
    }

    /// The members, of whichever engine.
    var known: [Member] { engine.members(self) }

    var members: Value {
        let now = clock()
        return [
            "members": .array(
                known.sorted { $0.name < $1.name }.map { member in
                    member.document(
                        now: now, isSelf: member.name == name,
                        estimate: member.name == name ? nil : instance.estimatedRoundTrip(to: member.name))
                })
        ]
    }

    private var status: Value {
        let members = known
        func count(_ status: MemberStatus) -> Value { .integer(Int64(members.count { $0.status == status })) }
        let memory = instance.memory
        return [
            "node": .string(name), "version": .string(suiteVersion),
            "engine": .string(engine.word.rawValue), "agent": engine.document(self),
            "address": .string(members.first { $0.name == name }.map { "\($0.endpoint)" } ?? ""),
            "state": isLeaving ? "leaving" : "running",
            "uptimeSeconds": .real(Double((clock() - started) / 1_000_000) / 1000),
            "encrypted": .bool(instance.keyRing != nil), "healthScore": .integer(Int64(instance.healthScore)),
            "members": [
                "alive": count(.alive), "leaving": count(.leaving), "left": count(.left), "failed": count(.failed),
            ],
            "incarnation": .integer(Int64(memory.incarnation)),
            "clocks": [
                "member": .integer(Int64(clamping: memory.memberTime)),
                "event": .integer(Int64(clamping: memory.eventTime)),
                "query": .integer(Int64(clamping: memory.queryTime)),
            ],
            "queuedBroadcasts": .integer(Int64(instance.queuedBroadcasts)),
            "warnings": .array(warnings.map { .string($0) }),
        ]
    }

    private func roundTrip(_ request: ControlRequest) throws -> ControlResponse {
        func place(_ name: String) throws -> Coordinate {
            if name == self.name { return instance.coordinate }
            guard let member = instance.member(name) else { throw Refusal(reason: "no member '\(name)'") }
            guard let place = member.coordinate else { throw Refusal(reason: "'\(name)' has told no coordinate yet") }
            return place
        }
        guard let to = request.parameters["to"] else { throw Refusal(reason: "to: which member?") }
        let from = request.parameters["from"] ?? name
        let seconds = try place(from).distance(to: try place(to))
        return ControlResponse([
            "from": .string(from), "to": .string(to), "estimatedRoundTripMs": .real(seconds * 1000),
        ])
    }

    // MARK: Acting

    private func leave(_ later: @escaping Answer) -> ControlReply {
        left.futureResult.whenComplete { _ in later(ControlResponse(["left": true])) }
        leave()
        return .later
    }

    private func forceLeave(_ request: ControlRequest) throws -> ControlReply {
        let document = try request.document()
        guard let member = try document.member("name").string() else { throw Refusal(reason: "name: which member?") }
        return outcome(of: .forceLeave(member, prune: try document.member("prune").bool() ?? false))
    }

    /// `set` adds or replaces tags, `delete` drops some; the others stay.
    private func setTags(_ request: ControlRequest) throws -> ControlReply {
        let document = try request.document()
        let delete = try document.member("delete").strings()
        var set: [String: String] = [:]
        for member in try document.member("set").object()?.members ?? [] {
            set[member.key] = try Reader(member.value, path: "set.\(member.key)").string() ?? ""
        }
        for tag in tags.own.keys where set[tag] != nil || delete.contains(tag) {
            throw Refusal(reason: "\(tag): this tag is the daemon's own")
        }
        var wanted = tags
        wanted.change(set: set, delete: delete)
        return announce(wanted).map { .now(.refusal(409, $0)) } ?? .now(ControlResponse(.object(Object())))
    }

    private func sendEvent(_ request: ControlRequest) throws -> ControlReply {
        let document = try request.document()
        guard let event = try document.member("name").string(), !event.isEmpty else {
            throw Refusal(reason: "name: which event?")
        }
        return outcome(
            of: .userEvent(
                name: event, payload: try payload(document), coalesce: try document.member("coalesce").bool() ?? true))
    }

    func payload(_ document: Reader) throws -> [UInt8] {
        guard let text = try document.member("payloadBase64").string() else {
            return Array((try document.member("payload").string() ?? "").utf8)
        }
        guard let bytes = Base64.decode(text) else { throw Refusal(reason: "payloadBase64: not base64") }
        return bytes
    }

    private func sendQuery(_ request: ControlRequest, _ later: @escaping Answer) throws -> ControlReply {
        let document = try request.document()
        guard let query = try document.member("name").string(), !query.isEmpty else {
            throw Refusal(reason: "name: which query?")
        }
        var filters: [QueryFilter] = []
        let nodes = try document.member("nodes").strings()
        if !nodes.isEmpty { filters.append(.nodes(nodes)) }
        for member in try document.member("tags").object()?.members ?? [] {
            let expression = try Reader(member.value, path: "tags.\(member.key)").string() ?? ""
            filters.append(.tag(member.key, expression: expression))
        }
        let question = QueryRequest(
            token: 0, name: query, payload: try payload(document), filters: filters,
            wantsAcks: try document.member("acks").bool() ?? true,
            timeout: try document.member("timeoutMs").integer(in: 1...600_000).map { .milliseconds(UInt64($0)) })
        let refusal = ask(question) { question in
            let answers: [Value] = question.answers.map {
                [
                    "from": .string($0.node), "payload": .text($0.payload),
                    "payloadBase64": .string(Base64.encode($0.payload)),
                ]
            }
            later(
                ControlResponse([
                    "acks": .array(question.acks.sorted().map { .string($0) }), "responses": .array(answers),
                ]))
        }
        return refusal.map { .now(.refusal(409, $0)) } ?? .later
    }

    private func respond(_ request: ControlRequest) throws -> ControlReply {
        let document = try request.document()
        guard let number = try document.member("id").integer(in: 0...Int64.max),
            let query = unanswered.take(UInt64(number))
        else { throw Refusal(reason: "id: no such query, or it was answered") }
        return outcome(of: .respond(query.id, payload: try payload(document)))
    }

    // MARK: Keys

    func key(_ request: ControlRequest) throws -> [UInt8] {
        guard let text = try request.document().member("key").string(), let key = Base64.decode(text) else {
            throw Refusal(reason: "key: expected 16, 24 or 32 bytes in base64")
        }
        return key
    }

    private func ask(_ operation: KeyOperation, _ later: @escaping Answer) -> ControlReply {
        guard instance.keyRing != nil else { return .now(.refusal(409, "the gossip is not encrypted")) }
        let refusal = ask(operation) { question in
            let failed = question.keyAnswers.filter { !$0.response.succeeded }
            let expected = question.expected ?? 0
            let succeeded = question.keyAnswers.count - failed.count
            var counts: [String: Int64] = [:]
            for answer in question.keyAnswers { for key in answer.response.keys { counts[key, default: 0] += 1 } }
            let isComplete = failed.isEmpty && succeeded >= expected
            later(
                ControlResponse(
                    status: isComplete ? 200 : 502,
                    [
                        "nodes": .integer(Int64(expected)), "answered": .integer(Int64(question.keyAnswers.count)),
                        "succeeded": .integer(Int64(succeeded)),
                        "failed": .object(Object(failed.map { ($0.node, .string($0.response.message)) })),
                        "keys": .object(Object(counts.sorted { $0.key < $1.key }.map { ($0.key, .integer($0.value)) })),
                    ]))
        }
        return refusal.map { .now(.refusal(409, $0)) } ?? .later
    }
}
