internal import NetworkTypes

/// A definition's options, understood: Docker's names where they have a meaning here, and short names of our own.
struct DriverOptions {
    /// `com.docker.network.driver.mtu`, `mtu`: bytes; nil for automatic.
    var mtu: Int64?
    /// `com.docker.network.driver.overlay.vxlanid_list`, `vni` (overlay).
    var vni: Int64?
    /// `port`: the UDP port of VXLAN (overlay).
    var port: Int64?
    /// `multicast`: broadcasts and multicasts reach every host (overlay).
    var multicast: Bool?
    /// `gateway.bridge`: the bridge of the way out (overlay).
    var gatewayBridge: String?
    /// `gateway.interface`: its interface's name in the container (overlay).
    var gatewayInterface: String?
    /// `com.docker.network.bridge.name`, `bridge` (bridge).
    var bridge: String?
    /// `com.docker.network.bridge.enable_icc`, `icc` (bridge).
    var communicates: Bool?
    /// `com.docker.network.bridge.enable_ip_masquerade`, `ipMasq` (bridge).
    var masquerades: Bool?

    /// The MTUs a network may have: every host takes 576 bytes (RFC 791); with IPv6 it is 1280 (RFC 8200).
    static let mtus: ClosedRange<Int64> = 576...65535
    static let smallestIPv6MTU: Int64 = 1280

    /// - Throws: for an option that means nothing to the driver, and for a value it cannot have.
    init(_ definition: NetworkDefinition) throws(DefinitionFault) {
        for (name, text) in definition.options.sorted(by: { $0.key < $1.key }) {
            let isTaken: Bool
            switch definition.driver {
            case .overlay: isTaken = try readOverlay(name, text)
            case .bridge: isTaken = try readBridge(name, text)
            }
            guard isTaken else {
                throw DefinitionFault("option \(name) means nothing to driver \(definition.driver.rawValue)")
            }
        }
    }

    private mutating func readOverlay(_ name: String, _ text: String) throws(DefinitionFault) -> Bool {
        switch name {
        case "com.docker.network.driver.mtu", "mtu": mtu = try Self.number(name, text, Self.mtus)
        case "com.docker.network.driver.overlay.vxlanid_list", "vni": vni = try Self.number(name, text, 1...0xFF_FFFF)
        case "port": port = try Self.number(name, text, 1...65535)
        case "multicast": multicast = try Self.flag(name, text)
        case "gateway.bridge": gatewayBridge = try Self.interface(name, text)
        case "gateway.interface": gatewayInterface = try Self.interface(name, text)
        case "encrypted":
            throw DefinitionFault(
                "option encrypted: the overlay's packets cannot be encrypted yet; encrypt the underlay")
        default: return false
        }
        return true
    }

    private mutating func readBridge(_ name: String, _ text: String) throws(DefinitionFault) -> Bool {
        switch name {
        case "com.docker.network.driver.mtu", "mtu": mtu = try Self.number(name, text, Self.mtus)
        case "com.docker.network.bridge.name", "bridge": bridge = try Self.interface(name, text)
        case "com.docker.network.bridge.enable_icc", "icc": communicates = try Self.flag(name, text)
        case "com.docker.network.bridge.enable_ip_masquerade", "ipMasq": masquerades = try Self.flag(name, text)
        default: return false
        }
        return true
    }

    private static func number(
        _ name: String, _ text: String, _ range: ClosedRange<Int64>
    ) throws(DefinitionFault) -> Int64 {
        guard let number = Int64(text), range.contains(number) else {
            throw DefinitionFault(
                "option \(name): \"\(text)\" is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private static func flag(_ name: String, _ text: String) throws(DefinitionFault) -> Bool {
        switch text {
        case "true", "1", "": return true
        case "false", "0": return false
        default: throw DefinitionFault("option \(name): \"\(text)\" is neither true nor false")
        }
    }

    private static func interface(_ name: String, _ text: String) throws(DefinitionFault) -> String {
        do throws(InterfaceName.Violation) { return try InterfaceName(text).description } catch {
            throw DefinitionFault("option \(name): \(error)")
        }
    }
}
