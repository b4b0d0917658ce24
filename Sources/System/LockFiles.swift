/// Where the lock files are that commands in one network namespace share.
public enum LockFiles {
    /// The path of a lock: `/run/swiftlet/lock/<inode>-<name>`, or for users who may not write there the same under
    /// `XDG_RUNTIME_DIR`. The directory is made.
    ///
    /// The file's name carries the network namespace's inode: what has the same name in another namespace is another thing.
    ///
    /// - Parameter directory: another directory, for tests.
    public static func path(_ name: String, in directory: String? = nil) throws(SystemError) -> String {
        let inode = try FileStatus(of: "/proc/thread-self/ns/net").inode
        if let directory { return "\(directory)/\(inode)-\(name)" }
        return "\(try usualDirectory())/\(inode)-\(name)"
    }

    private static func usualDirectory() throws(SystemError) -> String {
        let usual = "/run/swiftlet/lock"
        do throws(SystemError) {
            try Files.makeDirectories(usual, mode: 0o755)
            if Files.isWritableDirectory(usual) { return usual }
            throw SystemError("create a lock in", usual, .permissionDenied)
        } catch {
            guard let runtime = Environment.current()["XDG_RUNTIME_DIR"], !runtime.isEmpty else { throw error }
            let own = "\(runtime)/swiftlet/lock"
            try Files.makeDirectories(own, mode: 0o700)
            return own
        }
    }
}
