internal import CLinux

/// Files that are either whole or not there, whatever instant the process dies at.
public enum AtomicFile {
    /// Replaces `path` with `contents`: temporary file beside it, `fsync`, `rename`.
    ///
    /// A temporary file left by a crash is named `.<name>.<pid>.tmp`; the next replacement by the same pid reuses it.
    /// - Parameter isDurable: false leaves out the `fsync`: still whole for every process whatever dies, but a power cut
    ///   may leave it empty.
    /// - Throws: the errno with the path; the old file is then untouched.
    public static func replace(
        _ path: String, with contents: [UInt8], mode: UInt32 = 0o600, isDurable: Bool = true
    ) throws(SystemError) {
        let temporary = temporaryPath(beside: path)
        do throws(SystemError) {
            try write(temporary, contents, mode: mode, isDurable: isDurable)
            try Files.rename(temporary, to: path)
        } catch {
            _ = unsafe unlink(temporary)
            throw error
        }
    }

    private static func write(_ path: String, _ contents: [UInt8], mode: UInt32, isDurable: Bool = true)
        throws(SystemError)
    {
        let file = try OwnedFD(opening: path, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
        do {
            try file.writeAll(contents)
            if isDurable { try file.synchronize() }
        } catch {
            throw SystemError("write", path, error)
        }
    }

    /// Creates `path` with `contents` in one step: nobody ever sees it empty or half written.
    ///
    /// An unnamed file (`O_TMPFILE`) is written, forced to storage and then linked; where the file system has no unnamed
    /// files, a temporary file is used instead.
    /// - Returns: false, and nothing changed, when `path` already exists.
    public static func create(_ path: String, with contents: [UInt8], mode: UInt32 = 0o600) throws(SystemError) -> Bool
    {
        let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let descriptor = unsafe swiftlet_open(directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode)
        if descriptor < 0 { return try createByTemporary(path, with: contents, mode: mode) }
        let file = OwnedFD(owning: descriptor)
        do {
            try file.writeAll(contents)
            try file.synchronize()
        } catch {
            throw SystemError("write", path, error)
        }
        if unsafe linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 {
            return true
        }
        switch Errno.current {
        case .fileExists: return false
        // No /proc, or a file system that cannot link unnamed files.
        case .noSuchFileOrDirectory, .notPermitted, .notSupported:
            return try createByTemporary(path, with: contents, mode: mode)
        case let errno: throw SystemError("link", path, errno)
        }
    }

    private static func createByTemporary(_ path: String, with contents: [UInt8], mode: UInt32) throws(SystemError)
        -> Bool
    {
        let temporary = temporaryPath(beside: path)
        defer { _ = unsafe unlink(temporary) }
        try write(temporary, contents, mode: mode)
        if unsafe link(temporary, path) == 0 { return true }
        let errno = Errno.current
        if errno == .fileExists { return false }
        throw SystemError("link", path, errno)
    }

    private static func temporaryPath(beside path: String) -> String {
        let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        return "\(path[..<slash]).\(path[slash...]).\(getpid()).tmp"
    }
}
