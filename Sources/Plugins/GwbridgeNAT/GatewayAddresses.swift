internal import Attachment
internal import CNI
internal import IPAM
internal import JSON
internal import NetworkTypes
internal import PluginKit

/// The addresses of a gateway bridge: host-local's files under a network of their own, because containers of all
/// networks share the bridge.
struct GatewayAddresses {
    private let store: HostLocal
    private let owner: Owner

    /// The addresses of a request's container.
    init(_ request: Request) throws {
        store = try Self.store(request)
        owner = Self.owner(request.attachment)
    }

    /// Takes an address of the bridge's subnet. Nothing of the attachment is there: what it held before, a reboot for
    /// example, is its own again.
    func allocate(_ subnet: IPPrefix) throws -> CNIResult {
        let ipam: Value = ["ranges": [[["subnet": .string(subnet.description)]]]]
        let configuration = try HostLocalConfiguration(
            network: GwbridgeCommands.addressNetwork, ipam: Reader(ipam), runtimeConfig: Reader(nil),
            args: Reader(nil), requestedIP: nil, allowsSeveralPerFamily: true, versionText: "")
        return CNIResult(try store.allocate(configuration, for: owner, isReturning: true))
    }

    func release() throws { try store.release(owner) }

    func check() throws { try store.check(owner) }

    /// Gives back what a request's container holds, whatever the configuration says by now.
    static func release(_ request: Request) throws { try store(request).release(owner(request.attachment)) }

    /// Gives back what attachments of the request's network hold that are not valid any more.
    static func collect(_ request: Request, keeping valid: [ValidAttachments.Entry]) throws {
        let network = request.configuration.name
        let kept = valid.map { entry in
            owner(Attachment(network: network, containerID: entry.containerID, interfaceName: entry.interfaceName))
        }
        try store(request).collectGarbage(valid: Set(kept)) { $0.interfaceName.hasPrefix("\(network)@") }
    }

    private static func store(_ request: Request) throws -> HostLocal {
        HostLocal(
            network: GwbridgeCommands.addressNetwork,
            dataDirectory: try HostLocal.dataDirectory(of: request.configuration.root))
    }

    /// The interface's name carries the network's: the files of one directory belong to containers of all networks.
    private static func owner(_ attachment: Attachment) -> Owner {
        Owner(containerID: attachment.containerID, interfaceName: "\(attachment.network)@\(attachment.interfaceName)")
    }
}
