internal import Cluster
internal import Gossip
internal import Logging
internal import NIOCore
internal import NetworkTypes
internal import Overlay

/// The kernel is held to the tables: by what changed at once, and by all of it at the start, after every notification of the
/// kernel's and now and then.
extension ClusterNode {
    /// How soon after a notification a network is looked at, and how often at most.
    private static let noticePause: UInt64 = 1_000_000_000

    // MARK: Rows that changed

    /// Takes in a change of who has which address, and of who is on a network.
    func changedEntries(_ change: RowChange) {
        for difference in book.apply(change) {
            switch difference {
            case .program(let id, let entry): note(entry, entry.address.address, id)
            case .withdraw(let id, let entry): note(nil, entry.address.address, id)
            case .admit(let id, let member):
                networks[id]?.dismissed.remove(member.row.vtep)
                noteMembers(id)
            case .dismiss(let id, let member):
                networks[id]?.dismissed.insert(member.row.vtep)
                noteMembers(id)
            }
        }
    }

    private func note(_ entry: AddressBook.Entry?, _ address: IPAddress, _ id: NetworkID) {
        guard let network = networks[id], network.isOn else { return }
        network.want(entry, for: address)
        network.lastChange = clock()
        scheduleFlush()
    }

    private func noteMembers(_ id: NetworkID) {
        guard let network = networks[id], network.isOn else { return }
        network.membersChanged = true
        scheduleFlush()
    }

    // MARK: Batches

    /// What one turn of the loop brings goes to the kernel together.
    private func scheduleFlush() {
        guard !hasFlushScheduled else { return }
        hasFlushScheduled = true
        loop.execute { self.assumeIsolated { node in if node.hasFlushScheduled { _ = node.flush() } } }
    }

    /// Gives the kernel what changed.
    ///
    /// - Returns: when it has it, or has refused it.
    func flush() -> EventLoopFuture<Void> {
        hasFlushScheduled = false
        var written: [EventLoopFuture<Void>] = []
        for network in networks.values where network.isOn {
            if network.membersChanged {
                network.membersChanged = false
                membersChanged(network)
            }
            guard let batch = network.takeBatch() else { continue }
            counts.batches += 1
            counts.entriesChanged += UInt64(batch.new.neighbours.count + batch.old.neighbours.count)
            let identity = network.identity
            let bound = NIOLoopBound(network, eventLoop: loop)
            let change = kernel.run(on: loop) { try $0.change(identity, from: batch.old, to: batch.new) }
            written.append(change)
            change.whenFailure { error in
                self.assumeIsolated { node in
                    node.log.warning("entries not written: \(error)", metadata: ["network": "\(identity.name)"])
                    node.reconcileSoon(bound.value)
                }
            }
        }
        return EventLoopFuture.andAllComplete(written, on: loop)
    }

    private func membersChanged(_ network: NetworkState) {
        guard let plan = plan(network) else { return }
        kernel.run(on: loop) { try $0.admit(plan) }.whenFailure { error in
            self.assumeIsolated { $0.log.warning("VTEPs not admitted: \(error)") }
        }
        // The smallest MTU, or whom to flood to, may be another.
        reconcileSoon(network)
    }

    // MARK: Plans

    /// Whether the tables are known well enough after a start to remove from the kernel what is not in them: the live hosts
    /// were heard, or had the time for it. While nobody is there, what is in the kernel is the best that is known.
    private var isSettled: Bool {
        let age = clock() - started
        let live = peers.values.filter { $0.status == .alive }
        guard settings.join.isEmpty || !live.isEmpty else { return false }
        if age >= settings.settling { return true }
        let heard = Set(replica.owners.filter { $0.version > .zero }.map(\.owner))
        return age >= settings.settling / 3 && !live.isEmpty && live.allSatisfy { heard.contains($0.id) }
    }

