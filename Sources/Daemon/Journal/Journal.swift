internal import NIOCore
internal import Synchronization
internal import System

/// The journal on its own thread: a slow disk must not make us look dead.
///
/// Changes that come while the disk is busy are written together, so many callers wait for few `fsync`s.
final class Journal: Sendable {
    private struct Waiting {
        var changes: [JournalChange] = []
        var promises: [EventLoopPromise<Void>] = []
    }

    /// What was held when it was opened.
    let entries: [JournalKey: [UInt8]]
    /// Whether the last changes before that may be missing.
    let mayLackChanges: Bool
    private let file: Mutex<(any JournalStore)?>
    private let waiting = Mutex(Waiting())
    /// What must be written and could not be; it goes with the next write.
    private let owed = Mutex<[JournalChange]>([])
    private let fault = Mutex<String?>(nil)
    private let work: any BackgroundWork
    private let written = Atomic<UInt64>(0)
    private let failed = Atomic<UInt64>(0)

    /// Opens the journal of a state directory; with nil nothing is kept.
    ///
    /// - Throws: ``StartFault`` when what is on the disk cannot be trusted.
    convenience init(directory: String?) throws {
        var file: JournalFile?
        if let directory {
            try Files.makeDirectories(directory, mode: 0o700)
            file = try JournalFile(directory: directory)
        }
        self.init(file, work: ThreadWork())
        if let error = file?.startFault { fault.withLock { $0 = "\(error)" } }
    }

    /// A journal in a store that is open, or nowhere.
    init(_ store: (any JournalStore)?, work: any BackgroundWork) {
        entries = store?.entries ?? [:]
        mayLackChanges = store?.mayLackChanges ?? false
        file = Mutex(store)
        self.work = work
    }

    /// Why the last write failed, or the first one at the start; nil when it did not.
    var lastFault: String? { fault.withLock { $0 } }

    /// Notes changes that must be written as soon as the disk takes them: they go with the next write.
    func owe(_ changes: [JournalChange]) { owed.withLock { $0 += changes } }

    /// The number of writes to the disk, each with its `fsync`, and of those that failed.
    var counts: (written: UInt64, failed: UInt64) {
        (written.load(ordering: .relaxed), failed.load(ordering: .relaxed))
    }

    /// Writes changes; the future succeeds, on `loop`, when they are on the disk. Changes of one caller stay in order.
    func commit(_ changes: [JournalChange], on loop: any EventLoop) -> EventLoopFuture<Void> {
        let promise = loop.makePromise(of: Void.self)
        let isFirst = waiting.withLock { waiting in
            waiting.changes += changes
            waiting.promises.append(promise)
            return waiting.promises.count == 1
        }
        // Whoever comes while the disk is busy goes with the next write.
        if isFirst { work.submit { [self] _ in drain() } }
        return promise.futureResult
    }

    /// Writes changes and waits for the disk.
    func commitNow(_ changes: [JournalChange]) throws(SystemError) {
        let outcome = write(changes)
        if case .failure(let error) = outcome { throw error }
    }

    private func drain() {
        let batch = waiting.withLock { waiting in
            let batch = waiting
            waiting = Waiting()
            return batch
        }
        let outcome = write(batch.changes)
        for promise in batch.promises {
            switch outcome {
            case .success: promise.succeed()
            case .failure(let error): promise.fail(error)
            }
        }
    }

    private func write(_ changes: [JournalChange]) -> Result<Void, SystemError> {
        let owed = owed.withLock { $0 }
        let outcome: Result<Void, SystemError> = file.withLock { file in
            do throws(SystemError) {
                try file?.append(owed + changes)
                return .success(())
            } catch {
                return .failure(error)
            }
        }
        switch outcome {
        case .success:
            written.add(1, ordering: .relaxed)
            self.owed.withLock { $0.removeFirst(min(owed.count, $0.count)) }
            fault.withLock { $0 = nil }
        case .failure(let error):
            failed.add(1, ordering: .relaxed)
            fault.withLock { $0 = "\(error)" }
        }
        return outcome
    }

    /// Ends the thread when everything that waits was written.
    func close() {
        work.close()
    }
}
