public import CNI
internal import Netfilter
internal import Netlink
internal import NetworkTypes
public import System

/// One container's connection to a bridge: made, compared and removed for every plugin that has one.
public struct BridgeAttachment {
    let system: any AttachmentHost
    let settings: BridgeSettings
    let tag: AttachmentTag
    let sandbox: String
    let interfaceName: String

    /// Describes a connection.
    ///
    /// - Parameters:
    ///   - tag: the owner; the links are named by it.
    ///   - sandbox: `CNI_NETNS`.
    ///   - interfaceName: the interface's name in the container.
    public init(
        system: any AttachmentHost, settings: BridgeSettings, tag: AttachmentTag, sandbox: String, interfaceName: String
    ) {
        self.system = system
        self.settings = settings
        self.tag = tag
        self.sandbox = sandbox
        self.interfaceName = interfaceName
    }

    /// Makes the connection. What fails leaves nothing behind.
    ///
    /// - Parameters:
    ///   - allocate: gets the addresses, when the settings want any; called first, or when the container is connected.
    ///   - release: gives them back when a later step fails.
    ///   - version: the result must be expressible in it.
    ///   - completing: what the plugin has to add once the links are there; it fails with the whole.
    public func add(
        version: SpecVersion, allocate: () throws -> CNIResult, release: @escaping () throws -> Void,
        completing: (CNIResult, inout Transaction) throws -> Void = { _, _ in }
    ) throws -> CNIResult {
        let container = try system.container(at: sandbox)
        let host = try system.hostStack()
        try removeLeftover(host, container)
        return try withTransaction { transaction in
            let executor = StepExecutor(host: host, [(.container, container)])
            func addresses(_ transaction: inout Transaction) throws -> CNIResult {
                guard settings.hasIPAM else { return CNIResult() }
                let allocation = try allocate()
                transaction.push("the address allocation", undo: release)
                return allocation
            }
            var allocation = CNIResult()
            if !settings.connectsFirst { allocation = try addresses(&transaction) }
            // Until the port is on the bridge, who made the bridge and fails would take it away again.
            let lock = try system.lock("bridge-\(settings.bridge)", .shared)
            defer { withExtendedLifetime(lock) {} }
            if settings.connectsFirst {
                let link = PlanBuilder(self, settings.withoutAddresses, CNIResult())
                let plan = try prepare(link, executor, lock, &transaction)
                try apply(plan.connection + plan.own, executor, &transaction)
                allocation = try addresses(&transaction)
            }
            let builder = PlanBuilder(self, settings, allocation)
            let plan = try prepare(builder, executor, lock, &transaction)
            try apply((settings.connectsFirst ? [] : plan.connection) + plan.own, executor, &transaction)
            try addRules(plan.result, &transaction)
            try completing(plan.result, &transaction)
            try apply(plan.forwarding, executor, &transaction)
            let result = try complete(plan.result, version, executor)
            // A result the asked version cannot express must fail while everything can still be taken back.
            _ = try result.document(version)
            return result
        }
    }

    private func apply(_ steps: [Step], _ executor: StepExecutor, _ transaction: inout Transaction) throws {
        for step in steps {
            if let undo = try executor.apply(step) { transaction.push("\(step)", undo: undo) }
        }
    }

    /// Makes the plan and applies its steps on what the network's containers share.
    private func prepare(
        _ builder: PlanBuilder, _ executor: StepExecutor, _ lock: any HeldLock, _ transaction: inout Transaction
    ) throws -> BridgePlan {
        let host = try executor.stack(.host)
        var builder = builder
        var plan = try builder.plan(host)
        if !plan.shared.isEmpty {
            try lock.change(to: .exclusive)
            plan = try builder.plan(host)
            try prepareShared(plan, executor, lock, &transaction)
            _ = lock.tryChange(to: .shared)
        }
        if let bridge = plan.bridge { executor.remember(bridge, .host) }
        return plan
    }

