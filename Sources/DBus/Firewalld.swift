public import NetworkTypes
public import System

/// The part of firewalld the suite uses: which addresses belong to a zone, until firewalld restarts.
///
/// Source: firewalld.dbus(5), interface `org.fedoraproject.FirewallD1.zone`.
public final class Firewalld {
    /// The name firewalld has on the system bus.
    public static let busName = "org.fedoraproject.FirewallD1"

    /// How long looking for firewalld may take, milliseconds: connecting, and then each question to the bus itself.
    public static let findingLimit = 1_000
    /// How long firewalld may take for a call, milliseconds. It answers nothing while it reloads.
    public static let callLimit = 5_000

    private let bus: BusConnection

    /// Speaks over a bus that is known to have firewalld on it.
    public init(_ bus: BusConnection) {
        self.bus = bus
    }

    /// Looks for firewalld on the system bus. It is not started. Equivalent: `firewall-cmd --state`.
    ///
    /// - Parameters:
    ///   - limit: milliseconds for connecting, then for each question to the bus.
    ///   - callLimit: milliseconds for each call of firewalld's own.
    /// - Returns: nil when there is no bus, or no firewalld on it.
    /// - Throws: ``BusError`` when there is a bus that cannot be asked.
    public static func running(
        environment: Environment, limit: Int = findingLimit, callLimit: Int = callLimit
    ) throws(BusError) -> Firewalld? {
        let bus: BusConnection
        do {
            bus = try BusConnection.system(environment: environment, timeout: limit)
        } catch {
            if error.isAbsent { return nil }
            throw error
        }
        guard try bus.isOwned(busName) else { return nil }
        bus.timeout = callLimit
        return Firewalld(bus)
    }

    /// Puts a source into a zone. Equivalent: `firewall-cmd --zone=ZONE --add-source=SOURCE`.
    ///
    /// - Returns: false when it was there already (`ZONE_ALREADY_SET`).
    /// - Throws: `INVALID_ZONE`, `ZONE_CONFLICT` when another zone has it, … as ``BusError/failed(name:text:)``.
    @discardableResult
    public func addSource(_ source: IPPrefix, zone: String) throws(BusError) -> Bool {
        try change("addSource", source, zone, tolerating: "ZONE_ALREADY_SET")
    }

    /// Takes a source out of a zone. Equivalent: `firewall-cmd --zone=ZONE --remove-source=SOURCE`.
    ///
    /// - Returns: false when it was in no zone (`UNKNOWN_SOURCE`).
    /// - Throws: `INVALID_ZONE`, `ZONE_CONFLICT` when another zone has it, … as ``BusError/failed(name:text:)``.
    @discardableResult
    public func removeSource(_ source: IPPrefix, zone: String) throws(BusError) -> Bool {
        try change("removeSource", source, zone, tolerating: "UNKNOWN_SOURCE")
    }

    /// Whether a zone has a source. Equivalent: `firewall-cmd --zone=ZONE --query-source=SOURCE`.
    public func hasSource(_ source: IPPrefix, zone: String) throws(BusError) -> Bool {
        let answer = try call("querySource", source, zone)
        guard answer.count == 1, let hasSource = answer[0].boolean else {
            throw .malformed("querySource was not answered with a truth value")
        }
        return hasSource
    }

    private func change(
        _ method: String, _ source: IPPrefix, _ zone: String, tolerating code: String
    ) throws(BusError) -> Bool {
        do {
            _ = try call(method, source, zone)
            return true
        } catch {
            if error.firewalldCode == code { return false }
            throw error
        }
    }

    private func call(_ method: String, _ source: IPPrefix, _ zone: String) throws(BusError) -> [BusValue] {
        try bus.call(
            MethodCall(
                destination: Self.busName, path: "/org/fedoraproject/FirewallD1",
                interface: "org.fedoraproject.FirewallD1.zone", member: method,
                arguments: [.string(zone), .string("\(source)")]))
    }
}

extension BusError {
    /// What firewalld calls its error, for example "INVALID_ZONE"; nil for an error that is not firewalld's own.
    public var firewalldCode: String? {
        guard case .failed(name: "\(Firewalld.busName).Exception", let text) = self else { return nil }
        return text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).first.map(String.init)
    }
}
