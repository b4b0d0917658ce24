internal import CLinux

/// A file descriptor with one owner, closed when the owner goes away.
public struct OwnedFD: ~Copyable, Sendable {
    /// The descriptor's number; valid as long as this value lives.
    public let rawValue: Int32

    /// Takes ownership of an open descriptor.
    public init(owning rawValue: Int32) {
        self.rawValue = rawValue
    }

    deinit {
        // The only error that matters here, EBADF, would be a bug of ours; nothing can be done about EIO any more.
        _ = close(rawValue)
    }

    /// Opens `path`; `O_CLOEXEC` is always added. Equivalent: `open(2)`.
    ///
    /// - Throws: the errno with the path.
    public init(opening path: String, flags: Int32, mode: UInt32 = 0) throws(SystemError) {
        do {
            rawValue = try retrying { unsafe swiftlet_open(path, flags | O_CLOEXEC, mode) }
        } catch {
            throw SystemError("open", path, error)
        }
    }

    /// Opens `path` relative to `directory`; `O_CLOEXEC` is always added. Equivalent: `openat(2)`.
    ///
    /// - Throws: the errno with the path.
    public init(opening path: String, in directory: borrowing OwnedFD, flags: Int32, mode: UInt32 = 0)
        throws(SystemError)
    {
        let base = directory.rawValue
        do {
            rawValue = try retrying { unsafe swiftlet_openat(base, path, flags | O_CLOEXEC, mode) }
        } catch {
            throw SystemError("open", path, error)
        }
    }

    /// Opens an existing file that somebody else may have put there: a symbolic link is refused (`ELOOP`), and a FIFO
    /// does not block.
    ///
    /// - Throws: the errno with the path.
    public init(existing path: String, isWritable: Bool = false) throws(SystemError) {
        try self.init(opening: path, flags: (isWritable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK)
    }

    /// Opens for reading an existing file of `directory`, as ``init(existing:isWritable:)`` does.
    ///
    /// - Throws: the errno with the name.
    public init(existing name: String, in directory: borrowing OwnedFD) throws(SystemError) {
        try self.init(opening: name, in: directory, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    }

    /// Opens a directory.
    ///
    /// - Throws: the errno with the path.
    public init(directory path: String) throws(SystemError) {
        try self.init(opening: path, flags: O_RDONLY | O_DIRECTORY)
    }

    /// Reads to the end of the file, but never more than `limit` bytes.
    ///
    /// - Throws: the errno; `EFBIG` when there are more than `limit` bytes.
    public func readToEnd(limit: Int) throws(Errno) -> [UInt8] {
        try readFully(rawValue, limit: limit)
    }

    /// Writes all of `bytes`, however many calls that takes.
    ///
    /// - Throws: the errno of the first failed write.
    public func writeAll(_ bytes: some Collection<UInt8>) throws(Errno) {
        try writeFully(rawValue, Array(bytes))
    }

    /// Reads up to `count` bytes at `offset`; fewer at the end of the file. Equivalent: `pread(2)`.
    public func readBytes(count: Int, at offset: Int) throws(Errno) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = try retrying {
                unsafe buffer.withUnsafeMutableBytes { raw in
                    unsafe pread(rawValue, raw.baseAddress?.advanced(by: done), count - done, off_t(offset + done))
                }
            }
            if got == 0 { break }
            done += got
        }
        buffer.removeLast(count - done)
        return buffer
    }

    /// Writes all of `bytes` at `offset`. Equivalent: `pwrite(2)`.
    public func writeBytes(_ bytes: [UInt8], at offset: Int) throws(Errno) {
        var done = 0
        while done < bytes.count {
            let put = try retrying {
                unsafe bytes.withUnsafeBytes { raw in
                    unsafe pwrite(rawValue, raw.baseAddress?.advanced(by: done), raw.count - done, off_t(offset + done))
                }
            }
            done += put
        }
    }

    /// Cuts the file, or fills it up with zeros, to a size. Equivalent: `ftruncate(2)`.
    public func truncate(to size: Int) throws(Errno) {
        _ = try retrying { ftruncate(rawValue, off_t(size)) }
    }

    /// Forces the file's contents to stable storage. Equivalent: `fsync(2)`.
    public func synchronize() throws(Errno) {
        _ = try retrying { fsync(rawValue) }
    }

    /// Sets the time of the last change of the contents, nanoseconds since the epoch; the time of access stays.
    /// File systems keep it as precisely as they can: ``status()`` tells what became of it. Equivalent: `futimens(2)`.
    public func setModified(_ nanoseconds: Int64) throws(Errno) {
        // The kernel wants nanoseconds of 0...999 999 999 before the epoch too.
        let (seconds, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
        let modified = timespec(
            tv_sec: Int(rest < 0 ? seconds - 1 : seconds), tv_nsec: Int(rest < 0 ? rest + 1_000_000_000 : rest))
        let omit = (1 << 30) - 2  // UTIME_OMIT of <sys/stat.h>, a macro Swift does not see
        let times = [timespec(tv_sec: 0, tv_nsec: omit), modified]
        _ = try retrying { unsafe futimens(rawValue, times) }
    }

    /// What `fstat(2)` says.
    public func status() throws(Errno) -> FileStatus {
        var buffer = stat()
        _ = try retrying { unsafe fstat(rawValue, &buffer) }
        return FileStatus(buffer)
    }
}

/// Writes all bytes to a descriptor that somebody else owns (standard output, standard error).
public func writeFully(_ descriptor: Int32, _ bytes: [UInt8]) throws(Errno) {
    var done = 0
    while done < bytes.count {
        let put = try retrying {
            unsafe bytes.withUnsafeBytes { raw in
                unsafe write(descriptor, raw.baseAddress?.advanced(by: done), raw.count - done)
            }
        }
        done += put
    }
}

/// Reads a descriptor that somebody else owns (standard input) to its end, at most `limit` bytes.
///
/// - Throws: the errno; `EFBIG` when there are more than `limit` bytes.
public func readFully(_ descriptor: Int32, limit: Int) throws(Errno) -> [UInt8] {
    var contents: [UInt8] = []
    // Most of what we read is a line from /proc; a larger file soon gets a larger buffer.
    var chunk = [UInt8](repeating: 0, count: min(limit + 1, 1024))
    while true {
        let count = try retrying {
            unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
        }
        if count == 0 { return contents }
        contents.append(contentsOf: chunk[..<count])
        if contents.count > limit { throw .fileTooLarge }
        if count == chunk.count, chunk.count < 65536 { chunk = [UInt8](repeating: 0, count: chunk.count * 4) }
    }
}
