internal import CLinux

/// An advisory lock on a file (`flock(2)`), given back when the value goes away or the process dies.
///
/// The last part of a lock's path is no symbolic link: it would make, and lock, a file of somebody else's choice. Opening a
/// FIFO there does not wait for a writer.
///
/// Order, outermost first, to rule out deadlock: bridge (or other shared link) → address store → packet filter.
public struct FileLock: ~Copyable, Sendable {
    /// How a lock is shared.
    public enum Mode: Sendable {
        /// Many holders (`LOCK_SH`).
        case shared
        /// One holder (`LOCK_EX`).
        case exclusive
    }

    private let file: OwnedFD
    private static var flags: Int32 { O_RDONLY | O_NOFOLLOW | O_NONBLOCK }

    /// The descriptor, for a child that is to hold the lock, too: it is free again when both have ended.
    public var descriptor: Int32 { file.rawValue }

    /// Opens (and creates, with `permissions`) the lock file and waits for the lock.
    ///
    /// - Throws: the errno with the path.
    public init(_ path: String, mode: Mode = .exclusive, permissions: UInt32 = 0o600) throws(SystemError) {
        let opened = try OwnedFD(opening: path, flags: Self.flags | O_CREAT, mode: permissions)
        do {
            try Self.take(opened.rawValue, mode)
        } catch {
            throw SystemError("lock", path, error)
        }
        file = opened
    }

    /// Opens (and creates, with `permissions`) the lock file and takes the lock if that needs no waiting; nil if it does.
    ///
    /// - Throws: the errno with the path.
    public static func attempt(
        _ path: String, mode: Mode = .exclusive, permissions: UInt32 = 0o600
    ) throws(SystemError) -> FileLock? {
        let file = try OwnedFD(opening: path, flags: flags | O_CREAT, mode: permissions)
        do {
            try take(file.rawValue, mode, flags: LOCK_NB)
        } catch {
            if error == .resourceTemporarilyUnavailable { return nil }
            throw SystemError("lock", path, error)
        }
        return FileLock(file: file)
    }

    private init(file: consuming OwnedFD) { self.file = file }

    /// Whether somebody has the lock alone. A lock file that is not there is not made.
    public static func isTaken(_ path: String) -> Bool {
        guard let file = try? OwnedFD(opening: path, flags: flags) else { return false }
        do {
            try take(file.rawValue, .shared, flags: LOCK_NB)
            return false
        } catch {
            return error == .resourceTemporarilyUnavailable
        }
    }

    /// Changes how the lock is held, waiting. The kernel gives the old lock up first: others may have had their turn.
    public func change(to mode: Mode) throws(SystemError) {
        do {
            try Self.take(file.rawValue, mode)
        } catch {
            throw SystemError("lock", "descriptor \(file.rawValue)", error)
        }
    }

    /// Changes how the lock is held, without waiting.
    ///
    /// The kernel gives the old lock up first: on failure the old mode is taken again, and whoever got in between has
    /// had its turn.
    /// - Returns: whether the new mode was granted.
    public func tryChange(to mode: Mode) -> Bool {
        if (try? Self.take(file.rawValue, mode, flags: LOCK_NB)) != nil { return true }
        try? Self.take(file.rawValue, mode == .shared ? .exclusive : .shared)
        return false
    }

    private static func take(_ descriptor: Int32, _ mode: Mode, flags: Int32 = 0) throws(Errno) {
        _ = try retrying { flock(descriptor, (mode == .shared ? LOCK_SH : LOCK_EX) | flags) }
    }
}
