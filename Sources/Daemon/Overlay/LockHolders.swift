internal import Netlink
internal import System

/// Who holds a file's lock, as `/proc/locks` tells (proc(5)): processes of this PID namespace and those below it.
enum LockHolders {
    /// The holders of a lock, `1234 (overlay-vxlan)`, in order.
    static func describe(_ path: String) -> [String] {
        guard let inode = try? FileStatus(of: path).inode, let text = try? Files.text("/proc/locks") else { return [] }
        let own = Int32((try? Files.text("/proc/self/stat"))?.prefix { $0 != " " } ?? "")
        return find(inode: inode, in: text).filter { $0 != own }.map { pid in
            SocketHolder.command(of: pid).map { "\(pid) (\($0))" } ?? "\(pid)"
        }
    }

    /// The process ids of those that hold a `flock(2)` lock on an inode, in order; who waits is not among them.
    ///
    /// The device is left out of the comparison: file systems with several devices show another one in `stat(2)`.
    static func find(inode: UInt64, in text: String) -> [Int32] {
        var found: Set<Int32> = []
        for line in text.split(whereSeparator: \.isNewline) {
            // 1: FLOCK  ADVISORY  WRITE 708 00:18:1134 0 EOF
            let words = line.split(separator: " ")
            guard words.count >= 6, words[1] == "FLOCK", let pid = Int32(words[4]), pid > 0,
                words[5].split(separator: ":").last.flatMap({ UInt64($0) }) == inode
            else { continue }
            found.insert(pid)
        }
        return found.sorted()
    }
}
