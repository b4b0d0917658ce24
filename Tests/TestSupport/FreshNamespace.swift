internal import CLinux
public import System

/// A network namespace made for one test. It goes when the value and all threads and links in it are gone.
public struct FreshNamespace: ~Copyable, Sendable {
    private let file: OwnedFD

    /// Makes a namespace nobody is in, with nothing but `lo` (down). Equivalent: `ip netns add`, without a name.
    public init() throws {
        file = OwnedFD(
            owning: try onThread {
                try Self.unshareThread()
                return try Self.openOwn()
            })
    }

    fileprivate init(descriptor: Int32) {
        file = OwnedFD(owning: descriptor)
    }

    /// A path that leads here for every process of ours and of our children, as long as this value lives: good as
    /// `CNI_NETNS`, for `nsenter --net=` and for `NetworkNamespace(path:)`.
    public var path: String { "/proc/\(getpid())/fd/\(file.rawValue)" }

    /// The namespace, opened once more.
    public func open() throws -> NetworkNamespace { try NetworkNamespace(path: path) }

    /// Runs `body` on a fresh thread inside the namespace.
    public func run<Value: Sendable>(_ body: @Sendable () throws -> Value) throws -> Value {
        try open().run(body)
    }

    // MARK: -

    /// Whether this process may make network namespaces; the reason why not is printed once. For `.enabled(if:)`.
    public static let isPermitted: Bool = {
        do {
            try onThread { try unshareThread() }
            return true
        } catch {
            print("Skipped: tests that need a network namespace of their own (\(error)); run as root or unshare -Urn")
            return false
        }
    }()

    fileprivate static func unshareThread() throws {
        guard unshare(CLONE_NEWNET) == 0 else { throw SystemError("unshare", "network namespace", .current) }
    }

    fileprivate static func openOwn() throws -> Int32 {
        let descriptor = unsafe swiftlet_open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw SystemError("open", "/proc/thread-self/ns/net", .current) }
        return descriptor
    }
}

/// Runs `body` on a fresh thread in a brand-new network namespace, which it is handed. Child processes started from the
/// thread (``Spawn``, ``command(_:)``) are in the namespace, too; the host's is never touched.
///
///     try inFreshNamespace { namespace in
///         let inner = try FreshNamespace()   // a container, say
///         …
///     }
public func inFreshNamespace<Value: Sendable>(
    _ body: @Sendable (borrowing FreshNamespace) throws -> Value
) throws -> Value {
    try onThread {
        try FreshNamespace.unshareThread()
        return try body(FreshNamespace(descriptor: FreshNamespace.openOwn()))
    }
}

/// A command that did not end well.
public struct CommandFailure: Error, CustomStringConvertible {
    /// The command, its status and its words.
    public let description: String
}

/// Runs an external command from the calling thread's namespace and returns what it wrote; killed after thirty seconds.
///
/// - Parameter line: words separated by spaces, no quoting: "ip -j link show dev br0".
/// - Throws: ``CommandFailure`` when it fails, with what it wrote to standard error.
@discardableResult
public func command(_ line: String) throws -> String {
    let words = line.split(separator: " ").map(String.init)
    let environment = Environment([("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LC_ALL", "C")])
    let outcome = try Spawn.run(
        "/usr/bin/timeout", arguments: ["timeout", "--signal=KILL", "30"] + words, environment: environment)
    guard outcome.status == 0 else {
        let words = String(decoding: outcome.errorOutput, as: UTF8.self)
        throw CommandFailure(description: "\(line): status \(outcome.status): \(words)")
    }
    return String(decoding: outcome.output, as: UTF8.self)
}
