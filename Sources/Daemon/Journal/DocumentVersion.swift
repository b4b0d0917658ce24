internal import JSON

/// The version of the JSON documents in a journal: a network, an endpoint, the tags.
///
/// A document without one is of the first release. One of a later version is left as it is on the disk: what it says may not be
/// guessed, and the release that wrote it may come back.
enum DocumentVersion {
    /// What this release writes.
    static let current: Int64 = 1

    /// Whether a document can be read here, by the number under a key.
    static func isKnown(_ reader: Reader, key: String = "version") -> Bool {
        guard let member = try? reader.member(key) else { return true }
        guard let number = (try? member.integer(in: Int64.min...Int64.max)) ?? nil else { return true }
        return (1...current).contains(number)
    }
}
