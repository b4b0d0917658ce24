internal import Attachment
internal import CNI
internal import Control
internal import JSON
internal import NetworkTypes
internal import Overlay
internal import PluginKit

/// A network that the daemon keeps: what the plugin asks of it (docs/overlay.md, "What plugin and daemon say to each
/// other").
struct DaemonNetwork {
    let request: Request
    let socket: String?
    let overlay: any OverlayHost

    private func ask(_ method: String, _ target: String, _ members: [(String, Value)]) throws -> Reader {
        let network: (String, Value) = ("network", .string(request.configuration.name))
        return Reader(try overlay.askDaemon(socket, method, target, .object(Object([network] + members))))
    }

    private var container: [(String, Value)] {
        [
            ("containerID", .string(request.attachment.containerID)),
            ("ifname", .string(request.attachment.interfaceName)),
        ]
    }

    /// Whether the addresses come out of this host's blocks.
    private var wantsBlocks: Bool { DelegateRequest.type(request.configuration) == "host-local" }

    /// `POST /v1/overlay/prepare`: puts the host on the network, and learns which addresses it may hand out.
    func prepare(_ configuration: OverlayConfiguration) throws -> PreparedNetwork {
        let answer = try ask(
            "POST", "/v1/overlay/prepare",
            container + [
                ("definition", Self.definition(configuration, request)),
                ("ips", .array(configuration.requested.map { .string("\($0)") })), ("blocks", .bool(wantsBlocks)),
            ])
        do {
            return try Self.network(answer, configuration, request)
        } catch let error as DecodingError {
            throw CNIError(
                CNIError.Code.internal, "swiftletd's answer cannot be used: \(error)",
                details: "use a swiftletd of the same version")
        }
    }

    private static func network(
        _ answer: Reader, _ configuration: OverlayConfiguration, _ request: Request
    ) throws -> PreparedNetwork {
        let key = try answer.member("networkID")
        guard let identifier = try key.string(), !identifier.isEmpty else { throw key.error("missing") }
        if identifier != configuration.identity.identifier, try request.configuration.root.member("cluster").isPresent {
            throw CNIError(
                CNIError.Code.invalidConfiguration,
                "cluster: this host's swiftletd is not in cluster \"\(configuration.identity.cluster)\"",
                details: "write it as swiftletd.json does, or leave it out")
        }
        guard let path = try answer.member("namespace").string(), !path.isEmpty else {
            throw try answer.member("namespace").error("missing")
        }
        guard let mtu = try answer.member("mtu").integer(in: 68...65535) else {
            throw try answer.member("mtu").error("missing")
        }
        var pools = AddressPools(try AddressPools.decode(answer.member("ranges"), subnets: configuration.subnets))
        pools.include(configuration.requested, of: configuration.subnets)
        var exclusions = configuration.exclusions
        for text in try answer.member("exclude").strings() {
            if let prefix = IPAddress(text).map(IPPrefix.init(host:)) ?? IPPrefix(text) { exclusions.append(prefix) }
        }
        // The daemon's MTU is the smallest member's; a container may have less.
        return PreparedNetwork(
            path: path, mtu: min(UInt32(mtu), configuration.mtu ?? .max), pools: pools, exclusions: exclusions)
    }

    /// `POST /v1/overlay/endpoints`: tells all hosts where the container is; every live one that answers in time knows when
    /// this returns.
    func publish(_ addresses: [IPPrefix], _ mac: MACAddress, link: String, _ configuration: OverlayConfiguration) throws
    {
        _ = try ask(
            "POST", "/v1/overlay/endpoints",
            container + [
                ("addresses", .array(addresses.map { .string("\($0)") })), ("mac", .string("\(mac)")),
                ("names", .array(configuration.names.map { .string($0) })),
                ("aliases", .array(configuration.aliases.map { .string($0) })), ("link", .string(link)),
                // Out of the ranges that prepare() gave.
                ("blocks", .bool(wantsBlocks)),
            ])
    }

    /// `DELETE /v1/overlay/endpoints`.
    func withdraw() throws { _ = try ask("DELETE", "/v1/overlay/endpoints", container) }

    /// The same for all attachments of this host's that are not listed, and for the ADDs that were killed: GC runs alone.
    func withdraw(keeping entries: [ValidAttachments.Entry]) throws {
        let kept: [Value] = entries.map { entry in
            ["containerID": .string(entry.containerID), "ifname": .string(entry.interfaceName)]
        }
        _ = try ask("DELETE", "/v1/overlay/endpoints", [("keep", .array(kept))])
    }

    /// `POST /v1/overlay/check`: in what the kernel differs from what the daemon wants it to have.
    ///
    /// - Returns: nil when nobody can tell: the daemon is away, or of a release that does not know the question.
    func differences() throws -> [String]? {
        do {
            return try ask("POST", "/v1/overlay/check", container).member("differences").strings()
        } catch let error as ControlError {
            if error.isAway { return nil }
            if case .refused(let refusal) = error, refusal.status == 404 { return nil }
            throw error
        }
    }

    /// `POST /v1/overlay/status`.
    func status(_ configuration: OverlayConfiguration) throws {
        _ = try ask("POST", "/v1/overlay/status", [("definition", Self.definition(configuration, request))])
    }

    /// The network as all hosts must agree on it, and this host's underlay.
    static func definition(_ configuration: OverlayConfiguration, _ request: Request) -> Value {
        let subnets: [Value] = configuration.subnets.map { subnet in
            var object = Object([
                ("subnet", .string("\(subnet.prefix)")), ("gateway", .string("\(subnet.gateway)")),
            ])
            if let range = subnet.range { object["ipRange"] = .string("\(range)") }
            // Single addresses for the daemon, networks for the delegate.
            let excluded = configuration.exclusions.filter {
                subnet.prefix.contains($0.address) && $0.length == $0.family.bits
            }
            if !excluded.isEmpty { object["exclude"] = .array(excluded.map { .string("\($0.address)") }) }
            return .object(object)
        }
        var object = Object([("subnets", .array(subnets)), ("port", .integer(Int64(configuration.port)))])
        if let vni = configuration.vni { object["vni"] = .integer(Int64(vni)) }
        if let mtu = configuration.mtu { object["mtu"] = .integer(Int64(mtu)) }
        if configuration.isInternal { object["internal"] = true }
        if configuration.multicast { object["multicast"] = true }
        if let interface = configuration.underlay { object["interface"] = .string(interface) }
        let root = request.configuration.root
        let seeds = ((try? root.member("seeds").strings()) ?? nil) ?? []
        if !seeds.isEmpty { object["seeds"] = .array(seeds.map { .string($0) }) }
        let options = ((try? root.member("options").object()) ?? nil)?.members ?? []
        if !options.isEmpty {
            object["options"] = .object(
                Object(
                    options.map { member in
                        if case .string = member.value { return (member.key, member.value) }
                        return (member.key, .string(member.value.text()))
                    }))
        }
        if let directory = (try? request.configuration.ipam.member("dataDir").string()) ?? nil, !directory.isEmpty {
            object["dataDir"] = .string(directory)
        }
        return .object(object)
    }
}
