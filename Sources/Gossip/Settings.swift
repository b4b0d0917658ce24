public import StateMachine

/// The timings and limits of an instance. All nodes of a cluster should run the same profile.
public struct Settings: Hashable, Sendable {
    /// How often a member is probed. Default 1 s.
    public var probeInterval: Nanoseconds = .seconds(1)
    /// How long a direct ack is waited for before others are asked. Default 500 ms.
    public var probeTimeout: Nanoseconds = .milliseconds(500)
    /// How many members are asked to probe in our place. Default 3.
    public var indirectChecks = 3
    /// Whether an unanswered probe is also tried over a stream. Default true.
    public var usesStreamFallback = true
    /// Times the logarithm of the cluster's size: how often a broadcast is sent. Default 4.
    public var retransmitMultiplier = 4
    /// Probe intervals, times the logarithm of the cluster's size, until a suspect is dead. Default 4.
    public var suspicionMultiplier = 4
    /// The longest suspicion as a multiple of the shortest. Default 6.
    public var suspicionMaximumMultiplier = 6
    /// The health score stays below this. Default 8.
    public var awarenessLimit = 8
    /// How often broadcasts are gossiped. Default 200 ms.
    public var gossipInterval: Nanoseconds = .milliseconds(200)
    /// To how many members at a time. Default 3.
    public var gossipNodes = 3
    /// How long the dead are still gossiped to, so that they can refute. Default 30 s.
    public var gossipToTheDead: Nanoseconds = .seconds(30)
    /// How often the full state is exchanged with a random member, below 33 members. Default 30 s.
    public var pushPullInterval: Nanoseconds = .seconds(30)
    /// The deadline of a stream. Default 10 s.
    public var streamTimeout: Nanoseconds = .seconds(10)
    /// The most bytes of a datagram. Default 1400.
    public var packetBudget = 1400
    /// Whether packets and streams are compressed where that makes them shorter. Default true.
    public var compresses = true

    /// How long a member must be dead before its name may come from another address. Default 5 s; agents wait for the
    /// record to be forgotten.
    public var deadNodeReclaim: Nanoseconds = .seconds(5)
    /// How long the old address is asked before a name moves. Default 2 s.
    public var moveQuarantine: Nanoseconds = .seconds(2)
    /// Above this, an incarnation may rise by at most `incarnationJump` at once: no single message can use up the
    /// numbers a member needs to refute. Default 2³¹.
    public var incarnationFloor: UInt32 = 1 << 31
    /// See `incarnationFloor`. Default 2²⁰.
    public var incarnationJump: UInt32 = 1 << 20

    /// How often a failed member or an absent seed is tried again. Default 10 s.
    public var reconnectInterval: Nanoseconds = .seconds(10)
    /// How long failed members are kept and tried. Default 24 h.
    public var reconnectTimeout: Nanoseconds = .seconds(24 * 3600)
    /// How long members that left are kept. Default 24 h.
    public var tombstoneTimeout: Nanoseconds = .seconds(24 * 3600)
    /// How often the two are looked at. Default 15 s.
    public var reapInterval: Nanoseconds = .seconds(15)
    /// How long an intent about an unknown node is kept. Default 5 min.
    public var recentIntentTimeout: Nanoseconds = .seconds(300)
    /// How long a leaving node waits for each of its two broadcasts. Default 5 s.
    public var broadcastTimeout: Nanoseconds = .seconds(5)
    /// How long a leaving node stays after that. Default 1 s.
    public var leavePropagation: Nanoseconds = .seconds(1)
    /// The first pause between attempts to join. Default 1 s, doubled up to `joinRetryLimit`.
    public var joinRetry: Nanoseconds = .seconds(1)
    /// The longest pause between attempts to join. Default 30 s.
    public var joinRetryLimit: Nanoseconds = .seconds(30)

    /// Gossip intervals, times the logarithm of the cluster's size, that a query lasts. Default 16.
    public var queryTimeoutMultiplier = 16
    /// The most bytes of a user event's name and payload. Default 512.
    public var userEventLimit = 512
    /// The most bytes of a query. Default 1024.
    public var queryLimit = 1024
    /// The most bytes of a query's response. Default 1024.
    public var queryResponseLimit = 1024
    /// How many Lamport times of events and queries are remembered. Default 512.
    public var eventSlots = 512
    /// The most broadcasts of one kind that wait. Default 4096.
    public var queueLimit = 4096
    /// The most nodes that are remembered. Default 65536.
    public var memberLimit = 1 << 16
    /// The most streams that others may have open to us. Default 128.
    public var streamLimit = 128
    /// The most bytes that those streams may hold together before their messages are complete. Default 12 MiB: the state of
    /// 32 000 members.
    public var streamMemory = 12 << 20

    /// Whether packets in clear are refused while there are keys. Default true.
    public var requiresEncryption = true
    /// The label of the cluster, at most 255 bytes; empty for none, as serf agents have it.
    public var label: [UInt8] = []

    /// The profile of a stock agent in a local network.
    public static let lan = Settings()

    /// A killed node is seen within 2.5 s in a cluster of ten.
    public static let fast: Settings = {
        var settings = Settings()
        settings.probeInterval = .milliseconds(300)
        settings.probeTimeout = .milliseconds(100)
        settings.gossipInterval = .milliseconds(100)
        settings.pushPullInterval = .seconds(10)
        settings.suspicionMultiplier = 3
        settings.gossipToTheDead = .seconds(15)
        settings.streamTimeout = .seconds(5)
        settings.deadNodeReclaim = .seconds(2)
        settings.moveQuarantine = .milliseconds(600)
        settings.reconnectInterval = .seconds(5)
        return settings
    }()

    /// The profile of a stock agent between sites.
    public static let wan: Settings = {
        var settings = Settings()
        settings.probeInterval = .seconds(5)
        settings.probeTimeout = .seconds(3)
        settings.suspicionMultiplier = 6
        settings.gossipInterval = .milliseconds(500)
        settings.gossipNodes = 4
        settings.gossipToTheDead = .seconds(60)
        settings.pushPullInterval = .seconds(60)
        settings.streamTimeout = .seconds(30)
        settings.deadNodeReclaim = .seconds(30)
        settings.moveQuarantine = .seconds(6)
        settings.reconnectInterval = .seconds(30)
        return settings
    }()

    init() {}

    /// What is wrong with the values, if anything; an instance does not start with such settings.
    var fault: String? {
        if probeInterval == 0 || probeTimeout == 0 || probeTimeout > probeInterval {
            return "probeTimeout must be positive and at most probeInterval"
        }
        if gossipInterval == 0 || pushPullInterval == 0 || reapInterval == 0 || reconnectInterval == 0 {
            return "intervals must be positive"
        }
        if retransmitMultiplier < 1 || suspicionMultiplier < 1 || suspicionMaximumMultiplier < 1 || awarenessLimit < 1 {
            return "multipliers must be positive"
        }
        if gossipNodes < 0 || indirectChecks < 0 || queryTimeoutMultiplier < 1 { return "counts must not be negative" }
        if !(512...65_000).contains(packetBudget) { return "packetBudget must be between 512 and 65000" }
        if label.count > 255 { return "label must have at most 255 bytes" }
        if eventSlots < 1 || queueLimit < 1 || memberLimit < 2 || streamLimit < 1 || streamMemory < 1 {
            return "limits must be positive"
        }
        return nil
    }
}