    /// The MTU of a network's containers: what every member's underlay can carry.
    func mtu(_ network: NetworkState, _ underlay: Underlay) -> UInt32 {
        var mtu = Self.carried(by: underlay)
        if network.local.row.mtu > 0 { mtu = min(mtu, network.local.row.mtu) }
        if let others = book.smallestMTU(of: network.id), others > 0 { mtu = min(mtu, others) }
        return mtu
    }

    /// The MTU that an underlay leaves for what VXLAN carries.
    static func carried(by underlay: Underlay) -> UInt32 {
        let overhead = OverlaySegment.overhead(underlay.address.family)
        return underlay.mtu > overhead + 68 ? underlay.mtu - overhead : 68
    }

    /// What the kernel should have for a network; nil before it is known where its VXLAN leaves.
    func plan(_ network: NetworkState) -> NetworkPlan? {
        guard let underlay = network.underlay else { return nil }
        let row = network.local.row
        let others = book.members(of: network.id).map(\.row.vtep)
        var segment = OverlaySegment(
            vni: row.vni, port: row.port, local: underlay.address, mtu: mtu(network, underlay), gateways: row.gateways)
        segment.isInternal = row.isInternal
        segment.bridgeMAC = network.identity.bridgeMAC(vtep: underlay.address)
        return NetworkPlan(
            identity: network.identity, segment: segment, interface: network.local.interface,
            entries: network.entries(flooding: row.floods ? others : []), own: ownMACs(network),
            members: Set(others + [underlay.address]), dismissed: network.dismissed.subtracting(others),
            isComplete: isSettled)
    }

    /// Takes all entries of a network from the book, for a network that this host has just joined.
    func readBook(_ network: NetworkState) {
        for entry in book.entries(of: network.id) { network.want(entry, for: entry.address.address) }
        network.touched = [:]
    }

    /// Finds where a network's VXLAN leaves, on this host.
    func findUnderlay(_ network: NetworkState) async throws {
        let address = network.local.vtep ?? settings.vtep ?? settings.advertised.address
        let interface = network.local.vtep == nil ? network.local.interface ?? settings.vtepInterface : nil
        network.underlay = try await value(
            of: kernel.run(on: loop) { try $0.underlay(address: address, interface: interface) })
    }

    // MARK: Reconciling

    func repeatReconciling() {
        _ = schedule(clock() + settings.reconcileInterval) { node in
            for network in node.networks.values {
                let now = node.clock()
                for (endpoint, addition) in network.preparing where addition.deadline < now {
                    node.ended(endpoint, network)
                }
                if network.isOn { node.reconcileSoon(network) }
                // A DEL that could not tell us has given its address back all the same.
                if network.allocator != nil { node.fillUsage(network) }
                node.dropAdoptedFile(network)
            }
            node.removeLeftovers()
            node.repeatReconciling()
        }
    }

    /// Looks once more when the other hosts were heard after a start: only then is anything removed.
    func reconcileWhenSettled() {
        for wait in [settings.settling / 3, settings.settling] {
            _ = schedule(started + wait + 500_000_000) { node in
                for network in node.networks.values where network.isOn { node.reconcileSoon(network) }
            }
        }
    }

    /// The kernel told of a change in a network's namespace.
    func noticed(_ name: String) {
        if let network = network(named: name), network.isOn { reconcileSoon(network) }
    }

    /// Somebody took rules away: the networks' filters may be among them.
    func filterFlushed() {
        for network in networks.values where network.isOn { reconcileSoon(network) }
    }

    /// Looks at a network soon, but not more often than once in a while.
    func reconcileSoon(_ network: NetworkState) {
        guard !network.needsReconciling else { return }
        network.needsReconciling = true
        let bound = NIOLoopBound(network, eventLoop: loop)
        _ = schedule(max(clock(), network.lastReconciled) + Self.noticePause) { node in
            Task { await node.reconcile(bound.value) }
        }
    }

