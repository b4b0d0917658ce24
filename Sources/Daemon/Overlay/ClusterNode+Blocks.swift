internal import Cluster
internal import Gossip
internal import Logging
internal import NIOCore
internal import NetworkTypes
internal import Overlay

/// The address blocks: one allocator for every network whose definition is known, also those that no container here is on.
extension ClusterNode {
    /// What became of a wish for addresses.
    enum BlockOutcome: Sendable {
        /// Out of the ranges; or this address alone.
        case granted(lent: IPAddress?)
        case refused(BlockAllocator.Refusal)
        case late
        case unavailable(String)
    }

    /// Makes a network's allocator, or makes it anew from what is on the disk.
    func startBlocks(_ network: NetworkState) {
        let layouts: [BlockLayout]
        do {
            layouts = try network.local.row.layouts()
        } catch {
            return log.error(
                "the subnets cannot be cut into blocks: \(error)", metadata: ["network": "\(network.identity.name)"])
        }
        let memory = blockMemory(network, BlockAllocator.layoutDigest(of: layouts))
        do {
            network.allocator = try allocator(network, layouts, memory)
        } catch .memory, .foreignMemory {
            log.error(
                "the state of the address blocks cannot be used; it is asked of the other hosts",
                metadata: ["network": "\(network.identity.name)"])
            network.allocator = try? allocator(network, layouts, .lost)
        } catch {
            return log.error("no address blocks: \(error)", metadata: ["network": "\(network.identity.name)"])
        }
        network.blockEvents = peers.values.sorted { $0.id < $1.id }.map {
            .peer($0.id, standing($0.id, $0.status), name: $0.name)
        }
        network.isWritingBlocks = false
        network.blocksBeingWritten = nil
        // The allocator before this one asked for them, and this one counts anew.
        network.withdrawals = []
        network.allocatorsMade += 1
        give(.start, to: network)
        fillUsage(network)
    }

    private func allocator(
        _ network: NetworkState, _ layouts: [BlockLayout], _ memory: BlockAllocator.Memory
    ) throws(BlockAllocator.Fault) -> BlockAllocator {
        let seeds = network.local.row.seeds ?? settings.seeds
        // Voters are called by the addresses that `join` has.
        let address = "\(settings.advertised)"
        return try BlockAllocator(
            subnets: layouts, host: key.id, name: seeds.isEmpty ? address : settings.name,
            bootstrap: seeds.isEmpty ? .voters(voters) : .seeds(seeds), memory: memory, now: clock(), random: &random)
    }

    /// Gives an event to a network's allocator; one at a time, and none while its last word is being written.
    func give(_ event: BlockAllocator.Event, to network: NetworkState) {
        network.blockEvents.append(event)
        pump(network)
    }

    private func pump(_ network: NetworkState) {
        while !network.isWritingBlocks, !network.blockEvents.isEmpty {
            let event = network.blockEvents.removeFirst()
            guard let directives = network.allocator?.handle(event, now: clock(), random: &random) else {
                network.blockEvents = []
                return
            }
            carryOut(directives[...], network)
        }
    }

    private func carryOut(_ directives: ArraySlice<BlockAllocator.Directive>, _ network: NetworkState) {
        for (index, directive) in zip(directives.indices, directives) {
            switch directive {
            case .persist(let bytes): return save(bytes, directives[(index + 1)...], network)
            case .send(let host, let bytes): send(bytes, to: host, network)
            case .rangesChanged: break
            case .withdraw(let span, let token):
                network.withdrawals.append(
                    NetworkState.Withdrawal(span: span, token: token, waitingFor: Set(network.preparing.keys)))
                finishWithdrawals(network)
            case .granted(let token, let lent):
                if let waiting = blocksWaiting.removeValue(forKey: token) {
                    waiting(.granted(lent: lent))
                } else if !network.unusedLoans().isEmpty {
                    fillUsage(network)
                }
            case .refused(let token, let refusal): blocksWaiting.removeValue(forKey: token)?(.refused(refusal))
            case .wake(let time):
                let id = network.id
                network.blockWake = schedule(time, replacing: network.blockWake) { node in
                    if let network = node.networks[id] { node.give(.timer, to: network) }
                }
            case .notice(let notice): report(notice, network)
            }
        }
    }

