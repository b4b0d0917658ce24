import DBus
import System
import TestSupport
import Testing

/// firewalld's signals are heard among others.
struct FirewalldWatchTests {
    /// A bus that answers, and sends signals after the second subscription.
    private func bus(_ signals: [Message]) throws -> FakeBus {
        let good = FakeFirewalld.answers()
        return try FakeBus(
            .init { call in
                guard call.member == "AddMatch" else { return good(call) }
                let isLast = (try? call.values())?.first?.text?.contains("NameOwnerChanged") == true
                return [FakeBus.reply(to: call)].compactMap(\.self) + (isLast ? signals : [])
            })
    }

    private func signal(_ interface: String, _ member: String, _ words: [String] = []) throws -> Message {
        var message = try Message(.signal, words.map { .string($0) })
        (message.path, message.interface, message.member) = ("/org/fedoraproject/FirewallD1", interface, member)
        return message
    }

    private func hears(_ signals: Message...) throws -> Bool {
        let bus = try bus(signals)
        let watch = try FirewalldWatch(environment: Environment([("DBUS_SYSTEM_BUS_ADDRESS", bus.address)]))
        return try watch.awaitReload(milliseconds: signals.isEmpty ? 10 : 5_000)
    }

    @Test func reloaded() throws {
        let other = try signal("org.fedoraproject.FirewallD1", "PanicModeEnabled")
        #expect(try hears(other, signal("org.fedoraproject.FirewallD1", "Reloaded")))
    }

    @Test func restarted() throws {
        let name = "org.fedoraproject.FirewallD1"
        let gone = try signal("org.freedesktop.DBus", "NameOwnerChanged", [name, ":1.5", ""])
        let other = try signal("org.freedesktop.DBus", "NameOwnerChanged", ["org.example", "", ":1.6"])
        let come = try signal("org.freedesktop.DBus", "NameOwnerChanged", [name, "", ":1.7"])
        #expect(try hears(gone, other, come))
    }

    @Test func silent() throws { #expect(try !hears()) }

    @Test func noBus() throws {
        let error = #expect(throws: BusError.self) {
            try FirewalldWatch(environment: Environment([("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/none/of/it")]))
        }
        #expect(error?.isAbsent == true)
    }
}
