internal import CNIRuntime
internal import Cluster
internal import JSON
internal import Logging
internal import NIOCore
internal import Networks
internal import Overlay

/// `adopt: true`: what other hosts announce becomes a list for this host's runtimes, too, and goes when it is withdrawn.
extension ClusterNode {
    /// Writes the list of a network that another host has announced, unless it is there or hosts differ about it.
    func adoptFile(_ id: NetworkID, _ name: String) {
        guard let directory = settings.adoptsInto,
            let shown = definitions.first(where: { $0.id == id && $0.name == name }), !shown.isMixed
        else { return }
        let document = document(shown, isBrief: false)
        let log = log
        files.run(on: loop) {
            let definition = try Networks.NetworkDefinition(inspected: Reader(document))
            let files = NetworkFiles(NetworkDirectory(directory))
            return try files.adopt(definition) ? files.digest(name) : nil
        }.whenComplete { result in
            switch result {
            case .success(let digest?):
                log.info("wrote the list of a network", metadata: ["network": "\(name)", "directory": "\(directory)"])
                self.assumeIsolated { $0.adopted(id, LocalNetwork.Adopted(directory: directory, digest: digest)) }
            case .success(nil): break
            case .failure(let error):
                log.warning(
                    "cannot write the list of a network", metadata: ["network": "\(name)", "reason": "\(error)"])
            }
        }
    }

    private func adopted(_ id: NetworkID, _ file: LocalNetwork.Adopted) {
        guard let network = networks[id] else { return }
        network.local.adopted = file
        save(network)
        if let announcer = keepers(of: network).first { noteAnnouncer(announcer, network) }
        // It may have been withdrawn while we wrote.
        dropAdoptedFile(network)
    }

    /// A host announces the network on an operator's order: its taking that back is what ends the list.
    func noteAnnouncer(_ host: HostID, _ network: NetworkState) {
        guard let file = network.local.adopted, file.announcer != host else { return }
        guard file.announcer.map({ !keepers(of: network).contains($0) }) ?? true else { return }
        network.local.adopted?.announcer = host
        save(network)
    }

    /// The other hosts that announce a network on an operator's order.
    private func keepers(of network: NetworkState) -> [HostID] {
        replica.rows(.network, network: network.id).filter { held in
            held.record.owner != key.id && NetworkRow(decoding: held.record.value)?.isKept == true
        }.map(\.record.owner)
    }

    /// Removes the list that was written by adoption when the network was withdrawn (`swiftlet network rm`), no container of
    /// this host is on it, and nobody has changed the file. A host that failed or left has withdrawn nothing.
    ///
    /// - Parameter isTold: whether one that lives has just said so; else it is what the tables have when all were heard.
    func dropAdoptedFile(_ network: NetworkState, isTold: Bool = false) {
        guard let file = network.local.adopted, let announcer = file.announcer else { return }
        guard keepers(of: network).isEmpty else {
            guard file.isWithdrawn else { return }
            network.local.adopted?.isWithdrawn = false
            return save(network)
        }
        let mayTrust = isTold || isHeard(announcer)
        guard file.isWithdrawn || (peers[announcer]?.status == .alive && mayTrust) else { return }
        let name = network.identity.name
        guard !network.isOn, !network.hasContainers, !network.isPreparing else {
            guard !file.isWithdrawn else { return }
            log.info(
                "the network was withdrawn; its list stays until the last container here is gone",
                metadata: ["network": "\(name)", "by": "\(hostName(announcer))"])
            network.local.adopted?.isWithdrawn = true
            return save(network)
        }
        network.local.adopted = nil
        save(network)
        let metadata: Logger.Metadata = [
            "network": "\(name)", "by": "\(hostName(announcer))", "directory": "\(file.directory)",
        ]
        let log = log
        files.run(on: loop) {
            try NetworkFiles(NetworkDirectory(file.directory)).remove(name, ifStill: file.digest)
        }.whenComplete { result in
            switch result {
            case .success(true): log.info("the network was withdrawn; removed its list", metadata: metadata)
            case .success(false):
                log.warning("the network was withdrawn; its list was changed, and stays", metadata: metadata)
            case .failure(let error):
                log.warning("cannot remove the list of a network: \(error)", metadata: metadata)
            }
        }
    }

    /// Whether a host has told of its rows since our start, or has had the time for it.
    private func isHeard(_ host: HostID) -> Bool {
        clock() - started >= settings.settling && replica.owners.contains { $0.owner == host && $0.version > .zero }
    }
}
