internal import Gossip
internal import NetworkTypes
internal import System

/// One start of the daemon.
struct Start: Equatable, Sendable {
    /// One more at every start.
    let incarnation: UInt64
    /// Random: two processes with one identity show as two nonces for one incarnation.
    let nonce: UInt64
    /// Whether an earlier journal of this identity is gone: it may have owned address blocks.
    var hasLostMemory = false

    /// The same start with a later incarnation.
    func moved(to incarnation: UInt64) -> Start {
        Start(incarnation: incarnation, nonce: nonce, hasLostMemory: hasLostMemory)
    }

    /// The journal's entry: incarnation (8), nonce (8), 1 when an earlier journal is gone.
    var journaled: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(bigEndian: incarnation, width: 8)
        bytes.append(bigEndian: nonce, width: 8)
        return bytes + [hasLostMemory ? 1 : 0]
    }
}

extension Journal {
    /// How far the incarnation is moved when the number of starts since the journal was written is not known.
    private static let leap: UInt64 = 1 << 20

    /// Counts a start; it is on the disk when this returns.
    ///
    /// - Parameter keyIsNew: whether the host's key was made just now; if not, a journal without a start is a new one.
    func begin(keyIsNew: Bool, random: inout some RandomNumberGenerator) throws(SystemError) -> Start {
        let found = entries[JournalKey(.start)]
        let bytes = found ?? []
        let last = bytes.count >= 8 ? bytes[...].bigEndian(at: 0, width: 8) : 0
        let isLost = found.map { $0.count > 16 && $0[16] == 1 } ?? !keyIsNew
        // How many starts were forgotten with a journal is not known.
        let step = mayLackChanges || (found == nil && !keyIsNew) ? Self.leap : 1
        let start = Start(
            incarnation: last.addingReportingOverflow(step).partialValue, nonce: random.next(),
            hasLostMemory: isLost || mayLackChanges)
        do throws(SystemError) {
            try commitNow([JournalChange(JournalKey(.start), start.journaled)])
            return start
        } catch {
            guard found != nil, error.errno == .noSpace || error.errno == .quota else { throw error }
            // Starts that the disk had no room for are not counted; each takes a number of its own all the same, as far as
            // chance gives it one, and the last is written when there is room.
            let unsaved = start.moved(
                to: start.incarnation.addingReportingOverflow(random.next() % Self.leap).partialValue)
            owe([JournalChange(JournalKey(.start), unsaved.journaled)])
            return unsaved
        }
    }

    /// What the gossip engine remembered, from here or from the `gossip.json` of earlier versions, which is then removed.
    func memory(directory: String?) throws -> Instance.Memory {
        if let bytes = entries[JournalKey(.gossip)] {
            guard let memory = Instance.Memory(journaled: bytes) else {
                throw StartFault("journal: the gossip engine's memory has a form this version does not know")
            }
            return memory
        }
        guard let directory, let old = try StateFile(directory: directory).load() else { return Instance.Memory() }
        try commitNow([JournalChange(JournalKey(.gossip), old.journaled)])
        try Files.remove("\(directory)/gossip.json")
        return old
    }
}

extension Instance.Memory {
    /// The memory as the journal has it: 1, incarnation (4), three clocks (8 each), then per peer its address's length (1),
    /// address and port (2).
    var journaled: [UInt8] {
        var bytes: [UInt8] = [1]
        bytes.append(bigEndian: UInt64(incarnation), width: 4)
        for time in [memberTime, eventTime, queryTime] { bytes.append(bigEndian: time, width: 8) }
        for peer in peers {
            bytes.append(UInt8(truncatingIfNeeded: peer.address.bytes.count))
            bytes += peer.address.bytes
            bytes.append(bigEndian: UInt64(peer.port), width: 2)
        }
        return bytes
    }

    init?(journaled bytes: [UInt8]) {
        guard bytes.count >= 29, bytes[0] == 1 else { return nil }
        var rest = bytes[29...]
        var peers: [Endpoint] = []
        while let count = rest.popFirst() {
            guard rest.count >= Int(count) + 2, let address = IPAddress(bytes: Array(rest.prefix(Int(count)))) else {
                return nil
            }
            let port = UInt16(truncatingIfNeeded: rest.bigEndian(at: Int(count), width: 2))
            peers.append(Endpoint(address: address, port: port))
            rest = rest.dropFirst(Int(count) + 2)
        }
        func time(_ offset: Int) -> UInt64 { bytes[...].bigEndian(at: offset, width: 8) }
        self.init(
            incarnation: UInt32(truncatingIfNeeded: bytes[...].bigEndian(at: 1, width: 4)), memberTime: time(5),
            eventTime: time(13), queryTime: time(21), peers: peers)
    }
}
