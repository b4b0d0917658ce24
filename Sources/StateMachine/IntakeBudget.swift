/// Shares a bounded amount of memory among the streams that others opened, while it is not known who they are.
///
/// Whoever holds the most gives way: when streams or bytes are used up, one is given up of the source that has most of them,
/// so that a stranger who takes all there is loses his own, and the one small stream of an honest host goes through. Streams
/// that are trusted come last.
public struct IntakeBudget<StreamName: Hashable & Sendable, Source: Hashable & Sendable>: Sendable {
    private struct Entry {
        let source: Source
        let number: UInt64
        var isTrusted: Bool
        var bytes = 0
    }

    /// How many streams may be open.
    public let streamLimit: Int
    /// How many bytes all of them may hold.
    public let byteLimit: Int
    /// How many bytes they hold.
    public private(set) var bytes = 0

    private var entries: [StreamName: Entry] = [:]
    private var opened: UInt64 = 0

    /// A budget of which nothing is used.
    public init(streamLimit: Int, byteLimit: Int) {
        self.streamLimit = streamLimit
        self.byteLimit = byteLimit
    }

    /// How many streams are open.
    public var streams: Int { entries.count }

    /// Counts a new stream.
    ///
    /// - Returns: the stream that must be closed for it; the new one itself when its source has the most already.
    public mutating func open(_ stream: StreamName, from source: Source, isTrusted: Bool) -> StreamName? {
        opened += 1
        entries[stream] = Entry(source: source, number: opened, isTrusted: isTrusted)
        guard entries.count > streamLimit, let crowd = heaviest({ _ in 1 }) else { return nil }
        let victim =
            crowd.contains { $0.key == stream }
            ? stream : crowd.min { $0.value.number < $1.value.number }?.key ?? stream
        close(victim)
        return victim
    }

    /// Notes how many bytes a stream holds now.
    ///
    /// - Returns: the streams that must be closed because together they hold too much.
    public mutating func hold(_ count: Int, for stream: StreamName) -> [StreamName] {
        guard let old = entries[stream]?.bytes else { return [] }
        entries[stream]?.bytes = count
        bytes += count - old
        var victims: [StreamName] = []
        while bytes > byteLimit {
            let crowd = heaviest { $0.bytes }
            let largest = crowd?.max { ($0.value.bytes, $1.value.number) < ($1.value.bytes, $0.value.number) }
            guard let victim = largest?.key else { break }
            close(victim)
            victims.append(victim)
        }
        return victims
    }

    /// It is known who is at the other end.
    public mutating func trust(_ stream: StreamName) { entries[stream]?.isTrusted = true }

    /// A stream was closed.
    public mutating func close(_ stream: StreamName) {
        if let entry = entries.removeValue(forKey: stream) { bytes -= entry.bytes }
    }

    /// The streams of the source that weighs most, of those that are not trusted if there are any.
    private func heaviest(_ weight: (Entry) -> Int) -> [(key: StreamName, value: Entry)]? {
        let strangers = entries.filter { !$0.value.isTrusted && weight($0.value) > 0 }
        let candidates = strangers.isEmpty ? entries : strangers
        let crowds = Dictionary(grouping: candidates) { $0.value.source }.values
        return crowds.max { one, other in
            let weights = [one, other].map { $0.reduce(0) { $0 + weight($1.value) } }
            // Of equals the source that came later gives way, whatever the order of the dictionary.
            guard weights[0] == weights[1] else { return weights[0] < weights[1] }
            return (one.map(\.value.number).min() ?? 0) < (other.map(\.value.number).min() ?? 0)
        }
    }
}
