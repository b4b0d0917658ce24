import NetworkTypes
import StateMachine

@testable import Cluster

/// What the simulated network does to bodies.
struct NetworkFaults {
    var loss = 0.0
    var duplication = 0.0
    /// The delay of a body is drawn anew for each, so that bodies overtake each other, those of streams too.
    var delay: ClosedRange<Nanoseconds> = .milliseconds(1) ... .milliseconds(5)
    /// The part of stream bodies that is lost, as with a connection that breaks.
    var streamLoss = 0.0
}

/// Many replicas in one process, on virtual time, over a network with seeded faults and a membership that tells the truth
/// late. Every run with one seed is the same run.
final class Simulator {
    final class Host {
        let number: Int
        let authority: ToyAuthority
        let id: HostID
        var replica: Replica?
        var generation = 0
        var wake: Nanoseconds?
        /// Hosts of different sides do not reach each other.
        var side = 0
        var hasLeft = false
        /// What the disk has.
        var journal: [RecordKey: Record] = [:]
        var incarnation: UInt64 = 0
        /// What the disk had at some time, for a restore.
        var backup: [RecordKey: Record] = [:]
        /// What the replica was told to have.
        var model: [RecordKey: [UInt8]] = [:]
        /// What membership told it of the others.
        var view: [PeerStatus?]
        var viewSince: [Nanoseconds]
        /// The last version seen of each row, and whether its owner removed it.
        var seen: [Seen: (version: Version, isRemoved: Bool)] = [:]
        var nextToken: UInt64 = 1
        var waiting: [UInt64: Nanoseconds] = [:]

        var isRunning: Bool { replica != nil }

        init(number: Int, count: Int) {
            self.number = number
            authority = ToyAuthority(number)
            id = authority.host
            view = [PeerStatus?](repeating: nil, count: count)
            viewSince = [Nanoseconds](repeating: 0, count: count)
        }
    }

    struct Seen: Hashable {
        let owner: HostID
        let key: RecordKey
    }

    struct Watched: Hashable {
        let owner: HostID
        let version: Version
    }

    enum Item {
        case body(Int, generation: Int, [UInt8], from: HostID, overStream: Bool)
        case wake(Int, generation: Int)
        case membership(Int, of: Int)
    }

    struct Entry {
        var time: Nanoseconds
        var order: UInt64
        var item: Item

        static func < (left: Entry, right: Entry) -> Bool {
            left.time == right.time ? left.order < right.order : left.time < right.time
        }
    }

    let seed: UInt64
    var random: SeededGenerator
    var now: Nanoseconds = .seconds(1000)
    var hosts: [Host]
    var index: [HostID: Int] = [:]
    var heap: [Entry] = []
    var order: UInt64 = 0
    var faults = NetworkFaults()
    var settings: ReplicaSettings
    /// How late membership is.
    var seesAlive: ClosedRange<Nanoseconds> = .milliseconds(10) ... .milliseconds(800)
    var seesFailed: ClosedRange<Nanoseconds> = .milliseconds(500) ... .milliseconds(3000)
    /// Breaches of invariants; a test fails on the first.
    var breaches: [String] = []
    /// Every record that an owner ever made.
    var issued: [Seen: [Record]] = [:]
    var checks = true
    let interner = Interner()

    var settled: [(took: Nanoseconds, acknowledged: Int, peers: Int)] = []
    var notices: [ReplicaNotice] = []
    /// How many hosts have each watched version, and since when it exists.
    var watched: [Watched: (since: Nanoseconds, missing: Int)] = [:]
    var latencies: [Nanoseconds] = []
    var bodies = 0
    /// Changes bodies on their way or takes them out.
    var tap: ((Int, Int, [UInt8]) -> [UInt8]?)?

    init(seed: UInt64, hosts count: Int, settings: ReplicaSettings = ReplicaSettings()) {
        self.seed = seed
        self.settings = settings
        random = SeededGenerator(seed: seed)
        hosts = (0..<count).map { Host(number: $0, count: count) }
        for host in hosts { index[host.id] = host.number }
    }

