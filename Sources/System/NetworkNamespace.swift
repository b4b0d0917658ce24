internal import CLinux

/// Why a path does not lead to a usable network namespace.
public struct NamespaceError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The reason, by kind: DEL treats a namespace that is gone differently from one that cannot be opened.
    public enum Reason: Equatable, Sendable {
        /// Nothing at the path.
        case gone
        /// Something is there, but not a namespace; the file system's magic number.
        case notNamespace(magic: Int)
        /// It is a namespace of another kind.
        case otherKind
        /// A system call failed.
        case system(SystemError)
    }

    /// The namespace's path as given.
    public let path: String
    /// What is wrong.
    public let reason: Reason

    /// Describes an unusable namespace path.
    public init(path: String, reason: Reason) {
        self.path = path
        self.reason = reason
    }

    /// The reference plugins' wording, which clients match on.
    public var description: String {
        switch reason {
        case .gone: "failed to open netns \"\(path)\": failed to Statfs \"\(path)\": no such file or directory"
        case .notNamespace(let magic):
            "failed to open netns \"\(path)\": unknown FS magic on \"\(path)\": \(String(magic, radix: 16))"
        case .otherKind: "failed to open netns \"\(path)\": it is a namespace of another kind"
        case .system(let error): "failed to open netns \"\(path)\": \(error)"
        }
    }
}

/// An open network namespace.
///
/// The main thread never changes its namespace: what has to run inside runs on a thread that is thrown away.
public struct NetworkNamespace: ~Copyable, Sendable {
    private let file: OwnedFD
    /// The path it was opened by.
    public let path: String

    /// Opens the namespace at `path`, a bind mount or `/proc/<pid>/ns/net`.
    ///
    /// - Throws: ``NamespaceError`` when the path is missing or is not a namespace (`statfs` magic).
    public init(path: String) throws(NamespaceError) {
        let opened = try Self.open(path)
        var buffer = statfs()
        guard unsafe fstatfs(opened.rawValue, &buffer) == 0 else {
            throw NamespaceError(path: path, reason: .system(SystemError("statfs", path, .current)))
        }
        // A namespace file lives on nsfs. One of another kind, or another file of /proc, is as good as any other file.
        guard Int(buffer.f_type) == Int(NSFS_MAGIC) else {
            throw NamespaceError(path: path, reason: .notNamespace(magic: Int(buffer.f_type)))
        }
        guard swiftlet_namespace_type(opened.rawValue) == CLONE_NEWNET else {
            throw NamespaceError(path: path, reason: .otherKind)
        }
        file = opened
        self.path = path
    }

    private static func open(_ path: String) throws(NamespaceError) -> OwnedFD {
        do {
            return try OwnedFD(opening: path, flags: O_RDONLY | O_NONBLOCK)
        } catch {
            let gone = error.errno == .noSuchFileOrDirectory || error.errno == .notDirectory
            throw NamespaceError(path: path, reason: gone ? .gone : .system(error))
        }
    }

    /// The namespace the calling thread is in.
    public static func current() throws(NamespaceError) -> NetworkNamespace {
        try NetworkNamespace(path: "/proc/thread-self/ns/net")
    }

    /// Moves the calling thread into a new, empty network namespace. Only for threads that are thrown away: call it
    /// inside ``onThread(_:)``. Equivalent: `unshare -n`.
    public static func enterNew() throws(SystemError) {
        guard unshare(CLONE_NEWNET) == 0 else { throw SystemError("unshare", "network namespace", .current) }
    }

    private init(file: consuming OwnedFD, path: String) {
        self.file = file
        self.path = path
    }

    /// A second handle on the same namespace, for an owner that outlives this one. Equivalent: `fcntl(F_DUPFD_CLOEXEC)`.
    public func duplicated() throws(SystemError) -> NetworkNamespace {
        let descriptor = swiftlet_duplicate(file.rawValue)
        guard descriptor >= 0 else { throw SystemError("duplicate", path, .current) }
        return NetworkNamespace(file: OwnedFD(owning: descriptor), path: path)
    }

    /// The descriptor, for `IFLA_NET_NS_FD`; valid as long as this value lives.
    public var descriptor: Int32 { file.rawValue }

    /// Whether both are the same namespace (device and inode).
    public func isSame(as other: borrowing NetworkNamespace) throws(Errno) -> Bool {
        let (mine, theirs) = (try file.status(), try other.file.status())
        return mine.device == theirs.device && mine.inode == theirs.inode
    }

    /// Runs `body` inside the namespace on a fresh thread and waits for it (about 30 µs).
    ///
    /// - Throws: what `body` throws, or ``SystemError`` when the namespace cannot be entered.
    public func run<Value: Sendable>(_ body: @Sendable () throws -> Value) throws -> Value {
        let descriptor = file.rawValue
        let path = path
        return try onThread {
            guard setns(descriptor, CLONE_NEWNET) == 0 else { throw SystemError("setns", path, .current) }
            return try body()
        }
    }
}

/// Runs `body` on a fresh thread and waits for it. A thread that changed its namespace is never used again.
///
/// - Throws: what `body` throws, or ``SystemError`` when no thread can be made.
public func onThread<Value: Sendable>(_ body: @Sendable () throws -> Value) throws -> Value {
    try withoutActuallyEscaping(body) { body in
        var call = ThreadCall<Value>(body: body)
        let error = unsafe withUnsafeMutablePointer(to: &call) { pointer in
            unsafe runThread(UnsafeMutableRawPointer(pointer), ThreadCall<Value>.self)
        }
        guard error == 0 else { throw SystemError("create", "thread", Errno(rawValue: error)) }
        guard let result = call.result else { throw SystemError("join", "thread", .invalidArgument) }
        return try result.get()
    }
}

private protocol ThreadBody {
    mutating func run()
}

private struct ThreadCall<Value: Sendable>: ThreadBody {
    let body: @Sendable () throws -> Value
    var result: Result<Value, any Error>?

    mutating func run() { result = Result(catching: body) }
}

private final class ThreadBox {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
}

private func runThread<Body: ThreadBody>(_ pointer: UnsafeMutableRawPointer, _: Body.Type) -> Int32 {
    let typed = unsafe pointer.assumingMemoryBound(to: Body.self)
    let box = ThreadBox { unsafe typed.pointee.run() }
    return unsafe swiftlet_run_on_thread(
        { context in
            guard let context = unsafe context else { return }
            unsafe Unmanaged<ThreadBox>.fromOpaque(context).takeUnretainedValue().run()
        }, Unmanaged.passUnretained(box).toOpaque())
}
