public import CNI
internal import Netlink
internal import PluginKit
internal import System

extension BridgeCommands {
    /// Says whether an ADD could be served now (CNI specification, STATUS).
    public func status(_ request: Request) throws {
        let configuration = try BridgeConfiguration(request)
        let host = try system.hostStack()
        if let link = try host.link(named: configuration.bridge), link.kind != "bridge" {
            throw CNIError(
                CNIError.Code.notAvailable,
                "\"\(configuration.bridge)\" already exists but is not a bridge",
                details: "choose another name with the key \"bridge\"")
        }
        if configuration.usesVLANs, try !system.filtersVLANs() {
            throw CNIError(
                CNIError.Code.notAvailable, StepError.noVLANFiltering(bridge: configuration.bridge).description)
        }
        if configuration.hasIPAM { try system.addressStatus(request) }
    }
}
