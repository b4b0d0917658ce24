public import Gossip
public import JSON
internal import NetworkTypes

/// The usual port of the cluster's tables.
public let defaultClusterPort: UInt16 = 7947

/// What a daemon is told by its file and its flags.
public struct Configuration: Equatable, Sendable {
    /// The timings all nodes of a cluster share.
    public enum Profile: String, CaseIterable, Sendable {
        /// A stock agent's in a local network.
        case lan
        /// Failures are seen in about two seconds.
        case fast
        /// A stock agent's between sites.
        case wan

        /// The engine's settings.
        var settings: Settings {
            switch self {
            case .lan: .lan
            case .fast: .fast
            case .wan: .wan
            }
        }
    }

    /// How much is logged.
    public enum Verbosity: String, CaseIterable, Sendable {
        /// Everything, also what is normal.
        case debug
        /// What an operator may want to know.
        case info
        /// What should not be.
        case warning
        /// What keeps the daemon from its work.
        case error
    }

    /// Who does the gossip.
    public enum Engine: String, CaseIterable, Sendable {
        /// The daemon itself.
        case builtin
        /// A stock serf agent, steered over its IPC.
        case serfAgent = "serf-agent"
    }

    /// Who does the gossip.
    public var engine = Engine.builtin
    /// Where the serf agent's IPC is, its `-rpc-addr`.
    public var serfRPC = Endpoint(address: .v4(IPv4Address(rawValue: 0x7F00_0001)), port: 7373)
    /// The serf agent's `rpc_auth`; nil when it has none.
    public var serfRPCAuth: String?
    /// The unique name; nil for the host's name.
    public var node: String?
    /// Where gossip is received, UDP and TCP.
    public var bind = Endpoint(address: .v4(IPv4Address(rawValue: 0)), port: defaultGossipPort)
    /// The address others reach us at: an address, or an interface whose first address it is; nil to choose.
    public var advertise: String?
    /// Nodes whose cluster is joined; tried for ever.
    public var join: [Endpoint] = []
    /// The same by host names, which are looked up anew at every attempt.
    public var joinNames: [PeerName] = []
    /// The interface that link-local addresses mean; taken from `ADDRESS%INTERFACE`.
    public var scope: String?
    /// A file with a JSON array of base64 keys, the primary first; nil for gossip in clear.
    public var keyring: String?
    /// Where the daemon keeps what must survive a restart; nil to keep nothing.
    public var stateDirectory: String? = "/var/lib/swiftlet"
    /// The control socket.
    public var socket = "/run/swiftlet/swiftletd.sock"
    /// The cluster's name: hosts of different clusters refuse each other's frames, and their networks have other ids.
    public var cluster = "swiftlet"
    /// The port of the cluster's tables, UDP and TCP, at the address of `bind`.
    public var clusterPort = defaultClusterPort
    /// The address, or the interface, at which VXLAN is received; nil for the advertised address.
    public var vtep: String?
    /// The hosts that share the address blocks of networks from the beginning, by name; empty to let those of `join` decide.
    public var seeds: [String] = []
    /// Whether a network that another host announces is written into this host's directory of networks.
    public var adopt = false
    /// That directory.
    public var networkDirectory = "/etc/cni/net.d"
    /// How many seconds the endpoints of a host that failed stay in tables and kernel.
    public var grace: UInt64 = 1800
    /// The timings.
    public var profile = Profile.lan
    /// What the node says about itself; together at most 512 bytes.
    public var tags: [String: String] = [:]
    /// How much is logged.
    public var log = Verbosity.info

    /// The defaults.
    public init() {}

    /// Reads a configuration document. Unlike a network's, its unknown keys are errors: nobody else reads it.
    ///
    /// - Throws: ``DecodingError`` with the key's path.
    public init(_ document: Value) throws(DecodingError) {
        let reader = Reader(document)
        guard let object = try reader.object() else { throw reader.error("expected an object") }
        for member in object.members {
            try read(member.key, Reader(member.value, path: member.key))
        }
    }

