internal import Glibc
internal import Gossip
internal import JSON
internal import NetworkTypes
internal import System

/// The gossip keys on disk: a JSON array of base64 texts, the primary first, as serf agents keep theirs.
struct KeyRingFile: Sendable {
    /// Where it is.
    let path: String

    /// Reads the keys.
    ///
    /// - Throws: also when others on this host can read the file, or could have put keys into it.
    func load() throws -> KeyRing {
        try checkAccess()
        let texts = try Reader(Value(parsing: try Files.read(path)), path: path).strings()
        var keys: [[UInt8]] = []
        for (index, text) in texts.enumerated() {
            guard let key = Base64.decode(text) else { throw StartFault("\(path): key \(index) is not base64") }
            keys.append(key)
        }
        guard let primary = keys.first else { throw StartFault("\(path): no keys") }
        do {
            return try KeyRing(primary: primary, others: Array(keys.dropFirst()))
        } catch {
            throw StartFault("\(path): a key must have 16, 24 or 32 bytes (\(error))")
        }
    }

    private func checkAccess() throws {
        let status = try FileStatus(of: path)
        guard status.owner == geteuid() || status.owner == 0 else {
            throw StartFault(
                "\(path): belongs to user \(status.owner), who could put keys into it; chown it to the daemon's user "
                    + "(\(geteuid())), and make new keys if others know these")
        }
        // The group may read it where that is the daemon's own.
        let allowed: UInt32 = status.group == getegid() ? 0o740 : 0o700
        guard status.mode & 0o777 & ~allowed == 0 else {
            throw StartFault(
                "\(path): has mode \(String(status.mode & 0o777, radix: 8)), so that others can read the keys or change them; "
                    + "chmod 600 \(path), and make new keys if others know these")
        }
    }

    /// Replaces the file, mode 0600; readers see the old or the new one.
    func save(_ keyRing: KeyRing) throws(SystemError) {
        let document = Value.array(keyRing.keys.map { .string(Base64.encode($0)) })
        try AtomicFile.replace(path, with: Array((document.text(.indented) + "\n").utf8))
    }
}

/// Why the daemon did not start, in words for its operator.
public struct StartFault: Error, Equatable, CustomStringConvertible {
    /// The words.
    public let description: String

    init(_ description: String) { self.description = description }
}
