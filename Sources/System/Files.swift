internal import CLinux

/// Whole-file and directory operations. Each names the path in its error.
public enum Files {
    /// Reads a whole file, at most `limit` bytes.
    ///
    /// - Throws: the errno; `EFBIG` beyond the limit.
    public static func read(_ path: String, limit: Int = 1 << 20) throws(SystemError) -> [UInt8] {
        let file = try OwnedFD(opening: path, flags: O_RDONLY)
        do {
            return try file.readToEnd(limit: limit)
        } catch {
            throw SystemError("read", path, error)
        }
    }

    /// Reads a regular file that somebody else chose, at most `limit` bytes; symbolic links are followed, and nothing else,
    /// such as a FIFO nobody writes to, is waited for.
    ///
    /// - Throws: the errno; `EINVAL` for what is no regular file, `EFBIG` beyond the limit.
    public static func readRegular(_ path: String, limit: Int = 1 << 20) throws(SystemError) -> [UInt8] {
        let file = try OwnedFD(opening: path, flags: O_RDONLY | O_NONBLOCK)
        do throws(Errno) {
            guard try file.status().isRegularFile else { throw .invalidArgument }
            return try file.readToEnd(limit: limit)
        } catch {
            throw SystemError("read", path, error)
        }
    }

    /// Reads a small text file as UTF-8 with invalid bytes replaced.
    public static func text(_ path: String) throws(SystemError) -> String {
        String(decoding: try read(path), as: UTF8.self)
    }

    /// Overwrites an existing file in place, as `/proc` and `/sys` want it.
    public static func overwrite(_ path: String, with bytes: [UInt8]) throws(SystemError) {
        let file = try OwnedFD(opening: path, flags: O_WRONLY)
        do {
            try file.writeAll(bytes)
        } catch {
            throw SystemError("write", path, error)
        }
    }

    /// Writes a small file in place, creating it when missing; what is left of longer old contents is cut off.
    ///
    /// For hints only: a process that dies in between can leave new text with old text behind it. It costs a fraction of
    /// ``AtomicFile/replace(_:with:mode:isDurable:)``, because replacing and truncating make ext4 write data out at once.
    public static func rewrite(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600) throws(SystemError) {
        let file = try OwnedFD(opening: path, flags: O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: mode)
        do {
            try file.writeBytes(bytes, at: 0)
            if try file.status().size > bytes.count { try file.truncate(to: bytes.count) }
        } catch {
            throw SystemError("write", path, error)
        }
    }

    /// Creates a directory and what is missing above it. Equivalent: `mkdir -p -m MODE path`.
    public static func makeDirectories(_ path: String, mode: UInt32) throws(SystemError) {
        if unsafe mkdir(path, mode) == 0 { return }
        switch Errno.current {
        case .fileExists:
            guard (try FileStatus(of: path)).isDirectory else { throw SystemError("mkdir", path, .notDirectory) }
        case .noSuchFileOrDirectory:
            guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
                throw SystemError("mkdir", path, .noSuchFileOrDirectory)
            }
            try makeDirectories(String(path[..<slash]), mode: mode)
            // Another process may have been faster.
            if unsafe mkdir(path, mode) != 0, Errno.current != .fileExists {
                throw SystemError("mkdir", path, .current)
            }
        case let errno:
            throw SystemError("mkdir", path, errno)
        }
    }

    /// Removes a file; one that is not there is no error. Equivalent: `rm -f path`.
    public static func remove(_ path: String) throws(SystemError) {
        if unsafe unlink(path) != 0, Errno.current != .noSuchFileOrDirectory {
            throw SystemError("unlink", path, .current)
        }
    }

    /// Renames a file over another. Equivalent: `mv -T`.
    public static func rename(_ source: String, to target: String) throws(SystemError) {
        if unsafe renameat(AT_FDCWD, source, AT_FDCWD, target) != 0 {
            throw SystemError("rename", "\(source) to \(target)", .current)
        }
    }

    /// The names in a directory, unsorted, without `.` and `..`.
    public static func list(_ path: String) throws(SystemError) -> [String] {
        guard let stream = unsafe opendir(path) else { throw SystemError("open directory", path, .current) }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
                unsafe field.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }

    /// Whether something is at `path`, symbolic links followed.
    public static func exists(_ path: String) -> Bool {
        unsafe access(path, F_OK) == 0
    }

    /// Whether the process may create and remove entries in the directory `path`.
    public static func isWritableDirectory(_ path: String) -> Bool {
        unsafe access(path, W_OK | X_OK) == 0
    }
}
