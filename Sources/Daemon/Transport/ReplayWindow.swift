internal import Cluster

/// Which frames of one sender's incarnation were taken: the highest counter and the 63 below it.
struct ReplayWindow: Sendable {
    private(set) var highest: UInt64?
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

    /// What was heard last of a frame's sender in the same way.
    func lastHeard(of head: FrameHead) -> LastHeard? {
        guard let sender = senders[head.sender] else { return nil }
        let highest = head.way == .datagram ? sender.datagrams.highest : sender.streams.highest
        return LastHeard(incarnation: sender.incarnation, counter: highest ?? 0)
    }
}

/// What a host has heard last of another, and tells it when it takes what comes now for replayed.
///
/// A host whose state directory was put back to an older copy counts incarnations anew, and everybody drops its frames
/// unread. It still hears the others: told what they have, it goes on above that.
struct LastHeard: Equatable, Sendable {
    /// The first byte of its body; the form (1), the incarnation (8) and the counter (8) follow, big endian.
    static let protocolByte: UInt8 = 0x03
    private static let form: UInt8 = 1

    /// The highest incarnation heard.
    let incarnation: UInt64
    /// The highest counter of that incarnation, as in a frame's head; 0 when none was heard in that way.
    let counter: UInt64

    init(incarnation: UInt64, counter: UInt64) {
        self.incarnation = incarnation
        self.counter = counter
    }

    /// The body of a frame.
    var body: [UInt8] {
        var bytes = [Self.protocolByte, Self.form]
        bytes.append(bigEndian: incarnation, width: 8)
        bytes.append(bigEndian: counter, width: 8)
        return bytes
    }

    /// Reads a frame's body; nil for one of another form. What a later version adds at the end is passed over.
    init?(body: [UInt8]) {
        guard body.count >= 18, body[0] == Self.protocolByte, body[1] == Self.form else { return nil }
        self.init(incarnation: body[...].bigEndian(at: 2, width: 8), counter: body[...].bigEndian(at: 10, width: 8))
    }
}
