internal import NetworkTypes
internal import System

/// A place where an operation may be killed; tests do so at each.
enum Checkpoint: String, CaseIterable, Sendable {
    case locked, opened, dirty, pointerWritten, reserved, removed, indexed, stamped, finished
}

/// One network's reservations, locked: the files are the truth, the index beside them only saves reading them all.
///
/// The index is `<dataDir>/.swiftlet/<network>.index`; no network's name begins with a dot. It is believed when the
/// directory looks exactly as it did when the index was finished. Every entry it yields is checked against its file.
/// Whatever is wrong with it, it is made anew of the files, and where it cannot be written, every operation does that.
struct Ledger: ~Copyable {
    let files: ReservationFiles
    private let lock: FileLock
    private let directory: OwnedFD
    private let indexPath: String
    private let boot: BootID?
    private let checkpoint: @Sendable (Checkpoint) -> Void
    private var index: ReservationIndex
    // The index was made of the files under this very lock.
    private var isFresh: Bool
    private var isChanged = false

    /// Waits for the lock and opens the index of an existing directory.
    init(
        _ path: String, indexPath: String, checkpoint: @escaping @Sendable (Checkpoint) -> Void
    ) throws(SystemError) {
        let files = ReservationFiles(path: path)
        let lock = try FileLock(files.lockPath, permissions: ReservationFiles.lockPermissions)
        checkpoint(.locked)
        let directory = try OwnedFD(directory: path)
        let boot = BootID.current()
        let index = try Self.index(at: indexPath, boot, try Self.signature(directory, path), files)
        checkpoint(.opened)
        isFresh = index.isInMemory
        self.files = files
        self.lock = lock
        self.directory = directory
        self.indexPath = indexPath
        self.boot = boot
        self.index = index
        self.checkpoint = checkpoint
    }

    private static func index(
        at path: String, _ boot: BootID?, _ signature: DirectorySignature, _ files: ReservationFiles
    ) throws(SystemError) -> ReservationIndex {
        if let boot, let opened = ReservationIndex(opening: path, boot: boot, signature: signature) { return opened }
        return index(of: try files.walk(), boot: boot, signature)
    }

    // MARK: Questions

    /// The addresses whose reservations have this content, in ascending order.
    mutating func addresses(_ record: [UInt8]) throws(SystemError) -> [IPAddress] {
        // No owner is without a name; unreadable reservations are filed under nothing.
        if record.isEmpty { return [] }
        let found = try ask { (index) throws(IndexFault) in try index.addresses(of: record) }
        if isFresh || found.allSatisfy({ files.holds($0, record) }) { return found.sorted() }
        try rebuild()
        return try ask { (index) throws(IndexFault) in try index.addresses(of: record) }.sorted()
    }

    /// The first address of the span that nobody holds.
    mutating func firstFree(_ family: AddressFamily, _ span: ClosedRange<UInt128>) throws(SystemError) -> IPAddress? {
        try ask { (index) throws(IndexFault) in try index.firstFree(family, span) }
            .map { IPAddress(family: family, number: $0) }
    }

    /// Whether somebody holds the address.
    mutating func isTaken(_ address: IPAddress) throws(SystemError) -> Bool {
        try firstFree(address.family, address.number...address.number) == nil
    }

    private mutating func ask<Answer>(
        _ question: (borrowing ReservationIndex) throws(IndexFault) -> Answer
    ) throws(SystemError) -> Answer {
        if let answer = try? question(index) { return answer }
        try rebuild()
        do {
            return try question(index)
        } catch {
            throw SystemError("rebuild", indexPath, .inputOutput)
        }
    }

    // MARK: Changes

    /// Reserves an address and moves its range set's pointer there; false, and nothing reserved, when it is taken.
    mutating func reserve(_ address: IPAddress, set: Int, _ record: [UInt8]) throws(SystemError) -> Bool {
        begin()
        try files.setPointer(set, address)
        checkpoint(.pointerWritten)
        guard try files.create(address, record) else { return false }
        checkpoint(.reserved)
        do {
            if try index.insert(address, record: record) { index = try index.grown() }
        } catch {
            try rebuild()
        }
        checkpoint(.indexed)
        return true
    }

    /// Gives an address back that is known to have a reservation with this content.
    mutating func release(_ address: IPAddress, _ record: [UInt8]) throws(SystemError) {
        begin()
        try files.remove(address)
        checkpoint(.removed)
        do {
            try index.remove(address, record: record)
        } catch {
            try rebuild()
        }
        checkpoint(.indexed)
    }

