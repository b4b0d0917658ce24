internal import Cluster
internal import Gossip
internal import Logging
internal import NIOCore
internal import NetworkTypes
internal import Overlay
internal import System

extension ClusterNode {
    /// The first byte of the bodies that the block allocators exchange; the network's id follows.
    static let blockProtocolByte: UInt8 = 0x02

    /// Opens the cluster port, holds the kernel to what the journal says, and begins to send.
    func open(keyRing: KeyRing?) async throws {
        let codec = FrameCodec(
            cluster: settings.cluster, host: key.id, incarnation: start.incarnation, counter: random.next(),
            keyRing: keyRing)
        let bound = NIOLoopBound(self, eventLoop: loop)
        let transport = makeTransport(loop, codec) { head, body in
            bound.value.assumeIsolated { $0.receive(head, body) }
        }
        transport.dropped = { head in bound.value.assumeIsolated { $0.tellLastHeard(head) } }
        self.transport = transport
        do {
            try await value(of: transport.open(at: settings.bind))
        } catch {
            throw StartFault(
                "the cluster port \(settings.bind) cannot be opened: \(error); choose another with --cluster-port")
        }
        // Nobody is known before the gossip begins, so nothing is sent yet.
        give(.start)
        restore()
        // Rows of containers that went while we were away are taken back before anybody is told of them again.
        for network in networks.values where network.isOn { await reconcile(network) }
        announceHost()
        for network in networks.values { startBlocks(network) }
        findVoters()
        endLossWhenSettled()
        removeLeftovers()
        watcher?.start { name in
            self.loop.execute { self.assumeIsolated { $0.noticed(name) } }
        }
        keeper?.start {
            self.loop.execute { self.assumeIsolated { $0.filterFlushed() } }
        }
        repeatReconciling()
        reconcileWhenSettled()
    }

    /// Takes the networks and endpoints of the journal.
    private func restore() {
        for (key, value) in journal.entries where key.kind == JournalKey.Kind.network.rawValue {
            guard let local = LocalNetwork(journaled: value) else {
                log.error("journal: a network in a form this version does not know is left out")
                continue
            }
            let name = String(decoding: key.name, as: UTF8.self)
            let identity = NetworkIdentity(network: name, cluster: settings.cluster)
            guard let id = NetworkID(identity.identifier) else { continue }
            networks[id] = NetworkState(identity, id, local)
        }
        for (key, value) in journal.entries where key.kind == JournalKey.Kind.endpoint.rawValue {
            let id = String(decoding: key.name, as: UTF8.self)
            guard let endpoint = LocalEndpoint(id: id, journaled: value) else {
                log.error("journal: an endpoint in a form this version does not know is left out")
                continue
            }
            guard let network = network(named: endpoint.network) else { continue }
            network.endpoints[endpoint.id] = endpoint
            network.isOn = true
        }
        for held in replica.rows(.endpoint) where held.record.owner == key.id {
            guard let row = EndpointRow(decoding: held.record.value), let network = networks[held.record.network] else {
                give(.change(.remove(held.record.key), token: nil))
                continue
            }
            let local = LocalEndpoint(
                identity: network.identity, containerID: row.containerID, interface: row.interface, link: nil,
                addresses: row.addresses.map(\.address))
            guard network.endpoints[local.id] == nil else { continue }
            network.endpoints[local.id] = local
            network.isOn = true
        }
        for network in networks.values where Files.exists(network.identity.namespacePath) { network.isOn = true }
    }

    /// Tells of this host; the underlay's MTU is asked of the kernel.
    private func announceHost() {
        let (address, interface) = (settings.vtep ?? settings.advertised.address, settings.vtepInterface)
        kernel.run(on: loop) { try $0.underlay(address: address, interface: interface) }.whenComplete { result in
            self.assumeIsolated { node in
                var row = HostRow(
                    publicKey: node.key.publicKey, suiteVersion: suiteVersion, nodeName: node.settings.name,
                    signsFarewell: true, signsBlocks: true)
                switch result {
                case .success(let underlay):
                    row.addresses = [underlay.address]
                    row.underlayMTU = underlay.mtu
                case .failure(let error): node.log.warning("no VTEP: \(error)")
                }
                node.give(.change(.put(.host, value: row.encoded), token: nil))
            }
        }
    }

    /// A body of another host.
    private func receive(_ head: FrameHead, _ body: [UInt8]) {
        guard peers[head.sender] != nil else {
            if !earlyFrames.keep(head, body, now: clock()) { counts.strayMessages += 1 }
            return
        }
        switch body.first {
        case Replica.protocolByte:
            give(.message(body, from: head.sender, overStream: head.way == .stream))
        case Self.blockProtocolByte:
            guard body.count > 33, let id = NetworkID(bytes: body[1..<33]), let network = networks[id] else {
                counts.strayMessages += 1
                return
            }
            let message = Array(body[33...])
            guard isGenuine(message, from: head.sender, network) else {
                counts.forgedBlockMessages += 1
                return
            }
            receive(message, from: head.sender, network)
        case LastHeard.protocolByte:
            guard let last = LastHeard(body: body), peers[head.sender] != nil,
                let transport, transport.codec.isOutrun(by: last)
            else { return }
            give(.outrun(incarnation: last.incarnation))
        default: counts.strayMessages += 1
        }
    }

