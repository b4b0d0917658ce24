internal import CLinux
internal import System

/// A directory of its own under `$TMPDIR` or `/tmp`, removed with everything in it when the value goes away.
public final class TemporaryDirectory: Sendable {
    /// The directory's absolute path.
    public let path: String

    /// Makes the directory, mode 0700.
    ///
    /// - Throws: ``SystemError`` when it cannot be made.
    public init(prefix: String = "swiftlet-test") throws {
        var random = KernelRandom()
        path = "\(Environment.current()["TMPDIR"] ?? "/tmp")/\(prefix).\(String(random.next(), radix: 36))"
        try Files.makeDirectories(path, mode: 0o700)
    }

    deinit { FileTree.remove(path) }

    /// The path of `name` in the directory.
    public func appending(_ name: String) -> String { "\(path)/\(name)" }
}

/// Whole directory trees.
public enum FileTree {
    /// Removes `path` and everything below it, as far as possible. Equivalent: `rm -rf`.
    public static func remove(_ path: String) {
        for file in files(below: path, directories: true).reversed() where unsafe unlink(file) != 0 {
            _ = unsafe rmdir(file)
        }
        if unsafe unlink(path) != 0 { _ = unsafe rmdir(path) }
    }

    /// The paths below `path`, parents before children, names sorted; symbolic links are not followed.
    public static func files(below path: String, directories: Bool = false) -> [String] {
        var found: [String] = []
        for name in ((try? Files.list(path)) ?? []).sorted() {
            let child = "\(path)/\(name)"
            var status = stat()
            guard unsafe lstat(child, &status) == 0 else { continue }
            let isDirectory = status.st_mode & UInt32(S_IFMT) == UInt32(S_IFDIR)
            if !isDirectory || directories { found.append(child) }
            if isDirectory { found += files(below: child, directories: directories) }
        }
        return found
    }
}
