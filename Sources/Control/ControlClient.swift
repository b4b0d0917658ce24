public import JSON
public import System

/// Asks the daemon over its Unix socket: HTTP/1.1 and JSON, one request per connection.
///
/// Everything has a limit: the time for the whole exchange, the size of the answer.
public struct ControlClient: Sendable {
    /// Where the daemon listens unless it is told otherwise.
    public static let usualSocket = "/run/swiftlet/swiftletd.sock"
    /// The variable that names another socket.
    public static let variable = "SWIFTLET_SOCKET"
    /// The largest answer taken, in bytes.
    public static let answerLimit = 16 << 20

    /// The socket's path.
    public let socket: String

    /// A client of the daemon at `socket`; when nil, at the one the environment names, or the usual one.
    public init(socket: String? = nil, environment: Environment = .current()) {
        let named = environment[Self.variable] ?? ""
        self.socket = socket ?? (named.isEmpty ? Self.usualSocket : named)
    }

    /// Sends a request and waits for the answer's document.
    ///
    /// - Parameters:
    ///   - method: "GET", "POST", "DELETE", …
    ///   - target: the path with its query, already escaped, see ``escaped(_:)``.
    ///   - body: the document sent along.
    ///   - milliseconds: for the whole exchange.
    /// - Returns: the document; null when the answer has no body.
    /// - Throws: ``ControlError/refused(_:)`` for a status of 400 and above.
    public func ask(
        _ method: String, _ target: String, _ body: Value? = nil, milliseconds: Int = 10_000
    ) throws(ControlError) -> Value {
        let deadline = Deadline(milliseconds: milliseconds)
        let answer = try exchange(request(method, target, body), deadline)
        let document: Value
        if answer.body.isEmpty {
            document = .null
        } else {
            do {
                document = try Value(parsing: answer.body)
            } catch {
                if answer.status < 400 { throw .malformed("its body is no JSON: \(error)") }
                document = .string(String(decoding: answer.body.prefix(200), as: UTF8.self))
            }
        }
        if answer.status >= 400 { throw .refused(ControlRefusal(status: answer.status, document)) }
        return document
    }

    /// A text as it may stand in a path or query: every byte but letters, digits and `-._~` becomes `%XX`.
    public static func escaped(_ text: String) -> String {
        var output: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: output.append(byte)
            default: output += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: output, as: UTF8.self)
    }

    private func request(_ method: String, _ target: String, _ body: Value?) -> [UInt8] {
        let content = body.map { Array($0.text().utf8) } ?? []
        var head = "\(method) \(target) HTTP/1.1\r\nHost: swiftletd\r\nConnection: close\r\n"
        if body != nil { head += "Content-Type: application/json\r\n" }
        head += "Content-Length: \(content.count)\r\n\r\n"
        return Array(head.utf8) + content
    }

    private func exchange(_ request: [UInt8], _ deadline: Deadline) throws(ControlError) -> HTTPAnswer {
        let stream: UnixStream
        do throws(SystemError) {
            stream = try UnixStream(connectingTo: .path(socket), by: deadline)
        } catch {
            throw .unreachable(socket, error.errno)
        }
        var reader = HTTPAnswerReader(limit: Self.answerLimit)
        do throws(Errno) {
            try stream.send(request, by: deadline)
        } catch {
            // A daemon that refuses early may have answered before it had read everything.
            if error != .brokenPipe, error != .connectionReset { throw .broken(socket, error) }
        }
        while true {
            let bytes: [UInt8]
            do throws(Errno) {
                bytes = try stream.receive(limit: 64 << 10, by: deadline)
            } catch {
                throw .broken(socket, error)
            }
            if let answer = try reader.append(bytes) { return answer }
            // A daemon that is killed while it answers is away like one that was killed before.
            if bytes.isEmpty { throw .broken(socket, .connectionReset) }
        }
    }
}
