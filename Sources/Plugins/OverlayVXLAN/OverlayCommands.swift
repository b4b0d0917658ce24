internal import Attachment
public import CNI
internal import JSON
internal import Netlink
internal import NetworkTypes
internal import Overlay
public import PluginKit
internal import System

/// The `overlay-vxlan` plugin: a container's interface on a network that spans hosts.
public struct OverlayCommands: PluginCommands {
    /// The name the executable goes by.
    public let name = "overlay-vxlan"
    let system: any HostSystem
    let overlay: any OverlayHost

    /// The plugin on a host.
    public init(system: any HostSystem, overlay: any OverlayHost) {
        self.system = system
        self.overlay = overlay
    }

    /// The plugin on the real host.
    public init() {
        let system = KernelHost()
        self.init(system: system, overlay: KernelOverlayHost(system: system))
    }

    /// The host's own part in a network.
    func host(_ request: Request) -> HostAttachment {
        HostAttachment(request: request, system: system, overlay: overlay)
    }

    // MARK: ADD

    /// Connects the container (CNI specification, ADD). With a daemon, every live host of the network knows the container
    /// when this returns.
    public func add(_ request: Request) throws -> CNIResult {
        try FaultMapping.mapped {
            let configuration = try OverlayConfiguration(request)
            let container = try system.container(at: request.invocation.netns)
            let name = request.attachment.interfaceName
            if try container.stack.link(named: name) != nil {
                throw CNIError(
                    CNIError.Code.foreignObject, "the container has an interface \"\(name)\" already",
                    details: "delete the attachment with DEL before adding it again")
            }
            return try withTransaction { transaction in
                if configuration.isDaemonless {
                    return try addDaemonless(request, configuration, container, &transaction)
                }
                return try addByDaemon(request, configuration, container, &transaction)
            }
        }
    }

    private func addDaemonless(
        _ request: Request, _ configuration: OverlayConfiguration, _ container: Container,
        _ transaction: inout Transaction
    ) throws -> CNIResult {
        let network = DaemonlessNetwork(
            configuration: configuration, system: system, overlay: overlay, host: host(request))
        let plan = try network.plan()
        let prepared = PreparedNetwork(
            path: configuration.identity.namespacePath, mtu: plan.segment.mtu,
            pools: try limited(network.pools(plan), request, configuration), exclusions: configuration.exclusions)
        let lock = try overlay.lock(prepared.name, .shared)
        let segment = try network.prepare(plan, lock, &transaction)
        let attachment = try connect(request, configuration, container, segment, prepared, &transaction)
        withExtendedLifetime(lock) {}
        return attachment.result
    }

    private func addByDaemon(
        _ request: Request, _ configuration: OverlayConfiguration, _ container: Container,
        _ transaction: inout Transaction
    ) throws -> CNIResult {
        let daemon = DaemonNetwork(request: request, socket: configuration.socket, overlay: overlay)
        if try !overlay.paths().contains(configuration.identity.namespacePath) {
            try configuration.refuseOverlap(with: system.hostStack())
        }
        // Not knowing of us yet, the daemon may have removed the network with another container before the lock was ours.
        for _ in 0..<3 {
            var prepared = try daemon.prepare(configuration)
            prepared.pools = try limited(prepared.pools, request, configuration)
            let preparedHost = try prepareHost(request, configuration, prepared, &transaction)
            let lock = try overlay.lock(prepared.name, .shared)
            guard
                let segment = try connectHost(request, configuration, prepared.path, preparedHost, lock, &transaction)
            else { continue }
            // The daemon remembers that this ADD is under way.
            transaction.push("the endpoint's announcement") { try daemon.withdraw() }
            let plan = try connect(request, configuration, container, segment, prepared, &transaction)
            try daemon.publish(
                plan.result.addresses.map(\.address), plan.mac, link: AttachmentTag(request.attachment).linkName,
                configuration)
            withExtendedLifetime(lock) {}
            return plan.result
        }
        throw CNIError(
            CNIError.Code.tryAgain, "the network's namespace, made by swiftletd, is not to be seen",
            details: "swiftletd must share the host's mounts: no PrivateTmp= or ProtectSystem= in its unit")
    }

    /// Asks the daemon for an address for the host, unless it is connected already.
    private func prepareHost(
        _ request: Request, _ configuration: OverlayConfiguration, _ prepared: PreparedNetwork,
        _ transaction: inout Transaction
    ) throws -> PreparedNetwork? {
        let (host, path) = (host(request), prepared.path)
        guard configuration.hostAccess, try !(overlay.open(path).map { try host.isReady($0, path) } ?? false) else {
            return nil
        }
        var own = configuration
        own.requested = []
        let daemon = try host.daemon(socket: configuration.socket)
        transaction.push("the host's announcement") { [overlay] in
            // Another ADD may have connected it.
            if try !(overlay.open(path).map { try host.isReady($0, path) } ?? false) { try daemon.withdraw() }
        }
        return try daemon.prepare(own)
    }

