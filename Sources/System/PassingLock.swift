internal import CLinux

/// A lock of one holder whose file is there only while somebody holds or wants it.
///
/// Who has the lock removes the file before giving it back; who gets a lock on a file that is not there any more takes it on
/// the new one. A holder that is killed leaves the file, for the next to remove.
public struct PassingLock: ~Copyable {
    private let path: String
    private let lock: FileLock

    /// The descriptor, for a child that is to hold the lock, too: it is free again when both have ended.
    public var descriptor: Int32 { lock.descriptor }

    /// Makes the file (mode 0600) when it is not there, and waits for the lock.
    ///
    /// - Throws: the errno with the path.
    public init(_ path: String) throws(SystemError) {
        while true {
            let lock = try FileLock(path)
            let file = try FileStatus(descriptor: lock.descriptor)
            if let named = try? FileStatus(of: path), named.device == file.device, named.inode == file.inode {
                self.path = path
                self.lock = lock
                return
            }
        }
    }

    deinit { _ = unsafe unlink(path) }
}