    /// Holds the kernel to the tables for one network, and the tables to the containers that are there.
    func reconcile(_ network: NetworkState) async {
        network.needsReconciling = false
        guard network.isOn, !network.isReconciling, !network.isLeaving else { return }
        network.isReconciling = true
        defer { network.isReconciling = false }
        do {
            let isNew = network.underlay == nil || network.fault != nil
            if isNew { try await findUnderlay(network) }
            guard let plan = plan(network) else { return }
            // An endpoint whose ADD ends while we look has its link; one that was there before must have it.
            let before = network.endpoints
            let report = try await locking(network, patience: 0) { try $0.apply(plan) }
            network.lastReconciled = clock()
            network.applied = (plan.segment.mtu, plan.isComplete)
            counts.reconciliations += 1
            counts.corrections += UInt64(report.corrections)
            if network.fault != nil { log.info("recovered", metadata: ["network": "\(network.identity.name)"]) }
            network.fault = nil
            // The host may have another address since it last said where its VXLAN is received.
            if isNew, let underlay = network.underlay { try await announce(network, underlay) }
            watcher?.add(network.identity.name, path: network.identity.namespacePath)
            noteSizes(network, plan.segment.mtu, report)
            await compare(network, before, report)
        } catch {
            network.lastReconciled = clock()
            counts.reconciliationsFailed += 1
            let text = "\(error)"
            // A lock that somebody holds for a moment is no fault; one that lasts was told of.
            if case .locked? = error as? OverlayError {
                if !network.lockHolder.isEmpty { network.fault = "\(text): process \(network.lockHolder)" }
                return reconcileSoon(network)
            }
            if network.fault != text { log.error("\(text)", metadata: ["network": "\(network.identity.name)"]) }
            network.fault = text
        }
    }

    /// Takes back the endpoints whose containers are gone, and looks for links that nobody told us of.
    private func compare(
        _ network: NetworkState, _ before: [String: LocalEndpoint], _ report: NetworkReport
    ) async {
        var known: Set<String> = []
        var gone: [LocalEndpoint] = []
        let named = Dictionary(report.ports.compactMap { name, port in port.alias.map { ($0, name) } }) { one, _ in one
        }
        for endpoint in network.endpoints.values {
            let link = endpoint.link.flatMap { report.ports[$0] == nil ? nil : $0 }
            if let port = link ?? named[endpoint.alias] {
                known.insert(port)
            } else if before[endpoint.id] == endpoint, network.preparing[endpoint.id] == nil {
                gone.append(endpoint)
            }
        }
        if network.preparing.isEmpty {
            await adopt(report.ports.filter { !known.contains($0.key) }, network)
        }
        for endpoint in gone {
            log.info(
                "its container is gone",
                metadata: ["network": "\(network.identity.name)", "endpoint": "\(endpoint.id)"])
            counts.endpointsWithdrawn += 1
        }
        if !gone.isEmpty { _ = await withdraw(gone, network) }
        if !network.hasContainers { await leave(network) }
    }

    /// Publishes the endpoints of links that the journal does not know, from their aliases and the delegate's files; what
    /// cannot be is reported.
    private func adopt(_ ports: [String: NetworkReport.PortInfo], _ network: NetworkState) async {
        var strangers: [String] = []
        for (name, port) in ports.sorted(by: { $0.key < $1.key }) {
            if await !adopt(name, port, network) { strangers.append(name) }
        }
        if strangers != network.unknownPorts, !strangers.isEmpty {
            log.warning(
                "links that no endpoint has",
                metadata: [
                    "network": "\(network.identity.name)", "links": "\(strangers.joined(separator: ", "))",
                ])
        }
        network.unknownPorts = strangers
    }

