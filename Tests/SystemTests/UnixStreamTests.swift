import System
import TestSupport
import Testing

@Suite("Unix streams")
struct UnixStreamTests {
    private func failure(_ address: UnixSocketAddress, milliseconds: Int = 1000) -> SystemError? {
        do {
            _ = try UnixStream(connectingTo: address, by: Deadline(milliseconds: milliseconds))
            return nil
        } catch {
            return error
        }
    }

    @Test("Nobody there")
    func nobody() throws {
        let path = try TemporaryDirectory().appending("socket")
        #expect(failure(.path(path)) == SystemError("connect to", path, .noSuchFileOrDirectory))
        #expect(failure(.abstract(path)) == SystemError("connect to", "@\(path)", .connectionRefused))
    }

    @Test("Names that are none")
    func names() {
        #expect(failure(.path(""))?.errno == .invalidArgument)
        #expect(failure(.abstract(""))?.errno == .invalidArgument)
        #expect(failure(.path("/tmp/a\0b"))?.errno == .invalidArgument)
        let long = String(repeating: "x", count: 108)
        #expect(failure(.path(long))?.errno.name == "ENAMETOOLONG")
        #expect(failure(.abstract(long))?.errno.name == "ENAMETOOLONG")
        // One less is looked for.
        #expect(failure(.path(String(long.dropLast())))?.errno == .noSuchFileOrDirectory)
        #expect(failure(.abstract(String(long.dropLast())))?.errno == .connectionRefused)
    }

    @Test("Nothing waits beyond the deadline", arguments: [false, true])
    func deadlines(isAbstract: Bool) throws {
        let directory = try TemporaryDirectory()
        let name = directory.appending("socket")
        let listener = try listenOnUnixSocket(name, isAbstract: isAbstract, queue: 1)
        let address = isAbstract ? UnixSocketAddress.abstract(name) : .path(name)
        // Nobody accepts: two fill the queue.
        let first = try UnixStream(connectingTo: address, by: Deadline(milliseconds: 1000))
        let second = try UnixStream(connectingTo: address, by: Deadline(milliseconds: 1000))
        #expect(failure(address, milliseconds: 20)?.errno == .timedOut)
        #expect(failure(address, milliseconds: 0)?.errno == .timedOut)
        #expect(throws: Errno.timedOut) { try first.receive(limit: 10, by: Deadline(milliseconds: 20)) }
        let much = [UInt8](repeating: 1, count: 8 << 20)
        #expect(throws: Errno.timedOut) { try second.send(much, by: Deadline(milliseconds: 20)) }
        _ = consume listener
        #expect(throws: Errno.self) { try second.send(much, by: Deadline(milliseconds: 1000)) }
        #expect(failure(address) != nil)
    }

    @Test("A deadline far away or long past is one")
    func extremes() {
        #expect(Deadline(milliseconds: .max).remainingMilliseconds == .max)
        #expect(Deadline(milliseconds: .min).remainingMilliseconds == 0)
        #expect(Deadline(milliseconds: 0).remainingMilliseconds == 0)
        #expect((1...10_000).contains(Deadline(milliseconds: 10_000).remainingMilliseconds))
    }
}
