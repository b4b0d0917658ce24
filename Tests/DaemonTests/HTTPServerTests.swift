import JSON
import NIOCore
import NIOPosix
import Synchronization
import System
import TestSupport
import Testing

@testable import Daemon

/// The server of the control socket: what its clients may take, and what they are told.
@Suite(.serialized) final class HTTPServerTests: Sendable {
    /// Answers with what it was asked; `/later` is never answered, `/lines` goes on until the client is gone.
    private struct Echo: HTTPRouter {
        let streams = Streams()

        final class Streams: Sendable {
            let begun = Atomic(0)
            let ended = Atomic(0)
            let send = Mutex<(@Sendable (String) -> Void)?>(nil)
        }

        func answer(_ request: ControlRequest, later: @escaping @Sendable (ControlResponse) -> Void) -> ControlReply {
            switch request.path {
            case "/later": return .later
            case "/large": return .now(ControlResponse(text: String(repeating: "x", count: 8 << 20)))
            case "/lines":
                let streams = streams
                return .stream(type: "application/x-ndjson") { send in
                    streams.begun.add(1, ordering: .relaxed)
                    streams.send.withLock { $0 = send }
                    send("first\n")
                    return { streams.ended.add(1, ordering: .relaxed) }
                }
            default:
                let query = request.parameters.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
                return .now(
                    ControlResponse([
                        "method": .string(request.method), "path": .string(request.path),
                        "query": .array(query.map { .string($0) }), "bytes": .integer(Int64(request.body.count)),
                    ]))
            }
        }
    }

