/// What an instance waits for.
enum Timer: Hashable, Sendable {
    case gossip
    case probe
    case pushPull
    case reconnect
    case catchUp
    case reap
    case join
    /// The direct ack of the probe with this number is late.
    case probeTimeout(UInt32)
    /// The probe with this number is over.
    case probeEnd(UInt32)
    /// A probe in another's place was not answered.
    case indirectTimeout(UInt32)
    /// A suspicion of the node may be due.
    case suspicion(String)
    /// The old address of the node was asked long enough.
    case move(String)
    case stream(StreamID)
    case query(UInt64)
    case leave
}
