internal import Gossip
internal import JSON
internal import NetworkTypes
internal import StateMachine

extension Member {
    /// The member as the control API shows it. Times are seconds before `now`, round trips milliseconds.
    func document(now: Nanoseconds, isSelf: Bool, estimate: Double?) -> Value {
        func age(_ time: Nanoseconds) -> Value { .real(Double(now > time ? (now - time) / 1_000_000 : 0) / 1000) }
        var object = Object([
            ("name", .string(name)),
            ("address", .string("\(endpoint.address)")),
            ("port", .integer(Int64(endpoint.port))),
            ("status", .string("\(status)")),
            ("self", .bool(isSelf)),
            ("tags", .object(Object(tags.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))),
            ("incarnation", .integer(Int64(incarnation))),
            ("statusTime", .integer(Int64(clamping: statusTime))),
            (
                "protocol",
                [
                    "min": .integer(Int64(versions.delegateMin)), "max": .integer(Int64(versions.delegateMax)),
                    "current": .integer(Int64(versions.delegateCurrent)),
                ]
            ),
            ("sinceSeconds", age(since)),
        ])
        if let lastAck { object["lastAckSeconds"] = age(lastAck) }
        if let roundTrip { object["roundTripMs"] = .real(Double(roundTrip / 1000) / 1000) }
        if let estimate { object["estimatedRoundTripMs"] = .real(estimate * 1000) }
        if !suspectedBy.isEmpty { object["suspectedBy"] = .array(suspectedBy.map { .string($0) }) }
        if answersOnlyStreams { object["udpBlocked"] = true }
        return .object(object)
    }
}

extension Node.Happening {
    /// The line of the event stream, and the word it can be asked for by.
    var document: (kind: String, value: Value) {
        switch self {
        case .member(let change, let member):
            (
                "member",
                [
                    "event": .string("member-\(change)"), "name": .string(member.name),
                    "address": .string("\(member.endpoint)"), "status": .string("\(member.status)"),
                    "tags": .object(Object(member.tags.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
                ]
            )
        case .userEvent(let event):
            (
                "user",
                [
                    "event": "user", "name": .string(event.name), "payload": .text(event.payload),
                    "payloadBase64": .string(Base64.encode(event.payload)), "coalesce": .bool(event.coalesce),
                    "time": .integer(Int64(clamping: event.time)),
                ]
            )
        case .query(let query, let number):
            (
                "query",
                [
                    "event": "query", "id": .integer(Int64(clamping: number)), "name": .string(query.name),
                    "payload": .text(query.payload), "payloadBase64": .string(Base64.encode(query.payload)),
                    "from": .string(query.source), "time": .integer(Int64(clamping: query.time)),
                ]
            )
        case .agentQuery(let name, let payload, let time, let number):
            (
                "query",
                [
                    "event": "query", "id": .integer(Int64(clamping: number)), "name": .string(name),
                    "payload": .text(payload), "payloadBase64": .string(Base64.encode(payload)),
                    "time": .integer(Int64(clamping: time)),
                ]
            )
        }
    }
}

extension Value {
    /// Bytes as text; what is not UTF-8 is replaced, and `payloadBase64` has it as it was.
    static func text(_ bytes: [UInt8]) -> Value { .string(String(decoding: bytes, as: UTF8.self)) }
}
