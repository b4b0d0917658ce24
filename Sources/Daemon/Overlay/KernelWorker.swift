internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// The one thread on which the daemon talks to the kernel: what blocks there holds up neither the gossip nor the control
/// socket.
final class KernelWorker: Sendable {
    private let thread = NIOThreadPool(numberOfThreads: 1)
    private let kernel: Mutex<Kernel>

    init(_ kernel: sending Kernel = Kernel()) {
        self.kernel = Mutex(kernel)
        thread.start()
    }

    /// Does work in the order it was given.
    func run<Value: Sendable>(
        on loop: any EventLoop, _ body: @escaping @Sendable (inout Kernel) throws -> Value
    ) -> EventLoopFuture<Value> {
        thread.runIfActive(eventLoop: loop) { [self] in try kernel.withLock { try body(&$0) } }
    }

    /// Waits for what was given, and ends the thread.
    func close() { try? thread.syncShutdownGracefully() }
}
