internal import DBus
internal import Logging
internal import NIOPosix
internal import Netfilter
internal import Reload
internal import Synchronization
internal import System

/// Notices that a firewall was flushed or reloaded, and puts back what running containers had in it.
///
/// Two threads of its own that mostly sleep: one listens to the kernel and does the work, the other to firewalld. What
/// neither tells of, as the old iptables' changes, is found now and then.
final class FilterKeeper: Sendable {
    /// How often and how soon it is looked, milliseconds.
    struct Pauses: Sendable {
        /// After the first sign of a loss, so that a reload has ended.
        var settling = 250
        /// Between the end of a look and the begin of the next at least, whatever happens.
        var least = 5_000
        /// Without any sign.
        var most = 60_000
        /// Before the bus is tried anew.
        var bus = 30_000
    }

    /// How long ending takes at most, milliseconds, but for a look that is under way.
    private static let turn: Int32 = 250

    private let threads = NIOThreadPool(numberOfThreads: 2)
    private let log: Logger
    private let pauses: Pauses
    private let look: @Sendable () -> ReloadReport
    private let isClosed = Atomic(false)
    private let hasSign = Atomic(false)

    /// A keeper; ``start(_:)`` begins.
    ///
    /// - Parameter look: puts back what is missing.
    init(_ log: Logger, pauses: Pauses = Pauses(), look: @escaping @Sendable () -> ReloadReport = { Reload().run() }) {
        self.log = log
        self.pauses = pauses
        self.look = look
    }

    /// Begins, with a look: the filter may have been flushed while nobody was there.
    ///
    /// - Parameter flushed: called on a thread of the keeper's at each sign of a loss, before the look.
    func start(_ flushed: @escaping @Sendable () -> Void) {
        threads.start()
        threads.submit { [self] _ in keep(flushed) }
        threads.submit { [self] _ in listenToFirewalld() }
    }

    /// Ends the threads.
    func close() {
        isClosed.store(true, ordering: .relaxed)
        threads.shutdownGracefully { _ in }
    }

    private var isOpen: Bool { !isClosed.load(ordering: .relaxed) }

    // MARK: The kernel, and the work

    private func keep(_ flushed: () -> Void) {
        // Before the first look, so that nothing is missed.
        let monitor = try? RulesetMonitor()
        var told: Set<String> = []
        var next = monotonicNanoseconds()
        var last: UInt64 = 0
        while isOpen {
            let isLoss: Bool
            do {
                isLoss = try monitor?.awaitLoss(milliseconds: Self.turn) ?? false
                if monitor == nil { pause(milliseconds: Int(Self.turn)) }
            } catch {
                pause(milliseconds: Int(Self.turn))
                continue
            }
            let now = monotonicNanoseconds()
            if hasSign.exchange(false, ordering: .relaxed) || isLoss {
                flushed()
                next = min(next, max(now + nanoseconds(pauses.settling), last + nanoseconds(pauses.least)))
            }
            guard now >= next else { continue }
            tell(look(), &told)
            last = monotonicNanoseconds()
            next = last + nanoseconds(pauses.most)
        }
    }

    private func nanoseconds(_ milliseconds: Int) -> UInt64 { UInt64(milliseconds) * 1_000_000 }

    /// Says what was done, and each failure once until it is over.
    private func tell(_ report: ReloadReport, _ told: inout Set<String>) {
        var failing: Set<String> = []
        for line in report.lines {
            guard line.hasPrefix("not ") else {
                log.notice("\(line)")
                continue
            }
            if !told.contains(line) { log.warning("\(line)") }
            failing.insert(line)
        }
        told = failing
    }

    // MARK: firewalld

    private func listenToFirewalld() {
        while isOpen {
            do {
                let watch = try FirewalldWatch(environment: .current())
                while isOpen {
                    if try watch.awaitReload(milliseconds: Int(Self.turn)) { hasSign.store(true, ordering: .relaxed) }
                }
            } catch {
                // Hosts without a bus are the rule; one may come.
                let end = Deadline(milliseconds: pauses.bus)
                while isOpen, end.remainingMilliseconds > 0 { pause(milliseconds: Int(Self.turn)) }
            }
        }
    }
}
