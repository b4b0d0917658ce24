internal import System

/// Where a journal's entries are kept: ``JournalFile`` in a daemon, a simulated disk in a test.
protocol JournalStore: Sendable {
    /// What it holds now.
    var entries: [JournalKey: [UInt8]] { get }
    /// Whether the last changes may be missing: the journal was unreadable and the one before it took its place.
    var mayLackChanges: Bool { get }
    /// Writes changes and waits until they are on the disk. Nothing is changed when it fails.
    ///
    /// - Throws: the errno with the path.
    mutating func append(_ changes: [JournalChange]) throws(SystemError)
}
