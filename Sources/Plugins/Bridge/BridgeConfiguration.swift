internal import Attachment
internal import CNI
internal import JSON
internal import Netfilter
internal import NetworkTypes
internal import PluginKit

extension BridgeSettings {
    /// Whether a delegate may look at the container's interface, as it can with the reference. Two are known not to.
    static func looksAtInterface(_ ipamType: String) -> Bool { !["", "host-local", "static"].contains(ipamType) }

    /// Decodes and checks the plugin's whole configuration.
    ///
    /// - Throws: ``DecodingError`` with the JSON path; ``CNIError`` for a malformed `CNI_ARGS`.
    init(_ request: Request) throws {
        let configuration = request.configuration
        let root = configuration.root
        self.init(bridge: try Self.bridgeName(configuration))
        isDefaultGateway = try root.member("isDefaultGateway").bool() ?? false
        isGateway = try root.member("isGateway").bool() ?? false || isDefaultGateway
        forcesAddress = try root.member("forceAddress").bool() ?? false
        hairpin = try root.member("hairpinMode").bool() ?? false
        promiscuous = try root.member("promiscMode").bool() ?? false
        mtu = try Self.mtu(root.member("mtu"))
        vlan = try Self.vlan(root.member("vlan"))
        trunk = try Self.trunk(root.member("vlanTrunk"))
        preservesDefaultVLAN = try root.member("preserveDefaultVlan").bool() ?? false
        detectsDuplicates = try root.member("enabledad").bool() ?? false
        disablesContainerInterface = try root.member("disableContainerInterface").bool() ?? false
        let communicates = try root.member("icc").bool() ?? true
        isIsolated = try root.member("portIsolation").bool() ?? false || !communicates
        isInternal = try root.member("internal").bool() ?? false
        mac = try Self.mac(request)
        dns = try CNIResult.DNS(given: root.member("dns"))
        hasIPAM = !configuration.ipamType.isEmpty
        connectsFirst = Self.looksAtInterface(configuration.ipamType)
        masquerades = try root.member("ipMasq").bool() ?? false
        masqueradeBackend = try BackendChoice(decoding: root.member("ipMasqBackend"))
        checksSource = try root.member("macspoofchk").bool() ?? false
        try refuseContradictions(root)
    }

    /// The bridge's name alone: all that DEL and GC need of a configuration that may no longer be valid.
    static func bridgeName(_ configuration: NetworkConfiguration) throws(DecodingError) -> String {
        let key = try configuration.root.member("bridge")
        guard let name = try key.string(), !name.isEmpty else { return derivedName(network: configuration.name) }
        do {
            _ = try InterfaceName(name)
        } catch {
            throw key.error("\(error); a bridge's name has 1 to 15 bytes")
        }
        return name
    }

    /// The bridges that this network's containers may be on: ours, and the reference's for a network that names none.
    static func possibleNames(_ configuration: NetworkConfiguration) -> [String] {
        guard let name = try? bridgeName(configuration) else { return [] }
        return name == derivedName(network: configuration.name) ? [name, "cni0"] : [name]
    }

    /// `br-` and the network's name where that fits an interface name, else `br-` and twelve digits of its hash.
    static func derivedName(network: String) -> String {
        let readable = "br-\(network)"
        return (try? InterfaceName(readable)) != nil ? readable : "br-\(SHA512.hex(network, length: 12))"
    }

    private func refuseContradictions(_ root: Reader) throws(DecodingError) {
        if hairpin && promiscuous {
            throw try root.member("hairpinMode")
                .error("cannot set hairpin mode and promiscuous mode at the same time", verbatim: true)
        }
        if disablesContainerInterface && hasIPAM {
            throw try root.member("disableContainerInterface")
                .error("cannot use IPAM when DisableContainerInterface flag is set", verbatim: true)
        }
        if isInternal && isDefaultGateway {
            throw try root.member("internal")
                .error("an internal network has no default route; remove isDefaultGateway or use isGateway")
        }
        if isInternal && masquerades {
            throw try root.member("internal")
                .error("an internal network has no way out to masquerade; remove ipMasq")
        }
        if vlan != nil && isGateway && gatewayLink.utf8.count > InterfaceName.maximumLength {
            throw try root.member("bridge")
                .error("\"\(gatewayLink)\", the VLAN gateway's interface, is longer than 15 bytes; shorten the name")
        }
    }

    private static func mtu(_ key: Reader) throws(DecodingError) -> UInt32? {
        guard let bytes = try key.integer(), bytes != 0 else { return nil }
        guard (68...65535).contains(bytes) else {
            throw key.error("must be 0 (the kernel's default) or between 68 and 65535, not \(bytes)")
        }
        return UInt32(bytes)
    }

    private static func vlan(_ key: Reader) throws(DecodingError) -> UInt16? {
        guard let number = try key.integer(), number != 0 else { return nil }
        guard (1...4094).contains(number) else {
            throw key.error("invalid VLAN ID \(number) (must be between 0 and 4094)", verbatim: true)
        }
        return UInt16(number)
    }

    private static func trunk(_ key: Reader) throws(DecodingError) -> [UInt16] {
        var identifiers: Set<UInt16> = []
        for entry in try key.elements() {
            let first = try entry.member("minID"), last = try entry.member("maxID"), single = try entry.member("id")
            switch (try first.integer(), try last.integer()) {
            case (let low?, let high?):
                guard (1...4094).contains(low) else { throw first.error("incorrect trunk minID parameter") }
                guard (1...4094).contains(high) else { throw last.error("incorrect trunk maxID parameter") }
                guard low <= high else { throw entry.error("minID is greater than maxID in trunk parameter") }
                identifiers.formUnion((low...high).map { UInt16($0) })
            case (nil, _?):
                throw entry.error("minID and maxID should be configured simultaneously, minID is missing")
            case (_?, nil):
                throw entry.error("minID and maxID should be configured simultaneously, maxID is missing")
            case (nil, nil): break
            }
            if let number = try single.integer() {
                guard (1...4094).contains(number) else { throw single.error("incorrect trunk id parameter") }
                identifiers.insert(UInt16(number))
            }
        }
        return identifiers.sorted()
    }

    /// `CNI_ARGS` MAC, overridden by `args.cni.mac`, overridden by `runtimeConfig.mac`.
    private static func mac(_ request: Request) throws -> MACAddress? {
        let arguments = try CNIArguments(parsing: request.invocation.arguments, known: ["IP", "MAC", "GATEWAY"])
        let configuration = request.configuration
        for key in [try configuration.runtimeConfig.member("mac"), try configuration.args.member("cni").member("mac")] {
            guard let text = try key.string(), !text.isEmpty else { continue }
            guard let mac = MACAddress(text), mac.isUnicast else {
                throw key.error("\"\(text)\" is not a unicast MAC address like 02:42:c0:a8:00:64")
            }
            return mac
        }
        guard let text = arguments["MAC"], !text.isEmpty else { return nil }
        guard let mac = MACAddress(text), mac.isUnicast else {
            throw CNIError(
                CNIError.Code.invalidEnvironment,
                "CNI_ARGS: MAC=\(text) is not a unicast MAC address like 02:42:c0:a8:00:64")
        }
        return mac
    }
}
