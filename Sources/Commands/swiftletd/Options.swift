public import ArgumentParser
public import Daemon
import System

/// The daemon's flags; each one overrides its key of the configuration file.
struct Options: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swiftletd",
        abstract: "Finds the other hosts by gossip and keeps the list of them.",
        discussion: """
            SIGTERM and SIGINT leave the cluster gracefully, a second one ends at once. SIGHUP reads the configuration \
            again: tags, nodes to join, keys and the log level are taken over at once.

            Without flags and without the word 'run' it starts only on a terminal or as a unit of the service manager: \
            container runtimes run whatever lies in a directory of plugins to ask what it is.

            Exit status: 0 after leaving or stopping, 1 when it could not start, 3 when leaving took too long, 64 for \
            wrong flags, 128 + N when signal N came twice.
            """,
        version: suiteVersion)

    @Argument(help: "run: what a daemon without flags is told from a script.")
    var word: Word?
    @Option(help: "Configuration file, JSON.")
    var config: String?
    @Option(help: "Unique name of this node (default: the host's name).")
    var node: String?
    @Option(help: "ADDR[%INTERFACE][:PORT] to receive gossip at, UDP and TCP (default: 0.0.0.0:7946).")
    var bind: String?
    @Option(help: "Address, or interface whose address, the others are told.")
    var advertise: String?
    @Option(
        help: "ADDR[,ADDR...] or HOST of nodes whose cluster is joined; tried for ever, host names looked up each time."
    )
    var join: String?
    @Option(help: "File with a JSON array of base64 keys, the primary first.")
    var keyring: String?
    @Option(name: .customLong("state-dir"), help: "Directory for what survives a restart; empty for none.")
    var stateDirectory: String?
    @Option(help: "Control socket (default: /run/swiftlet/swiftletd.sock).")
    var socket: String?
    @Option(help: "Name of the cluster (default: swiftlet).")
    var cluster: String?
    @Option(help: "Port for the tables of networks and endpoints, UDP and TCP (default: 7947).")
    var clusterPort: UInt16?
    @Option(help: "Address, or interface, at which VXLAN is received (default: the advertised address).")
    var vtep: String?
    @Option(help: "Who does the gossip: builtin, or serf-agent for a stock agent.")
    var engine: Configuration.Engine?
    @Option(name: .customLong("serf-rpc"), help: "ADDR[:PORT] of the serf agent's IPC (default: 127.0.0.1:7373).")
    var serfRPC: String?
    @Option(help: "Timings: lan, fast or wan; the same on all nodes.")
    var profile: Configuration.Profile?
    @Option(name: .customLong("tag"), help: "KEY=VALUE that the others see; may be repeated.")
    var tags: [Tag] = []
    @Option(help: "How much is logged: debug, info, warning or error.")
    var log: Configuration.Verbosity?

    /// The file's values under the flags'.
    func merged() throws -> Configuration {
        var merged = try config.map(DaemonMain.configuration(file:)) ?? Configuration()
        if let node { merged.node = node }
        if let bind, !merged.setBind(bind) {
            throw ValidationError("--bind: '\(bind)' is not an address, IPV4:PORT or [IPV6]:PORT")
        }
        if let engine { merged.engine = engine }
        if let serfRPC, !merged.setSerfRPC(serfRPC) {
            throw ValidationError("--serf-rpc: '\(serfRPC)' is not an address, IPV4:PORT or [IPV6]:PORT")
        }
        if let advertise { merged.advertise = advertise }
        if let join {
            merged.join = []
            merged.joinNames = []
            for text in join.split(separator: ",") where !merged.addPeer(String(text)) {
                throw ValidationError("--join: '\(text)' is not an address, IPV4:PORT, [IPV6]:PORT or HOST[:PORT]")
            }
        }
        if let keyring { merged.keyring = keyring }
        if let stateDirectory { merged.stateDirectory = stateDirectory.isEmpty ? nil : stateDirectory }
        if let socket { merged.socket = socket }
        if let cluster { merged.cluster = cluster }
        if let clusterPort { merged.clusterPort = clusterPort }
        if let vtep { merged.vtep = vtep }
        if let profile { merged.profile = profile }
        if let log { merged.log = log }
        for tag in tags { merged.tags[tag.name] = tag.value }
        return merged
    }

    func run() throws {
        if word == nil, CommandLine.arguments.count < 2, let reason = Caller().refusal {
            throw ValidationError(reason)
        }
        let options = self
        let status = try DaemonMain.run(try merged()) { try options.merged() }
        throw ExitCode(status)
    }
}

/// What the daemon can be told in words.
enum Word: String, CaseIterable, ExpressibleByArgument {
    case run
}

/// One `--tag`.
struct Tag: ExpressibleByArgument, Sendable {
    let name: String
    let value: String

    init?(argument: String) {
        let halves = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2, !halves[0].isEmpty else { return nil }
        name = String(halves[0])
        value = String(halves[1])
    }
}

extension Configuration.Engine: ExpressibleByArgument {}
extension Configuration.Profile: ExpressibleByArgument {}
extension Configuration.Verbosity: ExpressibleByArgument {}
