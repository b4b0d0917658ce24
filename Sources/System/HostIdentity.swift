/// Which host this is, as far as it can be told without a daemon: what two hosts must not share is derived from it.
public enum HostIdentity {
    /// systemd's and D-Bus's number of the installation; else the kernel's of the boot, which holds as long as anything a
    /// command makes.
    public static let usualFiles = ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/random/boot_id"]

    /// The host's identity: the first of the files that says one and, in any other network namespace than the first
    /// process's, the namespace's inode, since such a namespace is a host of its own.
    ///
    /// - Parameter files: other files, for tests.
    public static func text(files: [String] = HostIdentity.usualFiles) -> String {
        let identity = files.lazy.compactMap(line).first ?? ""
        let own = try? FileStatus(of: "/proc/thread-self/ns/net")
        let first = try? FileStatus(of: "/proc/1/ns/net")
        if let own, own.inode != first?.inode { return "\(identity)/\(own.inode)" }
        return identity
    }

    private static func line(_ path: String) -> String? {
        guard let text = try? Files.text(path) else { return nil }
        let line = text.prefix { !$0.isWhitespace }
        // "uninitialized" is what an image says before its first boot (machine-id(5)).
        return line.utf8.count < 16 || line == "uninitialized" ? nil : String(line)
    }
}
