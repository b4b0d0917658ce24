public import System

/// Where a message bus listens, by the D-Bus specification's "Server Addresses".
public enum BusAddress {
    /// The system bus's address where the environment names none.
    public static let system = "unix:path=/run/dbus/system_bus_socket"

    /// The system bus's address: `DBUS_SYSTEM_BUS_ADDRESS`, else ``system``.
    public static func system(in environment: Environment) -> String {
        guard let address = environment["DBUS_SYSTEM_BUS_ADDRESS"], !address.isEmpty else { return system }
        return address
    }

    /// The Unix sockets of an address, in the order they are to be tried; other transports are passed over.
    ///
    /// - Parameter text: for example "unix:path=/run/a,guid=…;unix:abstract=b"; other bytes are escaped as `%20`.
    public static func unixSockets(_ text: String) -> [UnixSocketAddress] {
        text.utf8.split(separator: UInt8(ascii: ";")).compactMap { unixSocket($0) }
    }

    private static func unixSocket(_ address: Substring.UTF8View) -> UnixSocketAddress? {
        let transport = Array("unix:".utf8)
        guard address.starts(with: transport) else { return nil }
        var found: UnixSocketAddress?
        for pair in address.dropFirst(transport.count).split(separator: UInt8(ascii: ",")) {
            guard let equals = pair.firstIndex(of: UInt8(ascii: "=")),
                let value = unescaped(pair[pair.index(after: equals)...]), !value.isEmpty
            else { return nil }
            let address: UnixSocketAddress
            switch String(pair[..<equals]) {
            case "path": address = .path(value)
            case "abstract": address = .abstract(value)
            default: continue
            }
            // A socket has one name.
            guard found == nil else { return nil }
            found = address
        }
        return found
    }

    private static func unescaped(_ text: Substring.UTF8View) -> String? {
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else {
                    return nil
                }
                bytes.append(high << 4 | low)
            } else {
                bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
