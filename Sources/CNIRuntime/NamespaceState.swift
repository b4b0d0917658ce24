internal import CNI
internal import System

/// What can be seen of a network namespace from outside: which one it is, and which interfaces are in it.
enum NamespaceState {
    /// Which namespace a path leads to, of this boot: a path, and after a reboot an inode, may be another one's.
    ///
    /// - Returns: nil when there is nothing at the path.
    static func identity(_ path: String) -> String? {
        guard let status = try? FileStatus(of: path),
            let boot = try? Files.text("/proc/sys/kernel/random/boot_id").split(separator: "\n").first
        else { return nil }
        return "\(boot)/\(status.device)/\(status.inode)"
    }

    /// Whether the namespace has an interface of that name; nil when that cannot be found out.
    /// Equivalent: `ip -n NETNS link show NAME`.
    static func has(_ interface: String, in path: String) -> Bool? {
        let table: String
        do {
            let namespace = try NetworkNamespace(path: path)
            table = try namespace.run { try Files.text("/proc/thread-self/net/dev") }
        } catch let error as NamespaceError {
            if case .system = error.reason { return nil }
            return false
        } catch {
            return nil
        }
        return table.utf8.split(separator: UInt8(ascii: "\n")).contains { line in
            let name = line.drop { $0 == UInt8(ascii: " ") }
            return name.starts(with: interface.utf8) && name.dropFirst(interface.utf8.count).first == UInt8(ascii: ":")
        }
    }

    /// Whether what the cache remembers of an attachment is there still: its namespace is the one of that time, and the
    /// interface is in it.
    static func isLiving(_ cached: CachedAttachment, netns: String) -> Bool {
        let path = cached.netns.isEmpty ? netns : cached.netns
        let interface = cached.attachment.interfaceName
        if let identity = cached.namespaceIdentity {
            guard identity == self.identity(path) else { return false }
        } else if interface == "lo" {
            // Every namespace has one.
            return false
        }
        return has(interface, in: path) ?? true
    }
}