    /// What the packet filter has to do for the attachment, each with the back end it is for.
    func filterRules(_ addresses: [CNIResult.Address]) -> [(rule: FilterRule, backend: BackendChoice)] {
        var rules: [(rule: FilterRule, backend: BackendChoice)] = []
        if settings.masquerades, !addresses.isEmpty {
            let masquerade = Masquerade(addresses: addresses.map(\.address), source: settings.masqueradeAddress)
            rules.append((.masquerade(masquerade), settings.masqueradeBackend))
        }
        if settings.checksSource {
            // Bridges' own frames are nf_tables' alone.
            let bound = AntiSpoof(link: tag.linkName, mac: settings.mac(of: tag, addresses))
            rules.append((.antiSpoof(bound), .nftables))
        }
        return rules
    }

    private func addRules(_ result: CNIResult, _ transaction: inout Transaction) throws {
        let rules = filterRules(result.addresses)
        if rules.isEmpty { return }
        let owner = FilterOwner(tag.attachment)
        for (rule, backend) in rules {
            let filter = try system.packetFilter(backend)
            try filter.add([rule], for: owner)
            transaction.push("the packet filter's rules") { try filter.remove([.masquerade, .antiSpoof], of: owner) }
        }
    }

    /// Applies the steps on the shared bridge. They are taken back only while nobody else relies on them: with the lock
    /// to ourselves, and no other port on the bridge.
    private func prepareShared(
        _ plan: BridgePlan, _ executor: StepExecutor, _ lock: any HeldLock,
        _ transaction: inout Transaction
    ) throws {
        let host = try executor.stack(.host)
        let bridge = plan.result.interfaces.first?.name ?? ""
        let made = Set(plan.shared.compactMap { if case .createLink(let spec, _, _) = $0 { spec.name } else { nil } })
        var undos: [StepExecutor.Undo] = []
        func takeBack() throws {
            guard lock.tryChange(to: .exclusive), let link = try host.link(named: bridge) else { return }
            let others = try host.links().contains { port in
                port.master == link.index && !tag.owns(alias: port.alias) && !made.contains(port.name)
                    && (AttachmentTag.network(ofAlias: port.alias) == tag.attachment.network
                        || AttachmentTag.network(ofAlias: port.alias) == nil)
            }
            if others { return }
            for undo in undos.reversed() { try undo() }
        }
        do {
            for step in plan.shared {
                if let undo = try executor.apply(step) { undos.append(undo) }
            }
        } catch {
            try? takeBack()
            throw error
        }
        transaction.push("the bridge's preparation", undo: takeBack)
    }

    /// A host end of this very attachment without a container end is what a killed ADD, or a dying namespace of the same
    /// container, left behind; it is in nobody's use.
    private func removeLeftover(_ host: any NetworkStack, _ container: Container) throws {
        let name = interfaceName
        if try container.stack.link(named: name) != nil {
            throw CNIError(
                CNIError.Code.foreignObject,
                "container veth name (\"\(name)\") peer provided (\"\(tag.linkName)\") already exists",
                details: "delete the attachment with DEL before adding it again")
        }
        guard let leftover = try host.link(named: tag.linkName) else { return }
        guard leftover.kind == "veth", leftover.alias == nil || tag.owns(alias: leftover.alias) else {
            throw CNIError(
                CNIError.Code.foreignObject, "interface \(tag.linkName) is in the way and is not this attachment's",
                details: "its alias is \"\(leftover.alias ?? "")\"; remove it with: ip link delete \(tag.linkName)")
        }
        try host.removeLink(index: leftover.index)
    }

