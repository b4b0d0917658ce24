internal import Gossip
internal import NetworkTypes
internal import System

/// One start of the daemon.
struct Start: Equatable, Sendable {
    /// One more at every start.
    let incarnation: UInt64
    /// Random: two processes with one identity show as two nonces for one incarnation.
    let nonce: UInt64
}

extension Journal {
    /// How far the incarnation is moved when the number of starts since the journal was written is not known.
    private static let leap: UInt64 = 1 << 20

    /// Counts a start; it is on the disk when this returns.
    func begin(random: inout some RandomNumberGenerator) throws(SystemError) -> Start {
        let bytes = entries[JournalKey(.start)] ?? []
        let last = bytes.count >= 8 ? bytes[...].bigEndian(at: 0, width: 8) : 0
        let step = mayLackChanges ? Self.leap : 1
        let start = Start(incarnation: last.addingReportingOverflow(step).partialValue, nonce: random.next())
        var value: [UInt8] = []
        value.append(bigEndian: start.incarnation, width: 8)
        value.append(bigEndian: start.nonce, width: 8)
        try commitNow([JournalChange(JournalKey(.start), value)])
        return start
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
