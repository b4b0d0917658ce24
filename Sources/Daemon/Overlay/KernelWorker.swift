internal import NIOCore
internal import Synchronization

/// The one thread on which the daemon talks to the kernel: what blocks there holds up neither the gossip nor the control
/// socket.
final class KernelWorker: Sendable {
    private let work: any BackgroundWork
    private let kernel: Mutex<any OverlayKernel>

    init(_ kernel: sending any OverlayKernel = Kernel(), work: any BackgroundWork = ThreadWork()) {
        self.kernel = Mutex(kernel)
        self.work = work
    }

    /// Does work in the order it was given.
    func run<Value: Sendable>(
        on loop: any EventLoop, _ body: @escaping @Sendable (inout any OverlayKernel) throws -> Value
    ) -> EventLoopFuture<Value> {
        let promise = loop.makePromise(of: Value.self)
        work.submit { [self] isActive in
            guard isActive else { return promise.fail(ChannelError.eof) }
            promise.completeWith(Result { try kernel.withLock { try body(&$0) } })
        }
        return promise.futureResult
    }

    /// Waits for what was given, and ends the thread.
    func close() { work.close() }
}
