internal import Attachment
internal import CNI
internal import IPAM
internal import JSON
internal import NetworkTypes
internal import PluginKit

/// The addresses of all gateway bridges: host-local's files under a network of their own, because containers of all
/// networks share the bridge.
struct GatewayAddresses {
    /// In whose name an address is reserved.
    typealias Holder = Owner

    private let store: HostLocal

    /// The addresses below a `dataDir`.
    init(_ dataDirectory: String) {
        store = HostLocal(network: GwbridgeCommands.addressNetwork, dataDirectory: dataDirectory)
    }

    /// The interface's name carries the network's: the files of one directory belong to containers of all networks.
    static func owner(_ attachment: Attachment) -> Owner {
        Owner(containerID: attachment.containerID, interfaceName: "\(attachment.network)@\(attachment.interfaceName)")
    }

    /// Takes an address of the bridge's subnet. Nothing of the attachment is there: what it held before, for example before
    /// a reboot, is its own again.
    func allocate(_ subnet: IPPrefix, for owner: Owner) throws -> CNIResult {
        let ipam: Value = ["ranges": [[["subnet": .string(subnet.description)]]]]
        let configuration = try HostLocalConfiguration(
            network: GwbridgeCommands.addressNetwork, ipam: Reader(ipam), runtimeConfig: Reader(nil),
            args: Reader(nil), requestedIP: nil, allowsSeveralPerFamily: true, versionText: "")
        return CNIResult(try store.allocate(configuration, for: owner, isReturning: true))
    }

    /// Gives back what an owner holds; nothing is no error.
    func release(_ owner: Owner) throws { try store.release(owner) }

    /// Makes sure that an owner holds an address.
    func check(_ owner: Owner) throws { try store.check(owner) }

    /// Hands an owner's address to another.
    func pass(from owner: Owner, to heir: Owner) throws { try store.pass(from: owner, to: heir) }

    /// Gives back what attachments of a network hold that are not valid any more.
    func collect(network: String, keeping valid: Set<Attachment>) throws {
        try store.collectGarbage(valid: Set(valid.map(Self.owner))) { $0.interfaceName.hasPrefix("\(network)@") }
    }
}
