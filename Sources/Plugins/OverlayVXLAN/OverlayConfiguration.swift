internal import Attachment
internal import CNI
internal import IPAM
internal import JSON
internal import NetworkTypes
internal import Overlay
internal import PluginKit

/// The `overlay-vxlan` plugin's configuration, decoded and checked whole.
struct OverlayConfiguration {
    /// One subnet of the network.
    struct Subnet: Equatable {
        /// The network's address and length.
        var prefix: IPPrefix
        /// `gateway`: an address in it; every host's bridge has it, and no container gets it.
        var gateway: IPAddress
        /// `ipRange`: the part of it containers get addresses from; nil for all of it.
        var range: IPPrefix?

        /// The gateway with the subnet's length.
        var gatewayPrefix: IPPrefix { IPPrefix(gateway, length: prefix.length) ?? prefix }
    }

    /// How hosts without a daemon know each other.
    enum Peers: Equatable {
        /// `peers`: the hosts' VTEPs; our own may be among them.
        case listed([IPAddress])
        /// `group`: a multicast group of the underlay.
        case group(IPAddress)
    }

    /// What the network is called in the cluster.
    var identity: NetworkIdentity
    /// `subnet`, or `subnets`.
    var subnets: [Subnet] = []
    /// `exclude`: addresses that are never handed out.
    var exclusions: [IPPrefix] = []
    /// `internal`: no way out.
    var isInternal = false
    /// `mtu`; nil follows the underlay.
    var mtu: UInt32?
    /// `vni`; nil derives it from the network's id.
    var vni: UInt32?
    /// `port`.
    var port = OverlaySegment.usualPort
    /// `interface`: the underlay.
    var underlay: String?
    /// `peers` or `group`; nil asks the daemon.
    var peers: Peers?
    /// `multicast`: broadcast and multicast cross hosts.
    var multicast = false
    /// `hostAccess`: the host has an address in the network.
    var hostAccess = false
    /// `socket`; nil is the usual one.
    var socket: String?
    /// The MAC asked for.
    var mac: MACAddress?
    /// Addresses asked for.
    var requested: [IPAddress] = []
    /// The container's name, for the name service.
    var names: [String] = []
    /// `runtimeConfig.aliases`.
    var aliases: [String] = []

    /// `dns`; nil leaves it to the address manager.
    var dns: CNIResult.DNS?

    /// The smallest MTU of a link with IPv6 (RFC 8200, 5).
    private static let smallestIPv6MTU: UInt32 = 1280

    /// Whether the plugin does all by itself.
    var isDaemonless: Bool { peers != nil }
    /// The VNI in use without a daemon.
    var usedVNI: UInt32 { vni ?? identity.derivedVNI }

    /// Decodes the request's configuration.
    init(_ request: Request) throws {
        let configuration = request.configuration
        let root = configuration.root
        identity = try Self.identity(configuration)
        subnets = try SubnetDecoding.subnets(root)
        exclusions = try SubnetDecoding.exclusions(root.member("exclude"), subnets)
        isInternal = try root.member("internal").bool() ?? false
        multicast = try root.member("multicast").bool() ?? false
        hostAccess = try root.member("hostAccess").bool() ?? false
        dns = try CNIResult.DNS(given: root.member("dns"))
        socket = try root.member("socket").string().flatMap { $0.isEmpty ? nil : $0 }
        underlay = try Self.interfaceName(root.member("interface"))
        try decodeSegment(root)
        peers = try Self.peers(root)
        try decodeContainer(request)
        try refuse(root)
    }

    /// Cluster and name alone: all that DEL and GC need of a configuration that may no longer be valid.
    static func identity(_ configuration: NetworkConfiguration) throws(DecodingError) -> NetworkIdentity {
        let key = try configuration.root.member("cluster")
        guard let cluster = try key.string(), !cluster.isEmpty else {
            return NetworkIdentity(network: configuration.name)
        }
        guard !cluster.utf8.contains(UInt8(ascii: "/")), cluster.utf8.count <= 64 else {
            throw key.error("\"\(cluster)\" has a \"/\" or more than 64 bytes; write it as swiftletd.json does")
        }
        return NetworkIdentity(network: configuration.name, cluster: cluster)
    }

    /// Whether the network has no daemon, read without looking at anything else.
    static func isDaemonless(_ configuration: NetworkConfiguration) -> Bool {
        ["peers", "group"].contains { (try? configuration.root.member($0).isPresent) == true }
    }

    private static func interfaceName(_ key: Reader) throws(DecodingError) -> String? {
        guard let name = try key.string(), !name.isEmpty else { return nil }
        do { _ = try InterfaceName(name) } catch { throw key.error("\(error)") }
        return name
    }

    private mutating func decodeSegment(_ root: Reader) throws(DecodingError) {
        let options = try DockerOptions(root.member("options"))
        mtu = try Self.mtu(root.member("mtu")) ?? options.mtu
        if let mtu, mtu < Self.smallestIPv6MTU, let subnet = subnets.first(where: { $0.prefix.family == .ipv6 }) {
            throw try root.member("mtu").error("IPv6, as in \(subnet.prefix), needs 1280 at least, not \(mtu)")
        }
        let number = try root.member("vni")
        if let value = try number.integer() {
            guard (1..<1 << 24).contains(value) else {
                throw number.error(
                    "must be between 1 and 16777215, not \(value); leave it out to have it derived from the network's name"
                )
            }
            vni = UInt32(value)
        }
        vni = vni ?? options.vni
        let udp = try root.member("port")
        if let value = try udp.integer(), value != 0 {
            guard (1...65535).contains(value) else {
                throw udp.error("must be 0 (4789) or a UDP port between 1 and 65535, not \(value)")
            }
            port = UInt16(value)
        }
        if options.isInternal { isInternal = true }
    }

