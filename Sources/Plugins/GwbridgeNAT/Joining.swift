internal import Attachment
internal import CNI
internal import NetworkTypes

/// One ADD: a network that wants a way out, and the way out it would get if the container had none.
struct Joining {
    let request: Request
    let configuration: GwbridgeConfiguration
    /// The result of the earlier plugins.
    let chained: CNIResult?
    /// The way out; its address comes last.
    var way: WayOut

    /// Describes an ADD.
    init(_ request: Request, _ configuration: GwbridgeConfiguration, chained: CNIResult?) {
        self.request = request
        self.configuration = configuration
        self.chained = chained
        let attachment = request.attachment
        let usual = chained == nil ? attachment.interfaceName : "gw0"
        let user = WayOut.User(
            network: attachment.network, interfaceName: attachment.interfaceName, mappings: configuration.mappings,
            // A network before us that says where the rest of the world is leaves nothing to add.
            wantsDefaultRoute: !(chained?.routes.contains { $0.destination.length == 0 } ?? false))
        way = WayOut(
            identity: WayOut.identity(bridge: configuration.bridge, containerID: attachment.containerID),
            bridge: configuration.bridge, interface: configuration.interface ?? usual,
            dataDirectory: configuration.dataDirectory, options: configuration.options, users: [user])
    }

    /// The network that joins.
    var user: WayOut.User { way.users[0] }
    /// `CNI_CONTAINERID`.
    var containerID: String { request.attachment.containerID }
    /// `CNI_NETNS`.
    var sandbox: String { request.invocation.netns }
}
