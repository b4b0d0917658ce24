internal import Cluster

/// What hosts said before membership named them: a newcomer's first words overtake the gossip about it. They are kept for a
/// moment and taken in when it is named; without that its questions end in time-outs.
struct EarlyFrames: Sendable {
    /// How many bodies of one host are kept.
    static let perHostLimit = 64
    /// How many bytes of all hosts.
    static let byteLimit = 4 << 20
    /// How long they are kept, nanoseconds: as long as what they belong to is waited for.
    static let life: UInt64 = 5_000_000_000

    /// A body and its head.
    struct Frame: Sendable {
        let head: FrameHead
        let body: [UInt8]
        let time: UInt64
    }

    /// How often it is looked for what is too old: a stranger who fills this must not have all of it gone through each time.
    private static let expiryInterval: UInt64 = 250_000_000

    private var frames: [HostID: [Frame]] = [:]
    private var lastExpiry: UInt64?
    /// How many bytes are kept.
    private(set) var bytes = 0

    /// How many bodies are kept.
    var count: Int { frames.values.reduce(0) { $0 + $1.count } }

    /// Keeps a body.
    ///
    /// - Returns: false when there is no room; it is dropped then, as a datagram may be.
    mutating func keep(_ head: FrameHead, _ body: [UInt8], now: UInt64) -> Bool {
        guard body.count <= Self.byteLimit else { return false }
        if bytes + body.count > Self.byteLimit || frames[head.sender]?.count ?? 0 >= Self.perHostLimit { expire(now) }
        guard bytes + body.count <= Self.byteLimit, frames[head.sender]?.count ?? 0 < Self.perHostLimit else {
            return false
        }
        frames[head.sender, default: []].append(Frame(head: head, body: body, time: now))
        bytes += body.count
        return true
    }

    /// Takes out what a host said lately, in its order.
    mutating func take(_ host: HostID, now: UInt64) -> [Frame] {
        guard let kept = frames.removeValue(forKey: host) else { return [] }
        bytes -= kept.reduce(0) { $0 + $1.body.count }
        return kept.filter { now - min(now, $0.time) <= Self.life }
    }

    /// Drops what is too old.
    private mutating func expire(_ now: UInt64) {
        if let lastExpiry, now - min(now, lastExpiry) < Self.expiryInterval { return }
        lastExpiry = now
        for host in Array(frames.keys) {
            let fresh = take(host, now: now)
            guard !fresh.isEmpty else { continue }
            frames[host] = fresh
            bytes += fresh.reduce(0) { $0 + $1.body.count }
        }
    }
}
