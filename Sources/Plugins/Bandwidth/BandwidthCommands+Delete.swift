internal import Attachment
public import CNI
internal import Netlink
internal import PluginKit
internal import System

extension BandwidthCommands {
    /// Removes the limits (CNI specification, DEL): the ifb by its name, what hangs on the host's end of the veth where
    /// that can still be found. Everything is tried.
    public func delete(_ request: Request) throws {
        var errors = ErrorCollector()
        let device = RedirectDevice(tag: AttachmentTag(request.attachment))
        let host = try system.hostStack()
        let own = errors.attempt { try host.link(named: device.name) } ?? nil
        errors.attempt {
            for link in try hostLinks(request, host) { try unshape(link, device, own, host) }
        }
        errors.attempt { try removeReferenceDevice(request, device, hasOwn: own != nil, host) }
        errors.attempt {
            if let own, device.owns(own) { try host.removeLink(index: own.index) }
        }
        try errors.throwIfAny()
    }

    /// Removes the ifbs of the network that are not in the list of valid attachments (CNI specification, GC).
    ///
    /// Without any list only half-made ones go: a runtime that says nothing about its attachments must not lose them.
    public func collectGarbage(_ request: Request) throws {
        var errors = ErrorCollector()
        let network = request.configuration.name
        var valid: Set<String>?
        if let entries = try request.configuration.validAttachments().known {
            valid = Set(
                entries.map {
                    let attachment = Attachment(
                        network: network, containerID: $0.containerID, interfaceName: $0.interfaceName)
                    return RedirectDevice(tag: AttachmentTag(attachment)).name
                })
        }
        let host = try system.hostStack()
        let prefix = RedirectDevice.namePrefix(network: network)
        for link in try host.links() where link.kind == "ifb" && link.name.hasPrefix(prefix) && link.name.count == 14 {
            guard isGarbage(link, network: network, valid: valid) else { continue }
            errors.attempt { try host.removeLink(index: link.index) }
        }
        try errors.throwIfAny()
    }

    private func isGarbage(_ link: Link, network: String, valid: Set<String>?) -> Bool {
        // A link without alias is the work of an ADD killed between two messages; GC runs alone (specification).
        if link.alias == nil { return valid.map { !$0.contains(link.name) } ?? true }
        guard let valid, !valid.contains(link.name) else { return false }
        let owner = AttachmentTag.network(ofAlias: link.alias)
        return owner == network || (owner == nil && link.alias?.hasPrefix("swiftlet - ") == true)
    }

    /// The host's ends that may carry our limits: the container's peer where the container is still there, else the links
    /// prevResult names. The interface, or a name used again, may be another network's.
    private func hostLinks(_ request: Request, _ host: any NetworkStack) throws -> [Link] {
        let tag = AttachmentTag(request.attachment)
        let previous = (try? request.configuration.previousResult()) ?? nil
        func isOurs(_ link: Link) -> Bool {
            if AttachmentTag.isOurs(alias: link.alias) { return tag.owns(alias: link.alias) }
            return previous.map { $0.interfaces.isEmpty || $0.hasOutside(link.name) } ?? true
        }
        if !request.invocation.netns.isEmpty {
            do {
                let container = try system.container(at: request.invocation.netns).stack
                guard let inside = try container.link(named: request.attachment.interfaceName) else { return [] }
                return try inside.veth(in: host).map { isOurs($0) ? [$0] : [] } ?? []
            } catch let error as NamespaceError {
                // Gone, or not a namespace at all: the veth went with it, or prevResult tells.
                if case .system = error.reason { throw error }
            }
        }
        return try (previous?.interfaces ?? []).filter { ($0.sandbox ?? "").isEmpty }.compactMap { interface in
            guard let link = try host.link(named: interface.name), link.kind == "veth", isOurs(link) else { return nil }
            return link
        }
    }

    /// Takes our disciplines off a link: the token bucket with our handle, and the ingress discipline if nothing but
    /// redirection to our device, which may be gone, hangs on it.
    func unshape(_ link: Link, _ device: RedirectDevice, _ own: Link?, _ host: any NetworkStack) throws {
        if let root = try host.discipline(.root, link: link.index), root.kind == "tbf",
            root.handle == Step.tokenBucketHandle
        {
            try remove(.root, link, host)
        }
        guard try host.discipline(.ingress, link: link.index)?.kind == "ingress" else { return }
        let filters = try host.ingressFilters(link: link.index)
        let isOurs = filters.allSatisfy { filter in
            guard let target = filter.target else { return false }
            return target == 0 || target == own?.index
        }
        // An empty one is ours only if an ADD was killed between two messages: then its device is there already.
        if isOurs, !filters.isEmpty || own != nil { try remove(.ingress, link, host) }
    }

    private func remove(_ position: DisciplinePosition, _ link: Link, _ host: any NetworkStack) throws {
        do {
            try host.removeDiscipline(position, link: link.index)
        } catch {
            // It, or the link, may have gone away meanwhile.
            guard error.isGone || error.errno == .invalidArgument else { throw error }
        }
    }

    /// Removes the device the reference plugin made for this attachment. Its name is the same for all interfaces of a
    /// container on the network, so it is ours only if prevResult lists it; or, without prevResult, if this attachment has
    /// no device of our own making.
    private func removeReferenceDevice(
        _ request: Request, _ device: RedirectDevice, hasOwn: Bool, _ host: any NetworkStack
    ) throws {
        guard !hasOwn, let link = try host.link(named: device.referenceName), link.kind == "ifb", link.alias == nil
        else { return }
        if let previous = try? request.configuration.previousResult() {
            guard previous.interfaces.contains(where: { $0.name == link.name }) else { return }
        }
        try host.removeLink(index: link.index)
    }
}
