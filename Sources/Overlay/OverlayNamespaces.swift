public import System

/// The overlay namespaces of one host: files in a directory that each keep a network namespace alive, as `ip netns` keeps
/// them in `/run/netns`.
public struct OverlayNamespaces: Sendable {
    /// Where they are.
    public static let usualDirectory = "/run/swiftlet/netns"

    /// The directory.
    public let directory: String

    /// The namespaces in a directory; it is made when the first one is.
    public init(directory: String = OverlayNamespaces.usualDirectory) {
        self.directory = directory
    }

    /// Where a network's namespace is.
    public func path(_ identity: NetworkIdentity) -> String { "\(directory)/\(identity.namespaceName)" }

    /// Takes the lock that guards a network's namespace and what is in it. Plugin and daemon take the same one: shared to add a
    /// container, alone to make, change or remove.
    ///
    /// - Parameter waits: whether to wait for it.
    /// - Throws: ``OverlayError/locked(_:)`` when it would have to wait and must not.
    public func lock(
        _ identity: NetworkIdentity, _ mode: FileLock.Mode, waits: Bool = true
    ) throws(OverlayError) -> FileLock {
        try lock(identity.namespaceName, mode, waits: waits)
    }

    /// The same by the namespace's name, see ``names()``.
    public func lock(
        _ name: String, _ mode: FileLock.Mode, waits: Bool = true
    ) throws(OverlayError) -> FileLock {
        let lock: FileLock?
        do {
            try Files.makeDirectories(directory, mode: 0o755)
            lock =
                waits
                ? try FileLock(lockPath(name), mode: mode) : try FileLock.attempt(lockPath(name), mode: mode)
        } catch {
            throw .system(error)
        }
        guard let lock else { throw .locked(lockPath(name)) }
        return lock
    }

    /// The file of the lock by the namespace's name; it stays.
    public func lockPath(_ name: String) -> String { "\(directory)/.\(name).lock" }

    /// Opens a network's namespace; nil when there is none, or only the file of one half made or half removed.
    public func open(_ identity: NetworkIdentity) throws(OverlayError) -> NetworkNamespace? {
        do {
            return try NetworkNamespace(path: path(identity))
        } catch {
            switch error.reason {
            case .gone, .notNamespace: return nil
            default: throw .namespace(error)
            }
        }
    }

    /// Opens a network's namespace, made when there is none. A file left by somebody killed half way is taken over. The
    /// caller holds the lock alone. Equivalent: `ip netns add`.
    public func make(_ identity: NetworkIdentity) throws(OverlayError) -> NetworkNamespace {
        if let found = try open(identity) { return found }
        let path = path(identity)
        try OverlayError.wrapping {
            try Files.makeDirectories(directory, mode: 0o755)
            try Mount.share(directory)
            try Files.rewrite(path, with: [], mode: 0o444)
            try onThread {
                try NetworkNamespace.enterNew()
                try Mount.bind("/proc/thread-self/ns/net", to: path)
            }
        }
        do {
            return try NetworkNamespace(path: path)
        } catch {
            throw .namespace(error)
        }
    }

    /// Takes a network's namespace away; the kernel removes it, and what is in it, some time after the last reference has
    /// gone. None is no error. The caller holds the lock alone. Equivalent: `ip netns delete`.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    public func remove(_ identity: NetworkIdentity) throws(OverlayError) -> Bool { try remove(identity.namespaceName) }

    /// Takes a namespace away by its name, see ``names()``.
    @discardableResult
    public func remove(_ name: String) throws(OverlayError) -> Bool {
        let path = "\(directory)/\(name)"
        guard Files.exists(path) else { return false }
        do {
            try Mount.detach(path)
            try Files.remove(path)
        } catch {
            throw .system(error)
        }
        return true
    }

    /// The names of all overlay namespaces here, sorted; leftovers that are none are among them.
    public func names() throws(OverlayError) -> [String] {
        guard Files.exists(directory) else { return [] }
        do {
            return try Files.list(directory).filter { $0.hasPrefix("1-") }.sorted()
        } catch {
            throw .system(error)
        }
    }
}
