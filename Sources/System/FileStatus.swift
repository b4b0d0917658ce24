internal import CLinux

/// The parts of `stat(2)` the suite looks at.
public struct FileStatus: Equatable, Sendable {
    /// Device number; with `inode` it names an object, such as a network namespace.
    public let device: UInt64
    /// Inode number on `device`.
    public let inode: UInt64
    /// Size in bytes.
    public let size: Int
    /// Number of hard links.
    public let links: Int
    /// File type and permission bits (`st_mode`).
    public let mode: UInt32
    /// The owner's user id.
    public let owner: UInt32
    /// The group's id.
    public let group: UInt32
    /// Last change of the contents, nanoseconds since the epoch.
    public let modified: Int64
    /// Last change of the inode, nanoseconds since the epoch.
    public let changed: Int64

    init(_ raw: stat) {
        device = UInt64(raw.st_dev)
        inode = UInt64(raw.st_ino)
        size = Int(raw.st_size)
        links = Int(raw.st_nlink)
        mode = raw.st_mode
        owner = raw.st_uid
        group = raw.st_gid
        modified = Int64(raw.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(raw.st_mtim.tv_nsec)
        changed = Int64(raw.st_ctim.tv_sec) &* 1_000_000_000 &+ Int64(raw.st_ctim.tv_nsec)
    }

    /// Whether this is a directory.
    public var isDirectory: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFDIR) }
    /// Whether this is a regular file.
    public var isRegularFile: Bool { mode & UInt32(S_IFMT) == UInt32(S_IFREG) }

    /// What `stat(2)` says of `path`, symbolic links followed.
    public init(of path: String) throws(SystemError) {
        var buffer = stat()
        do {
            _ = try retrying { unsafe stat(path, &buffer) }
        } catch {
            throw SystemError("stat", path, error)
        }
        self.init(buffer)
    }

    /// What `fstat(2)` says of an open file.
    init(descriptor: Int32) throws(SystemError) {
        var buffer = stat()
        do {
            _ = try retrying { unsafe fstat(descriptor, &buffer) }
        } catch {
            throw SystemError("stat", "descriptor \(descriptor)", error)
        }
        self.init(buffer)
    }
}
