/// What a journal holds, by kind and name.
struct JournalKey: Hashable, Sendable {
    /// What the entry is. The numbers are on the disk and never change their meaning.
    enum Kind: UInt8, Sendable {
        /// The incarnation and the nonce of the last start.
        case start = 1
        /// What the gossip engine remembers.
        case gossip = 2
        /// A row of ours.
        case row = 3
        /// The block allocator's state, by network.
        case blocks = 4
        /// A network this host is on, by name.
        case network = 5
        /// What only this host knows of an endpoint of its own, by endpoint id.
        case endpoint = 7
        /// Tags that were set through the control API.
        case tags = 6
    }

    /// The kind as it is on the disk; one of a later version is kept as it is.
    let kind: UInt8
    /// At most 65 535 bytes.
    let name: [UInt8]

    init(_ kind: Kind, _ name: [UInt8] = []) {
        self.kind = kind.rawValue
        self.name = name
    }

    init(kind: UInt8, name: [UInt8]) {
        self.kind = kind
        self.name = name
    }
}

/// One change of what a journal holds.
struct JournalChange: Equatable, Sendable {
    let key: JournalKey
    /// Nil removes the entry.
    let value: [UInt8]?

    init(_ key: JournalKey, _ value: [UInt8]?) {
        self.key = key
        self.value = value
    }
}

/// One frame of a journal's file: changes that were written and forced to the disk together.
///
/// `SwJ1`, payload length (4), sequence (8), first 16 bytes of SHA-256 of sequence and payload, payload; big endian. The
/// payload: 0 for a snapshot or 1 for changes, then per change kind (1), name length (2), name, value length (4, all ones:
/// removed), value.
struct JournalFrame: Equatable, Sendable {
    static let magic: [UInt8] = Array("SwJ1".utf8)
    static let headLength = 32
    /// The most a frame's payload may have.
    static let limit = 256 << 20

    /// Counts changes from the journal's beginning; a snapshot has the number of the last change in it.
    let sequence: UInt64
    let isSnapshot: Bool
    let changes: [JournalChange]
}
