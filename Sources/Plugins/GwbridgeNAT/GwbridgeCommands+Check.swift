internal import Attachment
public import CNI
internal import Netfilter
internal import PluginKit

extension GwbridgeCommands {
    /// Compares the connection with the kernel (CNI specification, CHECK). Who shares a way out checks all of it.
    public func check(_ request: Request) throws {
        let configuration = try GwbridgeConfiguration(request)
        guard let previous = try request.configuration.previousResult() else {
            throw CNIError(CNIError.Code.invalidConfiguration, "Required prevResult missing")
        }
        if try isInternal(previous) { return }
        guard let (way, own) = try found(previous, configuration, request) else { return }
        let holder = way.users.first ?? Joining(request, configuration, chained: nil).way.users[0]
        try GatewayAddresses(way.dataDirectory).check(
            GatewayAddresses.owner(
                Attachment(
                    network: holder.network, containerID: request.attachment.containerID,
                    interfaceName: holder.interfaceName)))
        try attachment(configuration, way, request.invocation.netns).check(own)
        try system.checkFilterRules(rules(way), of: way.owner, configuration.backend)
    }

    /// Puts the masquerade, the ports and what keeps containers apart back. Whoever shares a way out restores all of it.
    public func restore(_ request: Request) throws -> Bool {
        let configuration = try GwbridgeConfiguration(request)
        let previous = try request.resultToRestore()
        if try isInternal(previous) { return false }
        guard let (way, own) = try found(previous, configuration, request) else { return false }
        let isMasqueraded = try attachment(configuration, way, request.invocation.netns).restoreRules(own)
        return try system.restoreFilterRules(rules(way), of: way.owner, configuration.backend) || isMasqueraded
    }

    /// The way out that a request's network uses, and what of a chain's result is it; nil for a network that has none.
    private func found(
        _ previous: CNIResult, _ configuration: GwbridgeConfiguration, _ request: Request
    ) throws -> (way: WayOut, own: CNIResult)? {
        var way = Joining(request, configuration, chained: nil).way
        let user = way.users[0]
        way.identity = Self.identity(request.attachment)
        let ways = try WaysOut(request.attachment.containerID, isLocked: false, in: directory)
        if let recorded = ways.way(of: user.network, interfaceName: user.interfaceName) { way = recorded }
        // The container's end follows the host's, which is named by its tag.
        guard let port = previous.interfaces.firstIndex(where: { $0.name == way.tag.linkName }),
            previous.interfaces.indices.contains(port + 1)
        else {
            // Chained, an internal network gets nothing of us.
            if configuration.isInternal { return nil }
            throw CNIError(
                CNIError.Code.internal, "prevResult has no interface of bridge \(way.bridge)",
                details: "attach the container again with DEL and ADD")
        }
        var own = previous
        own.addresses = previous.addresses.filter { $0.interface == port + 1 }
        let gateways = Set(own.addresses.compactMap(\.gateway))
        own.routes = previous.routes.filter { $0.gateway.map(gateways.contains) ?? false }
        way.interface = previous.interfaces[port + 1].name
        way.address = own.addresses.first?.address
        return (way, own)
    }
}
