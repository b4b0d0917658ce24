/// Where the lock files are that commands in one network namespace share.
public enum LockFiles {
    /// The path of a lock: `/run/swiftlet/lock/<inode>-<name>`, or for users who may not write there the same under
    /// `XDG_RUNTIME_DIR`. The directory is made.
    ///
    /// The file's name carries the network namespace's inode: what has the same name in another namespace is another thing.
    ///
    /// - Parameters:
    ///   - directory: another directory, for tests.
    ///   - kind: the directory below `/run/swiftlet`, for files that are to be where the locks are and live as long.
    public static func path(
        _ name: String, in directory: String? = nil, below kind: String = "lock"
    ) throws(SystemError) -> String {
        let inode = try FileStatus(of: "/proc/thread-self/ns/net").inode
        if let directory { return "\(directory)/\(inode)-\(name)" }
        return "\(try usualDirectory(kind))/\(inode)-\(name)"
    }

    private static func usualDirectory(_ kind: String) throws(SystemError) -> String {
        let usual = "/run/swiftlet/\(kind)"
        do throws(SystemError) {
            try Files.makeDirectories(usual, mode: 0o755)
            if Files.isWritableDirectory(usual) { return usual }
            throw SystemError("create a lock in", usual, .permissionDenied)
        } catch {
            guard let runtime = Environment.current()["XDG_RUNTIME_DIR"], !runtime.isEmpty else { throw error }
            let own = "\(runtime)/swiftlet/\(kind)"
            try Files.makeDirectories(own, mode: 0o700)
            return own
        }
    }
}