    static func mtu(_ key: Reader) throws(DecodingError) -> UInt32? {
        guard let bytes = try key.integer(), bytes != 0 else { return nil }
        guard (576...65535).contains(bytes) else {
            throw key.error("must be 0 (the underlay's less what VXLAN adds) or between 576 and 65535, not \(bytes)")
        }
        return UInt32(bytes)
    }

    private static func peers(_ root: Reader) throws(DecodingError) -> Peers? {
        let list = try root.member("peers"), group = try root.member("group")
        if list.isPresent, group.isPresent {
            throw group.error("\"peers\" and \"group\" are two ways to the same hosts; keep one of them")
        }
        if let text = try group.string(), !text.isEmpty {
            guard let address = IPAddress(text), address.isMulticast else {
                throw group.error("\"\(text)\" is not a multicast address like 239.1.1.1 or ff05::100")
            }
            return .group(address)
        }
        guard list.isPresent else { return nil }
        var peers: [IPAddress] = []
        for element in try list.elements() {
            guard let text = try element.string(), let address = IPAddress(text), !address.isUnspecified,
                !address.isMulticast, !address.isLoopback
            else { throw element.error("not the address of a host, like 192.0.2.1") }
            guard peers.first.map({ $0.family == address.family }) ?? true else {
                throw element.error("\(address) is of another family than \(peers[0]); the underlay has one")
            }
            if !peers.contains(address) { peers.append(address) }
        }
        guard !peers.isEmpty else {
            throw list.error("names nobody; give the other hosts' addresses, or leave it out and run swiftletd")
        }
        return .listed(peers)
    }

    private mutating func decodeContainer(_ request: Request) throws {
        let configuration = request.configuration
        let arguments = try CNIArguments(
            parsing: request.invocation.arguments, known: ["IP", "MAC", "GATEWAY", "K8S_POD_NAME"])
        aliases = try configuration.runtimeConfig.member("aliases").containerAliases(network: configuration.name)
        if let name = arguments["K8S_POD_NAME"], !name.isEmpty { names = [name] }
        requested = try RequestedAddresses.parse(
            argument: arguments["IP"], args: configuration.args, runtimeConfig: configuration.runtimeConfig,
            subnets: subnets.map(\.prefix))
        for key in [try configuration.runtimeConfig.member("mac"), try configuration.args.member("cni").member("mac")] {
            guard mac == nil, let text = try key.string(), !text.isEmpty else { continue }
            guard let address = Self.mac(text) else {
                throw key.error("\"\(text)\" is not a unicast MAC address like 02:42:c0:a8:00:64")
            }
            mac = address
        }
        if mac == nil, let text = arguments["MAC"], !text.isEmpty {
            guard let address = Self.mac(text) else {
                throw CNIError(
                    CNIError.Code.invalidEnvironment,
                    "CNI_ARGS: MAC=\(text) is not a unicast MAC address like 02:42:c0:a8:00:64")
            }
            mac = address
        }
    }

    private static func mac(_ text: String) -> MACAddress? {
        MACAddress(text).flatMap { $0.isUnicast ? $0 : nil }
    }

    private func refuse(_ root: Reader) throws(DecodingError) {
        if hostAccess, try root.member("ipam").member("type").string() ?? "host-local" != "host-local" {
            throw try root.member("hostAccess").error(
                "the host's own address comes from host-local; use it as \"ipam\"", kind: .unsupported)
        }
        for address in requested {
            guard let subnet = subnets.first(where: { $0.prefix.contains(address) }) else {
                let names = subnets.map { "\($0.prefix)" }.joined(separator: ", ")
                throw DecodingError(path: "ips", reason: "\(address) is in none of the network's subnets: \(names)")
            }
            guard subnet.gateway != address else {
                throw DecodingError(path: "ips", reason: "\(address) is the gateway of \(subnet.prefix)")
            }
        }
        if case .group? = peers, subnets.contains(where: { $0.range == nil }), requested.isEmpty || hostAccess,
            try root.member("ipam").member("type").string() ?? "host-local" == "host-local"
        {
            throw try root.member("ipRange").error(
                "with \"group\" hosts do not know each other: give each host a part of the subnet of its own, or list "
                    + "the hosts in \"peers\", or run swiftletd")
        }
    }
}

extension IPAddress {
    /// 224.0.0.0/4 or ff00::/8.
    var isMulticast: Bool {
        switch self {
        case .v4(let address): address.rawValue >> 28 == 0xE
        case .v6(let address): address.rawValue >> 120 == 0xFF
        }
    }
}

extension Reader {
    /// The aliases of one network: a list, or lists by network as podman gives them.
    func containerAliases(network: String) throws(DecodingError) -> [String] {
        if case .object? = value { return try member(network).strings() }
        return try strings()
    }
}
