internal import NetworkTypes
internal import System

/// One network's directory as the reference plugin lays it out: a file for each address, `last_reserved_ip.<set>` for
/// each range set, and `lock`.
struct ReservationFiles {
    /// One reservation as it was found.
    struct Reservation {
        let address: IPAddress
        /// The file's content without white space around it; nil when it cannot be read.
        let record: [UInt8]?
        /// Why it cannot be read.
        let fault: SystemError?
    }

    // Container ids have no length limit of their own; this is well beyond what runtimes make up.
    private static let longestRecord = 4096

    let path: String

    /// The file whose `flock` guards the directory; the reference plugin creates it with this mode.
    var lockPath: String { "\(path)/lock" }
    static let lockPermissions: UInt32 = 0o750

    private func file(_ address: IPAddress) -> String { "\(path)/\(address)" }
    private func pointerFile(_ set: Int) -> String { "\(path)/last_reserved_ip.\(set)" }

    /// Whether the address' reservation has exactly this content.
    func holds(_ address: IPAddress, _ record: [UInt8]) -> Bool {
        guard let file = try? OwnedFD(existing: file(address)), let content = try? Self.content(file) else {
            return false
        }
        return content == record
    }

    /// Makes a reservation, whole and forced to storage before anybody can see it; false when the address is taken.
    ///
    /// - Throws: the errno; `EFBIG` for a record longer than is ever read again, which nobody could release.
    func create(_ address: IPAddress, _ record: [UInt8]) throws(SystemError) -> Bool {
        guard record.count <= Self.longestRecord else { throw SystemError("reserve", file(address), .fileTooLarge) }
        return try AtomicFile.create(file(address), with: record)
    }

    /// Gives a reservation another content; at every instant it has the one or the other.
    func replace(_ address: IPAddress, _ record: [UInt8]) throws(SystemError) {
        guard record.count <= Self.longestRecord else { throw SystemError("reserve", file(address), .fileTooLarge) }
        try AtomicFile.replace(file(address), with: record)
    }

    /// Removes a reservation.
    func remove(_ address: IPAddress) throws(SystemError) {
        try Files.remove(file(address))
    }

    /// The address last taken from a range set, nil when unknown. The text must be bare, as for the reference plugin.
    func pointer(_ set: Int) -> IPAddress? {
        guard let file = try? OwnedFD(existing: pointerFile(set)), let bytes = try? file.readToEnd(limit: 64) else {
            return nil
        }
        return IPAddress(String(decoding: bytes, as: UTF8.self))
    }

    /// Remembers the address last taken from a range set.
    func setPointer(_ set: Int, _ address: IPAddress) throws(SystemError) {
        // Only a hint where to go on: lost or torn in a crash, the search begins elsewhere and finds free addresses all
        // the same. So it is written in place and not forced to storage; the one fsync is the reservation's.
        try Files.rewrite(pointerFile(set), with: Array("\(address)".utf8))
    }

    /// Reads every reservation, and clears away what a crash left: temporary files, and reservations without content,
    /// which nobody can be writing as long as we hold the lock.
    func walk() throws(SystemError) -> [Reservation] {
        let directory = try OwnedFD(directory: path)
        var reservations: [Reservation] = []
        for name in try Files.list(path) {
            if name.hasPrefix("."), name.hasSuffix(".tmp") {
                try? Files.remove("\(path)/\(name)")
                continue
            }
            // The canonical text only: the file that reserves an address has exactly that name.
            guard let address = IPAddress(name), address.description == name else { continue }
            do throws(SystemError) {
                let record = try Self.record(name, directory)
                if record.isEmpty, (try? remove(address)) != nil { continue }
                reservations.append(Reservation(address: address, record: record, fault: nil))
            } catch {
                if error.errno == .noSuchFileOrDirectory { continue }
                reservations.append(Reservation(address: address, record: nil, fault: error))
            }
        }
        return reservations
    }

    private static func record(_ name: String, _ directory: borrowing OwnedFD) throws(SystemError) -> [UInt8] {
        let file = try OwnedFD(existing: name, in: directory)
        do {
            return try content(file)
        } catch {
            throw SystemError("read", name, error)
        }
    }

    private static func content(_ file: borrowing OwnedFD) throws(Errno) -> [UInt8] {
        let bytes = try file.readBytes(count: longestRecord + 1, at: 0)
        if bytes.count > longestRecord { throw .fileTooLarge }
        return trimmed(bytes)
    }
}
