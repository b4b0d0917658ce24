internal import CLinux
public import System

/// A process that holds a socket, for an error message that says who is in the way.
public struct SocketHolder: Hashable, Sendable, CustomStringConvertible {
    /// The process id, in our pid namespace.
    public let process: Int32
    /// The command's name (`/proc/<pid>/comm`): at most 15 bytes, chosen by the process; control characters are "?".
    public let command: String

    /// For example "nginx (pid 4711)".
    public var description: String { "\(command) (pid \(process))" }

    /// The processes that hold a socket, by process id. Equivalent: `ss -p`, or `fuser`.
    ///
    /// Looks at every descriptor of every process: milliseconds, and tens of them on a busy host. What this process may
    /// not look into is passed over.
    ///
    /// - Parameter inode: ``ListeningSocket/inode``.
    /// - Returns: none for a socket of the kernel's, or one whose holder is in a pid namespace we do not see.
    /// - Throws: why `/proc` cannot be listed.
    public static func holders(ofSocket inode: UInt32) throws(SystemError) -> [SocketHolder] {
        // A socket that no descriptor refers to any more.
        guard inode != 0 else { return [] }
        let target = Array("socket:[\(inode)]".utf8)
        let processes = try Files.list("/proc").compactMap { Int32($0) }.sorted()
        return processes.compactMap { process in
            let folder = "/proc/\(process)/fd"
            // Processes come and go.
            let descriptors = (try? Files.list(folder)) ?? []
            guard descriptors.contains(where: { linkTarget("\(folder)/\($0)", limit: target.count) == target }) else {
                return nil
            }
            return SocketHolder(process: process, command: command(of: process) ?? "?")
        }
    }

    /// Whether the process is us or one we descend from: a runtime may hold a port for the container it is making.
    public var isAncestor: Bool { Self.lineage().contains(process) }

    /// This process, its parent, and so on up to the first of the pid namespace.
    static func lineage(of process: Int32 = getpid()) -> [Int32] {
        var lineage = [process]
        // A process that ended on the way may have left its number to another: no way is round.
        while let last = lineage.last, let parent = parent(of: last), parent > 0, !lineage.contains(parent) {
            lineage.append(parent)
        }
        return lineage
    }

    private static func parent(of process: Int32) -> Int32? {
        (try? Files.read("/proc/\(process)/stat")).flatMap(parent(stat:))
    }

    /// The parent's process id in `/proc/<pid>/stat`: the second field after the name, which may hold anything.
    static func parent(stat: [UInt8]) -> Int32? {
        guard let end = stat.lastIndex(of: UInt8(ascii: ")")) else { return nil }
        let fields = stat[(end + 1)...].split(separator: UInt8(ascii: " "))
        return fields.count < 2 ? nil : Int32(String(decoding: fields[1], as: UTF8.self))
    }

    /// What a symbolic link points to; cut off after `limit` bytes and one.
    private static func linkTarget(_ path: String, limit: Int) -> [UInt8] {
        var buffer = [CChar](repeating: 0, count: limit + 1)
        let count = unsafe readlink(path, &buffer, buffer.count)
        return buffer.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }
    }

    /// A process's name (`comm` in proc(5)), fit for a message; nil when it has gone.
    public static func command(of process: Int32) -> String? {
        (try? Files.text("/proc/\(process)/comm")).map(clean)
    }

    /// The name without its final line feed, fit for a message.
    static func clean(_ text: String) -> String {
        let name = text.hasSuffix("\n") ? text.dropLast() : text[...]
        let isControl = { (scalar: Unicode.Scalar) in scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) }
        return String(String.UnicodeScalarView(name.unicodeScalars.map { isControl($0) ? "?" : $0 }))
    }
}
