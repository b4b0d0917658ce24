public import System

/// A method of an object of a process on the bus.
public struct MethodCall: Equatable, Sendable {
    /// The bus name of the process, for example "org.freedesktop.DBus".
    public var destination: String
    /// The object, for example "/org/freedesktop/DBus".
    public var path: String
    /// The interface the method belongs to.
    public var interface: String
    /// The method's name.
    public var member: String
    /// What it is called with.
    public var arguments: [BusValue]

    /// Describes a call. The bus closes the connection on a destination, interface or member that is no such name.
    public init(
        destination: String, path: String, interface: String, member: String, arguments: [BusValue] = []
    ) {
        self.destination = destination
        self.path = path
        self.interface = interface
        self.member = member
        self.arguments = arguments
    }
}

/// A connection to a message bus on which methods are called, one after the other. Equivalent: `busctl call`.
///
/// Not for use by several threads at a time. Signals and calls from others are passed over. Source: the D-Bus
/// specification, version 0.43.
public final class BusConnection {
    /// The most bytes of a line of the authentication dialogue.
    private static let longestLine = 1024
    private static let bus = "org.freedesktop.DBus"

    /// How long connecting, and then each call, may take, in milliseconds.
    public var timeout: Int
    /// Our unique name on the bus, for example ":1.42".
    public private(set) var name = ""

    private let stream: UnixStream
    private var received: [UInt8] = []
    private var serial: UInt32 = 0
    /// What is being waited for, for error messages.
    private var operation = "authentication"
    /// Why the connection can be used no more.
    private var failure: BusError?

    /// Connects to the system bus, which `DBUS_SYSTEM_BUS_ADDRESS` may name.
    ///
    /// - Throws: ``BusError``; it ``BusError/isAbsent`` when there is no bus.
    public static func system(environment: Environment, timeout: Int) throws(BusError) -> BusConnection {
        try BusConnection(address: BusAddress.system(in: environment), timeout: timeout)
    }

    /// Connects to the first bus of an address that can be connected to, as the process's effective user.
    ///
    /// - Throws: why the last could not.
    public init(address: String, timeout: Int) throws(BusError) {
        let deadline = Deadline(milliseconds: timeout)
        self.timeout = timeout
        stream = try Self.connect(address, deadline)
        try authenticate(deadline)
        let hello = MethodCall(
            destination: Self.bus, path: "/org/freedesktop/DBus", interface: Self.bus, member: "Hello")
        guard case .string(let name)? = try call(hello, by: deadline).first else {
            throw .malformed("Hello was not answered with a name")
        }
        self.name = name
    }

    private static func connect(_ address: String, _ deadline: Deadline) throws(BusError) -> UnixStream {
        var failure = BusError.noAddress(address)
        for socket in BusAddress.unixSockets(address) {
            do {
                return try UnixStream(connectingTo: socket, by: deadline)
            } catch {
                failure = error.errno == .timedOut ? .timedOut("connecting") : .system(error)
            }
        }
        throw failure
    }

    // MARK: Calls

    /// Calls a method and waits for its answer; a destination that is not running is not started.
    ///
    /// - Returns: what the method returned.
    /// - Throws: ``BusError/failed(name:text:)`` with the method's error; ``BusError/timedOut(_:)``, after which the
    ///   connection is still good.
    public func call(_ call: MethodCall) throws(BusError) -> [BusValue] {
        try self.call(call, by: Deadline(milliseconds: timeout))
    }

    /// Whether some process has that name. Equivalent: `busctl call org.freedesktop.DBus / org.freedesktop.DBus
    /// NameHasOwner s NAME`.
    public func isOwned(_ name: String) throws(BusError) -> Bool {
        let answer = try call(
            MethodCall(
                destination: Self.bus, path: "/org/freedesktop/DBus", interface: Self.bus, member: "NameHasOwner",
                arguments: [.string(name)]))
        guard answer.count == 1, let isOwned = answer[0].boolean else {
            throw .malformed("NameHasOwner was not answered with a truth value")
        }
        return isOwned
    }

