/// Kernel parameters under `/proc/sys`, read and written in the calling thread's namespaces.
///
/// For a container's parameters call from inside ``NetworkNamespace/run(_:)``.
public enum Sysctl {
    /// Reads `key`, written with slashes ("net/ipv4/ip_forward"); the final newline is dropped.
    /// Equivalent: `sysctl -n key`.
    public static func read(_ key: String) throws(SystemError) -> String {
        var text = try Files.text("/proc/sys/\(key)")
        if text.last == "\n" { text.removeLast() }
        return text
    }

    /// Writes `key` unless it already has the value: a write to some parameters resets others.
    /// Equivalent: `sysctl -w key=value`.
    ///
    /// - Returns: the value it had before, nil when nothing was written.
    @discardableResult
    public static func write(_ key: String, _ value: String) throws(SystemError) -> String? {
        let old = try read(key)
        if old == value { return nil }
        try overwrite(key, value)
        return old
    }

    /// Writes `key` whatever it is. Equivalent: `sysctl -w key=value`.
    public static func overwrite(_ key: String, _ value: String) throws(SystemError) {
        try Files.overwrite("/proc/sys/\(key)", with: Array(value.utf8))
    }
}
