public import StateMachine

/// What a replica wants its shell to do. Directives are carried out in order.
public enum ReplicaDirective: Sendable {
    /// Send a body in one datagram, at most 1200 bytes. A failure to send needs no report.
    case send(to: HostID, body: [UInt8])
    /// Send a body over a stream, at most 1 MiB. Failing is allowed, a bound on what waits is too.
    case sendReliably(to: HostID, body: [UInt8])
    /// Give `ReplicaEvent.timer` at this time; it replaces the time asked for before.
    case wake(at: Nanoseconds)
    /// A row came, changed or went; rows of this host too.
    case changed(RowChange)
    /// Write this row of our own to the journal. It must be on disk (fsync) before any send that follows is carried out.
    case persist(Record)
    /// The journal need not keep the tombstone under this key any more. It may wait for the next write.
    case erase(RecordKey)
    /// Write this incarnation to the journal in place of the one given at the start, on disk before any send that follows:
    /// others know rows of ours that are newer than what we have.
    case persistIncarnation(UInt64)
    /// A host took its leave by a signed word; its rows are gone.
    case departed(HostID)
    /// The changes with this token reached `acknowledged` of the `peers` live hosts concerned; less than all when the
    /// deadline passed or hosts failed meanwhile.
    case settled(token: UInt64, acknowledged: Int, peers: Int)
    /// The changes with this token were not made, none of them.
    case refused(token: UInt64, Refusal)
    /// Something worth a line in a log.
    case notice(ReplicaNotice)
}

/// Why a change was refused.
public enum Refusal: Error, Hashable, Sendable {
    /// The key has more than 255 bytes.
    case keyTooLong(Int)
    /// The value has more than 1024 bytes.
    case valueTooLong(Int)
    /// This host has as many rows as one host may have, those that were removed not counted.
    case tooManyRows(limit: Int)
    /// Another key of this host has the same 64-bit hash.
    case collision
    /// No version is left to give: the incarnation is at its end.
    case exhausted
}

/// A row of the tables as it is held here.
public struct Row: Hashable, Sendable {
    /// The record; never a tombstone.
    public let record: Record
    /// Whether its owner is not known to be alive.
    public let isSuspended: Bool

    /// Makes a row.
    public init(record: Record, isSuspended: Bool) {
        self.record = record
        self.isSuspended = isSuspended
    }
}

/// What happened to a row.
public struct RowChange: Hashable, Sendable {
    /// The ways a row changes.
    public enum Event: Hashable, Sendable {
        /// It was not held before.
        case appeared
        /// It has a new value.
        case updated
        /// Its owner failed.
        case suspended
        /// Its owner is back.
        case restored
        /// It was removed, its owner left, the grace ended, or this host left the network.
        case gone
    }

    /// What happened.
    public let event: Event
    /// The row after it; for `gone` the one that was held.
    public let row: Row
    /// The record that was held before, for `updated`.
    public let previous: Record?

    /// Makes a change.
    public init(_ event: Event, _ row: Row, previous: Record? = nil) {
        self.event = event
        self.row = row
        self.previous = previous
    }
}

/// Something worth a line in a log.
public enum ReplicaNotice: Hashable, Sendable {
    /// A body was refused.
    case malformed(TableFault, from: HostID)
    /// A record's signature is not its owner's.
    case forged(owner: HostID, from: HostID)
    /// Two different records of an owner have one version: two hosts run with one key, or a disk was restored.
    case conflicting(owner: HostID, RecordKey, Version)
    /// An incarnation is too far above the one known.
    case implausible(owner: HostID, incarnation: UInt64)
    /// Others know rows of ours that are newer than what our journal has; this is the incarnation we go on with.
    case journalBehind(incarnation: UInt64)
    /// A saved row was not ours, or was damaged, and is left out.
    case savedRowRefused(RecordKey)
    /// An owner has more rows than are held here.
    case tooManyRows(owner: HostID)
    /// More owners than are held here.
    case tooManyOwners
    /// A host sends more than is worked on.
    case throttled(HostID)
    /// A host that is alive acknowledges no datagrams; repair goes over streams.
    case unacknowledged(HostID)
}
