import DBus
import System
import TestSupport
import Testing

/// The recorded messages in `Tests/Golden/dbus`.
enum Fixtures {
    static let names = [
        "add-source", "hello-reply", "name-acquired", "service-unknown", "owner-reply", "names-reply",
    ]

    /// The bytes of one: pairs of hexadecimal digits; "#" starts a comment.
    static func bytes(_ name: String) throws -> [UInt8] {
        try Golden.text("dbus/\(name).hex").split(separator: "\n").flatMap { line in
            try line.prefix { $0 != "#" }.split(separator: " ").map { try #require(UInt8($0, radix: 16)) }
        }
    }
}

/// The environment of a process that is to find its bus at `address`.
func environment(_ address: String) -> Environment { Environment([("DBUS_SYSTEM_BUS_ADDRESS", address)]) }

/// The error of a call that must fail.
func failure<Value>(_ body: () throws(BusError) -> Value) -> BusError? {
    do {
        _ = try body()
        return nil
    } catch {
        return error
    }
}
