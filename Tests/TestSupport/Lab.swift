internal import CLinux
public import JSON
internal import System

/// A fake host for black-box tests: a network namespace and a mount namespace of its own, with fresh `/run` and
/// `/var/lib/cni`, the rest of the root file system read-only, and the network namespaces of its containers bound at
/// `/run/netns/<name>`.
///
/// Everything in it is held by descriptors of this value alone: when the value goes away, or the test process dies, the
/// kernel takes namespaces, mounts, links and files with it.
public final class Lab: Sendable {
    private let network: OwnedFD
    private let mounts: OwnedFD
    /// The containers made so far at the start, "c0", "c1", …
    public let containers: [String]

    /// Makes a host with `containers` containers; its `lo` is up, as on any host.
    public init(containers count: Int = 1) throws {
        let outside = try FileStatus(of: "/proc/thread-self/ns/net")
        let (network, mounts) = try onThread {
            guard unshare(CLONE_NEWNS | CLONE_NEWNET) == 0 else { throw SystemError("unshare", "namespaces", .current) }
            let inside = try FileStatus(of: "/proc/thread-self/ns/net")
            guard inside.inode != outside.inode else { throw LabError("still in the namespace the test started in") }
            try Lab.prepareMounts()
            return (try Lab.open("/proc/thread-self/ns/net"), try Lab.open("/proc/thread-self/ns/mnt"))
        }
        self.network = OwnedFD(owning: network)
        self.mounts = OwnedFD(owning: mounts)
        containers = (0..<count).map { "c\($0)" }
        try tool("ip", "link", "set", "lo", "up")
        for name in containers { try addContainer(name) }
    }

    private static func prepareMounts() throws {
        // Private first: nothing mounted here may reach the machine's own mount namespace.
        try mount("none", "/", nil, MS_REC | MS_PRIVATE)
        try mount("tmpfs", "/run", "tmpfs", 0)
        try Files.makeDirectories("/run/netns", mode: 0o755)
        if !Files.exists("/var/lib/cni") {
            // The machine never had CNI: a tmpfs over /var/lib gives us the room without touching its disk.
            try mount("tmpfs", "/var/lib", "tmpfs", 0)
            try Files.makeDirectories("/var/lib/cni", mode: 0o755)
        } else {
            try mount("tmpfs", "/var/lib/cni", "tmpfs", 0)
        }
        // Whatever a plugin is told to write elsewhere, it does not reach the machine's disk.
        try? mount("none", "/", nil, MS_REMOUNT | MS_BIND | MS_RDONLY)
        // A sysfs shows the links of the namespace it was mounted in.
        try? mount("sysfs", "/sys", "sysfs", 0)
    }

    private static func mount(_ source: String, _ target: String, _ type: String?, _ flags: Int) throws {
        guard unsafe CLinux.mount(source, target, type, UInt(flags), nil) == 0 else {
            throw SystemError("mount", target, .current)
        }
    }

    private static func open(_ path: String) throws -> Int32 {
        let descriptor = unsafe swiftlet_open(path, O_RDONLY | O_CLOEXEC, 0)
        guard descriptor >= 0 else { throw SystemError("open", path, .current) }
        return descriptor
    }

    /// A path that leads to the host's network namespace from every lab, as long as this one lives.
    public var networkPath: String { "/proc/\(getpid())/fd/\(network.rawValue)" }

    /// The path of a container's network namespace, as the plugins see it.
    public func netns(_ name: String) -> String { "/run/netns/\(name)" }

    /// Makes a container's network namespace and binds it at ``netns(_:)``. Equivalent: `ip netns add`.
    public func addContainer(_ name: String) throws {
        let path = netns(name)
        try inside {
            guard unshare(CLONE_NEWNET) == 0 else { throw SystemError("unshare", "network", .current) }
            try AtomicFile.replace(path, with: [], mode: 0o444)
            try Lab.mount("/proc/thread-self/ns/net", path, nil, MS_BIND)
        }
    }

    /// Takes a container's namespace away, with all links in it. Equivalent: `ip netns delete`.
    public func removeContainer(_ name: String) throws {
        let path = netns(name)
        try inside {
            guard unsafe umount2(path, Int32(MNT_DETACH)) == 0 else { throw SystemError("umount", path, .current) }
            try Files.remove(path)
        }
    }

    /// Runs `body` on a fresh thread in the host's namespaces, or with the network of `container`.
    ///
    /// Files are those of the lab; `/proc/sys/net` is that of the network namespace.
    public func inside<Value: Sendable>(_ container: String? = nil, _ body: @Sendable () throws -> Value) throws
        -> Value
    {
        let (network, mounts) = (network.rawValue, mounts.rawValue)
        let path = container.map { netns($0) }
        return try onThread {
            // The thread shares its root directory with the process until this.
            guard unshare(CLONE_FS) == 0, setns(mounts, CLONE_NEWNS) == 0, setns(network, CLONE_NEWNET) == 0 else {
                throw SystemError("enter", "lab", .current)
            }
            if let path {
                let file = try OwnedFD(opening: path, flags: O_RDONLY)
                guard setns(file.rawValue, CLONE_NEWNET) == 0 else { throw SystemError("setns", path, .current) }
            }
            return try body()
        }
    }

    /// Runs a tool of the system (`ip`, `bridge`, `nft`, …) and gives its output.
    ///
    /// - Throws: ``LabError`` with what it wrote to standard error when it fails.
    @discardableResult
    public func tool(_ name: String, _ arguments: String..., in container: String? = nil) throws -> String {
        try tool(name, arguments, in: container)
    }

    /// Runs a tool of the system with a list of arguments.
    @discardableResult
    public func tool(_ name: String, _ arguments: [String], in container: String? = nil) throws -> String {
        guard let path = Lab.find(name) else { throw LabError("\(name) is not installed") }
        let outcome = try inside(container) {
            try ChildProcess.run(path, arguments, environment: Environment([("LC_ALL", "C")]))
        }
        guard outcome.status == 0 else {
            throw LabError("\(name) \(arguments.joined(separator: " ")): \(outcome.status) \(outcome.errorText)")
        }
        return outcome.text
    }

    /// Where a tool of the system is, nil when it is not installed.
    public static func find(_ name: String) -> String? {
        ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map { "\($0)/\(name)" }.first { Files.exists($0) }
    }

    /// The parsed JSON output of a tool; an empty array when it printed nothing.
    public func query(_ name: String, _ arguments: [String], in container: String? = nil) throws -> Value {
        let text = try tool(name, arguments, in: container)
        return text.allSatisfy(\.isWhitespace) ? [] : try Value(parsing: Array(text.utf8))
    }

    /// Reads a file of the lab.
    public func read(_ path: String) throws -> String { try inside { try Files.text(path) } }

    /// Writes a file of the lab, its directory made when it is missing.
    public func write(_ path: String, _ text: String, mode: UInt32 = 0o600) throws {
        try inside {
            if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
                try Files.makeDirectories(String(path[..<slash]), mode: 0o755)
            }
            try AtomicFile.replace(path, with: Array(text.utf8), mode: mode)
        }
    }

    /// The names in a directory of the lab, sorted; none when it is not there.
    public func list(_ path: String) throws -> [String] {
        try inside { Files.exists(path) ? try Files.list(path).sorted() : [] }
    }
}

/// A lab that cannot do what the test asked of it.
public struct LabError: Error, CustomStringConvertible, Sendable {
    /// What went wrong.
    public let description: String
    /// Describes a failure of the lab itself.
    public init(_ description: String) { self.description = description }
}