    private func adopt(_ name: String, _ port: NetworkReport.PortInfo, _ network: NetworkState) async -> Bool {
        let words = (port.alias ?? "").split(separator: " ").map(String.init)
        guard words.count == 4, words[0] == "swiftlet", words[1] == network.identity.name else { return false }
        let (identity, row) = (network.identity, network.local.row)
        let directory = "\(network.local.dataDirectory ?? Self.usualDataDirectory)/\(identity.name)"
        let found = try? await value(
            of: kernel.run(on: loop) { kernel in
                let addresses = try kernel.reservations(directory).filter { address in
                    kernel.owner(of: address, in: directory).map { $0 == (words[2], words[3]) } ?? false
                }
                return (addresses, try kernel.learnedMAC(identity, port: port.index))
            })
        let addresses = (found?.0 ?? []).sorted().compactMap { address in
            row.subnetIndex(of: address).flatMap { IPPrefix(address, length: row.subnets[$0].prefix.length) }
        }
        guard let first = addresses.first, network.isOn else { return false }
        let local = LocalEndpoint(
            identity: identity, containerID: words[2], interface: words[3], link: name,
            addresses: addresses.map(\.address))
        guard network.endpoints[local.id] == nil, network.preparing[local.id] == nil else { return true }
        log.warning(
            "a container that the journal does not know is published",
            metadata: ["network": "\(identity.name)", "container": "\(words[2])", "address": "\(first)"])
        let mac = found?.1 ?? NetworkIdentity.containerMAC(first.address)
        let outcome = await put(
            local, EndpointRow(addresses: addresses, mac: mac, containerID: words[2], interface: words[3]), network)
        if case .settled = outcome { return true }
        return false
    }

    /// Removes namespaces and filters that belong to no network of ours.
    func removeLeftovers() {
        let known = Set(networks.values.filter { $0.isOn || !$0.preparing.isEmpty }.map(\.identity.shortIdentifier))
        kernel.run(on: loop) { try $0.removeLeftovers(except: known) }.whenComplete { result in
            self.assumeIsolated { node in
                switch result {
                case .success(let inUse) where !inUse.isEmpty:
                    node.log.warning("namespaces of unknown networks are in use: \(inUse.joined(separator: ", "))")
                case .success: break
                case .failure(let error): node.log.warning("leftovers not removed: \(error)")
                }
            }
        }
    }

    // MARK: Leaving

    /// Takes this host off a network that it has no container on any more.
    func leave(_ network: NetworkState) async {
        guard network.isOn, !network.isLeaving, !network.hasContainers, !network.isPreparing else { return }
        let identity = network.identity
        network.isLeaving = true
        defer { network.isLeaving = false }
        watcher?.remove(identity.name)
        let isGone =
            (try? await locking(network, while: { !network.hasContainers && !network.isPreparing }) {
                try $0.remove(identity)
            }) ?? false
        // An ADD may have begun meanwhile: it makes the namespace again, in its turn.
        guard !network.hasContainers, !network.isPreparing else { return }
        guard isGone else { return reconcileSoon(network) }
        // The host's own goes with its containers'.
        if !network.endpoints.isEmpty { _ = await withdraw(Array(network.endpoints.values), network) }
        guard network.endpoints.isEmpty, !network.isPreparing else { return }
        ended(network.hostEndpoint, network)
        network.isOn = false
        network.wanted = [:]
        network.dismissed = []
        network.addressesByMAC = [:]
        network.touched = [:]
        network.unknownPorts = []
        network.oversized = [:]
        network.oversizedText = ""
        // It may have another MTU when a container comes again.
        network.underlay = nil
        var changes: [RecordChange] = [.remove(.member(of: network.id))]
        if network.local.isAnnounced, !network.local.isKept {
            network.local.isAnnounced = false
            save(network)
            changes.append(.remove(network.definitionKey))
        }
        _ = await change(changes)
        dropAdoptedFile(network)
    }
}

extension NetworkState {
    /// The key of this host's announcement of the network.
    var definitionKey: RecordKey { RecordKey(kind: .network, network: id, key: Array(identity.name.utf8)) }
}

extension LocalEndpoint {
    /// What the plugin writes as the link's alias, unless that is too long.
    var alias: String { "swiftlet \(network) \(containerID) \(interface)" }
}
