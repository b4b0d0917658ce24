internal import Attachment
internal import CNI
internal import CNIRuntime
internal import Netlink
internal import NetworkTypes
internal import PluginKit

/// Tells attachments of running containers from those that a runtime remembers after a reboot.
struct Liveness {
    let system: any HostSystem

    /// The namespace of an attachment: as the result has it, else as the runtime remembers it.
    static func namespace(_ cached: CachedAttachment, _ version: SpecVersion) -> String? {
        let sandbox = result(cached, version)?.interfaces.first {
            $0.name == cached.attachment.interfaceName && !($0.sandbox ?? "").isEmpty
        }?.sandbox
        if let sandbox { return sandbox }
        return cached.netns.isEmpty ? nil : cached.netns
    }

    /// Whether the container's namespace is there with its interface, which has the address that ADD gave. A path may stand
    /// for another namespace by now.
    func isRunning(_ cached: CachedAttachment, _ version: SpecVersion) -> Bool {
        guard let result = Self.result(cached, version), let path = Self.namespace(cached, version),
            let container = try? system.container(at: path),
            let link = try? container.stack.link(named: cached.attachment.interfaceName),
            let present = try? container.stack.addresses(link: link.index).map(\.prefix.address)
        else { return false }
        let own = result.addresses.filter { address in
            guard let index = address.interface, result.interfaces.indices.contains(index) else { return true }
            return result.interfaces[index].name == cached.attachment.interfaceName
        }
        return own.allSatisfy { present.contains($0.address.address) }
    }

    private static func result(_ cached: CachedAttachment, _ version: SpecVersion) -> CNIResult? {
        guard let document = cached.result else { return nil }
        return try? CNIResult(decoding: document, version: version)
    }
}
