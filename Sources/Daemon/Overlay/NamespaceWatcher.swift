internal import CLinux
internal import NIOPosix
internal import Netlink
internal import Synchronization
internal import System

/// Listens to the overlay namespaces and tells of what somebody removed or changed there.
///
/// A thread of its own: most of the time it sleeps in `poll(2)`.
final class NamespaceWatcher: Sendable {
    /// How soon a namespace that was added is listened to, and how long ending takes, milliseconds.
    private static let turn: Int32 = 250

    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let paths = Mutex<[String: String]>([:])
    private let isClosed = Atomic(false)

    /// Begins; `body` is called on the watcher's thread with the name under which the namespace was added.
    func start(_ body: @escaping @Sendable (String) -> Void) {
        thread.start()
        thread.submit { [self] _ in
            var monitors: [String: RouteMonitor] = [:]
            while !isClosed.load(ordering: .relaxed) { turn(&monitors, body) }
        }
    }

    /// Listens to the namespace at a path from now on. What happened before is for the caller to look at.
    func add(_ name: String, path: String) { paths.withLock { $0[name] = path } }

    /// Stops listening to a namespace, which keeps it alive; that takes a moment.
    func remove(_ name: String) { paths.withLock { $0[name] = nil } }

    private func turn(_ monitors: inout [String: RouteMonitor], _ body: (String) -> Void) {
        let wanted = paths.withLock { $0 }
        for name in monitors.keys where wanted[name] == nil { monitors[name] = nil }
        for (name, path) in wanted where monitors[name] == nil {
            guard let namespace = try? NetworkNamespace(path: path) else { continue }
            monitors[name] = try? RouteMonitor([.links, .neighbours], in: namespace)
        }
        guard !monitors.isEmpty else { return pause(milliseconds: Int(Self.turn)) }
        let names = Array(monitors.keys)
        var polled = names.map { pollfd(fd: monitors[$0]?.descriptor ?? -1, events: Int16(POLLIN), revents: 0) }
        guard unsafe poll(&polled, nfds_t(polled.count), Self.turn) > 0 else { return }
        for (index, entry) in polled.enumerated() where entry.revents != 0 {
            if Self.hasNews(monitors[names[index]]) { body(names[index]) }
        }
    }

    /// Whether something was taken away, or may have been. What is added or replaced is mostly our own work.
    private static func hasNews(_ monitor: RouteMonitor?) -> Bool {
        guard let monitor else { return false }
        guard let notifications = try? monitor.receive(milliseconds: 0) else { return true }
        return notifications.contains { notification in
            switch notification {
            case .linkRemoved, .neighbourRemoved, .forwardingRemoved, .lost: true
            case .link(let link): !link.isUp
            default: false
            }
        }
    }

    /// Ends the thread.
    func close() {
        isClosed.store(true, ordering: .relaxed)
        paths.withLock { $0 = [:] }
    }
}
