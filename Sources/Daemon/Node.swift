internal import Gossip
internal import Logging
internal import NIOCore
internal import StateMachine

/// The shell around one gossip engine: it owns the engine and carries out its directives on one event loop.
///
/// The loop is the actor's executor, so that channel handlers reach it without waiting (`assumeIsolated`).
actor Node {
    /// What an observer is told.
    enum Happening: Sendable {
        case member(MemberChange, Member)
        case userEvent(UserEvent)
        case query(Query, number: UInt64)
        /// A query that came by the serf agent, which does not say who asks.
        case agentQuery(name: String, payload: [UInt8], time: UInt64, number: UInt64)
    }

    nonisolated let loop: any EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe executor.asUnownedSerialExecutor()
    }
    private nonisolated let executor: any SerialExecutor

    /// Our name in the cluster.
    nonisolated let name: String
    let log: Logger
    let clock: @Sendable () -> Nanoseconds
    private var random: any RandomNumberGenerator & Sendable
    private(set) var instance: Instance
    nonisolated let keyRingFile: KeyRingFile?
    nonisolated let files: FilesWorker
    /// Who tells of the members.
    nonisolated let engine: any MembershipEngine
    /// What ``SerfAgentEngine`` remembers; nil with another engine.
    var agent: AgentState?
    let journal: Journal
    /// The overlay's side of the daemon, told of members and keys.
    nonisolated let cluster: ClusterNode
    let clusterPort: UInt16
    /// The tags of the configuration and those set through the control API.
    var tags: NodeTags

    /// As it was at the start or at the last reload.
    var configuration = Configuration()
    var isLookingUp = false
    var lookups = 0
    var toldStatus = ""

    var datagrams: DatagramSender?
    var listener: (any Channel)?
    var streams: [StreamID: OpenStream] = [:]
    var acceptedStreams: UInt64 = 0
    var streamLoad = StreamLoad()
    private var wake: Scheduled<Void>?
    private var waiting: [Event] = []
    /// Whether the event that is being carried out has changed the keys: what it says from then on says so.
    var isAnsweringKeys = false
    private var isBusy = false
    /// How many times the keys are being written, and the datagrams that wait for it; nil while they are not.
    var keySaves = 0
    var heldDatagrams: [(target: Endpoint, bytes: [UInt8])]?
    let started: Nanoseconds

    private var observers: [UInt64: @Sendable (Happening) -> Void] = [:]
    private var nextNumber: UInt64 = 1
    var questions: [UInt64: Question] = [:]
    /// The queries of others that may still be answered.
    var unanswered = OpenQueries()
    var refusal: String?
    var warned: [WireFault: Nanoseconds] = [:]
    /// The protocols of members that we cannot speak with, by name, as they were warned of.
    var foreignProtocols: [String: String] = [:]
    var isLeaving = false
    let left: EventLoopPromise<Void>
    var savedMemory = Instance.Memory()
    var isSaving = false
    var toldSaveFault: String?

    /// Takes over an engine that was not started yet.
    init(
        instance: Instance, loop: any EventLoop, clock: @escaping @Sendable () -> Nanoseconds,
        random: any RandomNumberGenerator & Sendable, log: Logger, keyRingFile: KeyRingFile?, files: FilesWorker,
        journal: Journal,
        cluster: ClusterNode, clusterPort: UInt16, tags: NodeTags,
        engine: any MembershipEngine = BuiltinEngine(), agent: AgentState? = nil
    ) {
        self.instance = instance
        name = instance.name
        self.loop = loop
        executor = loop.executor
        self.clock = clock
        started = clock()
        self.random = random
        self.log = log
        self.keyRingFile = keyRingFile
        self.files = files
        self.journal = journal
        self.cluster = cluster
        self.clusterPort = clusterPort
        self.tags = tags
        self.engine = engine
        self.agent = agent
        left = loop.makePromise(of: Void.self)
    }

    /// How many datagrams may wait for the disk.
    private static let heldLimit = 256

    /// Gives an event to the engine and carries out what it wants. An event that comes up while that goes on waits.
    func give(_ event: Event) {
        waiting.append(event)
        guard !isBusy else { return }
        isBusy = true
        defer { isBusy = false }
        while !waiting.isEmpty {
            let event = waiting.removeFirst()
            isAnsweringKeys = false
            for directive in instance.handle(event, now: clock(), random: &random) { carryOut(directive) }
        }
    }

    /// Gives a command and returns the reason when the engine refused it.
    func order(_ command: Command) -> String? {
        refusal = nil
        give(.command(command))
        defer { refusal = nil }
        return refusal
    }

    /// Uses other keys from now on, for the gossip and for the tables.
    func replaceKeyRing(_ keyRing: KeyRing) {
        instance.replaceKeyRing(keyRing)
        let cluster = cluster
        cluster.loop.execute { cluster.assumeIsolated { $0.use(keyRing) } }
    }

    /// A number that was not given before.
    func number() -> UInt64 {
        defer { nextNumber += 1 }
        return nextNumber
    }

    /// Tells of everything that happens from now on; the number is for ``ignore(_:)``.
    func observe(_ body: @escaping @Sendable (Happening) -> Void) -> UInt64 {
        let number = number()
        observers[number] = body
        return number
    }

    /// Ends an observation.
    func ignore(_ number: UInt64) { observers[number] = nil }

    /// How many observe.
    var observerCount: Int { observers.count }

    private func carryOut(_ directive: Directive) {
        switch directive {
        case .sendDatagram(let target, let bytes):
            // Beyond the limit they are lost, as datagrams may be.
            guard let held = heldDatagrams else { return sendDatagram(bytes, to: target) }
            if isAnsweringKeys, held.count < Self.heldLimit {
                heldDatagrams?.append((target, bytes))
            } else {
                sendDatagram(bytes, to: target)
            }
        case .openStream(let id, let target, let bytes): openStream(id, to: target, bytes)
        case .sendStream(let id, let bytes): sendStream(id, bytes)
        case .closeStream(let id): closeStream(id)
        case .wake(let time): schedule(time)
        case .member(let change, let member): note(change, member)
        case .userEvent(let event): tell(.userEvent(event))
        case .query(let query): receive(query)
        case .queryAck(let token, let node): questions[token]?.acks.append(node)
        case .queryResponse(let token, let node, let payload):
            questions[token]?.answers.append((node, payload))
        case .keyResponse(let token, let node, let response):
            guard isAnsweringKeys else { return answered(token, node, response) }
            // Our own, behind the file that is being written.
            files.run(on: loop) {}.whenComplete { _ in self.assumeIsolated { $0.answered(token, node, response) } }
        case .queryFinished(let token): finish(token)
        case .keyRingChanged(let keyRing): changed(keyRing)
        case .left: left.succeed()
        case .notice(let notice): report(notice)
        }
    }

    /// A member changed.
    func note(_ change: MemberChange, _ member: Member) {
        let metadata: Logger.Metadata = ["member": "\(member.name)", "address": "\(member.endpoint)"]
        log.info("member \(change)", metadata: metadata)
        tellCluster(change, member)
        tell(.member(change, member))
    }

    func tell(_ happening: Happening) {
        for observer in observers.values { observer(happening) }
    }

    private func receive(_ query: Query) {
        let number = number()
        unanswered.add(query, number: number, now: clock())
        tell(.query(query, number: number))
    }

    private func schedule(_ time: Nanoseconds) {
        wake?.cancel()
        let now = clock()
        let wait = time > now ? time - now : 0
        wake = loop.scheduleTask(in: .nanoseconds(Int64(clamping: wait))) {
            self.assumeIsolated { $0.give(.timer) }
        }
    }

    /// Stops timers and closes every channel.
    func close() {
        wake?.cancel()
        engine.close(self)
        for stream in streams.values { stream.channel?.close(promise: nil) }
        streams = [:]
        datagrams?.close()
        listener?.close(promise: nil)
    }
}
