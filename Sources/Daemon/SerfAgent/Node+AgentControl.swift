internal import Gossip
internal import JSON
internal import NIOCore
internal import NetworkTypes
internal import System

/// The control API where the engine is a serf agent: the same requests and answers, carried out by the agent.
extension Node {
    private func haveAgentLeave(_ later: @escaping Answer) {
        askAgent("leave") { reply in
            self.assumeIsolated { $0.left.succeed() }
            later(ControlResponse(["left": .bool(reply.error.isEmpty)]))
        }
    }

    /// Answers what the agent carries out; nil for everything else.
    func answerByAgent(_ request: ControlRequest, _ later: @escaping Answer) throws -> ControlReply? {
        switch (request.method, request.path) {
        case ("GET", "/v1/rtt"): try agentRoundTrip(request, later)
        case ("GET", "/v1/keys"): agentKeys("list-keys", nil, later)
        case ("POST", "/v1/keys/install"): agentKeys("install-key", try key(request), later)
        case ("POST", "/v1/keys/use"): agentKeys("use-key", try key(request), later)
        case ("POST", "/v1/keys/remove"): agentKeys("remove-key", try key(request), later)
        case ("POST", "/v1/join"):
            let peers = try request.document().member("peers").strings()
            guard !peers.isEmpty else { throw Refusal(reason: "peers: none given") }
            forward("join", ["Existing": .texts(peers), "Replay": .bool(false)], hasBody: true, later)
        case ("POST", "/v1/leave"):
            isLeaving = true
            let cluster = cluster
            Task {
                await cluster.sayFarewell()
                self.haveAgentLeave(later)
            }
        case ("POST", "/v1/force-leave"):
            let document = try request.document()
            guard let member = try document.member("name").string() else {
                throw Refusal(reason: "name: which member?")
            }
            let prune = try document.member("prune").bool() ?? false
            forward("force-leave", ["Node": .text(member), "Prune": .bool(prune)], later)
        case ("POST", "/v1/event"):
            let document = try request.document()
            let coalesce = try document.member("coalesce").bool() ?? true
            forward(
                "event",
                [
                    "Name": .text(try name(of: "event", document)), "Payload": .bytes(try payload(document)),
                    "Coalesce": .bool(coalesce),
                ], later)
        case ("POST", "/v1/query"): try agentQuery(request, later)
        case ("POST", "/v1/respond"):
            let document = try request.document()
            guard let number = try document.member("id").integer(in: 0...Int64.max),
                let query = agent?.unanswered.removeValue(forKey: UInt64(number))
            else { throw Refusal(reason: "id: no such query, or it was answered") }
            forward("respond", ["ID": .integer(query), "Payload": .bytes(try payload(document))], later)
        default: return nil
        }
        return .later
    }

    /// How the agent is, for the status document.
    var agentStatus: Value {
        guard let agent else { return .null }
        return [
            "address": .string("\(agent.settings.address)"), "connected": .bool(agent.isReady),
            "fault": agent.isReady ? .null : .string(agent.lastFault),
        ]
    }

    private func name(of what: String, _ document: Reader) throws -> String {
        guard let name = try document.member("name").string(), !name.isEmpty else {
            throw Refusal(reason: "name: which \(what)?")
        }
        return name
    }

    /// 503 when there is no agent, 409 with its words when it refuses.
    private static func refusal(_ error: String, _ isAway: Bool) -> ControlResponse {
        .refusal(isAway ? 503 : 409, error)
    }

    private func forward(
        _ command: String, _ body: [String: PackedValue], hasBody: Bool = false, _ later: @escaping Answer
    ) {
        askAgent(command, body, hasBody: hasBody) { reply in
            self.assumeIsolated { node in
                guard reply.error.isEmpty else {
                    return later(Self.refusal(reply.error, node.agent?.channel == nil))
                }
                later(ControlResponse(.object(Object())))
            }
        }
    }