    // MARK: Hosts

    enum Disk { case kept, lost, restored }

    func start(_ number: Int, disk: Disk = .kept) {
        let host = hosts[number]
        host.generation += 1
        host.hasLeft = false
        host.seen = [:]
        host.wake = nil
        host.waiting = [:]
        switch disk {
        case .kept: break
        case .lost: (host.journal, host.incarnation) = ([:], 0)
        case .restored: (host.journal, host.incarnation) = (host.backup, host.incarnation / 2)
        }
        host.model = host.journal.compactMapValues { $0.isTombstone ? nil : $0.value }
        host.incarnation += 1
        var replica = Replica(
            incarnation: host.incarnation, authority: host.authority, settings: settings,
            rows: host.journal.values.sorted { $0.version < $1.version }, now: now, random: &random)
        let interner = interner
        replica.canonical = { interner.canonical($0) }
        host.replica = replica
        for other in hosts.indices where other != number { (host.view[other], host.viewSince[other]) = (nil, now) }
        give(.start, to: number)
        reachChanged(of: number)
    }

    /// As by SIGKILL or a power cut.
    func crash(_ number: Int) {
        let host = hosts[number]
        host.generation += 1
        host.replica = nil
        reachChanged(of: number)
    }

    /// Leaves the cluster for good, or until it is started again.
    func leave(_ number: Int) {
        hosts[number].hasLeft = true
        give(.farewell(token: nil), to: number)
        crash(number)
    }

    func setSides(_ side: (Int) -> Int) {
        for host in hosts { host.side = side(host.number) }
        for host in hosts where host.isRunning { reachChanged(of: host.number) }
    }

    func reaches(_ one: Int, _ other: Int) -> Bool {
        hosts[one].isRunning && hosts[other].isRunning && hosts[one].side == hosts[other].side
    }

    /// Membership finds out, in both directions.
    private func reachChanged(of number: Int) {
        for other in hosts.indices where other != number {
            let range = reaches(number, other) ? seesAlive : seesFailed
            if hosts[other].isRunning { push(.membership(other, of: number), at: now + random.time(range)) }
            if hosts[number].isRunning { push(.membership(number, of: other), at: now + random.time(range)) }
        }
    }

    private func tellMembership(_ number: Int, of other: Int) {
        let host = hosts[number]
        guard host.isRunning else { return }
        let status: PeerStatus
        if reaches(number, other) {
            status = .alive
        } else {
            guard host.view[other] != nil else { return }
            status = hosts[other].hasLeft && hosts[number].side == hosts[other].side ? .left : .failed
        }
        guard host.view[other] != status else { return }
        // That rows of one that departed were removed is forgotten with the others.
        let isForgotten = host.view[other] != .alive && now - host.viewSince[other] >= settings.grace
        if checks, status == .left || isForgotten { forgetSeen(number) { $0.owner == hosts[other].id } }
        host.view[other] = status
        host.viewSince[other] = now
        give(.peer(hosts[other].id, status), to: number)
    }

    private func forgetSeen(_ number: Int, _ isForgotten: (Seen) -> Bool) {
        hosts[number].seen = hosts[number].seen.filter { !$0.value.isRemoved || !isForgotten($0.key) }
    }

    // MARK: Changes

    func change(_ number: Int, _ changes: [RecordChange]) {
        let host = hosts[number]
        guard host.isRunning else { return }
        for change in changes {
            switch change {
            case .put(let key, let value): host.model[key] = value
            case .remove(let key): host.model[key] = nil
            }
        }
        let token = host.nextToken
        host.nextToken += 1
        host.waiting[token] = now
        give(.changes(changes, token: token), to: number)
        for case .remove(let key) in changes where key.kind == .member {
            // Who is not on a network keeps nothing of it, not even what was removed.
            forgetSeen(number) { $0.owner != host.id && $0.key.scope == key.network }
        }
    }

    func put(_ number: Int, _ key: RecordKey, _ value: [UInt8]) { change(number, [.put(key, value: value)]) }