    /// Writes the allocator's state, and goes on when it is on the disk; when it cannot be, the allocator is made anew from
    /// what is.
    private func save(
        _ bytes: [UInt8], _ rest: ArraySlice<BlockAllocator.Directive>, _ network: NetworkState
    ) {
        network.isWritingBlocks = true
        network.blocksBeingWritten = bytes
        let maker = network.allocatorsMade
        let bound = NIOLoopBound(network, eventLoop: loop)
        journal.commit([JournalChange(JournalKey(.blocks, network.id.bytes), bytes)], on: loop).whenComplete { result in
            self.assumeIsolated { node in
                let network = bound.value
                // The network was redefined meanwhile: what another allocator wanted is void.
                guard network.allocatorsMade == maker else { return }
                network.isWritingBlocks = false
                network.blocksBeingWritten = nil
                switch result {
                case .success:
                    node.savedBlocks[network.id] = bytes
                    node.carryOut(rest, network)
                    node.pump(network)
                case .failure(let error):
                    node.log.error("address blocks not saved: \(error)")
                    for case .granted(let token, _) in rest {
                        node.blocksWaiting.removeValue(forKey: token)?(.unavailable("\(error)"))
                    }
                    node.startBlocks(network)
                }
            }
        }
    }

    private func send(_ bytes: [UInt8], to host: HostID, _ network: NetworkState) {
        guard let peer = peers[host], peer.status == .alive else { return }
        let signed = BlockSeal.sign(
            bytes, network: network.id, from: key.id, to: host, by: HostAuthority(key: key))
        let body = [Self.blockProtocolByte] + network.id.bytes + signed
        if body.count <= FrameTransport.datagramBodyLimit {
            transport?.sendDatagram(body, to: peer.endpoint)
        } else {
            transport?.sendStream(body, to: peer.endpoint)
        }
    }

    /// Asks for addresses and waits, not for ever.
    func ask(
        _ network: NetworkState, within patience: UInt64? = nil, _ command: (UInt64) -> BlockAllocator.Command
    ) async -> BlockOutcome {
        let token = token()
        let command = command(token)
        let bound = NIOLoopBound(network, eventLoop: loop)
        return await withCheckedContinuation { continuation in
            blocksWaiting[token] = { continuation.resume(returning: $0) }
            _ = schedule(clock() + (patience ?? settings.blockPatience)) { node in
                guard let waiting = node.blocksWaiting.removeValue(forKey: token) else { return }
                node.give(.command(.giveUp(token: token)), to: bound.value)
                waiting(.late)
            }
            give(.command(command), to: network)
        }
    }

    // MARK: Use

    /// Tells the allocator which addresses are in use: what the delegate's files reserve, and our endpoints.
    func fillUsage(_ network: NetworkState) {
        guard !network.isFillingUsage else { return }
        network.isFillingUsage = true
        let bound = NIOLoopBound(network, eventLoop: loop)
        reservations(network).whenComplete { result in
            self.assumeIsolated { node in
                bound.value.isFillingUsage = false
                guard case .success(let addresses) = result else { return }
                bound.value.knownUse = addresses.count
                bound.value.endedSince = 0
                node.give(.command(.usage(node.used(addresses, bound.value))), to: bound.value)
                node.returnUnusedLoans(bound.value, reserved: addresses)
            }
        }
    }

    /// Tells the allocator soon: reading all reservations for every container would cost more than the container.
    func fillUsageSoon(_ network: NetworkState) {
        network.endedSince += 1
        guard !network.isUsageDue else { return }
        network.isUsageDue = true
        let bound = NIOLoopBound(network, eventLoop: loop)
        _ = schedule(clock() + 250_000_000) { node in
            bound.value.isUsageDue = false
            node.fillUsage(bound.value)
        }
    }

    /// Tells the allocator before it is asked for addresses, when this host may be about to run out of them.
    func fillUsageIfShort(_ network: NetworkState, subnet index: Int) async {
        guard let allocator = network.allocator, allocator.ranges.indices.contains(index), network.endedSince > 0 else {
            return
        }
        let owned = allocator.ranges[index].spans.reduce(0) { sum, span in
            sum + Int(clamping: span.last.number - span.first.number) + 1
        }
        guard owned - network.knownUse - network.endedSince - network.preparing.count < 16 else { return }
        guard let addresses = try? await value(of: reservations(network)) else { return }
        network.knownUse = addresses.count
        network.endedSince = 0
        give(.command(.usage(used(addresses, network))), to: network)
    }

