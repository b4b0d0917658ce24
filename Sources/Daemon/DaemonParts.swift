internal import Gossip
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import NetworkTypes
internal import StateMachine
internal import System

/// The parts of a daemon, made from its configuration and from what the last start left on the disk. Nothing is sent yet.
struct DaemonParts: Sendable {
    let journal: Journal
    let keyRing: KeyRing?
    let node: Node
    let cluster: ClusterNode

    /// Makes them.
    ///
    /// - Throws: ``StartFault`` with the remedy, or the error of a file.
    init(_ configuration: Configuration, _ log: Logger) throws {
        if let scope = configuration.scope { try LinkScope.use(scope) }
        let directory = configuration.stateDirectory
        journal = try Journal(directory: directory)
        if journal.mayLackChanges {
            log.error("the journal was damaged, and an older one took its place: the last changes may be missing")
        }
        let (key, isNew) = try directory.map { try HostKey.load(directory: $0) } ?? (HostKey(), true)
        var random = KernelRandom()
        let start = try journal.begin(keyIsNew: isNew, random: &random)
        let keyRingFile = configuration.keyring.map(KeyRingFile.init(path:))
        keyRing = try keyRingFile?.load()
        let name = try configuration.node ?? Self.hostName()
        let endpoint = try Advertised.endpoint(bind: configuration.bind, wanted: configuration.advertise)
        let tags = NodeTags(
            host: key.id, clusterPort: configuration.clusterPort, configured: configuration.tags,
            journaled: journal.entries[JournalKey(.tags)])
        let instance: Instance
        do {
            instance = try Instance(
                name: name, endpoint: endpoint, tags: tags.announced, settings: configuration.profile.settings,
                keyRing: keyRing, cipher: AESGCMCipher(), memory: try journal.memory(directory: directory),
                now: monotonicNanoseconds(), random: &random)
        } catch let fault as Instance.Fault {
            throw StartFault("the node cannot start: \(fault)")
        }
        let address = configuration.vtep.flatMap { IPAddress($0) }
        let settings = ClusterSettings(
            cluster: configuration.cluster, name: name, advertised: endpoint,
            bind: Endpoint(address: configuration.bind.address, port: configuration.clusterPort), vtep: address,
            vtepInterface: address == nil ? configuration.vtep : nil, join: configuration.join,
            joinNames: configuration.joinNames,
            seeds: configuration.seeds, adoptsInto: configuration.adopt ? configuration.networkDirectory : nil,
            grace: .seconds(configuration.grace))
        var surroundings = ClusterSurroundings()
        surroundings.keeper = FilterKeeper(log)
        cluster = ClusterNode(
            key: key, start: start, settings: settings, journal: journal,
            loop: MultiThreadedEventLoopGroup(numberOfThreads: 1).next(), log: log, surroundings: surroundings)
        node = Node(
            instance: instance, loop: MultiThreadedEventLoopGroup(numberOfThreads: 1).next(),
            clock: { monotonicNanoseconds() }, random: random, log: log, keyRingFile: keyRingFile,
            files: surroundings.files, journal: journal,
            cluster: cluster, clusterPort: configuration.clusterPort, tags: tags,
            engine: configuration.engine.made,
            agent: configuration.engine == .serfAgent
                ? AgentState(
                    AgentSettings(address: configuration.serfRPC, key: configuration.serfRPCAuth),
                    join: configuration.peers)
                : nil)
    }

    private static func hostName() throws -> String {
        let text = try Files.text("/proc/sys/kernel/hostname")
        return String(text.prefix { !$0.isWhitespace })
    }
}

extension Configuration.Engine {
    /// The engine of that word.
    fileprivate var made: any MembershipEngine {
        switch self {
        case .builtin: BuiltinEngine()
        case .serfAgent: SerfAgentEngine()
        }
    }
}
