import NetworkTypes
import StateMachine
import Testing

@testable import Gossip

/// What the simulated network does to packets.
struct NetworkFaults {
    var loss = 0.0
    var duplication = 0.0
    /// The delay of a packet is drawn anew for each, so packets overtake each other.
    var delay: ClosedRange<Nanoseconds> = .milliseconds(1) ... .milliseconds(5)
    /// Whether streams are lost as well, as whole connections.
    var streamLoss = 0.0
}

/// Many instances in one process, on virtual time, over a network with seeded faults. Every run with one seed is the
/// same run.
final class Simulator {
    struct Happening {
        let time: Nanoseconds
        let observer: String
        let subject: String
        let change: MemberChange
    }

    final class Engine {
        var instance: Instance

        init(_ instance: Instance) { self.instance = instance }
    }

    final class Host {
        let name: String
        var endpoint: Endpoint
        /// The engine, in a place of its own: taken out of an optional it would be copied.
        private(set) var engine: Engine?
        var instance: Instance? {
            get { engine?.instance }
            set { engine = newValue.map(Engine.init) }
        }
        /// Stopped as by SIGSTOP: what arrives waits.
        var isPaused = false
        var waiting: [Event] = []
        /// Told to leave, or gone by its own will.
        var isLeaving = false
        var hasLeft = false
        var side = 0
        var startedAt: Nanoseconds = 0
        var stoppedAt: Nanoseconds?
        var generation = 0
        var wake: Nanoseconds?
        var streams: [StreamID: (peer: Int, id: StreamID)] = [:]
        var userEvents: [String: Int] = [:]
        var queries: [Query] = []
        var results: [String] = []
        var keyAnswers: [String: KeyResponse] = [:]
        var notices: [Notice] = []
        /// The highest incarnation it had.
        var incarnation: UInt32 = 0

        var isRunning: Bool { engine != nil }

        init(name: String, endpoint: Endpoint) {
            self.name = name
            self.endpoint = endpoint
        }
    }

    enum Item {
        case give(Int, generation: Int, Event)
        case wake(Int, generation: Int)
    }

    struct Entry {
        var time: Nanoseconds
        var order: UInt64
        var item: Item
    }

    let seed: UInt64
    var random: SeededGenerator
    var now: Nanoseconds = .seconds(1000)
    var hosts: [Host] = []
    var index: [Endpoint: Int] = [:]
    var heap: [Entry] = []
    var order: UInt64 = 0
    var nextAccepted: UInt64 = 1
    var faults = NetworkFaults()
    var happenings: [Happening] = []
    /// The last time the network lost something or was cut, or a host was paused.
    var lastTrouble: Nanoseconds?
    var settings: Settings
    var keyRing: KeyRing?
    /// Breaches of invariants; a test fails on the first.
    var breaches: [String] = []
    var packets = 0
    /// Observes or changes packets on their way: source, destination, bytes.
    var tap: ((Int, Endpoint, [UInt8]) -> Void)?

    init(seed: UInt64, hosts count: Int, settings: Settings = .lan, keyRing: KeyRing? = nil) {
        self.seed = seed
        self.settings = settings
        self.keyRing = keyRing
        random = SeededGenerator(seed: seed)
        for number in 0..<count { addHost(number) }
    }

    func addHost(_ number: Int) {
        let host = Host(name: "node-\(number)", endpoint: address(number))
        index[host.endpoint] = hosts.count
        hosts.append(host)
    }

    func address(_ number: Int) -> Endpoint {
        Endpoint(address: .v4(IPv4Address(rawValue: 0x0A00_0001 + UInt32(number))), port: 7946)
    }

    var running: [Host] { hosts.filter(\.isRunning) }

    /// Nodes that were ever told to leave, or forced to by an attacker.
    var forced: Set<String> = []
    /// Nodes about which lies are told.
    var attacked: Set<String> = []

    // MARK: Hosts

