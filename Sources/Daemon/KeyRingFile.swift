internal import Gossip
internal import JSON
internal import NetworkTypes
internal import System

/// The gossip keys on disk: a JSON array of base64 texts, the primary first, as serf agents keep theirs.
struct KeyRingFile: Sendable {
    /// Where it is.
    let path: String

    /// Reads the keys.
    func load() throws -> KeyRing {
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
