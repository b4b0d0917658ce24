/// A binary heap of timers; timers for one instant leave it in the order in which they came. Timers are not taken back:
/// who set one checks whether it still matters.
public struct TimerQueue<Timer: Sendable>: Sendable {
    @usableFromInline
    struct Entry: Sendable {
        @usableFromInline var time: Nanoseconds
        @usableFromInline let order: UInt64
        @usableFromInline let timer: Timer

        @inlinable
        init(time: Nanoseconds, order: UInt64, timer: Timer) {
            self.time = time
            self.order = order
            self.timer = timer
        }

        @inlinable
        static func < (left: Entry, right: Entry) -> Bool {
            left.time == right.time ? left.order < right.order : left.time < right.time
        }
    }

    @usableFromInline var heap: [Entry] = []
    @usableFromInline var order: UInt64 = 0

    /// An empty queue.
    @inlinable
    public init() {}

    /// The time of the first timer; nil when there is none.
    @inlinable
    public var next: Nanoseconds? { heap.first?.time }

    /// The number of timers.
    @inlinable
    public var count: Int { heap.count }

    /// Sets a timer.
    @inlinable
    public mutating func add(_ timer: Timer, at time: Nanoseconds) {
        order &+= 1
        heap.append(Entry(time: time, order: order, timer: timer))
        var child = heap.count - 1
        while child > 0, heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Takes the first timer that is due.
    @inlinable
    public mutating func popDue(_ now: Nanoseconds) -> Timer? {
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
    @inlinable
    public mutating func shift(by gap: Nanoseconds) {
        for index in heap.indices { heap[index].time += gap }
    }
}
