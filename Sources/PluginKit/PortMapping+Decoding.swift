public import JSON
public import Netfilter
internal import NetworkTypes

extension PortMapping {
    /// The mappings of a `portMappings` capability. Keys come in any case, as `HostPort` from containerd; an entry's
    /// `protocol` may be a list ("tcp,udp"), "tcp" when it is empty.
    public static func list(_ reader: Reader) throws(DecodingError) -> [PortMapping] {
        var mappings: [PortMapping] = []
        for entry in try reader.elements() { mappings += try decode(entry) }
        return mappings
    }

    private static func decode(_ entry: Reader) throws(DecodingError) -> [PortMapping] {
        let hostPort = try port(entry.member("hostPort"), "host")
        let containerPort = try port(entry.member("containerPort"), "container")
        let hostKey = try entry.member("hostIP")
        var hostAddress: IPAddress?
        if let text = try hostKey.string(), !text.isEmpty {
            guard let address = IPAddress(text) else { throw hostKey.error("\"\(text)\" is not an IP address") }
            hostAddress = address
        }
        let key = try entry.member("protocol")
        let names = (try key.string() ?? "").lowercased().split(separator: ",")
        var mappings: [PortMapping] = []
        for name in names.isEmpty ? ["tcp"] : names {
            guard let transport = TransportProtocol(String(name)) else {
                throw key.error("\"\(name)\" is not a protocol with ports: use tcp, udp or sctp")
            }
            mappings.append(
                PortMapping(transport, hostAddress: hostAddress, hostPort: hostPort, containerPort: containerPort))
        }
        return mappings
    }

    private static func port(_ key: Reader, _ whose: String) throws(DecodingError) -> UInt16 {
        let number = try key.integer() ?? 0
        guard (1...65535).contains(number) else {
            throw key.error("Invalid \(whose) port number: \(number)", verbatim: true)
        }
        return UInt16(number)
    }
}

extension BackendChoice {
    /// `ipMasqBackend`: "iptables", "nftables", or nothing for the one that fits the host.
    public init(decoding key: Reader) throws(DecodingError) {
        switch try key.string() ?? "" {
        case "": self = .automatic
        case "nftables": self = .nftables
        case "iptables": self = .iptables
        case let name: throw key.error("unknown ipmasq backend \"\(name)\"", verbatim: true)
        }
    }
}
