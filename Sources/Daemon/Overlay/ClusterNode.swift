internal import Cluster
internal import Gossip
internal import Logging
internal import NIOCore
internal import NetworkTypes
internal import System

/// The overlay's side of the daemon: it owns the tables, the address blocks, the cluster port and what this host has of
/// each network.
///
/// It has an event loop of its own: checking the signatures of a large table must not delay the gossip's answers.
actor ClusterNode {
    /// A host of the cluster, as membership tells of it.
    struct Peer: Equatable, Sendable {
        let id: HostID
        let name: String
        /// Its cluster port.
        let endpoint: Endpoint
        let status: PeerStatus
    }

    nonisolated let loop: any EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }
    private nonisolated let executor: any SerialExecutor

    nonisolated let key: HostKey
    nonisolated let start: Start
    nonisolated let settings: ClusterSettings
    let journal: Journal
    let kernel: KernelWorker
    let files: FilesWorker
    let watcher: NamespaceWatcher?
    let keeper: FilterKeeper?
    let makeTransport: ClusterSurroundings.TransportMaker
    let log: Logger
    let clock: @Sendable () -> UInt64
    var random: RandomSource
    let started: UInt64

    var replica: Replica
    var book: AddressBook
    /// Who is told of rows that change.
    var followings = ClusterNode.ownFollowings
    var transport: (any ClusterTransport)?
    var peers: [HostID: Peer] = [:]
    var namedPeers: [String: Peer] = [:]
    var networks: [NetworkID: NetworkState] = [:]
    /// What is on the disk of each network's allocator.
    var savedBlocks: [NetworkID: [UInt8]] = [:]
    /// The same under definitions that a network had before, by the digest of its subnets.
    var formerBlocks: [NetworkID: [UInt64: [UInt8]]] = [:]
    /// Hosts that signed a block message.
    var blockSigners: Set<HostID> = []
    /// What the names in `join` stand for, as far as they were found.
    var foundNames: [PeerName: [Endpoint]] = [:]
    var lookups = 0
    /// Whether this host may have been on networks that it does not remember.
    var hasLostMemory: Bool
    /// The incarnation that is on the disk.
    private var savedIncarnation: UInt64

    /// What waits for the kernel while a message is worked on; nil when none is.
    private var heldSends: [@Sendable (isolated ClusterNode) -> Void]?
    /// The change of our rows that is being given to the tables, and those whose writing failed.
    private var changeBeingMade: UInt64?
    private var unsavedChanges: [UInt64: String] = [:]
    private var pendingWrites = 0
    /// What the journal need not keep any more; it goes with the next write.
    private var erasures: Set<JournalKey> = []
    private static let erasuresLimit = 256
    private var lastWrite: EventLoopFuture<Void>?
    private var replicaWake: Scheduled<Void>?
    private var nextToken: UInt64 = 1
    var changesWaiting: [UInt64: @Sendable (ChangeOutcome) -> Void] = [:]
    var blocksWaiting: [UInt64: @Sendable (BlockOutcome) -> Void] = [:]
    var hasFlushScheduled = false
    var isClosed = false
    var counts = ClusterCounts()
    /// When a host was told that its frames are taken for replayed.
    var toldLastHeard: [HostID: UInt64] = [:]
    /// What hosts said that membership has not named yet.
    var earlyFrames = EarlyFrames()

    init(
        key: HostKey, start: Start, settings: ClusterSettings, journal: Journal,
        loop: any EventLoop, log: Logger, surroundings: ClusterSurroundings = ClusterSurroundings()
    ) {
        self.key = key
        self.start = start
        hasLostMemory = start.hasLostMemory
        savedIncarnation = start.incarnation
        self.settings = settings
        self.journal = journal
        self.loop = loop
        kernel = surroundings.kernel
        files = surroundings.files
        watcher = surroundings.watcher
        keeper = surroundings.keeper
        makeTransport = surroundings.transport
        clock = surroundings.clock
        random = surroundings.random
        self.log = log
        executor = loop.executor
        started = clock()
        book = AddressBook(host: key.id)
        for (key, value) in journal.entries where key.kind == JournalKey.Kind.blocks.rawValue {
            if let id = NetworkID(bytes: key.name) { savedBlocks[id] = value }
            if let (id, digest) = Self.formerBlocks(key.name) { formerBlocks[id, default: [:]][digest] = value }
        }
        let rows = journal.entries.filter { $0.key.kind == JournalKey.Kind.row.rawValue }
        var tables = ReplicaSettings()
        tables.grace = settings.grace
        replica = Replica(
            incarnation: start.incarnation, authority: HostAuthority(key: key), settings: tables,
            rows: rows.values.compactMap { Record(decoding: $0) }, now: started, random: &random)
    }

    // MARK: The tables

    /// Gives an event to the tables and carries out what they want.
    func give(_ event: ReplicaEvent) {
        // What a message brought is acknowledged when the kernel has it: the container it tells of can be reached then.
        if case .message = event { heldSends = [] }
        for directive in replica.handle(event, now: clock(), random: &random) { carryOut(directive) }
        guard let held = heldSends else { return }
        heldSends = nil
        guard !held.isEmpty else { return }
        flush().whenComplete { _ in self.assumeIsolated { node in for send in held { send(node) } } }
    }

    /// Sends now, after the disk, or after the kernel when that is being waited for.
    private func send(_ body: @escaping @Sendable (isolated ClusterNode) -> Void) {
        if heldSends != nil, hasFlushScheduled {
            heldSends?.append(body)
        } else {
            afterDisk(body)
        }
    }

    /// What became of a change of our rows.
    enum ChangeOutcome: Sendable {
        case settled(acknowledged: Int, peers: Int)
        case refused(Cluster.Refusal)
        case notSaved(String)
    }

    /// Changes rows of ours; the answer comes when they are on the disk and with all live hosts concerned, or when the
    /// time for that has passed.
    func change(_ changes: [RecordChange]) async -> ChangeOutcome { await change { .changes(changes, token: $0) } }

    /// Gives the tables an event that changes rows of ours, and waits for the answer.
    private func change(_ event: (UInt64) -> ReplicaEvent) async -> ChangeOutcome {
        let token = token()
        let event = event(token)
        return await withCheckedContinuation { continuation in
            changesWaiting[token] = { continuation.resume(returning: $0) }
            changeBeingMade = token
            defer { changeBeingMade = nil }
            give(event)
        }
    }

    /// Signs that this host leaves; returns when all live hosts have that, or soon after.
    func sayFarewell() async {
        let deadline = clock() + Self.farewellLimit
        _ = await change { .farewell(token: $0) }
        while replica.isUnderWay(.host), clock() < deadline {
            try? await value(of: loop.scheduleTask(in: .milliseconds(10)) {}.futureResult)
        }
    }

    private static let farewellLimit: UInt64 = 1_000_000_000

    private func carryOut(_ directive: ReplicaDirective) {
        switch directive {
        case .send(let host, let body):
            send { node in
                if let peer = node.peers[host] { node.transport?.sendDatagram(body, to: peer.endpoint) }
            }
        case .sendReliably(let host, let body):
            send { node in
                if let peer = node.peers[host] { node.transport?.sendStream(body, to: peer.endpoint) }
            }
        case .wake(let time): replicaWake = schedule(time, replacing: replicaWake) { $0.give(.timer) }
        case .changed(let change): changed(change)
        case .persist(let record):
            let key = Self.journalKey(record.key)
            erasures.remove(key)
            write([JournalChange(key, record.encoded)])
        case .erase(let key):
            erasures.insert(Self.journalKey(key))
            if erasures.count >= Self.erasuresLimit { write([]) }
        case .persistIncarnation(let incarnation):
            savedIncarnation = incarnation
            saveStart()
            afterDisk { $0.transport?.rise(to: incarnation) }
        case .departed(let host): departed(host)
        case .settled(let token, let acknowledged, let peers):
            afterDisk { node in
                let failure = node.unsavedChanges.removeValue(forKey: token)
                let waiting = node.changesWaiting.removeValue(forKey: token)
                waiting?(failure.map { .notSaved($0) } ?? .settled(acknowledged: acknowledged, peers: peers))
            }
        case .refused(let token, let refusal): changesWaiting.removeValue(forKey: token)?(.refused(refusal))
        case .notice(let notice): report(notice)
        }
    }

    /// The journal's name of a row: kind, network and key.
    static func journalKey(_ key: RecordKey) -> JournalKey {
        JournalKey(.row, [key.kind.rawValue] + key.network.bytes + key.key)
    }

    // MARK: The disk

    /// Writes changes to the journal, after which what ``afterDisk(_:)`` was given goes on.
    func write(_ changes: [JournalChange]) {
        pendingWrites += 1
        let written = journal.commit(changes + erasures.map { JournalChange($0, nil) }, on: loop)
        erasures = []
        lastWrite = written
        let token = changeBeingMade
        written.whenComplete { result in self.assumeIsolated { $0.written(result, token) } }
    }

    private func written(_ result: Result<Void, any Error>, _ token: UInt64?) {
        pendingWrites -= 1
        guard case .failure(let error) = result else { return }
        log.error("journal not written: \(error)")
        if let token { unsavedChanges[token] = "\(error)" }
    }

    /// Goes on when everything that was written so far is on the disk, or is known not to be.
    func afterDisk(_ body: @escaping @Sendable (isolated ClusterNode) -> Void) {
        guard pendingWrites > 0, let lastWrite else { return body(self) }
        lastWrite.whenComplete { _ in self.assumeIsolated { body($0) } }
    }

    /// Writes down the incarnation, and whether the memory of networks may be gone.
    func saveStart() {
        var current = start.moved(to: savedIncarnation)
        current.hasLostMemory = hasLostMemory
        write([JournalChange(JournalKey(.start), current.journaled)])
    }

    // MARK: Time

    /// Waits for a future of this loop without leaving it.
    func value<Value: Sendable>(of future: EventLoopFuture<Value>) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            future.whenComplete { continuation.resume(with: $0) }
        }
    }

    /// A number that was not given before.
    func token() -> UInt64 {
        defer { nextToken += 1 }
        return nextToken
    }

    /// Plans to do something at a time of ``clock``.
    func schedule(
        _ time: UInt64, replacing old: Scheduled<Void>? = nil,
        _ body: @escaping @Sendable (isolated ClusterNode) -> Void
    ) -> Scheduled<Void> {
        old?.cancel()
        let now = clock()
        return loop.scheduleTask(in: .nanoseconds(Int64(clamping: time > now ? time - now : 0))) {
            self.assumeIsolated { if !$0.isClosed { body($0) } }
        }
    }

    /// Ends everything: nothing is removed from the kernel, traffic goes on.
    func close() {
        isClosed = true
        replicaWake?.cancel()
        for network in networks.values { network.blockWake?.cancel() }
        transport?.close()
        watcher?.close()
        keeper?.close()
    }
}

/// What the overlay's side counts beside its parts.
struct ClusterCounts: Sendable {
    var reconciliations: UInt64 = 0
    var corrections: UInt64 = 0
    var reconciliationsFailed: UInt64 = 0
    var batches: UInt64 = 0
    var entriesChanged: UInt64 = 0
    var endpointsWithdrawn: UInt64 = 0
    var strayMessages: UInt64 = 0
    var additions: UInt64 = 0
    var additionsUnheard: UInt64 = 0
    var forgedBlockMessages: UInt64 = 0
    var removals: UInt64 = 0
}

/// Signs and checks for the tables.
struct HostAuthority: RecordAuthority {
    let key: HostKey

    var publicKey: [UInt8] { key.publicKey }

    func sign(_ bytes: [UInt8]) -> [UInt8] { key.sign(bytes) }

    func verify(_ bytes: [UInt8], signature: [UInt8], publicKey: [UInt8]) -> Bool {
        HostKey.isValid(signature, of: bytes, by: publicKey)
    }

    func hostID(of publicKey: [UInt8]) -> HostID { HostKey.id(of: publicKey) }
}
