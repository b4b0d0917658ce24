/// What a replica waits for.
enum Timer: Hashable, Sendable {
    /// The tables are to be compared with a random host.
    case exchange
    /// The tables are to be compared with some of the hosts that appeared.
    case appearances
    /// A change to this row of ours was not acknowledged by all.
    case delivery(hash: UInt64, number: UInt64)
    /// A host did not acknowledge our summary.
    case summary(HostID, number: UInt64)
    /// The changes with this token took long enough.
    case settlement(UInt64)
    /// The session's question was not answered.
    case session(HostID, id: UInt64)
    /// Some tombstones may have been sent to others for long enough.
    case tombstones
    /// The rows of a failed host were kept for long enough.
    case grace(HostID, number: UInt64)
    /// The rows of a departed host were refused for long enough.
    case departed(HostID)
}