    private func agentQuery(_ request: ControlRequest, _ later: @escaping Answer) throws {
        let document = try request.document()
        var body: [String: PackedValue] = [
            "Name": .text(try name(of: "query", document)), "Payload": .bytes(try payload(document)),
            "RequestAck": .bool(try document.member("acks").bool() ?? true),
        ]
        body["FilterNodes"] = .texts(try document.member("nodes").strings())
        var tags: [String: PackedValue] = [:]
        for member in try document.member("tags").object()?.members ?? [] {
            tags[member.key] = .text(try Reader(member.value, path: "tags.\(member.key)").string() ?? "")
        }
        body["FilterTags"] = .map(tags)
        body["Timeout"] = .integer((try document.member("timeoutMs").integer(in: 1...600_000) ?? 0) * 1_000_000)
        let sequence = askAgent("query", body) { reply in
            self.assumeIsolated { node in
                guard !reply.error.isEmpty else { return }
                // Nothing more is said of this query.
                let isAway = node.agent?.channel == nil
                if let refused = node.agent?.header?.sequence { node.agent?.asking[refused] = nil }
                later(Self.refusal(reply.error, isAway))
            }
        }
        guard sequence >= 0 else { return }
        agent?.asking[sequence] = AgentState.Asking { asking in
            let answers: [Value] = asking.answers.map {
                [
                    "from": .string($0.node), "payload": .text($0.payload),
                    "payloadBase64": .string(Base64.encode($0.payload)),
                ]
            }
            later(
                ControlResponse([
                    "acks": .array(asking.acks.sorted().map { .string($0) }), "responses": .array(answers),
                ]))
        }
    }

    private func agentKeys(_ command: String, _ key: [UInt8]?, _ later: @escaping Answer) {
        let body = key.map { ["Key": PackedValue.text(Base64.encode($0))] }
        askAgent(command, body, hasBody: true) { reply in
            self.assumeIsolated { node in
                // The agent tells what went wrong twice: as an error, and by node in the body.
                guard let body = reply.body else {
                    return later(Self.refusal(reply.error, node.agent?.channel == nil))
                }
                let (nodes, failures) = (body["NumNodes"]?.number ?? 0, body["NumErr"]?.number ?? 0)
                let answered = body["NumResp"]?.number ?? 0
                let failed = (body["Messages"]?.members ?? [:]).sorted { $0.key < $1.key }
                let keys = (body["Keys"]?.members ?? [:]).sorted { $0.key < $1.key }
                later(
                    ControlResponse(
                        status: failures == 0 && answered >= nodes ? 200 : 502,
                        [
                            "nodes": .integer(nodes), "answered": .integer(answered),
                            "succeeded": .integer(max(0, answered - failures)),
                            "failed": .object(Object(failed.map { ($0.key, .string($0.value.text ?? "")) })),
                            "keys": .object(Object(keys.map { ($0.key, .integer($0.value.number ?? 0)) })),
                        ]))
            }
        }
    }

    private func agentRoundTrip(_ request: ControlRequest, _ later: @escaping Answer) throws {
        guard let to = request.parameters["to"] else { throw Refusal(reason: "to: which member?") }
        let from = request.parameters["from"] ?? name
        askAgent("get-coordinate", ["Node": .text(from)], hasBody: true) { first in
            self.assumeIsolated { node in
                _ = node.askAgent("get-coordinate", ["Node": .text(to)], hasBody: true) { second in
                    guard let one = Coordinate(agent: first.body), let two = Coordinate(agent: second.body) else {
                        return later(.refusal(409, "no coordinate of both '\(from)' and '\(to)' yet"))
                    }
                    later(
                        ControlResponse([
                            "from": .string(from), "to": .string(to),
                            "estimatedRoundTripMs": .real(one.distance(to: two) * 1000),
                        ]))
                }
            }
        }
    }
}

extension Coordinate {
    /// The coordinate of an agent's answer.
    fileprivate init?(agent body: PackedValue?) {
        func real(_ value: PackedValue?) -> Double? {
            switch value {
            case .real(let real): real
            case .integer(let number): Double(number)
            default: nil
            }
        }
        guard let place = body?["Coord"], let error = real(place["Error"]), let height = real(place["Height"]),
            let adjustment = real(place["Adjustment"])
        else { return nil }
        self.init(
            vector: (place["Vec"]?.elements ?? []).compactMap(real), height: height, error: error,
            adjustment: adjustment)
    }
}
