internal import NIOPosix

/// Where blocking work is done, in the order it was given: a thread in a daemon, a simulated disk's time in a test.
protocol BackgroundWork: Sendable {
    /// Does it later, after what was given before; `isActive` is false when the work was closed meanwhile.
    func submit(_ body: @escaping @Sendable (_ isActive: Bool) -> Void)
    /// Waits for what was given, and ends.
    func close()
}

/// A thread of its own.
final class ThreadWork: BackgroundWork {
    private let thread = NIOThreadPool(numberOfThreads: 1)

    init() { thread.start() }

    func submit(_ body: @escaping @Sendable (_ isActive: Bool) -> Void) {
        thread.submit { state in
            switch state {
            case .active: body(true)
            case .cancelled: body(false)
            }
        }
    }

    func close() { try? thread.syncShutdownGracefully() }
}
