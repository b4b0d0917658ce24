/// What happens to a replica.
public enum ReplicaEvent: Sendable {
    /// The replica may begin to send. Given once, before any other event.
    case start
    /// Membership says something new about a host of the same cluster. Hosts without the tag `sw` are not told of.
    case peer(HostID, PeerStatus)
    /// The opened body of a frame of a host came in, by datagram or over a stream. The shell has checked that the frame
    /// is from a host with the group's key and is no replay.
    case message([UInt8], from: HostID, overStream: Bool)
    /// This host leaves on purpose: it signs that its rows are gone, and `ReplicaDirective.settled` answers. Its journal keeps
    /// them for the next start.
    case farewell(token: UInt64?)
    /// Another host has heard of a later run of this host than this one: nothing of this one is believed there until it goes
    /// on above.
    case outrun(incarnation: UInt64)
    /// The time last asked for by `ReplicaDirective.wake` has come.
    case timer
    /// The owner of this host wants a change; with a token, `ReplicaDirective.settled` or `.refused` answers.
    case change(RecordChange, token: UInt64?)
    /// Several changes at once: they are sent together and settle together.
    case changes([RecordChange], token: UInt64?)
}

/// What membership says about a host.
public enum PeerStatus: Hashable, Sendable {
    /// It takes part.
    case alive
    /// It does not answer: its rows are suspended.
    case failed
    /// It left on purpose, as membership says: its rows are removed if the host has signed that, or if it is of a release that
    /// does not; otherwise they are suspended.
    case left
    /// Membership dropped it from its own table.
    case forgotten
}

/// A change of this host's own rows.
public enum RecordChange: Hashable, Sendable {
    /// Sets the value under a key. Setting the value that is held makes no new version, but is sent and acknowledged
    /// again.
    case put(RecordKey, value: [UInt8])
    /// Removes the row under a key. A key that is not held is success.
    case remove(RecordKey)
}
