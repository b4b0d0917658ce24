internal import StateMachine

/// Work that may be done: filled up with time, up to a limit.
struct Budget: Sendable {
    private var units: Int
    private var filledAt: Nanoseconds

    init(burst: Int, now: Nanoseconds) {
        units = burst
        filledAt = now
    }

    /// Takes work out; false when there was none left before.
    mutating func take(_ amount: Int, perSecond: Int, burst: Int, now: Nanoseconds) -> Bool {
        let interval = Nanoseconds(1_000_000_000 / max(1, perSecond))
        let steps = (now - min(now, filledAt)) / max(1, interval)
        if steps > 0 {
            filledAt = now
            units = min(burst, units + Int(clamping: min(steps, UInt64(clamping: burst) * 2)))
        }
        guard units > 0 else { return false }
        units -= amount
        return true
    }
}

/// Another host, as membership sees it, and what is under way with it.
struct Peer: Sendable {
    /// Nil for one that sent something before membership said anything about it.
    var status: PeerStatus?
    var budget: Budget
    var summary: PendingSummary?
    var session: Session?
    var exchangedAt: Nanoseconds?
    var complainedAt: Nanoseconds?
}

/// Our summary on its way to a host; it is repeated until the host has what it says.
struct PendingSummary: Sendable {
    var number: UInt64
    var attempt: Int
}

/// A change of ours on its way to the hosts concerned.
struct Delivery: Sendable {
    var scope: NetworkID
    var version: Version
    var number: UInt64
    var attempt = 0
    var remaining: Set<HostID>
    /// Who waits for it to settle.
    var tokens: [UInt64] = []
}

/// Changes whose shell waits for acknowledgements.
struct Settlement: Sendable {
    /// How many rows each host has still to acknowledge.
    var waiting: [HostID: Int] = [:]
    var acknowledged = 0
    var peers = 0
}

/// A comparison that we drive: what is still to be asked of a host.
struct Session: Sendable {
    struct Item: Sendable {
        var range: BucketRange
        /// How many rows the host has there, as far as is known.
        var expected: Int
    }
    var id: UInt64
    var queue: ArraySlice<Item>
    /// What is in the queue or asked for.
    var known: Set<BucketRange>
    /// How long an answer is waited for, or more of it.
    var patience: Nanoseconds = 0
    /// Whether rows came since then.
    var isHeard = false
}
