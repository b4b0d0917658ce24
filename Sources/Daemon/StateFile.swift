internal import Gossip
internal import JSON
internal import System

/// What survived a restart before there was a journal, `DIR/gossip.json`.
struct StateFile: Sendable {
    private let path: String

    init(directory: String) { path = "\(directory)/gossip.json" }

    /// What was saved; nil when there is no file.
    ///
    /// - Throws: when the file is not ours: better to tell than to start with a lower incarnation.
    func load() throws -> Instance.Memory? {
        guard Files.exists(path) else { return nil }
        let reader = Reader(try Value(parsing: try Files.read(path)), path: path)
        let number = { (key: String) in UInt64(try reader.member(key).integer(in: 0...Int64.max) ?? 0) }
        return Instance.Memory(
            incarnation: UInt32(clamping: try number("incarnation")), memberTime: try number("memberTime"),
            eventTime: try number("eventTime"), queryTime: try number("queryTime"),
            peers: try reader.member("peers").strings().compactMap { Endpoint(text: $0) })
    }
}
