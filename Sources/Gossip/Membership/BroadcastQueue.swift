/// Messages that wait to be gossiped, each a limited number of times: the least sent first, then the longest, then the
/// newest.
struct BroadcastQueue: Sendable {
    private struct Entry {
        let message: [UInt8]
        let name: String?
        let id: UInt64
        let isAwaited: Bool
    }

    private struct Place {
        let tier: Int
        let length: Int
        let id: UInt64
    }

    /// By number of transmissions; each tier is sorted.
    private var tiers: [[Entry]] = [[]]
    private var places: [String: Place] = [:]
    private var nextID: UInt64 = 1
    private(set) var count = 0
    /// The awaited broadcasts that are done, sent often enough or replaced. The owner empties it.
    var finished: [UInt64] = []

    /// Adds a message. One with the same name is replaced. The identifier is reported in `finished` if it is awaited.
    @discardableResult
    mutating func add(_ message: [UInt8], named name: String? = nil, isAwaited: Bool = false) -> UInt64 {
        if let name, let place = places[name] { remove(place) }
        let entry = Entry(message: message, name: name, id: nextID, isAwaited: isAwaited)
        nextID += 1
        insert(entry, tier: 0)
        return entry.id
    }

    /// Whether a message with this name waits.
    func holds(_ name: String) -> Bool { places[name] != nil }

    private mutating func insert(_ entry: Entry, tier: Int) {
        while tiers.count <= tier { tiers.append([]) }
        let index = Self.index(in: tiers[tier], length: entry.message.count, id: entry.id)
        tiers[tier].insert(entry, at: index)
        if let name = entry.name { places[name] = Place(tier: tier, length: entry.message.count, id: entry.id) }
        count += 1
    }

    /// The first index whose entry is not before one of this length and number.
    private static func index(in tier: [Entry], length: Int, id: UInt64) -> Int {
        var low = 0
        var high = tier.count
        while low < high {
            let middle = (low + high) / 2
            let entry = tier[middle]
            if entry.message.count > length || entry.message.count == length && entry.id > id {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    private mutating func remove(_ place: Place) {
        let index = Self.index(in: tiers[place.tier], length: place.length, id: place.id)
        guard index < tiers[place.tier].count, tiers[place.tier][index].id == place.id else { return }
        finish(tiers[place.tier].remove(at: index))
    }

    private mutating func finish(_ entry: Entry) {
        count -= 1
        if let name = entry.name, places[name]?.id == entry.id { places[name] = nil }
        if entry.isAwaited { finished.append(entry.id) }
    }

    /// Takes messages that fit into `available` bytes, each costing `overhead` more, at most `parts` of them. Each has
    /// been sent once more; after `limit` times it is dropped.
    mutating func take(
        into messages: inout [[UInt8]], available: inout Int, overhead: Int, parts: Int, limit: Int
    ) {
        guard count > 0 else { return }
        var moved: [(entry: Entry, tier: Int)] = []
        tiers: for tier in tiers.indices where !tiers[tier].isEmpty {
            while messages.count < parts, available > overhead {
                // The tier is sorted by length, so the first that fits is found by halving.
                let index = Self.index(in: tiers[tier], length: available - overhead, id: .max)
                guard index < tiers[tier].count else { continue tiers }
                let entry = tiers[tier].remove(at: index)
                available -= overhead + entry.message.count
                messages.append(entry.message)
                moved.append((entry, tier + 1))
            }
            break
        }
        for (entry, tier) in moved {
            if tier >= limit {
                finish(entry)
            } else {
                count -= 1
                insert(entry, tier: tier)
            }
        }
    }

    /// Drops the most sent, then the shortest, until at most `limit` wait; says how many went.
    mutating func prune(to limit: Int) -> Int {
        var dropped = 0
        while count > limit, let tier = tiers.lastIndex(where: { !$0.isEmpty }) {
            finish(tiers[tier].removeLast())
            dropped += 1
        }
        return dropped
    }
}
