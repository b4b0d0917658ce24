internal import Gossip
internal import JSON
internal import System

/// What survives a restart, `DIR/gossip.json`: whole or absent, and of no harm when it is old.
struct StateFile: Sendable {
    private let path: String

    /// Makes the directory when it is missing.
    init(directory: String) throws(SystemError) {
        try Files.makeDirectories(directory, mode: 0o700)
        path = "\(directory)/gossip.json"
    }

    /// What was saved; nothing when there is no file.
    ///
    /// - Throws: when the file is not ours: better to tell than to start with a lower incarnation.
    func load() throws -> Instance.Memory {
        guard Files.exists(path) else { return Instance.Memory() }
        let reader = Reader(try Value(parsing: try Files.read(path)), path: path)
        let number = { (key: String) in UInt64(try reader.member(key).integer(in: 0...Int64.max) ?? 0) }
        return Instance.Memory(
            incarnation: UInt32(clamping: try number("incarnation")), memberTime: try number("memberTime"),
            eventTime: try number("eventTime"), queryTime: try number("queryTime"),
            peers: try reader.member("peers").strings().compactMap { Endpoint(text: $0) })
    }

    /// Replaces the file and waits until it is on the disk.
    func save(_ memory: Instance.Memory) throws(SystemError) {
        let document: Value = .object(
            Object([
                ("incarnation", .integer(Int64(memory.incarnation))),
                ("memberTime", .integer(Int64(clamping: memory.memberTime))),
                ("eventTime", .integer(Int64(clamping: memory.eventTime))),
                ("queryTime", .integer(Int64(clamping: memory.queryTime))),
                ("peers", .array(memory.peers.map { .string($0.description) })),
            ]))
        try AtomicFile.replace(path, with: Array(document.text(.indented).utf8))
    }
}
