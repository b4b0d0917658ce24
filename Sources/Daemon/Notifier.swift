internal import CLinux
internal import System

/// Tells the service manager how we are (sd_notify(3)): datagrams of `KEY=VALUE` lines to the socket that it named in
/// `NOTIFY_SOCKET`. Without one, nothing is said.
struct Notifier: Sendable {
    private let address: UnixSocketAddress?
    /// Half of the time within which the service manager wants to hear of us, nanoseconds; nil when it does not.
    let watchdogInterval: Int64?

    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    init(_ environment: Environment = .current()) {
        address = environment["NOTIFY_SOCKET"].flatMap { text in
            if text.first == "@" { return .abstract(String(text.dropFirst())) }
            return text.first == "/" ? .path(text) : nil
        }
        let isOurs = environment["WATCHDOG_PID"].map { Int32($0) == getpid() } ?? true
        let limit = environment["WATCHDOG_USEC"].flatMap { Int64($0) }
        watchdogInterval = isOurs ? limit.flatMap { $0 > 0 && $0 < 1 << 40 ? $0 * 500 : nil } : nil
    }

    func ready(_ status: String) { send("READY=1\nSTATUS=\(status)") }
    func stopping(_ status: String) { send("STOPPING=1\nSTATUS=\(status)") }
    func reloading() { send("RELOADING=1\nMONOTONIC_USEC=\(monotonicNanoseconds() / 1000)") }
    func status(_ status: String) { send("STATUS=\(status)") }
    func alive() { send("WATCHDOG=1") }

    /// A service manager that does not listen is no reason to stop.
    private func send(_ text: String) {
        guard let address else { return }
        _ = try? UnixDatagram.send(Array(text.utf8), to: address)
    }
}
