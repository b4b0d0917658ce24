import DBus
import NetworkTypes
import Synchronization
import TestSupport
import Testing

@Suite("Connections to a fake bus")
struct ConnectionTests {
    private let good = FakeFirewalld.answers()

    /// What a plugin asks, all of it.
    private func session(_ address: String, timeout: Int = 10_000) throws(BusError) -> Bool? {
        try Firewalld.running(environment: environment(address), limit: timeout, callLimit: timeout)?
            .hasSource(.init(host: .v4(.init(rawValue: 0x0A01_0203))), zone: "trusted")
    }

    /// A bus that answers one method in its own way.
    private func bus(_ member: String, _ answer: @escaping @Sendable (Message) -> [Message]) throws -> FakeBus {
        let good = good
        return try FakeBus(FakeBus.Behaviour { $0.member == member ? answer($0) : good($0) })
    }

    @Test("A bus, by path or abstract name, and a bus that dribbles", arguments: [false, true])
    func connects(isAbstract: Bool) throws {
        var behaviour = FakeBus.Behaviour(answer: good)
        let whole = try FakeBus(behaviour, isAbstract: isAbstract)
        #expect(try session(whole.address) == false)
        behaviour.chunk = 1
        let slow = try FakeBus(behaviour, isAbstract: isAbstract)
        #expect(try session(slow.address) == false)
        let bus = try BusConnection(address: slow.address, timeout: 10_000)
        #expect(bus.name == ":1.7")
        #expect(try !bus.isOwned("org.example"))
    }

    @Test("The first address that works is taken")
    func severalAddresses() throws {
        let bus = try FakeBus(FakeBus.Behaviour(answer: good))
        #expect(try session("unix:path=/nonexistent/bus;tcp:host=a;\(bus.address)") == false)
    }

    @Test("No bus is no error, but a bad address is")
    func absent() throws {
        let directory = try TemporaryDirectory()
        let path = directory.appending("bus")
        #expect(try session("unix:path=\(path)") == nil)
        // A socket whose listener is gone.
        _ = try listenOnUnixSocket(path, isAbstract: false)
        #expect(try session("unix:path=\(path)") == nil)
        #expect(try session("unix:path=\(path)/below") == nil)
        #expect(failure { () throws(BusError) in try session("tcp:host=a") } == .noAddress("tcp:host=a"))
    }

    @Test("Nobody is started by our calls")
    func flags() throws {
        let bus = try FakeBus(FakeBus.Behaviour(answer: good))
        _ = try session(bus.address)
        #expect(bus.received.map(\.member) == ["Hello", "NameHasOwner", "querySource"])
        #expect(bus.received.map(\.flags) == [2, 2, 2])
        #expect(bus.received.map(\.serial) == [1, 2, 3])
    }

    @Test(
        "A bus that does not let us in",
        arguments: [
            ("REJECTED ANONYMOUS\r\n", BusError.refused("REJECTED ANONYMOUS")), ("OKAY\r\n", .refused("OKAY")),
            ("ERROR\r\n", .refused("ERROR")), ("\r\n", .refused("")),
            ("OK x\n", .malformed("a line of the authentication has no proper end")),
            ("\n", .malformed("a line of the authentication has no proper end")),
            ("OK x\r\nBOO", .malformed("the bus speaks out of turn")),
            (String(repeating: "O", count: 5000), .malformed("the authentication has no end")),
        ])
    func authentication(greeting: String, expected: BusError) throws {
        var behaviour = FakeBus.Behaviour(answer: good)
        behaviour.greeting = greeting
        let bus = try FakeBus(behaviour)
        #expect(failure { () throws(BusError) in try session(bus.address) } == expected)
    }

    @Test("A bus that closes after each number of bytes")
    func closes() throws {
        let whole = try FakeBus(FakeBus.Behaviour(answer: good))
        #expect(try session(whole.address) == false)
        let total = whole.sent
        #expect(total > 300)
        for limit in 0..<total {
            var behaviour = FakeBus.Behaviour(answer: good)
            behaviour.limit = limit
            let bus = try FakeBus(behaviour)
            #expect(failure { () throws(BusError) in try session(bus.address) } == .closed, "after \(limit) bytes")
        }
    }

    @Test("A bus that says no more after some bytes")
    func stalls() throws {
        let whole = try FakeBus(FakeBus.Behaviour(answer: good))
        _ = try session(whole.address)
        for limit in stride(from: 0, to: whole.sent, by: 29) {
            var behaviour = FakeBus.Behaviour(answer: good)
            (behaviour.limit, behaviour.stalls) = (limit, true)
            let bus = try FakeBus(behaviour)
            let error = failure { () throws(BusError) in try session(bus.address, timeout: 20) }
            guard case .timedOut = error else {
                Issue.record("after \(limit) bytes: \(String(describing: error))")
                continue
            }
        }
    }

