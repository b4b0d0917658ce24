import Glibc
import Synchronization
import Testing

/// What a thread does.
final class ThreadWork: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Errors of several threads.
final class Failures: Sendable {
    private let errors = Mutex<[any Error]>([])
    var first: (any Error)? { errors.withLock { $0.first } }
    func collect(_ body: () throws -> Void) {
        do { try body() } catch { errors.withLock { $0.append(error) } }
    }
}

/// Runs `body` in that many threads at once and throws the first error.
func withThreads(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws {
    let failures = Failures()
    var handles: [pthread_t] = []
    for index in 0..<count {
        let work = ThreadWork { failures.collect { try body(index) } }
        let box = unsafe Unmanaged.passRetained(work).toOpaque()
        var handle = pthread_t()
        let result = unsafe pthread_create(&handle, nil, threadStart, box)
        if result == 0 { handles.append(handle) }
    }
    for handle in handles { pthread_join(handle, nil) }
    #expect(handles.count == count)
    if let failure = failures.first { throw failure }
}

private func threadStart(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context = unsafe context {
        unsafe Unmanaged<ThreadWork>.fromOpaque(context).takeRetainedValue().run()
    }
    return nil
}
