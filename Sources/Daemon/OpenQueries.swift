internal import Gossip
internal import StateMachine

/// The queries of other nodes that somebody here may still answer, by the number the event stream gives them.
struct OpenQueries: Sendable {
    /// The most that are kept; of more, the oldest can no longer be answered. A cluster's queries last seconds, and whoever
    /// sends more of them than this in that time wants no answers.
    static let limit = 1024

    private var queries: [UInt64: Query] = [:]

    /// How many are kept.
    var count: Int { queries.count }

    /// Keeps a query; numbers rise. Those whose time is over go.
    mutating func add(_ query: Query, number: UInt64, now: Nanoseconds) {
        if queries.count >= Self.limit {
            queries = queries.filter { $0.value.deadline >= now }
            if queries.count >= Self.limit, let oldest = queries.keys.min() { queries[oldest] = nil }
        }
        queries[number] = query
    }

    /// Takes a query out to answer it; nil when it was answered, or is forgotten.
    mutating func take(_ number: UInt64) -> Query? { queries.removeValue(forKey: number) }
}