    func start(_ number: Int, memory: Instance.Memory = .init(), tags: [String: String] = [:]) throws {
        let host = hosts[number]
        host.generation += 1
        host.startedAt = now
        host.stoppedAt = nil
        host.isLeaving = false
        host.hasLeft = false
        host.wake = nil
        host.incarnation = 0
        host.userEvents = [:]
        host.instance = try Instance(
            name: host.name, endpoint: host.endpoint, tags: tags, settings: settings, keyRing: keyRing,
            cipher: keyRing == nil ? nil : ToyCipher(), memory: memory, now: now, random: &random)
        give(.start, to: number)
    }

    /// Starts all, each joining the first.
    func startAll(joining seed: Int = 0) throws {
        for number in hosts.indices {
            try start(number)
            if number != seed { command(.join([hosts[seed].endpoint]), number) }
        }
    }

    /// As by SIGKILL or a power cut: nobody is told.
    @discardableResult
    func crash(_ number: Int) -> Instance.Memory {
        let host = hosts[number]
        let memory = host.instance?.memory ?? .init()
        host.instance = nil
        host.generation += 1
        host.stoppedAt = now
        host.isPaused = false
        host.waiting = []
        for (_, other) in host.streams.sorted(by: { $0.value.id.number < $1.value.id.number }) {
            schedule(
                .give(other.peer, generation: hosts[other.peer].generation, .streamEnded(other.id)), in: delay())
            hosts[other.peer].streams[other.id] = nil
        }
        host.streams = [:]
        return memory
    }

    func move(_ number: Int, to endpoint: Endpoint) {
        index[hosts[number].endpoint] = nil
        hosts[number].endpoint = endpoint
        index[endpoint] = number
    }

    func pause(_ number: Int) {
        lastTrouble = now
        hosts[number].isPaused = true
    }

    func resume(_ number: Int) {
        lastTrouble = now
        let host = hosts[number]
        host.isPaused = false
        let waiting = host.waiting
        host.waiting = []
        give(.timer, to: number)
        for event in waiting { give(event, to: number) }
    }

    func command(_ command: Command, _ number: Int) {
        if case .leave = command {
            hosts[number].isLeaving = true
            forced.insert(hosts[number].name)
        }
        give(.command(command), to: number)
    }

    /// Puts the hosts into sides that cannot reach each other.
    func partition(_ side: (Int) -> Int) {
        lastTrouble = now
        for number in hosts.indices { hosts[number].side = side(number) }
    }

    var isCut: Bool { hosts.contains { $0.side != hosts[0].side || $0.isPaused } }

    func heal() { partition { _ in 0 } }

    /// Sends a packet as an attacker would.
    func inject(_ bytes: [UInt8], from source: Endpoint, to number: Int) {
        give(.datagram(bytes, from: source), to: number)
    }

    // MARK: Running

    func run(_ interval: Nanoseconds) {
        let end = now + interval
        while let first = heap.first, first.time <= end, breaches.isEmpty { step() }
        now = end
    }

    /// Runs until the condition holds, at most for `limit`; says how long it took.
    func run(until limit: Nanoseconds, every tick: Nanoseconds = .milliseconds(100), _ holds: () -> Bool)
        -> Nanoseconds?
    {
        let start = now
        while now - start <= limit, breaches.isEmpty {
            if holds() { return now - start }
            run(tick)
        }
        return nil
    }

    func step() {
        let entry = pop()
        now = max(now, entry.time)
        switch entry.item {
        case .give(let number, let generation, let event):
            if hosts[number].generation == generation { give(event, to: number) }
        case .wake(let number, let generation):
            let host = hosts[number]
            guard host.generation == generation, host.wake == entry.time else { return }
            host.wake = nil
            give(.timer, to: number)
        }
    }

    func give(_ event: Event, to number: Int) {
        let host = hosts[number]
        guard let engine = host.engine else { return }
        if host.isPaused {
            if case .timer = event { return }
            host.waiting.append(event)
            return
        }
        let directives = engine.instance.handle(event, now: now, random: &random)
        for directive in directives { carryOut(directive, number) }
        check(number)
    }

    func delay() -> Nanoseconds { Nanoseconds.random(in: faults.delay, using: &random) }