    /// A host's frames are taken for replayed: its state directory may have been put back. It is told, at the address that
    /// membership gives, what was heard of it before.
    private func tellLastHeard(_ head: FrameHead) {
        guard let peer = peers[head.sender], peer.status == .alive, let last = transport?.codec.lastHeard(of: head),
            toldLastHeard[head.sender].map({ clock() - $0 >= Self.tellingPause }) ?? true
        else { return }
        if toldLastHeard.count >= 2 * ReplicaSettings().owners { toldLastHeard = [:] }
        toldLastHeard[head.sender] = clock()
        transport?.sendDatagram(last.body, to: peer.endpoint)
    }

    private static let tellingPause: UInt64 = 500_000_000

    // MARK: Peers

    /// Membership has something to say of a member; nil when the member is no host of ours, or not any more.
    func member(_ name: String, _ peer: Peer?) {
        let before = namedPeers[name]
        namedPeers[name] = peer?.status == .forgotten || peer?.id == key.id ? nil : peer
        // Another key at the same name: the host was made anew, and the old one is gone.
        if let before, before.id != peer?.id, peers[before.id]?.name == name { choose(before.id, name, gone: .failed) }
        guard let peer, peer.id != key.id else { return }
        if let other = peers[peer.id], other.name != peer.name, other.status == .alive, peer.status == .alive {
            log.error(
                "two hosts have one key: is a state directory copied?",
                metadata: ["names": "\(other.name), \(peer.name)", "host": "\(peer.id)"])
        }
        choose(peer.id, name, gone: .forgotten)
    }

    /// Settles which member a host is: usually there is one. Of several with one key the first that lives stays.
    ///
    /// - Parameters:
    ///   - name: the member that something was said of.
    ///   - gone: what the host is when it is no member.
    private func choose(_ id: HostID, _ name: String, gone: PeerStatus) {
        let old = peers[id]
        var chosen = namedPeers[old?.name ?? name]
        if chosen?.id != id || chosen?.status != .alive {
            let others = namedPeers.values.filter { $0.id == id }.sorted { $0.name < $1.name }
            chosen = others.first { $0.status == .alive } ?? (chosen?.id == id ? chosen : others.first)
        }
        peers[id] = chosen
        if let old, old.endpoint != chosen?.endpoint || chosen?.status != .alive { transport?.forget(old.endpoint) }
        let status = chosen?.status ?? gone
        if old?.status != status || old?.endpoint != chosen?.endpoint { tell(id, status) }
        if chosen != nil { for frame in earlyFrames.take(id, now: clock()) { receive(frame.head, frame.body) } }
    }

    private func tell(_ host: HostID, _ status: PeerStatus) {
        give(.peer(host, status))
        let standing = standing(host, status)
        for network in networks.values where network.allocator != nil {
            give(.peer(host, standing, name: peers[host]?.name), to: network)
        }
    }

    /// What the block allocators are told of a host. Membership's word that it left is signed by nobody; the host's own is.
    func standing(_ host: HostID, _ status: PeerStatus) -> BlockAllocator.Standing {
        switch status {
        case .alive: .alive
        case .forgotten: .forgotten
        case .left, .failed: replica.hasLeft(host) ? .left : .failed
        }
    }

    /// A host took its leave by a signed word.
    func departed(_ host: HostID) {
        log.info("a host took its leave", metadata: ["host": "\(hostName(host))"])
        guard let status = peers[host]?.status, status != .alive else { return }
        for network in networks.values where network.allocator != nil {
            give(.peer(host, standing(host, status), name: peers[host]?.name), to: network)
        }
    }

    /// The gossip keys changed.
    func use(_ keyRing: KeyRing?) { transport?.use(keyRing) }

    /// A host's name for people.
    func hostName(_ id: HostID) -> String {
        if id == key.id { return settings.name }
        if let peer = peers[id] { return peer.name }
        let row = replica.row(.host, owner: id).flatMap { HostRow(decoding: $0.record.value) }
        if let name = row?.nodeName, !name.isEmpty { return name }
        return rememberedName(id) ?? "\(id)"
    }

    func network(named name: String) -> NetworkState? {
        NetworkID(NetworkIdentity(network: name, cluster: settings.cluster).identifier).flatMap { networks[$0] }
    }

    func report(_ notice: ReplicaNotice) {
        switch notice {
        case .malformed, .throttled, .unacknowledged: log.info("tables: \(notice)")
        case .journalBehind: log.warning("the journal is older than what others have of us: \(notice)")
        default: log.warning("tables: \(notice)")
        }
    }
}