    private mutating func read(_ key: String, _ reader: Reader) throws(DecodingError) {
        switch key {
        case "node":
            node = try reader.string()
            if let node, !NodeName.isValid(node) {
                throw reader.error("must have 1 to \(NodeName.limit) letters, digits, '-' or '.'")
            }
        case "engine": engine = try Self.choice(reader) ?? engine
        case "serfRPC":
            guard let text = try reader.string() else { return }
            if !setSerfRPC(text) { throw Self.notAnAddress(text, reader) }
        case "serfRPCAuth": serfRPCAuth = try reader.string()
        case "bind":
            if let text = try reader.string(), !setBind(text) { throw Self.notAnAddress(text, reader) }
        case "advertise": advertise = try reader.string()
        case "join":
            for element in try reader.elements() {
                guard let text = try element.string() else { throw element.error("expected an address") }
                guard addPeer(text) else {
                    throw element.error("'\(text)' is not an address, IPV4:PORT, [IPV6]:PORT or HOST[:PORT]")
                }
            }
        case "keyring": keyring = try reader.string()
        case "stateDir": stateDirectory = try reader.string()
        case "socket": socket = try reader.string() ?? socket
        case "cluster":
            cluster = try reader.string() ?? cluster
            if !NodeName.isValid(cluster) {
                throw reader.error("must have 1 to \(NodeName.limit) letters, digits, '-' or '.'")
            }
        case "clusterPort":
            if let port = try reader.integer(in: 1...65535) { clusterPort = UInt16(clamping: port) }
        case "vtep": vtep = try reader.string()
        case "seeds": seeds = try reader.strings()
        case "adopt": adopt = try reader.bool() ?? adopt
        case "grace": if let seconds = try reader.integer(in: 1...604_800) { grace = UInt64(clamping: seconds) }
        case "confDir": networkDirectory = try reader.string() ?? networkDirectory
        case "profile": profile = try Self.choice(reader) ?? profile
        case "log": log = try Self.choice(reader) ?? log
        case "tags":
            for member in try reader.object()?.members ?? [] {
                let value = Reader(member.value, path: "tags.\(member.key)")
                guard let text = try value.string() else { throw value.error("expected a string") }
                tags[member.key] = text
            }
        default: throw reader.error("unknown key")
        }
    }

    private static func notAnAddress(_ text: String, _ reader: Reader) -> DecodingError {
        reader.error("'\(text)' is not an address, IPV4:PORT or [IPV6]:PORT")
    }

    /// Sets where gossip is received, `ADDRESS[%INTERFACE][:PORT]`; false when the text is no such thing.
    public mutating func setBind(_ text: String) -> Bool {
        let (address, interface) = LinkScope.split(text)
        guard let endpoint = Endpoint(text: address) else { return false }
        bind = endpoint
        scope = interface ?? scope
        return true
    }

    /// Sets where the serf agent's IPC is, `ADDRESS[:PORT]`; false when the text is no such thing.
    public mutating func setSerfRPC(_ text: String) -> Bool {
        guard let endpoint = Endpoint(text: text, defaultPort: 7373) else { return false }
        serfRPC = endpoint
        return true
    }

    /// Adds a node to join, `ADDRESS[%INTERFACE][:PORT]` or `HOST[:PORT]`; false when the text is neither.
    public mutating func addPeer(_ text: String) -> Bool {
        let (address, interface) = LinkScope.split(text)
        if let endpoint = Endpoint(text: address) {
            join.append(endpoint)
            scope = interface ?? scope
        } else if let name = PeerName(text: text) {
            joinNames.append(name)
        } else {
            return false
        }
        return true
    }

    private static func choice<Choice: RawRepresentable & CaseIterable>(
        _ reader: Reader
    ) throws(DecodingError) -> Choice? where Choice.RawValue == String {
        guard let text = try reader.string() else { return nil }
        guard let choice = Choice(rawValue: text) else {
            throw reader.error("must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return choice
    }
}