    /// Connects the host when that is wanted, and tells the others; the lock is then kept alone.
    ///
    /// - Returns: the overlay namespace; nil when it, or the host's connection, was removed meanwhile.
    private func connectHost(
        _ request: Request, _ configuration: OverlayConfiguration, _ path: String, _ prepared: PreparedNetwork?,
        _ lock: any HeldLock, _ transaction: inout Transaction
    ) throws -> Container? {
        let host = host(request)
        guard let segment = try overlay.open(path) else { return nil }
        guard configuration.hostAccess, try !host.isReady(segment, path) else { return segment }
        guard let prepared, prepared.path == path else { return nil }
        try lock.change(to: .exclusive)
        // Others had the lock in between.
        guard let segment = try overlay.open(path) else { return nil }
        guard try !host.isReady(segment, path) else { return segment }
        // What fails here is taken back while the lock is ours; what fails later takes it anew, as DEL does, because
        // others may rely on the host's part by then.
        try withTransaction { making in
            let (addresses, mac) = try host.make(configuration, segment, prepared, &making)
            var own = configuration
            (own.names, own.aliases) = ([], [])
            try host.daemon(socket: configuration.socket).publish(addresses, mac, link: HostAccess.portName, own)
        }
        transaction.push("the host's connection") { try disconnectHost(path, host) }
        return segment
    }

    private func limited(_ pools: AddressPools, _ request: Request, _ configuration: OverlayConfiguration) throws
        -> AddressPools
    {
        let key = try request.configuration.runtimeConfig.member("ipRanges")
        guard key.isPresent, try !key.elements().isEmpty else { return pools }
        var limited = pools
        limited.restrict(to: try AddressPools.decode(key, subnets: configuration.subnets))
        limited.include(configuration.requested, of: configuration.subnets)
        guard !limited.ranges.isEmpty else {
            throw key.error("none of these addresses is this host's to hand out")
        }
        return limited
    }

    /// Gets the addresses and connects the container to `br0`.
    private func connect(
        _ request: Request, _ configuration: OverlayConfiguration, _ container: Container, _ segment: Container,
        _ prepared: PreparedNetwork, _ transaction: inout Transaction
    ) throws -> AttachmentPlan {
        let tag = AttachmentTag(request.attachment)
        try removeLeftover(tag, segment.stack)
        let delegated = try DelegateRequest.make(request, pools: prepared.pools, exclusions: prepared.exclusions)
        let allocation = try system.allocateAddresses(delegated)
        transaction.push("the address allocation") { try system.releaseAddresses(delegated) }
        var plan = try AttachmentPlan.make(
            AttachmentPlan.Input(
                tag: tag, interfaceName: request.attachment.interfaceName, sandbox: request.invocation.netns,
                path: prepared.path,
                bridgeMAC: try segment.stack.link(named: OverlaySegment.bridgeName)?.mac, mtu: prepared.mtu,
                mac: configuration.mac, announces: configuration.isDaemonless, subnets: configuration.subnets,
                allocation: allocation))
        if let dns = configuration.dns { plan.result.dns = dns }
        // A result the asked version cannot express must fail while everything can still be taken back.
        _ = try plan.result.document(request.configuration.version)
        let executor = StepExecutor([(.segment, segment), (.container, container)])
        for step in plan.steps {
            if let undo = try executor.apply(step) { transaction.push("\(step)", undo: undo) }
        }
        return plan
    }

    /// A host end of this very attachment is what a killed ADD left behind: the container does not have the other end.
    private func removeLeftover(_ tag: AttachmentTag, _ stack: any NetworkStack) throws {
        guard let leftover = try stack.link(named: tag.linkName) else { return }
        guard leftover.kind == "veth", leftover.alias == nil || tag.owns(alias: leftover.alias) else {
            throw CNIError(
                CNIError.Code.foreignObject, "interface \(tag.linkName) is in the way and is not this attachment's",
                details: "its alias is \"\(leftover.alias ?? "")\"")
        }
        try stack.removeLink(index: leftover.index)
    }

    // MARK: STATUS

    /// Says whether a container could be connected now (CNI specification, STATUS).
    public func status(_ request: Request) throws {
        try FaultMapping.mapped {
            let configuration = try OverlayConfiguration(request)
            try Readiness.require {
                try FaultMapping.mapped {
                    if try !overlay.hasVXLAN() { throw OverlayError.noVXLAN }
                    let pools: AddressPools
                    if configuration.isDaemonless {
                        let network = DaemonlessNetwork(
                            configuration: configuration, system: system, overlay: overlay, host: host(request))
                        pools = try network.pools(network.plan())
                        _ = try overlay.members(configuration.identity)
                    } else {
                        let daemon = DaemonNetwork(request: request, socket: configuration.socket, overlay: overlay)
                        try daemon.status(configuration)
                        // Which addresses are ours is only known after joining; the delegate is asked about the network.
                        pools = AddressPools(configuration.subnets, share: nil)
                    }
                    try system.addressStatus(
                        DelegateRequest.make(request, pools: pools, exclusions: configuration.exclusions))
                }
            }
        }
    }
}
