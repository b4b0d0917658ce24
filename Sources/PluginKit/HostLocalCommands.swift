public import CNI
public import IPAM
internal import JSON
internal import NetworkTypes
internal import System

/// host-local between the CNI contract and the ``IPAM`` room: used by the executable, and in process by plugins that
/// delegate to it.
public enum HostLocalCommands {
    /// Allocates one address from each range set.
    ///
    /// - Parameter isReturning: nothing of the attachment is left, and what it held is its own again.
    public static func add(_ request: Request, isReturning: Bool = false) throws -> CNIResult {
        let configuration = try decode(request)
        return CNIResult(
            try store(request).allocate(configuration, for: owner(request), isReturning: isReturning))
    }

    /// Releases the attachment's addresses; needs nothing of the configuration but the network's name and `dataDir`.
    public static func delete(_ request: Request) throws {
        try store(request).release(owner(request))
    }

    /// Fails unless the attachment has a reservation, and every address of prevResult that lies in the ranges is
    /// reserved for it.
    public static func check(_ request: Request) throws {
        let store = try store(request)
        guard let previous = try request.configuration.previousResult() else {
            return try store.check(owner(request))
        }
        try store.check(
            owner(request), addresses: previous.addresses.map(\.address.address),
            within: try decode(request).rangeSets)
    }

    /// Releases what no valid attachment owns. Without a list only unreadable leftovers of crashes go.
    public static func collectGarbage(_ request: Request) throws {
        guard let entries = try request.configuration.validAttachments().known else { return }
        let owners = entries.map { Owner(containerID: $0.containerID, interfaceName: $0.interfaceName) }
        try store(request).collectGarbage(valid: Set(owners))
    }

    /// Fails with code 50 when no address is left or the state cannot be written.
    public static func status(_ request: Request) throws {
        try store(request).status(try decode(request))
    }

    private static func owner(_ request: Request) -> Owner {
        Owner(containerID: request.attachment.containerID, interfaceName: request.attachment.interfaceName)
    }

    private static func store(_ request: Request) throws -> HostLocal {
        let configuration = request.configuration
        return HostLocal(
            network: configuration.name, dataDirectory: try HostLocalConfiguration.dataDirectory(of: configuration.ipam)
        )
    }

    private static func decode(_ request: Request) throws -> HostLocalConfiguration {
        let arguments = try CNIArguments(parsing: request.invocation.arguments, known: ["IP", "MAC", "GATEWAY"])
        let configuration = request.configuration
        return try HostLocalConfiguration(
            network: configuration.name, ipam: configuration.ipam, runtimeConfig: configuration.runtimeConfig,
            args: configuration.args, requestedIP: arguments["IP"],
            allowsSeveralPerFamily: configuration.version >= .v0_3_0, versionText: configuration.version.rawValue)
    }
}

extension CNIResult {
    /// The result of an allocation: addresses without interfaces.
    public init(_ allocation: Allocation) {
        self.init()
        addresses = allocation.addresses.map { CNIResult.Address(address: $0.prefix, gateway: $0.gateway) }
        routes = allocation.routes.map { route in
            CNIResult.Route(
                destination: route.destination, gateway: route.gateway, mtu: route.mtu.map(Int.init),
                advertisedMSS: route.advertisedMSS.map(Int.init), priority: route.priority.map(Int.init),
                table: route.table.map(Int.init), scope: route.scope.map(Int.init))
        }
        dns = CNIResult.DNS(
            nameservers: allocation.dns.nameservers, domain: allocation.dns.domain, search: allocation.dns.search,
            options: allocation.dns.options)
    }
}