    func remove(_ number: Int, _ key: RecordKey) { change(number, [.remove(key)]) }

    func join(_ number: Int, _ network: NetworkID) {
        put(number, .member(of: network), MemberRow(vtep: .v4(IPv4Address(rawValue: UInt32(number) + 1))).encoded)
    }

    // MARK: Time

    func push(_ item: Item, at time: Nanoseconds) {
        order += 1
        heap.append(Entry(time: time, order: order, item: item))
        var child = heap.count - 1
        while child > 0, heap[child] < heap[(child - 1) / 2] {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    private func pop() -> Entry? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[least] {
                least = child
            }
            if least == parent { return first }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    func run(for time: Nanoseconds) {
        let end = now + time
        while let next = heap.first, next.time <= end, breaches.isEmpty {
            guard let entry = pop() else { break }
            now = entry.time
            step(entry.item)
        }
        now = end
    }

    private func step(_ item: Item) {
        switch item {
        case .body(let number, let generation, let body, let source, let overStream):
            guard hosts[number].generation == generation else { return }
            give(.message(body, from: source, overStream: overStream), to: number)
        case .wake(let number, let generation):
            let host = hosts[number]
            guard host.generation == generation, let wake = host.wake, wake <= now else { return }
            host.wake = nil
            give(.timer, to: number)
        case .membership(let number, let other): tellMembership(number, of: other)
        }
    }

    func give(_ event: ReplicaEvent, to number: Int) {
        let host = hosts[number]
        guard let directives = host.replica?.handle(event, now: now, random: &random) else { return }
        for directive in directives { carryOut(directive, number) }
    }

    private func carryOut(_ directive: ReplicaDirective, _ number: Int) {
        let host = hosts[number]
        switch directive {
        case .send(let target, let body):
            if body.count > settings.datagramLimit { breaches.append("a datagram of \(body.count) bytes") }
            guard !random.chance(faults.loss) else { return }
            transmit(body, number, target, overStream: false)
            if faults.duplication > 0, random.chance(faults.duplication) {
                transmit(body, number, target, overStream: false)
            }
        case .sendReliably(let target, let body):
            if body.count > 1 << 20 { breaches.append("a stream body of \(body.count) bytes") }
            if faults.streamLoss > 0, random.chance(faults.streamLoss) { return }
            transmit(body, number, target, overStream: true)
        case .wake(let time):
            host.wake = time
            push(.wake(number, generation: host.generation), at: time)
        case .changed(let change): observe(change, number)
        case .persist(let record):
            host.journal[record.key] = record
            observeIssue(record, number)
        case .erase(let key): if host.journal[key]?.isTombstone == true { host.journal[key] = nil }
        case .persistIncarnation(let incarnation): host.incarnation = max(host.incarnation, incarnation)
        case .settled(let token, let acknowledged, let peers):
            guard let since = host.waiting.removeValue(forKey: token) else {
                breaches.append("settled a token twice")
                return
            }
            settled.append((now - since, acknowledged, peers))
        case .refused(let token, let refusal):
            host.waiting[token] = nil
            breaches.append("a change was refused: \(refusal)")
        case .departed(let other):
            // It may bring them again.
            forgetSeen(number) { $0.owner == other }
        case .notice(let notice): if notices.count < 10_000 { notices.append(notice) }
        }
    }

    private func transmit(_ body: [UInt8], _ number: Int, _ target: HostID, overStream: Bool) {
        bodies += 1
        guard let other = index[target], reaches(number, other) else { return }
        guard let tapped = tap.map({ $0(number, other, body) }) ?? body else { return }
        let generation = hosts[other].generation
        push(
            .body(other, generation: generation, tapped, from: hosts[number].id, overStream: overStream),
            at: now + random.time(faults.delay))
    }
}

/// Holds each record once for all replicas of a simulation, which runs on one thread.
final class Interner: @unchecked Sendable {
    private var records: Set<Record> = []

    func canonical(_ record: Record) -> Record { records.insert(record).memberAfterInsert }

    func clear() { records = [] }
}
