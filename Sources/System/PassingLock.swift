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
            if let file = Self.identity({ unsafe fstat(lock.descriptor, &$0) }),
                let named = Self.identity({ unsafe stat(path, &$0) }), file == named
            {
                self.path = path
                self.lock = lock
                return
            }
        }
    }

    deinit { _ = unlink(path) }

    private static func identity(_ ask: (inout stat) -> Int32) -> [UInt64]? {
        var status = stat()
        return ask(&status) == 0 ? [UInt64(status.st_dev), UInt64(status.st_ino)] : nil
    }
}
