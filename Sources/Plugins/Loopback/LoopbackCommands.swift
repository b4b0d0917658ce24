public import Attachment
public import CNI
internal import Netlink
internal import NetworkTypes
internal import System

/// The `loopback` plugin: sets the container's `lo` up and reports it. `CNI_IFNAME` and `CNI_ARGS` are not looked at.
public struct LoopbackCommands: PluginCommands {
    /// The name the executable goes by.
    public let name = "loopback"
    private let system: any ContainerNamespaces

    /// The plugin on a host.
    public init(system: any ContainerNamespaces) {
        self.system = system
    }

    /// Sets `lo` up. In a chain the previous result is handed on; alone `lo` with its addresses is the result.
    public func add(_ request: Request) throws -> CNIResult {
        let previous = try request.configuration.previousResult()
        let addresses = try Loopback(system, request).setUp()
        if let previous { return previous }
        var result = CNIResult()
        result.interfaces = [
            .init(name: "lo", mac: MACAddress.zero.description, sandbox: request.invocation.netns)
        ]
        result.addresses = addresses.map { .init(interface: 0, address: $0) }
        return result
    }

    /// Sets `lo` down where the namespace is still there.
    public func delete(_ request: Request) throws {
        guard !request.invocation.netns.isEmpty else { return }
        do {
            try Loopback(system, request).setDown()
        } catch let error as NamespaceError {
            if case .system = error.reason { throw error }
        }
    }

    /// Checks that `lo` is up.
    public func check(_ request: Request) throws { try Loopback(system, request).check() }

    /// Nothing is kept outside the containers.
    public func collectGarbage(_ request: Request) throws {}

    /// Always ready.
    public func status(_ request: Request) throws {}
}