    /// Gives the allocator a message of another host. While addresses are being given up, it is told first which ones are.
    func receive(_ message: [UInt8], from host: HostID, _ network: NetworkState) {
        guard network.usageIsMovingUntil > clock() else { return give(.message(message, from: host), to: network) }
        let bound = NIOLoopBound(network, eventLoop: loop)
        reservations(network).whenComplete { result in
            self.assumeIsolated { node in
                if case .success(let addresses) = result {
                    node.give(.command(.usage(node.used(addresses, bound.value))), to: bound.value)
                }
                node.give(.message(message, from: host), to: bound.value)
            }
        }
    }

    /// Addresses are being given up: looked at now, on demand, and once more later.
    func usageMoves(_ network: NetworkState) {
        let wasStill = network.usageIsMovingUntil <= clock()
        network.usageIsMovingUntil = clock() + Self.releaseTime
        fillUsage(network)
        if wasStill { fillUsageWhenStill(network) }
    }

    /// Looks when the last DEL has had its time, not the first.
    private func fillUsageWhenStill(_ network: NetworkState) {
        let bound = NIOLoopBound(network, eventLoop: loop)
        _ = schedule(network.usageIsMovingUntil) { node in
            node.fillUsage(bound.value)
            if bound.value.usageIsMovingUntil > node.clock() { node.fillUsageWhenStill(bound.value) }
        }
    }

    /// How long a DEL may take after its endpoint was taken back.
    private static let releaseTime: UInt64 = 5_000_000_000

    func reservations(_ network: NetworkState) -> EventLoopFuture<[IPAddress]> {
        let directory = "\(network.local.dataDirectory ?? Self.usualDataDirectory)/\(network.identity.name)"
        let own = network.endpoints.values.flatMap(\.addresses)
        let row = network.local.row
        return kernel.run(on: loop) { kernel in
            let reserved = try kernel.reservations(directory).filter { row.subnetIndex(of: $0) != nil }
            return Array(Set(reserved + own)).sorted()
        }
    }

    /// Where `host-local` keeps its files when a definition does not say.
    static let usualDataDirectory = "/var/lib/cni/networks"

    /// An ADD that was prepared has ended, or is given up.
    func ended(_ endpoint: String, _ network: NetworkState) {
        network.preparing[endpoint] = nil
        for index in network.withdrawals.indices { network.withdrawals[index].waitingFor.remove(endpoint) }
        finishWithdrawals(network)
    }

    func finishWithdrawals(_ network: NetworkState) {
        let ready = network.withdrawals.filter { $0.waitingFor.isEmpty }
        guard !ready.isEmpty else { return }
        guard network.isPastOldAdditions else { return awaitOldAdditions(network) }
        network.withdrawals.removeAll { $0.waitingFor.isEmpty }
        let asker = network.allocatorsMade
        let bound = NIOLoopBound(network, eventLoop: loop)
        reservations(network).whenComplete { result in
            self.assumeIsolated { node in
                guard bound.value.allocatorsMade == asker else { return }
                for withdrawal in ready {
                    let isFree =
                        if case .success(let addresses) = result {
                            !addresses.contains { withdrawal.span.contains($0) }
                        } else {
                            false
                        }
                    node.give(.command(.withdrawn(token: withdrawal.token, isFree: isFree)), to: bound.value)
                }
            }
        }
    }

    /// Whether an address that the delegate took out of our ranges for an ADD is still this host's: it was not given away
    /// since, to somebody who could not know of the ADD.
    func isOurs(_ address: IPAddress, _ endpoint: String, _ network: NetworkState) -> Bool {
        // What is being given up waits for the ADDs that are known; so does what is lent.
        if network.preparing[endpoint] != nil || network.endpoints[endpoint]?.addresses.contains(address) == true {
            return true
        }
        // The files are looked at before this is answered, and show the ADD.
        if network.withdrawals.contains(where: { $0.span.contains(address) }) { return true }
        guard let allocator = network.allocator else { return false }
        return allocator.borrowed.contains(address)
            || allocator.ranges.contains { set in set.spans.contains { $0.contains(address) } }
    }

    private func report(_ notice: BlockAllocator.Notice, _ network: NetworkState) {
        let metadata: Logger.Metadata = ["network": "\(network.identity.name)"]
        switch notice {
        case .conflict, .superseded, .otherSubnets, .otherUniverse, .memoryIsOld, .loanVoid:
            log.error("address blocks: \(notice)", metadata: metadata)
        case .malformed: log.debug("address blocks: \(notice)", metadata: metadata)
        default: log.info("address blocks: \(notice)", metadata: metadata)
        }
    }
}
