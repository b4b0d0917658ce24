internal import Cluster

/// Which frames of one sender's incarnation were taken: the highest counter and the 63 below it.
struct ReplayWindow: Sendable {
    private var highest: UInt64?
    private var taken: UInt64 = 0

    /// Whether a frame is new; it is not new again.
    mutating func accept(_ counter: UInt64) -> Bool {
        guard let highest else {
            self.highest = counter
            taken = 1
            return true
        }
        if counter > highest {
            let step = counter - highest
            taken = step < 64 ? taken << step | 1 : 1
            self.highest = counter
            return true
        }
        let age = highest - counter
        guard age < 64, taken & 1 << age == 0 else { return false }
        taken |= 1 << age
        return true
    }
}

/// The windows of all senders.
struct ReplayGuard: Sendable {
    private struct Sender {
        var incarnation: UInt64
        var datagrams = ReplayWindow()
        var streams = ReplayWindow()
    }

    /// Only hosts that hold a key get here, so the limit is against faults, not attacks.
    private static let limit = 16384

    private var senders: [HostID: Sender] = [:]

    /// Whether an authenticated frame is new. A higher incarnation begins anew, a lower one is over.
    mutating func accept(_ head: FrameHead) -> Bool {
        var sender = senders[head.sender] ?? Sender(incarnation: head.incarnation)
        guard head.incarnation >= sender.incarnation else { return false }
        if head.incarnation > sender.incarnation { sender = Sender(incarnation: head.incarnation) }
        let isNew =
            switch head.way {
            case .datagram: sender.datagrams.accept(head.counter)
            case .stream: sender.streams.accept(head.counter)
            }
        if senders[head.sender] == nil, senders.count >= Self.limit { senders = [:] }
        senders[head.sender] = sender
        return isNew
    }
}
