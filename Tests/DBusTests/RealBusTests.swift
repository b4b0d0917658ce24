import DBus
import NetworkTypes
import System
import TestSupport
import Testing

@Suite("A real dbus-daemon", .enabled(if: RealBus.isPossible))
struct RealBusTests {
    private static let bus = "org.freedesktop.DBus"

    private func call(_ member: String, _ arguments: [BusValue]) -> MethodCall {
        MethodCall(
            destination: Self.bus, path: "/org/freedesktop/DBus", interface: Self.bus, member: member,
            arguments: arguments)
    }

    @Test("Names, errors, and every type we write is taken and every type we read is given")
    func bus() throws {
        let real = try RealBus()
        let connection = try BusConnection(address: real.address, timeout: 10_000)
        #expect(connection.name.hasPrefix(":1."))
        #expect(try connection.isOwned(Self.bus))
        #expect(try connection.isOwned(connection.name))
        #expect(try !connection.isOwned("org.example.Nobody"))
        #expect(try connection.call(call("GetNameOwner", [.string(Self.bus)])) == [.string(Self.bus)])
        #expect(
            try connection.call(call("GetConnectionUnixUser", [.string(connection.name)]))
                == [.uint32(effectiveUserIdentifier())])
        #expect(
            try connection.call(call("ListNames", [])) == [.strings([Self.bus, connection.name])])
        #expect(try connection.call(call("RequestName", [.string("org.example.Us"), .uint32(4)])) == [.uint32(1)])
        #expect(
            failure { () throws(BusError) in try connection.call(call("NoSuchMethod", [])) }.map { "\($0)" }?
                .hasPrefix("D-Bus: org.freedesktop.DBus.Error.UnknownMethod: ") == true)
        guard
            case .failed("org.freedesktop.DBus.Error.InvalidArgs", _) = failure({ () throws(BusError) in
                try connection.call(call("NameHasOwner", [.uint32(1)]))
            })
        else {
            Issue.record("a wrong type was taken")
            return
        }
        #expect(
            failure { () throws(BusError) in
                try connection.call(
                    MethodCall(destination: "not a name", path: "/", interface: "a.b", member: "C"))
            } == .closed)
    }

    @Test("A policy that forbids is an error, not a silence")
    func policy() throws {
        let real = try RealBus()
        let connection = try BusConnection(address: real.address, timeout: 10_000)
        guard
            case .failed("org.freedesktop.DBus.Error.AccessDenied", _) = failure({ () throws(BusError) in
                try connection.call(call("Forbidden", []))
            })
        else {
            Issue.record("was allowed")
            return
        }
    }

    @Test("A firewalld on it is found, asked, and gone again")
    func firewalld() throws {
        let real = try RealBus()
        #expect(try Firewalld.running(environment: environment(real.address)) == nil)
        let source = IPPrefix(host: .v4(IPv4Address(rawValue: 0x0A01_0203)))
        do {
            let service = try ServedFirewalld(address: real.address)
            let firewalld = try #require(try Firewalld.running(environment: environment(real.address)))
            #expect(try !firewalld.hasSource(source, zone: "trusted"))
            #expect(try firewalld.addSource(source, zone: "trusted"))
            #expect(try !firewalld.addSource(source, zone: "trusted"))
            #expect(try firewalld.hasSource(source, zone: "trusted"))
            #expect(
                failure { () throws(BusError) in try firewalld.addSource(source, zone: "nowhere") }?.firewalldCode
                    == "INVALID_ZONE")
            #expect(try firewalld.removeSource(source, zone: "trusted"))
            #expect(try !firewalld.removeSource(source, zone: "trusted"))
            service.stop()
        }
        let bus = try BusConnection(address: real.address, timeout: 10_000)
        let error = failure { () throws(BusError) in try Firewalld(bus).hasSource(source, zone: "trusted") }
        #expect(error?.isUnowned == true, "\(String(describing: error))")
    }
}

/// The fake firewalld as a process's part on somebody else's bus.
private final class ServedFirewalld {
    private let bus: BusConnection
    private let name: String
    private var thread: BackgroundThread?

    init(address: String) throws {
        let service = try BusConnection(address: address, timeout: 10_000)
        name = service.name
        bus = try BusConnection(address: address, timeout: 10_000)
        let request = MethodCall(
            destination: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus",
            member: "RequestName", arguments: [.string(Firewalld.busName), .uint32(4)])
        #expect(try service.call(request) == [.uint32(1)])
        // From here on the connection is the thread's alone.
        nonisolated(unsafe) let served = service
        thread = try BackgroundThread {
            let answers = FakeFirewalld.answers()
            while let call = try? unsafe served.receive(by: Deadline(milliseconds: 10_000)), call.member != "Stop" {
                guard call.kind == .methodCall else { continue }
                for var answer in answers(call) {
                    (answer.destination, answer.sender) = (call.sender, nil)
                    _ = try? unsafe served.send(answer, by: Deadline(milliseconds: 10_000))
                }
            }
        }
    }

    /// Makes it give its name back; waits for that.
    func stop() {
        guard var message = try? Message(.signal) else { return }
        (message.path, message.interface, message.member) = ("/", "a.b", "Stop")
        message.destination = name
        _ = try? bus.send(message, by: Deadline(milliseconds: 10_000))
        thread = nil
        let deadline = Deadline(milliseconds: 10_000)
        while (try? bus.isOwned(Firewalld.busName)) == true, deadline.remainingMilliseconds > 0 {
            pause(milliseconds: 1)
        }
    }
}
