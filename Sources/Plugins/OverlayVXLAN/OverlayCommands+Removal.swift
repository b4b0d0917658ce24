internal import Attachment
public import CNI
internal import Control
internal import JSON
internal import Netlink
internal import NetworkTypes
internal import Overlay
internal import PluginKit
internal import System

extension OverlayCommands {
    /// Disconnects the container (CNI specification, DEL). Everything is tried, whatever the configuration says by now and
    /// whether the daemon is there or not; the address is released last.
    public func delete(_ request: Request) throws {
        try FaultMapping.mapped {
            var errors = ErrorCollector()
            let isDaemonless = OverlayConfiguration.isDaemonless(request.configuration)
            let tag = AttachmentTag(request.attachment)
            let host = host(request)
            let mayHaveHost = HostAttachment.isWanted(request.configuration)
            var hostPaths: [String] = []
            let macs = isDaemonless ? usualMACs(request) : [:]
            for path in errors.attempt({ try candidates(request) }) ?? [] {
                errors.attempt {
                    let isUnused = try removeLink(tag, path, macs)
                    if try isUnused && host.isThere(path) { hostPaths.append(path) }
                    guard isUnused, isDaemonless else { return }
                    try removeNetworkIfUnused(path, host)
                }
            }
            if !isDaemonless {
                errors.attempt { try ignoringAbsence { try daemon(request).withdraw() } }
            }
            if mayHaveHost, hostPaths.isEmpty, let identity = try? OverlayConfiguration.identity(request.configuration)
            {
                hostPaths = [identity.namespacePath]
            }
            for path in hostPaths { errors.attempt { try disconnectHost(path, host) } }
            errors.attempt { try system.releaseAddresses(DelegateRequest.releasing(request)) }
            try errors.throwIfAny()
        }
    }

    /// What neighbours should take the container's addresses for, now that it is gone.
    private func usualMACs(_ request: Request) -> [IPAddress: MACAddress] {
        let previous = (try? request.configuration.previousResult()) ?? nil
        return previous?.usualMACs(ofInterface: request.attachment.interfaceName) { addresses in
            let first = addresses.first { $0.address.family == .ipv4 } ?? addresses.first
            return first.map { NetworkIdentity.containerMAC($0.address.address) } ?? .zero
        } ?? [:]
    }

    private func daemon(_ request: Request) -> DaemonNetwork {
        let socket = ((try? request.configuration.root.member("socket").string()) ?? nil).flatMap {
            $0.isEmpty ? nil : $0
        }
        return DaemonNetwork(request: request, socket: socket, overlay: overlay)
    }

    /// A daemon that is away finds out by itself when it is back: the container's link is gone.
    private func ignoringAbsence(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as ControlError where error.isAway {
            return
        }
    }

    /// Where the attachment's link may be: the network's namespace, the one ADD's result names, and, should the cluster have
    /// another name by now, all.
    private func candidates(_ request: Request) throws -> [String] {
        var paths: [String] = []
        if let identity = try? OverlayConfiguration.identity(request.configuration) {
            paths.append(identity.namespacePath)
        }
        for path in try overlay.paths() where !paths.contains(path) { paths.append(path) }
        return paths
    }

    /// Removes the attachment's host end, and with it the container's.
    ///
    /// - Returns: whether the network may have no container left: there is a namespace, or half of one.
    private func removeLink(_ tag: AttachmentTag, _ path: String, _ macs: [IPAddress: MACAddress]) throws -> Bool {
        guard let segment = try overlay.open(path) else { return try overlay.paths().contains(path) }
        guard let link = try segment.stack.link(named: tag.linkName) else {
            return try !segment.stack.links().contains(where: \.isContainerPort)
        }
        guard link.alias == nil || tag.owns(alias: link.alias) else { return false }
        try segment.stack.removeLink(index: link.index)
        if !macs.isEmpty, let bridge = try segment.stack.link(named: OverlaySegment.bridgeName) {
            // Whoever was not told asks again in half a minute.
            try? segment.stack.announce(macs, by: [bridge.index])
        }
        return try !segment.stack.links().contains(where: \.isContainerPort)
    }

    /// The same as the daemon does with the network, and what it does not: the host's address is given back.
    func disconnectHost(_ path: String, _ host: HostAttachment) throws {
        let lock = try overlay.lock(PreparedNetwork.name(ofPath: path), .exclusive)
        try host.removeUnused(path)
        withExtendedLifetime(lock) {}
    }

    private func removeNetworkIfUnused(_ path: String, _ host: HostAttachment) throws {
        let lock = try overlay.lock(PreparedNetwork.name(ofPath: path), .exclusive)
        try DaemonlessNetwork.removeUnused(path, overlay, host)
        withExtendedLifetime(lock) {}
    }

    // MARK: GC

    /// Removes what belongs to no valid attachment of the network (CNI specification, GC). Without a list only half-made
    /// links go.
    public func collectGarbage(_ request: Request) throws {
        try FaultMapping.mapped {
            var errors = ErrorCollector()
            let network = request.configuration.name
            let entries = try request.configuration.validAttachments().known
            let kept = entries.map { Set($0.map { AttachmentTag(network: network, $0).linkName }) }
            let isDaemonless = OverlayConfiguration.isDaemonless(request.configuration)
            let host = host(request)
            var releasing = errors.attempt { try DelegateRequest.releasing(request) }
            if let identity = errors.attempt({ try OverlayConfiguration.identity(request.configuration) }) {
                let path = identity.namespacePath
                errors.attempt { try removeGarbage(network, path, kept) }
                if isDaemonless {
                    errors.attempt {
                        if try overlay.paths().contains(path) {
                            try removeNetworkIfUnused(path, host)
                        } else {
                            try overlay.removeMembers(shortIdentifier: identity.shortIdentifier)
                        }
                    }
                } else {
                    if let entries {
                        errors.attempt { try ignoringAbsence { try daemon(request).withdraw(keeping: entries) } }
                    }
                    let hadHost = errors.attempt { try host.isThere(path) } ?? false
                    if hadHost || HostAttachment.isWanted(request.configuration) {
                        errors.attempt { try disconnectHost(path, host) }
                    }
                }
                releasing = releasing.flatMap { request in errors.attempt { try host.kept(request, path) } }
            }
            if let releasing { errors.attempt { try system.collectAddresses(releasing) } }
            try errors.throwIfAny()
        }
    }

    private func removeGarbage(_ network: String, _ path: String, _ kept: Set<String>?) throws {
        guard let segment = try overlay.open(path) else { return }
        let prefix = AttachmentTag.linkNamePrefix(network: network)
        for link in try segment.stack.links() where link.kind == "veth" && link.name.hasPrefix(prefix) {
            // GC runs alone (specification): a link without alias is nobody's that is about to get one.
            let isGarbage = kept.map { !$0.contains(link.name) } ?? (link.alias == nil && link.master == nil)
            if isGarbage { try segment.stack.removeLink(index: link.index) }
        }
    }
}
