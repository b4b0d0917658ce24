public import StateMachine

/// What an instance wants its shell to do. Directives are carried out in order.
public enum Directive: Sendable {
    /// Send a datagram. A failure to send needs no report.
    case sendDatagram(to: Endpoint, [UInt8])
    /// Open a stream and send the bytes; the writing side stays open. Failure is `Event.streamEnded`.
    case openStream(StreamID, to: Endpoint, [UInt8])
    /// Send bytes on a stream.
    case sendStream(StreamID, [UInt8])
    /// Close a stream when everything was sent. No event follows.
    case closeStream(StreamID)
    /// Give `Event.timer` at this time; it replaces the time asked for before.
    case wake(at: Nanoseconds)

    /// Something happened to a member.
    case member(MemberChange, Member)
    /// A user event; never the same twice.
    case userEvent(UserEvent)
    /// A query to be answered with `Command.respond`, or not.
    case query(Query)
    /// A node got our query.
    case queryAck(token: UInt64, from: String)
    /// A node answered our query.
    case queryResponse(token: UInt64, from: String, payload: [UInt8])
    /// A node answered our key operation.
    case keyResponse(token: UInt64, from: String, KeyResponse)
    /// No more answers are taken.
    case queryFinished(token: UInt64)
    /// The keys changed; they should be saved.
    case keyRingChanged(KeyRing)
    /// Leaving is done; the instance may be dropped.
    case left
    /// Something worth a line in a log.
    case notice(Notice)
}

/// What happened to a member.
public enum MemberChange: Hashable, Sendable {
    /// It is a member now, for the first time or again.
    case joined
    /// It left on purpose, or was declared to have left.
    case left
    /// It does not answer.
    case failed
    /// Its tags or its address changed.
    case updated
    /// It failed or left so long ago that it is forgotten, or it was pruned.
    case reaped
}

/// The status of a member.
public enum MemberStatus: Hashable, Sendable {
    /// It takes part.
    case alive
    /// It said that it is about to leave.
    case leaving
    /// It left.
    case left
    /// It does not answer.
    case failed
}

/// A member as the owner sees it.
public struct Member: Hashable, Sendable {
    /// The unique name.
    public let name: String
    /// Where it receives gossip.
    public let endpoint: Endpoint
    /// What it says about itself.
    public let tags: [String: String]
    /// Its status.
    public let status: MemberStatus
    /// Whether it is suspected to have failed, and by whom.
    public let suspectedBy: [String]
    /// The protocols it speaks.
    public let versions: ProtocolVersions
    /// The number of its newest announcement.
    public let incarnation: UInt32
    /// The Lamport time of its status.
    public let statusTime: UInt64
    /// When its state last changed.
    public let since: Nanoseconds
    /// When it last answered a probe of ours.
    public let lastAck: Nanoseconds?
    /// The round trip of the last direct probe.
    public let roundTrip: Nanoseconds?
    /// Whether it answers over streams but not over datagrams.
    public let answersOnlyStreams: Bool
    /// Its place in the network coordinate space, if it said one.
    public let coordinate: Coordinate?
}

/// An event that a node sent to all.
public struct UserEvent: Hashable, Sendable {
    /// Its Lamport time.
    public let time: UInt64
    /// Its name.
    public let name: String
    /// Its payload.
    public let payload: [UInt8]
    /// Whether events of the same name may be merged.
    public let coalesce: Bool

    /// An event with the Lamport time of its sender.
    public init(time: UInt64, name: String, payload: [UInt8], coalesce: Bool) {
        self.time = time
        self.name = name
        self.payload = payload
        self.coalesce = coalesce
    }
}

/// A query to be answered.
public struct Query: Hashable, Sendable {
    /// To answer it with.
    public let id: QueryID
    /// Its Lamport time.
    public let time: UInt64
    /// Its name.
    public let name: String
    /// What is asked.
    public let payload: [UInt8]
    /// Who asks.
    public let source: String
    /// Until when an answer is taken.
    public let deadline: Nanoseconds
}

/// Something worth a line in a log.
public enum Notice: Hashable, Sendable {
    /// Bytes were refused.
    case malformed(WireFault, from: Endpoint?)
    /// A member did not answer our probe, or is suspected by another.
    case suspected(String, by: String)
    /// We were accused and answered with this incarnation.
    case refuted(incarnation: UInt32, accuser: String)
    /// A member answers over streams but not over datagrams: its datagrams are lost.
    case datagramsLost(String)
    /// The cluster of a seed was reached.
    case joinedVia(Endpoint)
    /// No seed could be reached; the next attempt is in this time.
    case joinFailed(retryIn: Nanoseconds)
    /// The other side of a stream reported a failure.
    case remoteError(String, from: Endpoint)
    /// Two addresses claim one name.
    case nameConflict(String, known: Endpoint, claimed: Endpoint)
    /// A name moved to another address after the old one did not answer.
    case moved(String, from: Endpoint, to: Endpoint)
    /// A forged or broken message was ignored: its incarnation or time is too far ahead.
    case implausible(String)
    /// A node with other protocol versions was ignored.
    case incompatible(String)
    /// The process did not run for this time; nobody is accused for it.
    case paused(Nanoseconds)
    /// No other member is alive.
    case isolated
    /// A command was refused.
    case refused(String)
    /// Broadcasts were dropped because too many wait.
    case queueOverflow(Int)
}

/// What an instance counts.
public enum Counter: Int, Hashable, Sendable, CaseIterable {
    /// Datagrams received.
    case datagramsIn
    /// Datagrams sent.
    case datagramsOut
    /// Bytes of datagrams received.
    case bytesIn
    /// Bytes of datagrams sent.
    case bytesOut
    /// Packets, parts of packets and streams that were refused.
    case malformed
    /// Probes sent.
    case probes
    /// Probes without a direct ack in time.
    case probesLate
    /// Probes without any answer.
    case probesFailed
    /// Accusations of ourselves that were answered.
    case refutations
    /// Messages with an implausible incarnation or time.
    case implausible
    /// Old announcements of nodes that are gone.
    case stale
    /// Announcements of a known name from another address.
    case conflicts
    /// Streams refused because too many are open.
    case streamsRefused
    /// Full-state exchanges done.
    case exchanges
    /// Broadcasts dropped.
    case broadcastsDropped
    /// User events that were known already.
    case duplicateEvents
    /// Unknown names refused because the table is full.
    case membersRefused
    /// Pings answered at the datagram's source because the address inside is nobody's.
    case reflectionsAvoided
}

extension Member {
    /// A member that another engine knows of; what only gossip itself can know is left empty.
    public init(
        name: String, endpoint: Endpoint, tags: [String: String], status: MemberStatus, versions: ProtocolVersions,
        since: Nanoseconds
    ) {
        self.init(
            name: name, endpoint: endpoint, tags: tags, status: status, suspectedBy: [], versions: versions,
            incarnation: 0, statusTime: 0, since: since, lastAck: nil, roundTrip: nil, answersOnlyStreams: false,
            coordinate: nil)
    }
}
