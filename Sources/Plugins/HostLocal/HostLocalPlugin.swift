internal import Attachment
public import CNI
internal import PluginKit

/// The `host-local` plugin: addresses from ranges, kept in files on this host.
public struct HostLocalPlugin: PluginCommands {
    /// The name the executable goes by.
    public let name = "host-local"
    /// Addresses are the host's business; the container's namespace is never looked at.
    public let needsNamespace = false

    /// The plugin.
    public init() {}

    /// Allocates (CNI specification, ADD).
    public func add(_ request: Request) throws -> CNIResult { try HostLocalCommands.add(request) }

    /// Releases (CNI specification, DEL).
    public func delete(_ request: Request) throws { try HostLocalCommands.delete(request) }

    /// Compares the reservations with prevResult (CNI specification, CHECK).
    public func check(_ request: Request) throws { try HostLocalCommands.check(request) }

    /// Releases what no valid attachment owns (CNI specification, GC).
    public func collectGarbage(_ request: Request) throws { try HostLocalCommands.collectGarbage(request) }

    /// Says whether an address could be had (CNI specification, STATUS).
    public func status(_ request: Request) throws { try HostLocalCommands.status(request) }
}
