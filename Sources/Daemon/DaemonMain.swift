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
    /// - Returns: the exit status, 0 after a graceful leave.
    /// - Throws: ``StartFault`` and what the sockets and files say, before the daemon is ready.
    public static func run(
        _ configuration: Configuration, reload: @escaping @Sendable () throws -> Configuration
    ) throws -> Int32 {
        ignoreBrokenPipes()
        umask(0o077)
        let signals = Signals(SIGTERM, SIGINT, SIGHUP, SIGUSR1)
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        let log = logger(configuration.log.level)
        let lock = try configuration.stateDirectory.map { directory in try StateLock(directory) }
        let parts = try DaemonParts(configuration, log)
        let (node, cluster) = (parts.node, parts.cluster)
        let socket = configuration.socket
        let control = try finishing {
            // The kernel is held to the tables before anybody may ask for something new.
            try await cluster.open(keyRing: parts.keyRing)
            try await node.open(at: configuration.bind)
            await node.startSaving()
            return try await ControlServer.open(socket, node: node)
        }
        if !configuration.join.isEmpty { finishing { await node.join(configuration.join) } }
        log.info("ready", metadata: ["node": "\(node.name)", "host": "\(cluster.key.id)", "socket": "\(socket)"])
        node.left.futureResult.whenComplete { _ in kill(getpid(), SIGUSR1) }
        wait: while true {
            switch signals.wait() {
            case SIGHUP: finishing { await node.reload(reload, log) }
            case SIGUSR1: break wait
            case let signal:
                let endpoints = (try? finishing { await cluster.endpointCount }) ?? 0
                if endpoints > 0 {
                    // To leave would take the rows of running containers from the others; a daemon that only stops, for
                    // an upgrade, is missed and comes back.
                    log.info("stopping; containers stay reachable", metadata: ["endpoints": "\(endpoints)"])
                    break wait
                }
                log.info("leaving", metadata: ["signal": "\(signal)"])
                finishing { await node.leave() }
            }
        }
        finishing {
            await node.saveNow()
            await node.close()
            await cluster.close()
            try? await control.close()
        }
        _ = unsafe unlink(socket)
        parts.journal.close()
        withExtendedLifetime(lock) {}
        log.info("left")
        return 0
    }

    private static func logger(_ level: Logger.Level) -> Logger {
        var log = Logger(label: "swiftletd")
        log.logLevel = level
        return log
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

    func wait() -> Int32 {
        var (set, signal) = (set, Int32(0))
        while unsafe sigwait(&set, &signal) != 0 {}
        return signal
    }
}

extension Node {
    func join(_ peers: [Endpoint]) { give(.command(.join(peers))) }

    func leave() {
        isLeaving = true
        give(.command(.leave))
    }

    /// Announces the tags of the configuration as it is now.
    func reload(_ configuration: @Sendable () throws -> Configuration, _ log: Logger) {
        do {
            var wanted = tags
            wanted.configured = try configuration().tags
            if let reason = announce(wanted) { throw StartFault(reason) }
            log.info("reloaded", metadata: ["tags": "\(wanted.announced)"])
        } catch {
            log.error("not reloaded: \(error)")
        }
    }
}