    private func call(_ call: MethodCall, by deadline: Deadline) throws(BusError) -> [BusValue] {
        var message: Message
        do {
            message = try Message(.methodCall, call.arguments)
        } catch {
            throw .invalid(error.reason)
        }
        message.flags = 2
        (message.path, message.interface, message.member) = (call.path, call.interface, call.member)
        message.destination = call.destination
        operation = "\(call.interface).\(call.member)"
        let serial = try send(message, by: deadline)
        while true {
            let answer = try receive(by: deadline)
            guard answer.replySerial == serial else {
                // A bus that always has something else to say would keep us for ever.
                guard deadline.remainingMilliseconds > 0 else { throw .timedOut(operation) }
                continue
            }
            if answer.kind == .methodReturn { return try Self.values(answer) }
            if answer.kind == .error { throw Self.failure(answer) }
        }
    }

    private static func values(_ answer: Message) throws(BusError) -> [BusValue] {
        do {
            return try answer.values()
        } catch {
            throw .malformed(error.reason)
        }
    }

    private static func failure(_ answer: Message) -> BusError {
        // By convention an error's first value is its text.
        .failed(name: answer.errorName ?? "", text: (try? answer.values())?.first?.text ?? "")
    }

    // MARK: Messages

    /// Sends a message under a new number, which is returned.
    @discardableResult
    package func send(_ message: Message, by deadline: Deadline) throws(BusError) -> UInt32 {
        if let failure { throw failure }
        var message = message
        message.serial = serial == .max ? 1 : serial + 1
        let bytes: [UInt8]
        do {
            bytes = try message.encoded()
        } catch {
            throw .invalid(error.reason)
        }
        serial = message.serial
        try send(bytes, deadline)
        return message.serial
    }

    /// Receives the next message, whatever it is.
    package func receive(by deadline: Deadline) throws(BusError) -> Message {
        if let failure { throw failure }
        try fill(Message.prefixSize, deadline)
        let size = try understood { () throws(WireError) in try Message.size(prefix: received) }
        try fill(size, deadline)
        let bytes = Array(received.prefix(size))
        received.removeFirst(size)
        return try understood { () throws(WireError) in try Message(decoding: bytes) }
    }

    /// Gives up the connection when the bus sends what is no message.
    private func understood<Value>(_ read: () throws(WireError) -> Value) throws(BusError) -> Value {
        do {
            return try read()
        } catch {
            throw broken(.malformed(error.reason))
        }
    }

    // MARK: Bytes

    /// Proves to the bus who we are by what the kernel tells it (the specification's "Authentication Protocol").
    private func authenticate(_ deadline: Deadline) throws(BusError) {
        let user = "\(effectiveUserIdentifier())".utf8.map { String($0, radix: 16) }.joined()
        try send([0] + Array("AUTH EXTERNAL \(user)\r\n".utf8), deadline)
        let answer = try line(deadline)
        guard answer == "OK" || answer.hasPrefix("OK ") else { throw .refused(answer) }
        // The bus waits for us now; what it has said already would be taken for a message.
        guard received.isEmpty else { throw .malformed("the bus speaks out of turn") }
        try send(Array("BEGIN\r\n".utf8), deadline)
    }

    private func line(_ deadline: Deadline) throws(BusError) -> String {
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                guard end > 0, received[end - 1] == UInt8(ascii: "\r") else {
                    throw .malformed("a line of the authentication has no proper end")
                }
                defer { received.removeFirst(end + 1) }
                return String(decoding: received[..<(end - 1)], as: UTF8.self)
            }
            guard received.count < Self.longestLine else { throw .malformed("the authentication has no end") }
            try fill(received.count + 1, deadline)
        }
    }

    /// Receives until `count` bytes are there.
    private func fill(_ count: Int, _ deadline: Deadline) throws(BusError) {
        while received.count < count {
            let bytes: [UInt8]
            do {
                bytes = try stream.receive(limit: 4096, by: deadline)
            } catch {
                // What has come so far is kept: the rest may come later.
                if error == .timedOut { throw .timedOut(operation) }
                throw broken(error == .connectionReset ? .closed : .system(SystemError("receive from", "bus", error)))
            }
            guard !bytes.isEmpty else { throw broken(.closed) }
            received += bytes
        }
    }

    private func send(_ bytes: [UInt8], _ deadline: Deadline) throws(BusError) {
        do {
            try stream.send(bytes, by: deadline)
        } catch {
            // A part may have been sent, so nothing more can be.
            switch error {
            case .timedOut:
                failure = .closed
                throw .timedOut(operation)
            case .brokenPipe, .connectionReset: throw broken(.closed)
            case let errno: throw broken(.system(SystemError("send to", "bus", errno)))
            }
        }
    }

    private func broken(_ error: BusError) -> BusError {
        failure = error
        return error
    }
}
