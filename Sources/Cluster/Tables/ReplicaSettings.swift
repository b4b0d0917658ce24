public import StateMachine

/// The timings and limits of a replica.
public struct ReplicaSettings: Hashable, Sendable {
    /// The most bytes of a datagram's body. Default 1200.
    public var datagramLimit = 1200
    /// The most bytes of a body sent over a stream. Default 256 KiB.
    public var chunkLimit = 256 * 1024
    /// How long the first acknowledgement is waited for; doubled at each repetition. Default 20 ms.
    public var retransmitInterval: Nanoseconds = .milliseconds(20)
    /// How often a change is repeated. Default 5.
    public var retransmits = 5
    /// How long a change may take to settle. Default 15 ms.
    public var settleDeadline: Nanoseconds = .milliseconds(15)
    /// How often the tables are compared with a random host. Default 10 s.
    public var exchangeInterval: Nanoseconds = .seconds(10)
    /// With how many of the hosts that appear within one interval the whole tables are compared at once. Default 3.
    public var exchangesAtOnce = 3
    /// How long an answer in an exchange is waited for. Default 2 s.
    public var exchangeTimeout: Nanoseconds = .seconds(2)
    /// The most rows compared in one step of an exchange. Default 1024.
    public var rowsPerStep = 1024
    /// How long a tombstone is sent to others. Default 30 min.
    public var tombstoneLifetime: Nanoseconds = .seconds(30 * 60)
    /// How long the rows of a host that failed are kept. Default 30 min.
    public var grace: Nanoseconds = .seconds(30 * 60)
    /// How long the rows of a host that left, or whose grace ended, are refused. Default 24 h.
    public var departedLifetime: Nanoseconds = .seconds(24 * 3600)
    /// The most rows of one owner. Default 16 384.
    public var rowsPerOwner = 16384
    /// The most tombstones of one owner and network that are sent to others; above it the oldest end early, and the owner's
    /// own word repairs what somebody missed. Default 1024.
    public var tombstonesPerScope = 1024
    /// The most removed rows of one owner and network that are kept from coming back without the owner's word. Default 4096.
    public var guardsPerScope = 4096
    /// The most of both of one owner. Default 16 384.
    public var gravesPerOwner = 16384
    /// The most owners. Default 8192.
    public var owners = 8192
    /// By how much an incarnation may rise at once. Default 2²⁰.
    public var incarnationJump: UInt64 = 1 << 20
    /// By how much, in one run, this host's incarnation may be moved by others' mere word. Default 2²².
    public var unsignedRiseLimit: UInt64 = 1 << 22
    /// Above this no incarnation is believed. Default 2⁴⁰.
    public var incarnationLimit: UInt64 = 1 << 40
    /// How much work of one host is done at once: one unit is a message, or a record that is checked or sent.
    /// Default 100 000.
    public var workBurst = 100_000
    /// How much work of one host is done in a second. Default 20 000.
    public var workPerSecond = 20_000

    /// The settings above.
    public init() {}
}
