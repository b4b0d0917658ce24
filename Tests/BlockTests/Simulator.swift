import NetworkTypes

@testable import Cluster

/// SplitMix64, so that every run with one seed is the same run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }

    mutating func chance(_ part: Double) -> Bool { Double.random(in: 0..<1, using: &self) < part }

    mutating func below(_ limit: Int) -> Int { limit > 0 ? Int.random(in: 0..<limit, using: &self) : 0 }

    mutating func time(_ range: ClosedRange<UInt64>) -> UInt64 { UInt64.random(in: range, using: &self) }
}

/// Hosts with an allocator each, their disks, plugins that add and delete, an operator, and a network with faults: all on
/// virtual time and from one seed.
final class Simulator {
    /// An ADD: from its need until its address is on disk. It outlives a crash of the daemon, as plugins do.
    struct Addition {
        var number: Int
        var subnet: Int
        var fixed: IPAddress?
        /// The address that was lent to this ADD alone.
        var lent: IPAddress?
        var token: UInt64?
        var isRetry = false
        var deadline: UInt64
    }

    final class Host {
        let number: Int
        let id: HostID
        let name: String
        var allocator: BlockAllocator?
        var bootstrap: BlockAllocator.Bootstrap
        /// What was persisted last; nil: never, or lost.
        var disk: [UInt8]?
        var hadDisk = false
        /// Its containers may be in blocks that nobody knows of any more, when the donor is gone too.
        var hasLostMemory = false
        /// The blocks that were this host's when it last wrote to disk, without those that rest.
        var held: Set<BlockID> = []
        var borrowed: [IPAddress] = []
        /// The delegate's files: survive everything but `dead`.
        var reserved: Set<IPAddress> = []
        var additions: [Int: Addition] = [:]
        /// Withdrawals that wait for ADDs that began before.
        var withdrawals: [(token: UInt64, span: AddressSpan, waitsFor: Set<Int>)] = []
        var generation = 0
        var side = 0
        /// Gone for good.
        var isDead = false
        var hasLeft = false
        var views: [Int: BlockAllocator.Standing] = [:]
        var notices: [BlockAllocator.Notice] = []
        var operations: [UInt64: UInt64] = [:]
        var results: [UInt64: BlockAllocator.Refusal?] = [:]
        var isRunning: Bool { allocator != nil }

        init(number: Int, bootstrap: BlockAllocator.Bootstrap, name: String? = nil) {
            self.number = number
            // Spread out, so that order by id is not order by number.
            var random = SeededGenerator(seed: UInt64(number) + 77)
            id = HostID(rawValue: UInt128(random.next()) << 64 | UInt128(number))
            self.name = name ?? "host-\(number)"
            self.bootstrap = bootstrap
        }
    }

    enum Item {
        case message([UInt8], from: Int, to: Int, generation: Int)
        case wake(Int, generation: Int, time: UInt64)
        case view(Int, of: Int)
        case reserve(Int, addition: Int, spans: [AddressSpan])
        case action(() -> Void)
    }

    struct Entry {
        var time: UInt64
        var order: UInt64
        var item: Item
    }

    struct Faults {
        var loss = 0.0
        var duplication = 0.0
        var delay: ClosedRange<UInt64> = milliseconds(1)...milliseconds(5)
        /// The part of event handlings in which the host stops between two directives.
        var crash = 0.0
        /// How long it takes until others see a host fail or return.
        var detection: ClosedRange<UInt64> = milliseconds(200)...seconds(3)
    }

    let seed: UInt64
    var random: SeededGenerator
    var now: UInt64 = seconds(100)
    var hosts: [Host] = []
    let layouts: [BlockLayout]
    var settings = BlockAllocator.Settings()
    var faults = Faults()
    var heap: [Entry] = []
    var order: UInt64 = 0
    var breaches: [String] = []
    var nextNumber = 1
    var nextToken: UInt64 = 1 << 40
    var (messages, bytes, persists) = (0, 0, 0)
    var (granted, refused, loansOfAny) = (0, 0, 0)
    /// Who uses each address now.
    var users: [IPAddress: Int] = [:]
    /// Hosts that were declared dead while alive: their addresses may be used twice.
    var zombies: Set<Int> = []
    var checksSafety = true
    /// Everything is being put right: nothing goes any more.
    var isSettling = false
    var log: [String] = []
    var keepsLog = false
    /// Loses chosen messages.
    var isLost: ([UInt8], Int) -> Bool = { _, _ in false }
    init(seed: UInt64, layouts: [BlockLayout], bootstraps: [BlockAllocator.Bootstrap]) {
        self.seed = seed
        self.layouts = layouts
        random = SeededGenerator(seed: seed)
        hosts = bootstraps.enumerated().map { Host(number: $0, bootstrap: $1) }
        settings.repairInterval = seconds(2)
        settings.retryInterval = milliseconds(200)
        settings.patience = seconds(2)
        settings.takeoverPatience = seconds(4)
        settings.greetingPatience = seconds(1)
        settings.rest = seconds(6)
        settings.idle = seconds(20)
    }