    /// Gives an address that is known to have a reservation with one content another.
    mutating func pass(_ address: IPAddress, from record: [UInt8], to heir: [UInt8]) throws(SystemError) {
        begin()
        try files.replace(address, heir)
        checkpoint(.reserved)
        do {
            try index.remove(address, record: record)
            if try index.insert(address, record: heir) { index = try index.grown() }
        } catch {
            try rebuild()
        }
        checkpoint(.indexed)
    }

    /// Reads all reservations and gives back those whose content is garbage; what could not be read or removed.
    mutating func collect(_ isGarbage: ([UInt8]) -> Bool) throws(SystemError) -> [SystemError] {
        begin()
        var faults: [SystemError] = []
        var rest: [ReservationFiles.Reservation] = []
        for reservation in try files.walk() {
            if let fault = reservation.fault { faults.append(fault) }
            if let record = reservation.record, isGarbage(record) {
                do {
                    try files.remove(reservation.address)
                    checkpoint(.removed)
                    continue
                } catch {
                    faults.append(error)
                }
            }
            rest.append(reservation)
        }
        index = Self.index(of: rest, boot: boot, index.header.signature)
        isFresh = true
        return faults
    }

    private mutating func begin() {
        isChanged = true
        // A header that cannot be written stays as it is; the directory's times will tell.
        try? index.markDirty()
        checkpoint(.dirty)
    }

    // MARK: The index

    /// Makes the index anew of the files.
    mutating func rebuild() throws(SystemError) {
        index = Self.index(of: try files.walk(), boot: boot, index.header.signature)
        isFresh = true
    }

    /// Brings the index to the disk. That it cannot be is no failure of the operation.
    mutating func finish() {
        guard isChanged || index.isInMemory else { return }
        guard let signature = stamp() else {
            if index.isInMemory { try? Files.remove(indexPath) }
            return
        }
        checkpoint(.stamped)
        try? index.markClean(signature)
        if index.isInMemory { save() }
        checkpoint(.finished)
    }

    private static func index(
        of reservations: [ReservationFiles.Reservation], boot: BootID?, _ signature: DirectorySignature
    ) -> ReservationIndex {
        var random = KernelRandom()
        var index = ReservationIndex(
            boot: boot, signature: signature, seed: random.next(), room: reservations.count,
            chunks: Set(reservations.map { ReservationIndex.ChunkKey($0.address) }).count)
        for reservation in reservations {
            // In memory, with room: neither can fail.
            _ = try? index.insert(reservation.address, record: reservation.record ?? [])
        }
        return index
    }

    private static func signature(
        _ directory: borrowing OwnedFD, _ path: String
    ) throws(SystemError) -> DirectorySignature {
        do {
            return DirectorySignature(try directory.status())
        } catch {
            throw SystemError("stat", path, error)
        }
    }

    /// Gives the directory a time of change that no later change can give it again, and reads what it looks like then.
    ///
    /// The kernel's own times are too coarse (up to 10 ms): another plugin's change just after ours could leave them
    /// as they were. A random fraction of an earlier second can only be ours.
    private func stamp() -> DirectorySignature? {
        guard boot != nil, let before = try? directory.status() else { return nil }
        var random = KernelRandom()
        let fraction = Int64(random.next() % 999_999_999) + 1
        let stamp = (before.changed / 1_000_000_000 - 1) * 1_000_000_000 + fraction
        // A file system that rounds times cannot be trusted with this.
        guard (try? directory.setModified(stamp)) != nil, let after = try? directory.status(),
            after.modified == stamp
        else { return nil }
        return DirectorySignature(after)
    }

    private func save() {
        guard let slash = indexPath.lastIndex(of: "/") else { return }
        let directory = String(indexPath[..<slash]), name = indexPath[indexPath.index(after: slash)...]
        do {
            try Files.makeDirectories(directory, mode: 0o700)
            // What processes killed here left behind: ".<name>.<pid>.tmp".
            for other in try Files.list(directory) where other.hasPrefix(".\(name).") && other.hasSuffix(".tmp") {
                let middle = other.dropFirst(name.count + 2).dropLast(4)
                if middle.allSatisfy(\.isNumber) { try Files.remove("\(directory)/\(other)") }
            }
            try AtomicFile.replace(indexPath, with: index.encoded(), isDurable: false)
        } catch {
            // The old one describes another directory, but there is no reason to keep it.
            try? Files.remove(indexPath)
        }
    }
}
