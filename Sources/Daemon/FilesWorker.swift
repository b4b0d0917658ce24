internal import NIOCore

/// The thread on which the daemon reads and writes files other than its journal: a disk that hangs holds up neither the
/// gossip nor what the kernel is told.
final class FilesWorker: Sendable {
    private let work: any BackgroundWork

    init(work: any BackgroundWork = ThreadWork()) { self.work = work }

    /// Does work in the order it was given.
    func run<Value: Sendable>(
        on loop: any EventLoop, _ body: @escaping @Sendable () throws -> Value
    ) -> EventLoopFuture<Value> {
        let promise = loop.makePromise(of: Value.self)
        work.submit { isActive in
            guard isActive else { return promise.fail(ChannelError.eof) }
            promise.completeWith(Result { try body() })
        }
        return promise.futureResult
    }

    /// Waits for what was given, and ends the thread.
    func close() { work.close() }
}