    func note(_ text: @autoclosure () -> String) {
        if keepsLog { log.append("\(Double(now) / 1e9) \(text())") }
    }

    func breach(_ text: String) {
        note("BREACH \(text)")
        breaches.append("seed \(seed), \(Double(now) / 1e9) s: \(text)")
    }

    // MARK: Time

    func schedule(_ item: Item, in interval: UInt64) {
        order += 1
        heap.append(Entry(time: now + interval, order: order, item: item))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(heap[child], heap[parent]) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private func precedes(_ left: Entry, _ right: Entry) -> Bool {
        (left.time, left.order) < (right.time, right.order)
    }

    private func pop() -> Entry {
        let first = heap[0]
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if precedes(heap[child], heap[least]) { least = child }
            }
            guard least != parent else { return first }
            heap.swapAt(parent, least)
            parent = least
        }
    }

    func run(_ interval: UInt64) {
        let end = now + interval
        while let first = heap.first, first.time <= end, breaches.isEmpty {
            let entry = pop()
            now = entry.time
            carryOut(entry.item)
        }
        now = end
    }

    /// Runs until the condition holds; false when it does not within the limit.
    func run(until limit: UInt64, _ holds: () -> Bool) -> Bool {
        let end = now + limit
        while now < end, breaches.isEmpty {
            if holds() { return true }
            run(milliseconds(100))
        }
        return holds()
    }

    private func carryOut(_ item: Item) {
        switch item {
        case .message(let bytes, let source, let destination, let generation):
            let host = hosts[destination]
            guard host.isRunning, host.generation == generation || random.chance(0.5) else { return }
            give(.message(bytes, from: hosts[source].id), to: destination)
        case .wake(let number, let generation, _):
            guard hosts[number].generation == generation else { return }
            give(.timer, to: number)
        case .view(let observer, let subject): look(observer, subject)
        case .reserve(let number, let addition, let spans): reserve(number, addition, spans)
        case .action(let body): body()
        }
    }

    // MARK: The shell of a host

    func start(_ number: Int, memory: BlockAllocator.Memory? = nil) {
        let host = hosts[number]
        guard !host.isRunning, !host.isDead else { return }
        host.generation += 1
        host.hasLeft = false
        let memory = memory ?? host.disk.map { .saved($0) } ?? (host.hadDisk ? .lost : .fresh)
        note("start \(number)")
        do {
            host.allocator = try BlockAllocator(
                subnets: layouts, host: host.id, name: host.name, bootstrap: host.bootstrap, memory: memory,
                settings: settings, now: now, random: &random)
        } catch {
            return breach("host \(number) does not start: \(error)")
        }
        host.hadDisk = true
        host.withdrawals = []
        host.operations = [:]
        for other in hosts where other.number != number {
            // Who was ever there is known to the membership, alive or not.
            if let view = host.views[other.number] {
                let standing = isReachable(number, other.number) ? view : other.hasLeft ? .left : .failed
                host.views[other.number] = standing
                give(.peer(other.id, standing), to: number)
            }
        }
        give(.command(.usage(host.reserved.sorted())), to: number)
        give(.start, to: number)
        returnUnusedLoans(number)
        viewsChange(number)
    }

    /// A loan whose ADD never ended is given back.
    func returnUnusedLoans(_ number: Int) {
        let host = hosts[number]
        let wanted = host.reserved.union(host.additions.values.compactMap { $0.lent ?? $0.fixed })
        for address in host.allocator?.borrowed ?? [] where !wanted.contains(address) {
            give(.command(.returnLoan(address)), to: number)
        }
    }

    /// As by SIGKILL; containers and plugins go on.
    func crash(_ number: Int) {
        let host = hosts[number]
        guard host.isRunning else { return }
        note("crash \(number)")
        host.allocator = nil
        host.generation += 1
        for key in host.additions.keys where host.additions[key]?.token != nil { host.additions[key] = nil }
        viewsChange(number)
    }

    /// The host and all that runs on it are gone for good.
    func destroy(_ number: Int) {
        crash(number)
        let host = hosts[number]
        note("destroy \(number)")
        host.isDead = true
        host.additions = [:]
        for address in host.reserved where users[address] == number { users[address] = nil }
        host.reserved = []
        host.held = []
    }

    /// Leaves: its containers end, its disk stays.
    func leave(_ number: Int) {
        let host = hosts[number]
        guard host.isRunning else { return }
        for address in host.reserved where users[address] == number { users[address] = nil }
        host.reserved = []
        host.additions = [:]
        host.hasLeft = true
        crash(number)
    }

    func loseDisk(_ number: Int) {
        // What was lent to it nobody here knows of any more.
        for address in hosts[number].borrowed where hosts[number].reserved.remove(address) != nil {
            if users[address] == number { users[address] = nil }
        }
        crash(number)
        note("lose disk \(number)")
        hosts[number].additions = [:]
        hosts[number].hasLostMemory = true
        hosts[number].disk = nil
        hosts[number].held = []
    }

    func give(_ event: BlockAllocator.Event, to number: Int) {
        let host = hosts[number]
        guard host.allocator != nil else { return }
        let directives = host.allocator?.handle(event, now: now, random: &random) ?? []
        let crashes = faults.crash > 0 && directives.count > 1 && random.chance(faults.crash)
        let last = crashes ? random.below(directives.count) : directives.count
        for (place, directive) in directives.enumerated() {
            guard place < last else {
                crash(number)
                schedule(.action { [unowned self] in start(number) }, in: random.time(milliseconds(100)...seconds(4)))
                return
            }
            carryOut(directive, number)
            guard host.isRunning else { return }
        }
    }

    private func carryOut(_ directive: BlockAllocator.Directive, _ number: Int) {
        let host = hosts[number]
        switch directive {
        case .persist(let bytes):
            persists += 1
            host.disk = bytes
            host.held = host.allocator?.unrestedBlocks ?? []
            host.borrowed = host.allocator?.borrowed ?? []
            checkHeld(number)
        case .send(let id, let bytes):
            guard let other = hosts.first(where: { $0.id == id }) else { return }
            transmit(bytes, number, other.number)
        case .rangesChanged: break
        case .withdraw(let span, let token):
            host.withdrawals.append((token, span, Set(host.additions.keys)))
            schedule(.action { [unowned self] in endWithdrawals(number) }, in: random.time(0...milliseconds(20)))
        case .granted(let token, let lent): end(number, token, nil, lent: lent)
        case .refused(let token, let refusal): end(number, token, refusal)
        case .wake(let time):
            schedule(
                .wake(number, generation: host.generation, time: time), in: time > now ? time - now : 0)
        case .notice(let notice):
            note("\(number): \(notice)")
            host.notices.append(notice)
        }
    }

    private func transmit(_ content: [UInt8], _ source: Int, _ destination: Int) {
        if isLost(content, source) { return }
        messages += 1
        bytes += content.count
        if content.count > BlockMessage.limit { breach("a message of \(content.count) bytes") }
        for _ in 0..<(random.chance(faults.duplication) ? 2 : 1) {
            guard hosts[source].side == hosts[destination].side, !random.chance(faults.loss) else { continue }
            schedule(
                .message(content, from: source, to: destination, generation: hosts[destination].generation),
                in: random.time(faults.delay))
        }
    }

    // MARK: Membership

    func isReachable(_ observer: Int, _ subject: Int) -> Bool {
        hosts[subject].isRunning && hosts[subject].side == hosts[observer].side
    }

    /// Something changed about a host: everybody sees it after a while, and it sees them.
    func viewsChange(_ number: Int) {
        for other in hosts where other.number != number {
            schedule(.view(other.number, of: number), in: random.time(faults.detection))
            schedule(.view(number, of: other.number), in: random.time(faults.detection))
        }
    }

    private func look(_ observer: Int, _ subject: Int) {
        guard hosts[observer].isRunning else { return }
        let standing: BlockAllocator.Standing =
            isReachable(observer, subject) ? .alive : hosts[subject].hasLeft ? .left : .failed
        let known = hosts[observer].views[subject]
        guard known != standing, known != nil || standing == .alive else { return }
        hosts[observer].views[subject] = standing
        give(.peer(hosts[subject].id, standing), to: observer)
    }

    func partition(_ side: (Int) -> Int) {
        note("partition")
        for host in hosts { host.side = side(host.number) }
        for host in hosts { viewsChange(host.number) }
    }

    func heal() { partition { _ in 0 } }
}
