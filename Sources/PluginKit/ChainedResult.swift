public import CNI
public import NetworkTypes

/// What a chained plugin reads out of the result of the plugins before it.
public struct ChainedResult {
    /// The previous result.
    public let result: CNIResult
    private let interfaceName: String

    /// The previous result of a request; nil when it has none.
    public init?(_ request: Request) throws {
        guard let result = try request.configuration.previousResult() else { return nil }
        self.result = result
        interfaceName = request.attachment.interfaceName
    }

    /// Whether an address is the container's: on `CNI_IFNAME` in a sandbox, or on no interface in particular.
    private func isContainers(_ address: CNIResult.Address) -> Bool {
        guard let index = address.interface, index >= 0 else { return true }
        guard result.interfaces.indices.contains(index) else { return false }
        let interface = result.interfaces[index]
        return interface.name == interfaceName && !(interface.sandbox ?? "").isEmpty
    }

    /// The container's addresses, with their subnets' lengths.
    public var containerAddresses: [IPPrefix] { result.addresses.filter(isContainers).map(\.address) }

    /// The first interface: the bridge, where a bridge plugin came first.
    public var bridge: String? {
        result.interfaces.first.flatMap { ($0.sandbox ?? "").isEmpty ? $0.name : nil }
    }

    /// The host's end of the container's interface: the interface after the bridge.
    public var hostPort: String? {
        guard result.interfaces.count > 1, (result.interfaces[1].sandbox ?? "").isEmpty else { return nil }
        return result.interfaces[1].name
    }
}
