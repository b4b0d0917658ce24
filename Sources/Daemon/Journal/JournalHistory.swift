internal import System

/// What a state directory's journals say, the damage considered.
struct JournalHistory {
    /// The most a journal may have.
    private static let limit = 1 << 30

    private(set) var entries: [JournalKey: [UInt8]] = [:]
    private(set) var sequence: UInt64 = 0
    /// Whether `journal` itself was sound, but for a torn end.
    private(set) var isCurrent = true
    /// Whether changes may be missing.
    private(set) var mayLackChanges = false

    /// Reads them; nothing is held when there are none.
    ///
    /// - Throws: ``StartFault`` when what is there cannot be trusted.
    init(directory: String) throws {
        let (path, previous) = ("\(directory)/journal", "\(directory)/journal.previous")
        let current = try Self.read(path)
        if let current, current.isSound {
            take(current.frames)
            return
        }
        if let current, current.frames.first?.isSnapshot == true {
            throw Self.fault(path, current, "and what comes after it is whole, so a change that was confirmed is lost")
        }
        guard let older = try Self.read(previous) else {
            guard let current else { return }
            throw Self.fault(path, current, "and there is no journal.previous beside it")
        }
        guard older.isSound, !older.frames.isEmpty else {
            throw Self.fault(path, current, "and journal.previous is damaged at byte \(older.end) too")
        }
        take(older.frames)
        isCurrent = false
        // The snapshot that was lost is what journal.previous ends with; the changes after it may still be there.
        let later = current?.frames.filter { !$0.isSnapshot } ?? []
        guard let first = later.first else {
            mayLackChanges = true
            return
        }
        guard current?.isSoundAfterStart == true, first.sequence == sequence + 1 else {
            throw Self.fault(path, current, "and journal.previous does not lead up to what is left of it")
        }
        take(later)
    }

    private mutating func take(_ frames: [JournalFrame]) {
        for frame in frames {
            if frame.isSnapshot { entries = [:] }
            for change in frame.changes { entries[change.key] = change.value }
            sequence = frame.sequence
        }
    }

    private static func fault(_ path: String, _ reading: Reading?, _ why: String) -> StartFault {
        let place = reading.map { "is damaged at byte \($0.end)" } ?? "is missing"
        return StartFault(
            "\(path) \(place), \(why). Restore both files from a backup; or move both away: this host keeps its identity "
                + "(host.key) and learns its rows and address blocks from the other hosts")
    }

    /// What is in one file.
    private struct Reading {
        /// The sound frames, in order.
        var frames: [JournalFrame] = []
        /// Where the first damage is, or the file's end.
        var end = 0
        /// A snapshot and changes without a gap, then at most a torn one.
        var isSound = true
        /// The same but for the snapshot.
        var isSoundAfterStart = true
    }

    private static func read(_ path: String) throws -> Reading? {
        guard Files.exists(path) else { return nil }
        let bytes = try Files.read(path, limit: limit)
        var reading = Reading()
        var offset = 0
        var damages = 0
        while offset < bytes.count {
            guard let (frame, length) = JournalFrame.read(bytes[offset...]) else {
                if damages == 0 { reading.end = offset }
                damages += 1
                guard let next = soundFrame(bytes, after: offset) else { break }
                if offset > 0 { reading.isSoundAfterStart = false }
                reading.isSound = false
                offset = next
                continue
            }
            if let last = reading.frames.last, frame.sequence != last.sequence + 1 || frame.isSnapshot {
                reading.isSound = false
                reading.isSoundAfterStart = false
            }
            reading.frames.append(frame)
            offset += length
            if damages == 0 { reading.end = offset }
        }
        if reading.frames.first?.isSnapshot != true { reading.isSound = false }
        return reading
    }

    /// Where the next sound frame begins.
    private static func soundFrame(_ bytes: [UInt8], after offset: Int) -> Int? {
        var place = offset + 1
        while place + JournalFrame.headLength <= bytes.count {
            if bytes[place] == JournalFrame.magic[0], JournalFrame.read(bytes[place...]) != nil { return place }
            place += 1
        }
        return nil
    }
}
