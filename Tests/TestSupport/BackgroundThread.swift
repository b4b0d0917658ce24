internal import CLinux
internal import System

/// A thread that runs beside the test and is waited for when the value goes away.
package final class BackgroundThread: Sendable {
    private let thread: pthread_t

    /// Starts `body` on a thread of its own.
    package init(_ body: @escaping @Sendable () -> Void) throws {
        let box = unsafe Unmanaged.passRetained(Body(body))
        var thread = pthread_t()
        let error = unsafe pthread_create(
            &thread, nil,
            { context in
                if let context = unsafe context {
                    unsafe Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
                }
                return nil
            }, unsafe box.toOpaque())
        guard error == 0 else {
            unsafe box.release()
            throw SystemError("create", "thread", Errno(rawValue: error))
        }
        self.thread = thread
    }

    deinit { pthread_join(thread, nil) }

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }
}
