internal import CLinux
internal import Gossip
internal import JSON
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import System

/// The daemon's process: from a configuration to its end by a signal.
///
/// The main thread only waits for signals; everything else happens on one event loop.
public enum DaemonMain {
    /// Reads a configuration file.
    ///
    /// - Throws: an error whose description names the file and the place in it.
    public static func configuration(file: String) throws -> Configuration {
        do {
            return try Configuration(Value(parsing: try Files.read(file)))
        } catch let error as SystemError {
            throw StartFault("\(error)")
        } catch {
            throw StartFault("\(file): \(error)")
        }
    }

    /// Runs until SIGTERM, SIGINT or a leave by the control socket. `reload` is asked at SIGHUP.
    ///
    /// - Returns: the exit status: 0 after leaving or stopping, 3 when leaving took too long, 128 and the signal's number
    ///   when it came a second time.
    /// - Throws: ``StartFault`` and what the sockets and files say, before the daemon is ready.
    public static func run(
        _ configuration: Configuration, reload: @escaping @Sendable () throws -> Configuration
    ) throws -> Int32 {
        swiftlet_return_large_memory()
        ignoreBrokenPipes()
        umask(0o077)
        let signals = Signals(SIGTERM, SIGINT, SIGHUP, SIGUSR1)
        LoggingSystem.bootstrap { AdjustableLog(label: $0) }
        AdjustableLog.set(configuration.log.level)
        let log = Logger(label: "swiftletd")
        let notifier = Notifier()
        let lock = try configuration.stateDirectory.map { directory in try StateLock(directory) }
        let parts = try DaemonParts(configuration, log)
        let (node, cluster) = (parts.node, parts.cluster)
        let socket = configuration.socket
        let control = try finishing {
            // The kernel is held to the tables before anybody may ask for something new.
            try await cluster.open(keyRing: parts.keyRing)
            if node.engine.hasGossipPort { try await node.open(at: configuration.bind) }
            await node.startSaving()
            return try await ControlServer.open(socket, node: node)
        }
        finishing {
            await node.begin(configuration)
            await node.startNotifying(notifier)
        }
        log.info("ready", metadata: ["node": "\(node.name)", "host": "\(cluster.key.id)", "socket": "\(socket)"])
        notifier.ready("ready")
        node.left.futureResult.whenComplete { _ in kill(getpid(), SIGUSR1) }
        let status = attend(signals, parts, notifier, log, reload)
        finishing {
            await node.saveNow()
            await node.close()
            await cluster.close()
            try? await control.close()
        }
        _ = unsafe unlink(socket)
        node.files.close()
        parts.journal.close()
        withExtendedLifetime(lock) {}
        log.info("ended", metadata: ["status": "\(status)"])
        return status
    }

    /// A graceful leave takes at most eleven seconds in the profile `lan`; what takes longer hangs.
    private static let leaveLimit: UInt64 = 15_000

    /// Does what signals ask for until one ends the daemon; says with which status.
    private static func attend(
        _ signals: Signals, _ parts: DaemonParts, _ notifier: Notifier, _ log: Logger,
        _ reload: @escaping @Sendable () throws -> Configuration
    ) -> Int32 {
        let (node, cluster) = (parts.node, parts.cluster)
        var deadline: UInt64?
        while true {
            let signal = signals.wait(until: deadline)
            switch signal {
            case SIGUSR1:
                if deadline == nil { notifier.stopping("left") }
                return 0
            case nil:
                log.error("leaving took too long", metadata: ["forMs": "\(leaveLimit)"])
                return 3
            case SIGHUP?:
                notifier.reloading()
                // This thread may wait for a disk.
                let read = Result { (configuration: try reload(), keyRing: try node.keyRingFile?.load()) }
                finishing { await node.reload(read) }
                notifier.ready("reloaded")
            case let signal?:
                if deadline != nil {
                    log.warning("ending at once", metadata: ["signal": "\(signal)"])
                    return 128 + signal
                }
                notifier.stopping("leaving")
                let endpoints = (try? finishing { await cluster.endpointCount }) ?? 0
                if endpoints > 0 {
                    // To leave would take the rows of running containers from the others; a daemon that only stops, for
                    // an upgrade, is missed and comes back.
                    log.info("stopping; containers stay reachable", metadata: ["endpoints": "\(endpoints)"])
                    return 0
                }
                log.info("leaving", metadata: ["signal": "\(signal)"])
                deadline = monotonicNanoseconds() + leaveLimit * 1_000_000
                finishing { await node.leave() }
            }
        }
    }

    /// Waits on the main thread, which has nothing else to do, for work on the loop.
    @discardableResult
    private static func finishing<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) throws -> Value
    {
        let promise = NIOSingletons.posixEventLoopGroup.next().makePromise(of: Value.self)
        promise.completeWithTask(body)
        return try promise.futureResult.wait()
    }

    private static func finishing(_ body: @escaping @Sendable () async -> Void) {
        let promise = NIOSingletons.posixEventLoopGroup.next().makePromise(of: Void.self)
        promise.completeWithTask { await body() }
        try? promise.futureResult.wait()
    }
}

extension Configuration.Verbosity {
    var level: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .warning: .warning
        case .error: .error
        }
    }
}

/// Keeps two daemons from one state directory. Unlike ``FileLock`` it does not wait: the other runs for ever.
private final class StateLock: Sendable {
    private let file: OwnedFD

    init(_ directory: String) throws {
        try Files.makeDirectories(directory, mode: 0o700)
        file = try OwnedFD(opening: "\(directory)/lock", flags: O_RDONLY | O_CREAT, mode: 0o600)
        guard flock(file.rawValue, LOCK_EX | LOCK_NB) == 0 else {
            throw StartFault("another daemon uses \(directory)")
        }
    }
}

/// Signals taken one by one instead of interrupting; made before any thread is.
private struct Signals {
    private var set = sigset_t()

    init(_ signals: Int32...) {
        unsafe sigemptyset(&set)
        for signal in signals { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// The next signal; nil when none came until then.
    func wait(until deadline: UInt64?) -> Int32? {
        var (set, signal) = (set, Int32(0))
        guard let deadline else {
            while unsafe sigwait(&set, &signal) != 0 {}
            return signal
        }
        while true {
            let now = monotonicNanoseconds()
            guard now < deadline else { return nil }
            var limit = timespec(
                tv_sec: Int((deadline - now) / 1_000_000_000), tv_nsec: Int((deadline - now) % 1_000_000_000))
            signal = unsafe sigtimedwait(&set, nil, &limit)
            if signal > 0 { return signal }
        }
    }
}
