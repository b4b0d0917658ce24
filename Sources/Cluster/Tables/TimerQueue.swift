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
    /// A tombstone was sent to others for long enough.
    case tombstone(HostID, scope: NetworkID, hash: UInt64)
    /// The rows of a failed host were kept for long enough.
    case grace(HostID, number: UInt64)
    /// The rows of a departed host were refused for long enough.
    case departed(HostID)
}

/// A binary heap of timers. Timers are not taken back: who set one checks whether it still matters.
struct TimerQueue: Sendable {
    private struct Entry {
        var time: Nanoseconds
        var order: UInt64
        var timer: Timer

        static func < (left: Entry, right: Entry) -> Bool {
            left.time == right.time ? left.order < right.order : left.time < right.time
        }
    }

    private var heap: [Entry] = []
    private var order: UInt64 = 0

    var next: Nanoseconds? { heap.first?.time }
    var count: Int { heap.count }

    mutating func add(_ timer: Timer, at time: Nanoseconds) {
        order &+= 1
        heap.append(Entry(time: time, order: order, timer: timer))
        var child = heap.count - 1
        while child > 0, heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Takes the first timer that is due.
    mutating func popDue(_ now: Nanoseconds) -> Timer? {
        guard let first = heap.first, first.time <= now else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[least] {
                    least = child
                }
                if least == parent { break }
                heap.swapAt(parent, least)
                parent = least
            }
        }
        return first.timer
    }
}