    func chance(_ probability: Double) -> Bool {
        guard probability > 0, Double.random(in: 0..<1, using: &random) < probability else { return false }
        lastTrouble = now
        return true
    }

    func carryOut(_ directive: Directive, _ number: Int) {
        let host = hosts[number]
        switch directive {
        case .sendDatagram(let destination, let bytes):
            packets += 1
            if bytes.count > settings.packetBudget { breach("\(host.name) sent \(bytes.count) bytes at once") }
            tap?(number, destination, bytes)
            guard let peer = index[destination], hosts[peer].side == host.side else { return }
            for _ in 0..<(chance(faults.duplication) ? 2 : 1) where !chance(faults.loss) {
                schedule(
                    .give(peer, generation: hosts[peer].generation, .datagram(bytes, from: host.endpoint)), in: delay())
            }
        case .openStream(let id, let destination, let bytes):
            guard let peer = index[destination], hosts[peer].side == host.side, !chance(faults.streamLoss) else {
                return
            }
            guard hosts[peer].isRunning else {
                schedule(.give(number, generation: host.generation, .streamEnded(id)), in: delay())
                return
            }
            let accepted = StreamID.accepted(nextAccepted)
            nextAccepted += 1
            host.streams[id] = (peer, accepted)
            hosts[peer].streams[accepted] = (number, id)
            let arrival = delay()
            schedule(
                .give(peer, generation: hosts[peer].generation, .streamAccepted(accepted, from: host.endpoint)),
                in: arrival)
            sendPieces(bytes, on: accepted, to: peer, after: arrival)
        case .sendStream(let id, let bytes):
            guard let other = host.streams[id], hosts[other.peer].side == host.side else { return }
            sendPieces(bytes, on: other.id, to: other.peer, after: delay())
        case .closeStream(let id):
            guard let other = host.streams.removeValue(forKey: id) else { return }
            hosts[other.peer].streams[other.id] = nil
            schedule(
                .give(other.peer, generation: hosts[other.peer].generation, .streamEnded(other.id)),
                in: faults.delay.upperBound * 2)
        case .wake(let time):
            host.wake = time
            add(.wake(number, generation: host.generation), at: max(now, time))
        case .member(let change, let member):
            note(change, member, number)
        case .userEvent(let event): host.userEvents[event.name, default: 0] += 1
        case .query(let query): host.queries.append(query)
        case .queryAck(_, let from): host.results.append("ack \(from)")
        case .queryResponse(_, let from, let payload):
            host.results.append("\(from): \(String(decoding: payload, as: UTF8.self))")
        case .queryFinished: host.results.append("finished")
        case .keyResponse(_, let from, let response): host.keyAnswers[from] = response
        case .keyRingChanged: break
        case .left:
            host.hasLeft = true
            host.instance = nil
            host.generation += 1
            host.stoppedAt = now
        case .notice(let notice): host.notices.append(notice)
        }
    }

    /// A stream is cut into pieces anywhere.
    func sendPieces(_ bytes: [UInt8], on id: StreamID, to peer: Int, after: Nanoseconds) {
        let cut = Int.random(in: 0...bytes.count, using: &random)
        for piece in [bytes[..<cut], bytes[cut...]] where !piece.isEmpty {
            schedule(.give(peer, generation: hosts[peer].generation, .streamData(id, Array(piece))), in: after)
        }
    }

    // MARK: The queue

    func schedule(_ item: Item, in interval: Nanoseconds) { add(item, at: now + interval) }

    func add(_ item: Item, at time: Nanoseconds) {
        order += 1
        heap.append(Entry(time: time, order: order, item: item))
        var child = heap.count - 1
        while child > 0, isBefore(child, (child - 1) / 2) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    func isBefore(_ left: Int, _ right: Int) -> Bool {
        heap[left].time == heap[right].time
            ? heap[left].order < heap[right].order : heap[left].time < heap[right].time
    }

    func pop() -> Entry {
        let first = heap[0]
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, least) {
                    least = child
                }
                if least == parent { break }
                heap.swapAt(parent, least)
                parent = least
            }
        }
        return first
    }
}
