/// What a replica counts.
public enum ReplicaCounter: Int, Hashable, Sendable, CaseIterable {
    /// Bodies received.
    case messagesIn
    /// Bodies sent.
    case messagesOut
    /// Bytes of bodies received.
    case bytesIn
    /// Bytes of bodies sent in datagrams.
    case datagramBytesOut
    /// Bytes of bodies sent over streams.
    case streamBytesOut
    /// Records that were newer than what was held, and were taken.
    case recordsTaken
    /// Records that were known already.
    case recordsKnown
    /// Records older than what was held.
    case recordsOld
    /// Repetitions of changes that were not acknowledged in time.
    case retransmits
    /// Changes left to repair because a host did not acknowledge them.
    case leftToRepair
    /// Exchanges begun.
    case exchanges
    /// Exchanges that ended without an answer.
    case exchangesLate
    /// Rows dropped because their owner does not have them any more.
    case pruned
    /// Bodies that are not messages of the tables.
    case malformed
    /// Records whose signature is not their owner's.
    case forged
    /// Records equal in version and different in content.
    case conflicting
    /// Incarnations too far above the one known.
    case implausible
    /// Records of owners that left, or whose grace has ended.
    case departed
    /// Records that their owner is known to have removed.
    case resurrections
    /// Records of networks that this host is not on.
    case notConcerned
    /// Records over a limit of rows or owners.
    case overLimit
    /// Bodies and records of hosts that send too much.
    case throttled
}