    private static let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1).next()
    private let directory: TemporaryDirectory
    private let path: String
    private let echo = Echo()

    init() throws {
        directory = try TemporaryDirectory()
        path = "\(directory.path)/made/here/http.sock"
    }

    private func serve(_ limits: HTTPLimits = HTTPLimits(), mode: UInt32 = 0o600) async throws -> HTTPServer {
        try await HTTPServer.open(
            HTTPServer.Socket(path: path, mode: mode), on: Self.loop, limits: limits, echo)
    }

    private func connect() throws -> UnixStream {
        try UnixStream(connectingTo: .path(path), by: Deadline(milliseconds: 5000))
    }

    /// Everything the server says until it closes.
    private func rest(_ stream: borrowing UnixStream) -> String {
        var bytes: [UInt8] = []
        while let part = try? stream.receive(limit: 65536, by: Deadline(milliseconds: 20_000)), !part.isEmpty {
            bytes += part
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func ask(_ text: String) throws -> String {
        let stream = try connect()
        // Whoever is refused at once may hear it before he has asked.
        try? stream.send(Array(text.utf8), by: Deadline(milliseconds: 5000))
        return rest(stream)
    }

    private func status(_ answer: String) -> String {
        String(answer.split(separator: " ").dropFirst().first ?? "nothing")
    }

    private func eventually(_ what: String, _ isSo: () -> Bool) throws {
        let deadline = Deadline(milliseconds: 20_000)
        while !isSo() {
            try #require(deadline.remainingMilliseconds > 0, "never came true: \(what)")
            pause(milliseconds: 5)
        }
    }

    @Test func takesAddressesApart() async throws {
        let server = try await serve()
        let answer = try ask(
            "POST /v1/networks/a%20b%2Fc%C3%A4?to=one+two%2B&%66rom=%26&x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(answer.contains("Connection: close"))
        #expect(answer.contains(#""path": "/v1/networks/a b/cä""#))
        #expect(answer.contains(#""from=&""#) && answer.contains(#""to=one two+""#) && answer.contains(#""x=""#))
        #expect(answer.contains(#""bytes": 3"#))
        for address in ["/%", "/%4", "/%zz", "/%ff", "/x?a=%"] {
            #expect(status(try ask("GET \(address) HTTP/1.0\r\n\r\n")) == "400", "\(address)")
        }
        #expect(status(try ask("no request at all\r\n\r\n")) == "400")
        try await server.close()
    }

    @Test func socketsHaveTheirMode() async throws {
        let server = try await serve(mode: 0o660)
        #expect(try FileStatus(of: path).mode & 0o777 == 0o660)
        // Somebody answers there.
        await #expect(throws: StartFault.self) { _ = try await serve() }
        try await server.close()
        // What is left of it is replaced.
        let second = try await serve()
        #expect(status(try ask("GET / HTTP/1.0\r\n\r\n")) == "200")
        try await second.close()
    }

    @Test func boundsHeadAndBody() async throws {
        var limits = HTTPLimits()
        limits.head = 1000
        limits.body = 5000
        let server = try await serve(limits)
        func head(_ count: Int) -> String { "GET /\(String(repeating: "a", count: count - 20)) HTTP/1.0\r\n\r\n" }
        #expect(status(try ask(head(900))) == "200")
        #expect(status(try ask(head(1200))) == "431")
        #expect(status(try ask("GET / HTTP/1.0\r\n" + String(repeating: "a: b\r\n", count: 1000))) == "431")
        func body(_ count: Int) -> String {
            "POST / HTTP/1.0\r\nContent-Length: \(count)\r\n\r\n" + String(repeating: "b", count: count)
        }
        #expect(status(try ask(body(5000))) == "200")
        #expect(status(try ask(body(5001))) == "413")
        // Of one without a length, too.
        let chunk = String(6000, radix: 16) + "\r\n" + String(repeating: "c", count: 6000) + "\r\n0\r\n\r\n"
        #expect(status(try ask("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)) == "413")
        try await server.close()
    }

    @Test func endsRequestsThatDoNotCome() async throws {
        var limits = HTTPLimits()
        limits.requestTime = .milliseconds(200)
        let server = try await serve(limits)
        for text in ["", "GET / HT", "GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"] {
            #expect(status(try ask(text)) == "408", "\(text)")
        }
        // A question that the router takes its time for is no idle one.
        let patient = try connect()
        try patient.send(Array("GET /later HTTP/1.0\r\n\r\n".utf8), by: Deadline(milliseconds: 5000))
        pause(milliseconds: 500)
        #expect(server.connectionCount == 1)
        withExtendedLifetime(patient) {}
        try await server.close()
    }

    @Test func boundsConnections() async throws {
        var limits = HTTPLimits()
        limits.connections = 4
        limits.requestTime = .milliseconds(1000)
        let server = try await serve(limits)
        let idle = try (0..<4).map { _ in try Held(connect()) }
        try eventually("all are counted") { server.connectionCount == 4 }
        #expect(status(try ask("GET / HTTP/1.0\r\n\r\n")) == "503")
        try eventually("the idle ones are closed") { server.connectionCount == 0 }
        #expect(status(try ask("GET / HTTP/1.0\r\n\r\n")) == "200")
        withExtendedLifetime(idle) {}
        try await server.close()
    }

    /// A stream can be put into an array.
    private final class Held {
        let stream: UnixStream
        init(_ stream: consuming UnixStream) { self.stream = stream }
    }

    @Test func doesNotWaitForWhoDoesNotRead() async throws {
        var limits = HTTPLimits()
        limits.answerTime = .milliseconds(200)
        let server = try await serve(limits)
        let deaf = try connect()
        try deaf.send(Array("GET /large HTTP/1.0\r\n\r\n".utf8), by: Deadline(milliseconds: 5000))
        try eventually("it is given up") { server.connectionCount == 0 }
        withExtendedLifetime(deaf) {}
        try await server.close()
    }

    @Test func linesGoOnUntilTheClientIsGone() async throws {
        let server = try await serve()
        do {
            let reader = try connect()
            try reader.send(Array("GET /lines HTTP/1.0\r\n\r\n".utf8), by: Deadline(milliseconds: 5000))
            var text = ""
            while !text.contains("first\n") {
                text += String(
                    decoding: try reader.receive(limit: 4096, by: Deadline(milliseconds: 20_000)), as: UTF8.self)
            }
            #expect(echo.streams.begun.load(ordering: .relaxed) == 1)
            #expect(echo.streams.ended.load(ordering: .relaxed) == 0)
        }
        try eventually("it is told") { echo.streams.ended.load(ordering: .relaxed) == 1 }
        // One that stops reading is not kept lines for.
        let deaf = try connect()
        try deaf.send(Array("GET /lines HTTP/1.0\r\n\r\n".utf8), by: Deadline(milliseconds: 5000))
        try eventually("it has begun") { echo.streams.begun.load(ordering: .relaxed) == 2 }
        let line = String(repeating: "y", count: 1 << 16) + "\n"
        try eventually("it is dropped") {
            echo.streams.send.withLock { $0 }?(line)
            return echo.streams.ended.load(ordering: .relaxed) == 2
        }
        try eventually("it is closed") { server.connectionCount == 0 }
        withExtendedLifetime(deaf) {}
        try await server.close()
    }
}
