internal import JSON
internal import System

/// A request on the control socket.
struct ControlRequest: Sendable {
    let method: String
    /// Without the query.
    let path: String
    /// The parts of the query.
    let parameters: [String: String]
    let body: [UInt8]

    /// Takes a request's address apart; nil when a percent escape in it is broken.
    init?(method: String, uri: String, body: [UInt8]) {
        self.method = method
        self.body = body
        let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        guard let path = PercentCoding.decoded(parts.first ?? "") else { return nil }
        self.path = path
        var parameters: [String: String] = [:]
        for pair in (parts.count > 1 ? parts[1] : "").split(separator: "&") {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentCoding.decoded(halves[0], plusIsSpace: true),
                let value = PercentCoding.decoded(halves.count > 1 ? halves[1] : "", plusIsSpace: true)
            else { return nil }
            parameters[name] = value
        }
        self.parameters = parameters
    }

    /// The body as a JSON document; an empty body is an empty object.
    func document() throws -> Reader {
        Reader(body.isEmpty ? .object(Object()) : try Value(parsing: body))
    }
}

/// An answer on the control socket.
struct ControlResponse: Sendable {
    var status: Int
    var type = "application/json"
    var body: String

    init(status: Int = 200, _ document: Value) {
        self.status = status
        body = document.text(.indented) + "\n"
    }

    init(status: Int = 200, text: String, type: String = "text/plain; charset=utf-8") {
        self.status = status
        self.type = type
        body = text
    }

    /// A refusal with its reason.
    static func refusal(_ status: Int, _ reason: String) -> ControlResponse {
        ControlResponse(status: status, ["error": .string(reason)])
    }
}

/// How a request is answered.
enum ControlReply: Sendable {
    /// At once.
    case now(ControlResponse)
    /// By the callback that was handed over.
    case later
    /// Line by line, for as long as the client reads: the first function is given what sends a line, and returns what ends
    /// it when the client is gone.
    case stream(type: String, begin: @Sendable (_ send: @escaping @Sendable (String) -> Void) -> @Sendable () -> Void)
}
