internal import Glibc
public import JSON
internal import Synchronization
internal import System

/// A daemon's control socket for one test: it answers as it is told and remembers what it was asked. One client after the
/// other, until the value goes away.
public final class FakeControl: Sendable {
    /// One request.
    public struct Question: Sendable, Equatable {
        /// Method and target, as in "GET /v1/networks".
        public let line: String
        /// The body; nil when there is none.
        public let body: Value?
    }

    private let server: Server
    private let thread: BackgroundThread

    /// Listens at a path of a lab.
    ///
    /// - Parameter answer: the status and the document for each request.
    public init(_ lab: Lab, at path: String, answer: @escaping @Sendable (Question) -> (Int, Value)) throws {
        let listener = try lab.inside {
            let opened = try listenOnUnixSocket(path, isAbstract: false)
            // Only what can be copied comes back from there.
            return withExtendedLifetime(opened) { dup(opened.rawValue) }
        }
        let server = Server(OwnedFD(owning: listener), answer)
        self.server = server
        thread = try BackgroundThread { server.run() }
    }

    deinit {
        // The thread is joined after this; it ends when accepting does.
        _ = shutdown(server.listener.rawValue, Int32(SHUT_RDWR))
    }

    /// What it was asked so far.
    public var asked: [Question] { server.asked.withLock { $0 } }

    private final class Server: Sendable {
        let listener: OwnedFD
        let answer: @Sendable (Question) -> (Int, Value)
        let asked = Mutex<[Question]>([])

        init(_ listener: consuming OwnedFD, _ answer: @escaping @Sendable (Question) -> (Int, Value)) {
            self.listener = listener
            self.answer = answer
        }

        func run() {
            while true {
                let client = accept(listener.rawValue, nil, nil)
                guard client >= 0 else { return }
                serve(OwnedFD(owning: client))
            }
        }

        private func serve(_ client: consuming OwnedFD) {
            guard let question = Self.read(client.rawValue) else { return }
            asked.withLock { $0.append(question) }
            let (status, document) = answer(question)
            let body = Array(document.text().utf8)
            let head = "HTTP/1.1 \(status) X\r\nContent-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n"
            try? writeFully(client.rawValue, Array(head.utf8) + body)
        }

        private static func read(_ client: Int32) -> Question? {
            var bytes: [UInt8] = []
            while true {
                let text = String(decoding: bytes, as: UTF8.self)
                let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
                if parts.count == 2, let first = parts[0].split(separator: "\r\n").first {
                    let length = parts[0].split(separator: "\r\n").compactMap { line in
                        line.lowercased().hasPrefix("content-length:")
                            ? Int(line.dropFirst(15).filter(\.isNumber)) : nil
                    }.first
                    if parts[1].utf8.count >= length ?? 0 {
                        let words = first.split(separator: " ").prefix(2).joined(separator: " ")
                        return Question(line: words, body: try? Value(parsing: Array(parts[1].utf8)))
                    }
                }
                var chunk = [UInt8](repeating: 0, count: 65536)
                let count = unsafe chunk.withUnsafeMutableBytes { unsafe recv(client, $0.baseAddress, $0.count, 0) }
                guard count > 0 else { return nil }
                bytes += chunk[..<count]
            }
        }
    }
}
