internal import CLinux
package import DBus
internal import Glibc
internal import Synchronization
internal import System

/// A message bus for one test, on a socket of its own: it believes every client and answers as it is told. It serves
/// one client after the other, until the value goes away.
package final class FakeBus: Sendable {
    /// How it differs from a good bus.
    package struct Behaviour: Sendable {
        /// What it answers to `AUTH`.
        package var greeting = "OK 0123456789abcdef0123456789abcdef\r\n"
        /// Messages it sends for one it got.
        package var answer: @Sendable (Message) -> [Message]
        /// Turns the bytes of one answer into what is sent.
        package var alter: @Sendable ([UInt8]) -> [UInt8] = { $0 }
        /// How many bytes it sends one client in all; then it closes, or with ``stalls`` says no more.
        package var limit = Int.max
        /// Whether it keeps the connection open once ``limit`` is reached.
        package var stalls = false
        /// How many bytes it sends at once.
        package var chunk = Int.max

        /// A good bus.
        package init(answer: @escaping @Sendable (Message) -> [Message]) {
            self.answer = answer
        }
    }

    /// The bus's address, good as `DBUS_SYSTEM_BUS_ADDRESS`.
    package let address: String

    private let server: Server
    private let thread: BackgroundThread
    private let stop: OwnedFD

    /// Listens in a directory, or under an abstract name.
    package init(_ behaviour: Behaviour, isAbstract: Bool = false) throws {
        let directory = try TemporaryDirectory()
        let path = directory.appending("bus")
        let listener = try listenOnUnixSocket(path, isAbstract: isAbstract)
        address = "unix:\(isAbstract ? "abstract" : "path")=\(path)"
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe2(&ends, O_CLOEXEC) == 0 else { throw SystemError("create", "pipe", .current) }
        stop = OwnedFD(owning: ends[1])
        let server = Server(behaviour, listener, OwnedFD(owning: ends[0]), directory)
        thread = try BackgroundThread { server.run() }
        self.server = server
    }

    deinit {
        // The thread is joined after this; it ends when this wakes it.
        _ = unsafe write(stop.rawValue, [1], 1)
    }

    /// The messages it got, in order.
    package var received: [Message] { server.received.withLock { $0 } }
    /// The bytes it sent to all clients together.
    package var sent: Int { server.sent.withLock { $0 } }

    /// A bus's good answer to a call; `from` is who answers.
    package static func reply(to call: Message, _ values: [BusValue] = [], from sender: String = "org.freedesktop.DBus")
        -> Message?
    {
        guard var answer = try? Message(.methodReturn, values) else { return nil }
        (answer.replySerial, answer.sender, answer.destination) = (call.serial, sender, ":1.7")
        return answer
    }

    /// An error in answer to a call.
    package static func error(_ name: String, _ text: String, to call: Message) -> Message? {
        guard var answer = try? Message(.error, [.string(text)]) else { return nil }
        (answer.replySerial, answer.errorName, answer.destination) = (call.serial, name, ":1.7")
        return answer
    }
}

/// What the thread has.
private final class Server: Sendable {
    let received = Mutex<[Message]>([])
    let sent = Mutex(0)
    private let behaviour: FakeBus.Behaviour
    private let listener: OwnedFD
    private let stop: OwnedFD
    private let directory: TemporaryDirectory

    init(
        _ behaviour: FakeBus.Behaviour, _ listener: consuming OwnedFD, _ stop: consuming OwnedFD,
        _ directory: TemporaryDirectory
    ) {
        self.behaviour = behaviour
        self.listener = listener
        self.stop = stop
        self.directory = directory
    }

    func run() {
        while wait(listener.rawValue) {
            let client = unsafe accept4(listener.rawValue, __SOCKADDR_ARG(), nil, Int32(SOCK_CLOEXEC.rawValue))
            if client >= 0 { serve(OwnedFD(owning: client)) }
        }
    }

    /// Waits for something to read; false when the test is over.
    private func wait(_ descriptor: Int32) -> Bool {
        var entries = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: stop.rawValue, events: Int16(POLLIN), revents: 0),
        ]
        while unsafe poll(&entries, 2, -1) < 0, Errno.current == .interrupted {}
        return entries[1].revents == 0
    }

    private func serve(_ client: consuming OwnedFD) {
        var input: [UInt8] = []
        var isOpen = true
        var budget = behaviour.limit
        var begun = false
        while wait(client.rawValue) {
            var chunk = [UInt8](repeating: 0, count: 4096)
            let count = unsafe recv(client.rawValue, &chunk, chunk.count, 0)
            guard count > 0 else { return }
            // One that stalls still reads, so that it sees the client go.
            guard isOpen else { continue }
            input += chunk[..<count]
            while let output = answer(&input, &begun) {
                isOpen = put(output, client.rawValue, &budget)
                if !isOpen && !behaviour.stalls { return }
            }
        }
    }

    /// Takes one line or message from the input. Returns what to say to it, nil when there is none.
    private func answer(_ input: inout [UInt8], _ begun: inout Bool) -> [UInt8]? {
        guard begun else {
            guard let end = input.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
            let line = String(decoding: input[...end], as: UTF8.self)
            input.removeFirst(end + 1)
            begun = line == "BEGIN\r\n"
            return begun ? [] : Array(behaviour.greeting.utf8)
        }
        guard let size = try? Message.size(prefix: input), size <= input.count else { return nil }
        defer { input.removeFirst(size) }
        guard let message = try? Message(decoding: Array(input.prefix(size))) else { return [] }
        received.withLock { $0.append(message) }
        return behaviour.answer(message).flatMap { (try? $0.encoded()).map(behaviour.alter) ?? [] }
    }

    /// Sends as much as is allowed. Returns whether more may follow.
    private func put(_ output: [UInt8], _ client: Int32, _ budget: inout Int) -> Bool {
        var rest = output.prefix(budget)[...]
        budget -= rest.count
        while !rest.isEmpty {
            let piece = Array(rest.prefix(behaviour.chunk))
            let count = unsafe send(client, piece, piece.count, Int32(MSG_NOSIGNAL))
            guard count > 0 else { return false }
            sent.withLock { $0 += count }
            rest = rest.dropFirst(count)
        }
        return budget > 0
    }
}
