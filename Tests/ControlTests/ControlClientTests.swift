import Control
import JSON
import System
import TestSupport
import Testing

@Suite("The client of the control socket")
struct ControlClientTests {
    static func ask(_ answer: String, milliseconds: Int = 5000) throws -> Value {
        let daemon = try FakeDaemon { (_: FakeDaemon.Call) in Array(answer.utf8) }
        return try ControlClient(socket: daemon.socket).ask("GET", "/x", milliseconds: milliseconds)
    }

    @Test("A request carries method, path and document, and the answer's document comes back")
    func exchange() throws {
        let daemon = try FakeDaemon { (call: FakeDaemon.Call) -> (status: Int, body: Value) in
            (200, ["line": .string(call.line), "body": call.body])
        }
        let client = ControlClient(socket: daemon.socket)
        let answer = try client.ask("POST", "/v1/overlay/prepare", ["network": "x"])
        #expect(answer == ["line": "POST /v1/overlay/prepare", "body": ["network": "x"]])
        #expect(try client.ask("GET", "/v1/networks/" + ControlClient.escaped("a b/ä")) != .null)
        #expect(daemon.calls.map(\.line) == ["POST /v1/overlay/prepare", "GET /v1/networks/a%20b%2F%C3%A4"])
    }

    static let answers = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}trailing", "{}"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\nTrailer: x\r\n\r\n",
            #"{"a":1}"#
        ),
        ("HTTP/1.0 200 OK\n\n[1]", "[1]"), ("HTTP/1.1 204 No Content\r\n\r\n", "null"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull", "null"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "null"),
    ]

    @Test("Answers of every shape", arguments: answers.indices)
    func shapes(_ index: Int) throws {
        let row = Self.answers[index]
        #expect(try Self.ask(row.0).text() == row.1)
    }

    /// Not arguments themselves: their line ends would tear the log apart.
    static let nonsense = [
        "SMTP 220\r\n\r\n", "HTTP/1.1 x\r\n\r\n", "HTTP/1.1 99 X\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}", "HTTP/1.1 200 OK\r\n\r\n{",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: " + String(repeating: "x", count: 70000),
    ]

    @Test("What is no answer is said to be none", arguments: nonsense.indices)
    func malformed(_ index: Int) throws {
        let answer = Self.nonsense[index]
        do {
            let value = try Self.ask(answer)
            Issue.record("\(value)")
        } catch let error as ControlError {
            #expect(error.code == 999 && !error.isAway, "\(error)")
        }
    }

    /// What a daemon that is killed leaves of its answer.
    static let beginnings = [
        "", "HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "HTTP/1.1 100 Continue\r\n\r\n",
    ]

    @Test("An answer that breaks off is a daemon that went away", arguments: beginnings.indices)
    func brokenOff(_ index: Int) throws {
        do {
            let value = try Self.ask(Self.beginnings[index])
            Issue.record("\(value)")
        } catch let error as ControlError {
            #expect(error.code == 11 && error.isAway && error.remedy.contains("try again"), "\(error)")
        }
    }

    @Test("A refusal keeps the daemon's words, remedy and code")
    func refusals() throws {
        func refusal(_ status: Int, _ body: String) throws -> ControlError? {
            do {
                _ = try Self.ask("HTTP/1.1 \(status) X\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
                return nil
            } catch let error as ControlError {
                return error
            }
        }
        let whole = try #require(try refusal(409, #"{"error":"two definitions","remedy":"make them one","code":7}"#))
        #expect(whole.code == 7 && whole.message == "two definitions" && whole.remedy == "make them one")
        #expect(!whole.isAway)
        let bare = try #require(try refusal(500, ""))
        #expect(bare.code == 999 && bare.message.contains("500"))
        let text = try #require(try refusal(404, "not found"))
        #expect(text.code == 999 && text.message.contains("not found"))
        #expect(try refusal(500, #"{"error":"x","code":-3}"#)?.code == 999)
    }

    @Test("A daemon that is away, or does not answer, is code 11 with a remedy")
    func absence() throws {
        let directory = try TemporaryDirectory()
        do {
            _ = try ControlClient(socket: directory.appending("none.sock")).ask("GET", "/")
            Issue.record("nobody answered")
        } catch {
            #expect(error.isAway && error.code == 11 && error.remedy.contains("start swiftletd"))
        }
        let listener = try listenOnUnixSocket(directory.appending("mute.sock"), isAbstract: false)
        do {
            _ = try ControlClient(socket: directory.appending("mute.sock")).ask("GET", "/", milliseconds: 50)
            Issue.record("nobody answered")
        } catch {
            #expect(error == .broken(directory.appending("mute.sock"), .timedOut))
        }
        withExtendedLifetime(listener) {}
    }

    @Test("The socket is the configuration's, the environment's, or the usual one")
    func sockets() {
        let environment = Environment([("SWIFTLET_SOCKET", "/run/x.sock")])
        #expect(ControlClient(socket: "/a", environment: environment).socket == "/a")
        #expect(ControlClient(environment: environment).socket == "/run/x.sock")
        #expect(ControlClient(environment: Environment([])).socket == "/run/swiftlet/swiftletd.sock")
    }
}
