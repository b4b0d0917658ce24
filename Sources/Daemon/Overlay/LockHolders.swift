internal import Netlink
internal import System

/// Who holds a file's lock, as `/proc/locks` tells (proc(5)): processes of this PID namespace and those below it.
enum LockHolders {
    /// The holders of a lock, `1234 (overlay-vxlan)`, in order.
    static func describe(_ path: String) -> [String] {
        guard let file = try? FileStatus(of: path), let text = try? Files.text("/proc/locks") else { return [] }
        let own = Int32((try? Files.text("/proc/self/stat"))?.prefix { $0 != " " } ?? "")
        return find(device: file.device, inode: file.inode, in: text).filter { $0 != own }.map { pid in
            SocketHolder.command(of: pid).map { "\(pid) (\($0))" } ?? "\(pid)"
        }
    }

    /// The process ids of those that hold a `flock(2)` lock on an inode, in order; who waits is not among them.
    ///
    /// File systems with several devices, as btrfs, show another one in `stat(2)`: when no lock is on this device, the inode
    /// decides alone. It is not enough where the device is shown: containers' tmpfs are alike to the inode.
    ///
    /// - Parameter device: `st_dev` of `stat(2)`.
    static func find(device: UInt64, inode: UInt64, in text: String) -> [Int32] {
        // gnu_dev_major(3), gnu_dev_minor(3)
        let major = device >> 8 & 0xFFF | device >> 32 & ~0xFFF
        let minor = device & 0xFF | device >> 12 & 0xFFFF_FF00
        var onDevice: Set<Int32> = []
        var onAny: Set<Int32> = []
        for line in text.split(whereSeparator: \.isNewline) {
            // 1: FLOCK  ADVISORY  WRITE 708 00:18:1134 0 EOF
            let words = line.split(separator: " ")
            guard words.count >= 6, words[1] == "FLOCK", let pid = Int32(words[4]), pid > 0 else { continue }
            let parts = words[5].split(separator: ":")
            guard parts.count == 3, UInt64(parts[2]) == inode else { continue }
            onAny.insert(pid)
            if UInt64(parts[0], radix: 16) == major, UInt64(parts[1], radix: 16) == minor { onDevice.insert(pid) }
        }
        return (onDevice.isEmpty ? onAny : onDevice).sorted()
    }
}
