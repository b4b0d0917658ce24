internal import CLinux
internal import Glibc
package import JSON
internal import Synchronization
internal import System

/// A daemon for one test on a Unix socket of its own: it answers HTTP as it is told, one client after the other, until the
/// value goes away.
package final class FakeDaemon: Sendable {
    /// One request.
    package struct Call: Sendable {
        /// "POST /v1/overlay/prepare".
        package let line: String
        /// The document sent along.
        package let body: Value
    }

    /// The socket's path.
    package let socket: String

    private let server: Server
    private let thread: BackgroundThread
    private let stop: OwnedFD

    /// Listens.
    ///
    /// - Parameter answer: the bytes sent back for a request; none breaks the connection off.
    package init(rawAnswer: @escaping @Sendable (Call) -> [UInt8]) throws {
        let directory = try TemporaryDirectory()
        socket = directory.appending("daemon.sock")
        let listener = try listenOnUnixSocket(socket, isAbstract: false)
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe2(&ends, O_CLOEXEC) == 0 else { throw SystemError("create", "pipe", .current) }
        stop = OwnedFD(owning: ends[1])
        let server = Server(rawAnswer, listener, OwnedFD(owning: ends[0]), directory)
        thread = try BackgroundThread { server.run() }
        self.server = server
    }

    /// Listens, and answers with a status and a document.
    package convenience init(answer: @escaping @Sendable (Call) -> (status: Int, body: Value)) throws {
        try self.init { call in
            let (status, body) = answer(call)
            let content = body.text()
            return Array(
                ("HTTP/1.1 \(status) X\r\nContent-Type: application/json\r\nContent-Length: \(content.utf8.count)\r\n\r\n"
                    + content).utf8)
        }
    }

    deinit { _ = unsafe write(stop.rawValue, [1], 1) }

    /// The requests it got, in order.
    package var calls: [Call] { server.calls.withLock { $0 } }

    private final class Server: Sendable {
        let calls = Mutex<[Call]>([])
        private let answer: @Sendable (Call) -> [UInt8]
        private let listener: OwnedFD
        private let end: OwnedFD
        private let directory: TemporaryDirectory

        init(
            _ answer: @escaping @Sendable (Call) -> [UInt8], _ listener: consuming OwnedFD, _ end: consuming OwnedFD,
            _ directory: TemporaryDirectory
        ) {
            self.answer = answer
            self.listener = listener
            self.end = end
            self.directory = directory
        }

        func run() {
            while true {
                var waits = [end.rawValue, listener.rawValue].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
                _ = unsafe poll(&waits, 2, -1)
                if waits[0].revents != 0 { return }
                let client = accept(listener.rawValue, nil, nil)
                if client >= 0 { serve(OwnedFD(owning: client)) }
            }
        }

        private func serve(_ client: consuming OwnedFD) {
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 65536)
            while true {
                let count = unsafe recv(client.rawValue, &buffer, buffer.count, 0)
                if count <= 0 { return }
                bytes += buffer[..<count]
                guard let head = Self.endOfHead(bytes) else { continue }
                let lines = String(decoding: bytes[..<head], as: UTF8.self).split(separator: "\r\n")
                let length = lines.compactMap { line in
                    line.lowercased().hasPrefix("content-length:") ? Int(line.dropFirst(15).trimming) : nil
                }.first
                let content = bytes[head...]
                if content.count < length ?? 0 { continue }
                let words = (lines.first ?? "").split(separator: " ")
                let call = Call(
                    line: words.prefix(2).joined(separator: " "),
                    body: (try? Value(parsing: Array(content))) ?? .null)
                calls.withLock { $0.append(call) }
                var rest = answer(call)[...]
                while !rest.isEmpty {
                    let chunk = Array(rest)
                    let sent = unsafe send(client.rawValue, chunk, chunk.count, Int32(MSG_NOSIGNAL))
                    if sent <= 0 { return }
                    rest = rest.dropFirst(sent)
                }
                return
            }
        }

        /// The place behind the empty line.
        private static func endOfHead(_ bytes: [UInt8]) -> Int? {
            let mark = Array("\r\n\r\n".utf8)
            return bytes.indices.first { bytes[$0...].starts(with: mark) }.map { $0 + mark.count }
        }
    }
}

extension Substring {
    fileprivate var trimming: String { String(drop { $0 == " " }) }
}
