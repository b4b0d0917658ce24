internal import CLinux
internal import System

/// The daemon's memory on the disk: `<stateDir>/journal`, a snapshot and the changes after it, and `journal.previous`, what
/// it was before its last snapshot.
///
/// A change is one frame, written and forced to the disk before the next, so only the last frame can be torn. That one was
/// never answered and is cut off. Damage before a sound frame is not a tear, and is refused: a forgotten change may be an
/// address block that was given away.
struct JournalFile: JournalStore {
    /// How much is appended to a snapshot of usual size before the next one.
    static let growth = 1 << 20

    private let directory: String
    private var file: Descriptor
    private var size: Int
    private var snapshotSize: Int
    private var sequence: UInt64
    /// What it holds now.
    private(set) var entries: [JournalKey: [UInt8]]
    /// Whether the last changes may be missing: the journal was unreadable and the one before it took its place.
    let mayLackChanges: Bool
    private var isBroken = false
    /// Why nothing could be written at the start, where what is on the disk serves until there is room again.
    let startFault: SystemError?

    private var path: String { "\(directory)/journal" }

    /// Reads the journal of a directory, which exists, and begins a new snapshot.
    ///
    /// - Throws: ``StartFault`` with the file, the place and the remedy.
    init(directory: String) throws {
        let history = try JournalHistory(directory: directory)
        self.directory = directory
        entries = history.entries
        sequence = history.sequence
        mayLackChanges = history.mayLackChanges
        do throws(SystemError) {
            (file, size) = try Self.writeSnapshot(
                directory, sequence: sequence, entries, keepsPrevious: history.isCurrent)
            startFault = nil
        } catch {
            // A full disk. Containers are reached and listed without a write, so the old file is gone on with.
            guard error.errno == .noSpace || error.errno == .quota, history.isCurrent, !history.entries.isEmpty else {
                throw error
            }
            try? Files.remove("\(directory)/journal.new")
            file = Descriptor(try OwnedFD(opening: "\(directory)/journal", flags: O_RDWR))
            size = try FileStatus(of: "\(directory)/journal").size
            isBroken = true
            startFault = error
        }
        snapshotSize = size
    }

    /// Writes changes and waits until they are on the disk. Nothing is changed when it fails.
    ///
    /// - Throws: the errno with the path.
    mutating func append(_ changes: [JournalChange]) throws(SystemError) {
        guard !changes.isEmpty else { return }
        // What a failed write left could hide the next frame behind it, so a new file begins.
        if isBroken { try compact() }
        let bytes = JournalFrame(sequence: sequence + 1, isSnapshot: false, changes: changes).encoded
        do {
            try file.owned.writeBytes(bytes, at: size)
            try file.owned.synchronize()
        } catch {
            isBroken = true
            try? file.owned.truncate(to: size)
            throw SystemError("write", path, error)
        }
        size += bytes.count
        sequence += 1
        for change in changes { entries[change.key] = change.value }
        if size > snapshotSize * 2 + Self.growth { try? compact() }
    }

    /// Replaces the file by a snapshot. What fails here leaves the old file as it was.
    mutating func compact() throws(SystemError) {
        (file, size) = try Self.writeSnapshot(directory, sequence: sequence, entries, keepsPrevious: !isBroken)
        snapshotSize = size
        isBroken = false
    }

    private static func writeSnapshot(
        _ directory: String, sequence: UInt64, _ entries: [JournalKey: [UInt8]], keepsPrevious: Bool
    ) throws(SystemError) -> (Descriptor, Int) {
        let (path, new) = ("\(directory)/journal", "\(directory)/journal.new")
        let ordered = entries.sorted { ($0.key.kind, $0.key.name) < ($1.key.kind, $1.key.name) }
        let snapshot = JournalFrame(
            sequence: sequence, isSnapshot: true, changes: ordered.map { JournalChange($0.key, $0.value) })
        let bytes = snapshot.encoded
        let file = try OwnedFD(opening: new, flags: O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
        do {
            try file.writeBytes(bytes, at: 0)
            try file.synchronize()
        } catch {
            throw SystemError("write", new, error)
        }
        if keepsPrevious, Files.exists(path) {
            // A second name for the old file first: at every instant there is a journal.
            let kept = "\(directory)/journal.kept"
            try Files.remove(kept)
            guard unsafe link(path, kept) == 0 else { throw SystemError("link", kept, .current) }
            try Files.rename(kept, to: "\(directory)/journal.previous")
        }
        try Files.rename(new, to: path)
        try Files.synchronize(directory: directory)
        return (Descriptor(file), bytes.count)
    }
}

/// A descriptor that can be put beside other values.
private final class Descriptor: Sendable {
    let owned: OwnedFD

    init(_ owned: consuming OwnedFD) { self.owned = owned }
}

private func < (left: (UInt8, [UInt8]), right: (UInt8, [UInt8])) -> Bool {
    left.0 != right.0 ? left.0 < right.0 : left.1.lexicographicallyPrecedes(right.1)
}
