import JSON
import System

/// Talks to the daemon over its control socket.
struct ControlClient {
    /// Why there is no answer to show.
    enum Failure: Error, CustomStringConvertible {
        /// The daemon could not be reached, or broke off.
        case unreachable(String)
        /// The daemon said no.
        case refused(status: Int, String)

        /// Whether the daemon knows no such thing.
        var isUnknown: Bool { if case .refused(404, _) = self { true } else { false } }

        /// Whether there was no answer at all.
        var isUnreachable: Bool { if case .unreachable = self { true } else { false } }

        var description: String {
            switch self {
            case .unreachable(let reason): reason
            case .refused(_, let reason): reason
            }
        }
    }

    let socket: String

    /// A path with a last segment that may be anything.
    static func path(_ path: String, _ segment: String) -> String { "\(path)/\(PercentCoding.encoded(segment))" }

    /// A path with a query of the values that are given.
    static func path(_ path: String, query: [(name: String, value: String?)]) -> String {
        let pairs = query.compactMap { name, value in value.map { "\(name)=\(PercentCoding.encoded($0))" } }
        return pairs.isEmpty ? path : "\(path)?\(pairs.joined(separator: "&"))"
    }

    /// Sends a request and returns the answer's document, whatever its status.
    func exchange(
        _ method: String, _ path: String, _ body: Value? = nil, waitingMilliseconds: Int = 30_000
    ) throws(Failure) -> (status: Int, document: Value) {
        var bytes: [UInt8] = []
        let status = try request(method, path, body, Deadline(milliseconds: waitingMilliseconds)) { chunk in
            bytes += chunk
            return true
        }
        do throws(SyntaxError) {
            return (status, try Value(parsing: bytes))
        } catch {
            throw .unreachable("the daemon's answer cannot be read: \(error)")
        }
    }

    /// Sends a request and returns the answer's document.
    ///
    /// - Throws: also when the answer is a refusal.
    func ask(
        _ method: String, _ path: String, _ body: Value? = nil, waitingMilliseconds: Int = 30_000
    ) throws(Failure) -> Value {
        let (status, document) = try exchange(method, path, body, waitingMilliseconds: waitingMilliseconds)
        guard status < 300 else {
            throw .refused(status: status, Self.reason(document))
        }
        return document
    }

    /// What is wrong, and what to do about it where the daemon says that, too.
    private static func reason(_ document: Value) -> String {
        let answer = Reader(document)
        do {
            guard let reason = try answer.member("error").string() else { return document.text() }
            guard let remedy = try answer.member("remedy").string(), !remedy.isEmpty else { return reason }
            return "\(reason); \(remedy)"
        } catch {
            return document.text()
        }
    }

    /// Reads lines until the daemon ends them or `body` says false.
    func lines(_ path: String, _ body: (String) -> Bool) throws(Failure) {
        var rest: [UInt8] = []
        let forEver = Deadline(milliseconds: .max)
        _ = try request("GET", path, nil, forEver) { chunk in
            rest += chunk
            while let end = rest.firstIndex(of: 0x0A) {
                let line = String(decoding: rest[..<end], as: UTF8.self)
                rest.removeSubrange(...end)
                if !body(line) { return false }
            }
            return true
        }
    }

    /// HTTP/1.0, so that the answer ends with the connection and has no chunks.
    private func request(
        _ method: String, _ path: String, _ body: Value?, _ deadline: Deadline, _ take: ([UInt8]) -> Bool
    ) throws(Failure) -> Int {
        let content = body.map { Array($0.text().utf8) } ?? []
        let head = "\(method) \(path) HTTP/1.0\r\nContent-Length: \(content.count)\r\n\r\n"
        do {
            let stream = try UnixStream(connectingTo: .path(socket), by: Deadline(milliseconds: 5000))
            try stream.send(Array(head.utf8) + content, by: Deadline(milliseconds: 5000))
            var answer: [UInt8] = []
            var status: Int?
            while true {
                let bytes = try stream.receive(limit: 65536, by: deadline)
                if status != nil {
                    if bytes.isEmpty || !take(bytes) { break }
                    continue
                }
                answer += bytes
                if let end = Self.endOfHead(answer) {
                    status = Self.status(answer)
                    if answer.count > end, !take(Array(answer[end...])) { break }
                }
                if bytes.isEmpty { break }
            }
            if let status { return status }
        } catch let error as SystemError {
            throw .unreachable("\(error); is swiftletd running?")
        } catch {
            throw .unreachable("the daemon at \(socket): \(error)")
        }
        throw .unreachable("the daemon at \(socket) broke off")
    }

    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        let mark = Array("\r\n\r\n".utf8)
        guard bytes.count >= mark.count else { return nil }
        return (0...bytes.count - mark.count).first { Array(bytes[$0..<$0 + mark.count]) == mark }.map {
            $0 + mark.count
        }
    }

    private static func status(_ bytes: [UInt8]) -> Int? {
        let words = String(decoding: bytes.prefix(32), as: UTF8.self).split(separator: " ")
        return words.count > 1 ? Int(words[1].prefix(3)) : nil
    }
}