    @Test("An answer that comes too late is not taken for another's")
    func late() throws {
        let waiting = Mutex<Message?>(nil)
        let bus = try bus("NameHasOwner") { call in
            waiting.withLock { first in
                defer { first = call }
                guard let first else { return [] }
                return [FakeBus.reply(to: first, [.boolean(true)]), FakeBus.reply(to: call, [.boolean(false)])]
                    .compactMap(\.self)
            }
        }
        let connection = try BusConnection(address: bus.address, timeout: 2000)
        let error = failure { () throws(BusError) in try connection.isOwned("a.b") }
        #expect(error == .timedOut("org.freedesktop.DBus.NameHasOwner"))
        #expect(try !connection.isOwned("a.b"))
    }

    @Test("A bus that talks much before it answers")
    func signals() throws {
        let bus = try bus("NameHasOwner") { call in
            guard var signal = try? Message(.signal, [.strings(Array(repeating: "noise", count: 100))]) else {
                return []
            }
            (signal.path, signal.interface) = ("/a", "a.b")
            signal.member = "C"
            return Array(repeating: signal, count: 200)
                + [FakeBus.reply(to: call, [.boolean(true)])].compactMap(\.self)
        }
        let connection = try BusConnection(address: bus.address, timeout: 10_000)
        #expect(try connection.isOwned("a.b"))
    }

    @Test("An answer of another type is an error, and the connection goes on")
    func wrongType() throws {
        for values in [[], [BusValue.string("yes")], [.boolean(true), .boolean(true)], [.variant(.boolean(true))]] {
            let bus = try bus("NameHasOwner") { [FakeBus.reply(to: $0, values)].compactMap(\.self) }
            let connection = try BusConnection(address: bus.address, timeout: 10_000)
            for _ in 0..<2 {
                #expect(
                    failure { () throws(BusError) in try connection.isOwned("a.b") }
                        == .malformed("NameHasOwner was not answered with a truth value"))
            }
        }
    }

    @Test(
        "What is no message ends the connection", arguments: [(0, UInt8(0x78)), (1, 0), (3, 2), (7, 0x7F), (15, 0xFF)])
    func malformed(index: Int, value: UInt8) throws {
        var behaviour = FakeBus.Behaviour(answer: good)
        behaviour.alter = { bytes in
            // The signal and the answers to Hello stay whole; of the others, which hold a truth value, one byte changes.
            guard bytes.count < 90 else { return bytes }
            var bytes = bytes
            bytes[index] = value
            return bytes
        }
        let good = good
        behaviour.answer = { $0.member == "Hello" ? good($0).map(padded) : good($0) }
        let bus = try FakeBus(behaviour)
        let connection = try BusConnection(address: bus.address, timeout: 10_000)
        let error = failure { () throws(BusError) in try connection.isOwned("a.b") }
        guard case .malformed = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(failure { () throws(BusError) in try connection.isOwned("a.b") } == error)
    }

    @Test("What cannot be sent is refused, and the connection goes on")
    func invalid() throws {
        let bus = try FakeBus(FakeBus.Behaviour(answer: good))
        let connection = try BusConnection(address: bus.address, timeout: 10_000)
        for name in ["a\0b", String(repeating: "x", count: 1 << 20)] {
            guard case .invalid = failure({ () throws(BusError) in try connection.isOwned(name) }) else {
                Issue.record("was sent")
                continue
            }
        }
        #expect(try !connection.isOwned("a.b"))
    }

    @Test("Errors carry name and text, or no text")
    func errors() throws {
        let bus = try bus("NameHasOwner") { call in
            guard (try? call.values()) == [.string("bare")] else {
                return [FakeBus.error("a.Error", "why", to: call)].compactMap(\.self)
            }
            guard var error = try? Message(.error, [.uint32(7)]) else { return [] }
            (error.replySerial, error.errorName) = (call.serial, "a.Bare")
            return [error]
        }
        let connection = try BusConnection(address: bus.address, timeout: 10_000)
        #expect(failure { () throws(BusError) in try connection.isOwned("x") } == .failed(name: "a.Error", text: "why"))
        #expect(failure { () throws(BusError) in try connection.isOwned("bare") } == .failed(name: "a.Bare", text: ""))
        #expect("\(BusError.failed(name: "a.Error", text: "why"))" == "D-Bus: a.Error: why")
    }
}

/// The message with a longer sender.
private func padded(_ message: Message) -> Message {
    var message = message
    message.sender = "org.freedesktop." + String(repeating: "D", count: 60)
    return message
}
