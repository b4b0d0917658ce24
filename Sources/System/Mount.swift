internal import CLinux

/// Mounts that keep a namespace alive under a name, as `ip netns` makes them.
public enum Mount {
    /// Makes a directory a mount of its own whose mounts every copy of the mount namespace sees. Equivalent:
    /// `mount --make-rshared DIR`, and `mount --rbind DIR DIR` before it when the directory is no mount.
    ///
    /// Without it a namespace made while another process has its own mounts stays pinned there, and cannot be removed here.
    public static func share(_ directory: String) throws(SystemError) {
        let flags = UInt(MS_SHARED) | UInt(MS_REC)
        if unsafe mount("", directory, "none", flags, nil) == 0 { return }
        guard Errno.current == .invalidArgument else { throw SystemError("share", directory, .current) }
        try bind(directory, to: directory, isRecursive: true)
        guard unsafe mount("", directory, "none", flags, nil) == 0 else {
            throw SystemError("share", directory, .current)
        }
    }

    /// Shows a file or directory at another path. Equivalent: `mount --bind SOURCE TARGET`.
    public static func bind(_ source: String, to target: String, isRecursive: Bool = false) throws(SystemError) {
        let flags = UInt(MS_BIND) | (isRecursive ? UInt(MS_REC) : 0)
        guard unsafe mount(source, target, "none", flags, nil) == 0 else {
            throw SystemError("mount", target, .current)
        }
    }

    /// Takes away all that is mounted at a path; nothing there is no error. Equivalent: `umount -l TARGET`.
    public static func detach(_ target: String) throws(SystemError) {
        // Each call takes the topmost; more than a few were never ours.
        for _ in 0..<16 {
            if unsafe umount2(target, Int32(MNT_DETACH)) == 0 { continue }
            switch Errno.current {
            case .invalidArgument, .noSuchFileOrDirectory: return
            case let errno: throw SystemError("unmount", target, errno)
            }
        }
    }
}
