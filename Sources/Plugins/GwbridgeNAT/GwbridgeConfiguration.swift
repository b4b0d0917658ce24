internal import Attachment
internal import CNI
internal import IPAM
internal import JSON
internal import Netfilter
internal import NetworkTypes
internal import PluginKit

/// The `gwbridge-nat` plugin's configuration, decoded and checked whole.
struct GwbridgeConfiguration: Equatable {
    /// `interface`: the interface's name in the container; `gw0` when chained, `CNI_IFNAME` alone.
    var interface: String?
    /// `bridge`.
    var bridge = "swiftlet-gw"
    /// `subnet`; nil takes the bridge's own, or the first pool that nothing of the host is in.
    var subnet: IPPrefix?
    /// `icc`, `ipMasq`, `snatAddress` and `mtu`: what the networks of a container have to agree on.
    var options = WayOut.Options()
    /// `ipMasqBackend`.
    var backend = BackendChoice.automatic
    /// `internal`: no way out, so no default route.
    var isInternal = false
    /// `dataDir` of the addresses.
    var dataDirectory: String
    /// `dns`; nil when no field of it is given.
    var dns: CNIResult.DNS?
    /// `runtimeConfig.portMappings`.
    var mappings: [PortMapping] = []

    /// Decodes the request's configuration.
    init(_ request: Request) throws(DecodingError) {
        let root = request.configuration.root
        dataDirectory = try Self.dataDirectory(request)
        interface = try Self.interfaceName(root.member("interface"))
        if let name = try Self.interfaceName(root.member("bridge")) { bridge = name }
        subnet = try Self.subnet(root.member("subnet"))
        options.communicates = try root.member("icc").bool() ?? false
        options.masquerades = try root.member("ipMasq").bool() ?? true
        isInternal = try root.member("internal").bool() ?? false
        let source = try root.member("snatAddress")
        if let text = try source.string(), !text.isEmpty {
            guard let address = IPAddress(text), address.family == .ipv4 else {
                throw source.error("\"\(text)\" is not an IPv4 address of this host")
            }
            options.sourceAddress = address
        }
        let size = try root.member("mtu")
        if let bytes = try size.integer(in: 0...65535), bytes > 0 {
            guard bytes >= 68 else { throw size.error("must be 0 or at least 68, not \(bytes)") }
            options.mtu = UInt32(bytes)
        }
        backend = try BackendChoice(decoding: root.member("ipMasqBackend"))
        mappings = try PortMapping.list(request.configuration.runtimeConfig.member("portMappings"))
        dns = try CNIResult.DNS(given: root.member("dns"))
    }

    /// `dataDir` alone: all that DEL and GC need of a configuration that may no longer be valid.
    static func dataDirectory(_ request: Request) throws(DecodingError) -> String {
        try HostLocal.dataDirectory(of: request.configuration.root)
    }

    private static func interfaceName(_ key: Reader) throws(DecodingError) -> String? {
        guard let name = try key.string(), !name.isEmpty else { return nil }
        do { _ = try InterfaceName(name) } catch { throw key.error("\(error)") }
        return name
    }

    private static func subnet(_ key: Reader) throws(DecodingError) -> IPPrefix? {
        guard let text = try key.string(), !text.isEmpty else { return nil }
        guard let prefix = IPPrefix(text), prefix.family == .ipv4, (8...29).contains(prefix.length) else {
            throw key.error("\"\(text)\" is not an IPv4 network like 172.18.0.0/16, of length 8 to 29")
        }
        guard prefix == prefix.network else {
            throw key.error("\(prefix) has host bits set; the network is \(prefix.network)")
        }
        return prefix
    }
}
