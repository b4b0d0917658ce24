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

    mutating func add(_ timer: Timer, at time: Nanoseconds) {
        order += 1
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

    /// Moves every timer later by the same time, which keeps the heap's order.
    mutating func shift(by gap: Nanoseconds) {
        for index in heap.indices { heap[index].time += gap }
    }
}
