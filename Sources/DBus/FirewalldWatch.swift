internal import NetworkTypes
public import System

/// Notices when firewalld has forgotten what is not permanent: it was reloaded, or started anew.
public final class FirewalldWatch {
    private let bus: BusConnection

    /// Listens on the system bus.
    ///
    /// - Parameter limit: milliseconds for connecting, then for each question to the bus.
    /// - Throws: ``BusError``; it ``BusError/isAbsent`` when there is no bus.
    public init(environment: Environment, limit: Int = Firewalld.findingLimit) throws(BusError) {
        bus = try BusConnection.system(environment: environment, timeout: limit)
        for rule in [
            "type='signal',interface='\(Firewalld.busName)',member='Reloaded'",
            "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='\(Firewalld.busName)'",
        ] {
            _ = try bus.call(
                MethodCall(
                    destination: "org.freedesktop.DBus", path: "/org/freedesktop/DBus",
                    interface: "org.freedesktop.DBus", member: "AddMatch", arguments: [.string(rule)]))
        }
    }

    /// Waits for firewalld's signals.
    ///
    /// - Returns: whether firewalld was reloaded or has started; false when `milliseconds` passed first.
    /// - Throws: ``BusError`` when the bus has gone.
    public func awaitReload(milliseconds: Int) throws(BusError) -> Bool {
        let deadline = Deadline(milliseconds: milliseconds)
        while deadline.remainingMilliseconds > 0 {
            let message: Message
            do {
                message = try bus.receive(by: deadline)
            } catch {
                if case .timedOut = error { return false }
                throw error
            }
            guard message.kind == .signal else { continue }
            switch (message.interface, message.member) {
            case (Firewalld.busName?, "Reloaded"?): return true
            case ("org.freedesktop.DBus"?, "NameOwnerChanged"?):
                let words = (try? message.values())?.map { $0.text ?? "" } ?? []
                if words.count == 3, words[0] == Firewalld.busName, !words[2].isEmpty { return true }
            default: continue
            }
        }
        return false
    }
}