    /// Fills in what only the kernel knows: the MTUs, and the MAC of a bridge somebody else made.
    private func complete(
        _ result: CNIResult, _ version: SpecVersion, _ executor: StepExecutor
    ) throws -> CNIResult {
        var result = result
        for index in result.interfaces.indices {
            let interface = result.interfaces[index]
            // The bridge may have taken another MAC when the port joined it.
            let place = interface.sandbox == nil ? Place.host : .container
            guard let link = try executor.stack(place).summary(ofLink: interface.name) else { continue }
            // The last other container may have gone while this one came.
            if index == 0, !link.isRunning, !settings.disablesContainerInterface {
                _ = try executor.apply(.awaitOperation(link: interface.name, place))
            }
            // Results have had an MTU since 1.1.0.
            if version >= .v1_1_0 { result.interfaces[index].mtu = Int(link.mtu) }
            result.interfaces[index].mac = link.mac?.description
        }
        return result
    }
}

/// Makes plans for one attachment, as often as the bridge has to be looked at.
struct PlanBuilder {
    private let settings: BridgeSettings
    private var input: BridgePlan.Input

    init(_ attachment: BridgeAttachment, _ settings: BridgeSettings, _ allocation: CNIResult) {
        self.settings = settings
        input = BridgePlan.Input(
            settings: settings, tag: attachment.tag, interfaceName: attachment.interfaceName,
            sandbox: attachment.sandbox, allocation: allocation,
            bridgeMAC: .zero,
            vlanPortName: "veth" + SHA512.hex("\(settings.gatewayLink) port", length: 8))
    }

    /// The MAC of a bridge that we make: it stays as long as host and name do.
    static func bridgeMAC(_ name: String, host: String) -> MACAddress {
        let digits = SHA512.hex("swiftlet bridge/\(host)/\(name)", length: 12)
        return MACAddress(locallyAdministered: UInt64(digits, radix: 16) ?? 0)
    }

    /// Looks at the bridge and makes the plan.
    mutating func plan(_ host: any NetworkStack) throws -> BridgePlan {
        var observed = BridgeObservation()
        observed.bridge = try host.link(named: settings.bridge)
        if let bridge = observed.bridge, bridge.kind == "bridge" {
            observed.hasFixedMAC = try host.hasFixedMAC(bridge: bridge)
        }
        if observed.bridge == nil || !observed.hasFixedMAC {
            input.bridgeMAC = Self.bridgeMAC(settings.bridge, host: HostIdentity.text())
        }
        if settings.isGateway {
            observed.gatewayLink =
                settings.vlan == nil ? observed.bridge : try host.link(named: settings.gatewayLink)
            if let link = observed.gatewayLink {
                observed.gatewayAddresses = try host.addresses(link: link.index).map(\.prefix)
            }
            // Dumps of all addresses and routes, so only before the bridge gets its address.
            let missing = BridgePlan.gatewayPrefixes(input).filter { !observed.gatewayAddresses.contains($0) }
            if !missing.isEmpty {
                let own = observed.gatewayLink.map { [$0.index] } ?? []
                observed.occupied = try OccupiedSubnets(
                    host, families: Set(missing.map(\.family)), except: Set(own))
            }
        }
        do {
            return try BridgePlan.make(input, observed)
        } catch {
            throw error.cniError
        }
    }
}

extension BridgePlan.Refusal {
    /// The refusal as a CNI error, in the words clients know from the reference plugin.
    var cniError: CNIError {
        switch self {
        case .notBridge(let name):
            CNIError(
                CNIError.Code.foreignObject, "\"\(name)\" already exists but is not a bridge",
                details: "choose another name with the key \"bridge\"")
        case .addressConflict(let link, let wanted, let found):
            CNIError(
                CNIError.Code.foreignObject,
                "failed to set bridge addr: \"\(link)\" already has an IP address different from \(wanted)",
                details: "it has \(found); use another bridge, or set forceAddress to replace the address")
        case .occupied(let network, let occupant):
            CNIError(
                CNIError.Code.invalidConfiguration,
                "ipam: \(network) overlaps with \(occupant), and addresses of the two could not be told apart",
                details: "give the network another subnet; an unused bridge goes with: ip link delete NAME")
        case .noAddresses:
            CNIError(CNIError.Code.delegate, "IPAM plugin returned missing IP config")
        }
    }
}
