public import Attachment
public import CNI
internal import Netlink
internal import System

/// The `null` plugin: Docker's network "none". The container has its loopback interface, up, and nothing else.
public struct NullCommands: PluginCommands {
    /// The name the executable goes by.
    public let name = "null"
    private let system: any ContainerNamespaces

    /// The plugin on a host.
    public init(system: any ContainerNamespaces) {
        self.system = system
    }

    /// Sets `lo` up. In a chain the previous result is handed on; alone the result is empty.
    public func add(_ request: Request) throws -> CNIResult {
        let result = try request.configuration.previousResult() ?? CNIResult()
        // Before anything is changed: this fails for versions that have no result without addresses.
        _ = try result.document(request.configuration.version)
        _ = try Loopback(system, request).setUp()
        return result
    }

    /// Nothing to remove: `lo` goes with its namespace.
    public func delete(_ request: Request) throws {}

    /// Checks that `lo` is up.
    public func check(_ request: Request) throws { try Loopback(system, request).check() }

    /// Nothing is kept outside the containers.
    public func collectGarbage(_ request: Request) throws {}

    /// Always ready.
    public func status(_ request: Request) throws {}
}
