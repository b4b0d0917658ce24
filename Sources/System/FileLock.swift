internal import CLinux

/// An advisory lock on a file (`flock(2)`), given back when the value goes away or the process dies.
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

    /// The descriptor, for a child that is to hold the lock, too: it is free again when both have ended.
    public var descriptor: Int32 { file.rawValue }

    /// Opens (and creates, with `permissions`) the lock file and waits for the lock.
    ///
    /// - Throws: the errno with the path.
    public init(_ path: String, mode: Mode = .exclusive, permissions: UInt32 = 0o600) throws(SystemError) {
        let opened = try OwnedFD(opening: path, flags: O_RDONLY | O_CREAT, mode: permissions)
        let descriptor = opened.rawValue
        do {
            _ = try retrying { flock(descriptor, mode == .shared ? LOCK_SH : LOCK_EX) }
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
        let opened = try OwnedFD(opening: path, flags: O_RDONLY | O_CREAT, mode: permissions)
        let descriptor = opened.rawValue
        do {
            _ = try retrying { flock(descriptor, (mode == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB) }
        } catch {
            if error == .resourceTemporarilyUnavailable { return nil }
            throw SystemError("lock", path, error)
        }
        return FileLock(file: opened)
    }

    private init(file: consuming OwnedFD) { self.file = file }

    /// Whether somebody has the lock alone. A lock file that is not there is not made.
    public static func isTaken(_ path: String) -> Bool {
        guard let file = try? OwnedFD(opening: path, flags: O_RDONLY) else { return false }
        let descriptor = file.rawValue
        do {
            _ = try retrying { flock(descriptor, LOCK_SH | LOCK_NB) }
            return false
        } catch {
            return error == .resourceTemporarilyUnavailable
        }
    }

    /// Changes how the lock is held, waiting. The kernel gives the old lock up first: others may have had their turn.
    public func change(to mode: Mode) throws(SystemError) {
        let descriptor = file.rawValue
        do {
            _ = try retrying { flock(descriptor, mode == .shared ? LOCK_SH : LOCK_EX) }
        } catch {
            throw SystemError("lock", "descriptor \(descriptor)", error)
        }
    }

    /// Changes how the lock is held, without waiting.
    ///
    /// The kernel gives the old lock up first: on failure the old mode is taken again, and whoever got in between has
    /// had its turn.
    /// - Returns: whether the new mode was granted.
    public func tryChange(to mode: Mode) -> Bool {
        let descriptor = file.rawValue
        if (try? retrying({ flock(descriptor, (mode == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB) })) != nil {
            return true
        }
        _ = try? retrying { flock(descriptor, mode == .shared ? LOCK_EX : LOCK_SH) }
        return false
    }
}
