internal import Cluster
internal import Logging
internal import NetworkTypes
internal import Overlay
internal import System

/// Networks as the hosts define them.
extension ClusterNode {
    /// Another host announced a network: its blocks may be asked of us, or ours of it.
    func changedDefinition(_ change: RowChange) {
        let record = change.row.record
        if change.event == .gone, let network = networks[record.network] {
            dropAdoptedFile(network, isTold: !change.row.isSuspended)
        }
        guard change.event != .gone, change.event != .suspended, record.owner != key.id,
            let row = NetworkRow(decoding: record.value),
            let name = String(validating: record.key.key, as: UTF8.self)
        else { return }
        if change.event != .restored { adoptFile(record.network, name) }
        if let network = networks[record.network] {
            if row.isKept { noteAnnouncer(record.owner, network) }
            guard network.local.row.digest != row.digest else { return }
            // What nobody here uses or announces follows what others say.
            guard !network.isOn, !network.local.isAnnounced else {
                if change.event != .restored {
                    log.error(
                        "\(difference(name, (record.owner, row), (key.id, network.local.row)))",
                        metadata: ["remedy": "remove one of them, and make the definitions equal"])
                }
                return
            }
            network.local.row = LocalNetwork(row).row
            redefined(network)
            return
        }
        let identity = NetworkIdentity(network: name, cluster: settings.cluster)
        guard NetworkID(identity.identifier) == record.network else { return }
        let network = NetworkState(identity, record.network, LocalNetwork(row))
        networks[record.network] = network
        save(network)
        startBlocks(network)
        // A journal that was lost does not know that we are on it.
        if Files.exists(identity.namespacePath) { Task { await rejoin(network) } }
    }

    private func rejoin(_ network: NetworkState) async {
        do {
            network.isOn = true
            readBook(network)
            try await findUnderlay(network)
            if let underlay = network.underlay { try await announce(network, underlay) }
            await reconcile(network)
        } catch {
            log.error("not joined again: \(error)", metadata: ["network": "\(network.identity.name)"])
        }
    }

    /// What is wrong when two hosts have different networks of one name.
    func difference(
        _ name: String, _ one: (host: HostID, row: NetworkRow), _ other: (host: HostID, row: NetworkRow)
    ) -> String {
        "network '\(name)' is defined differently on \(hostName(one.host)) and \(hostName(other.host)): "
            + one.row.difference(from: other.row)
    }

    /// A network has other subnets or blocks now. What was promised and owned under its old definition is kept: the same may
    /// come back.
    func redefined(_ network: NetworkState) {
        save(network)
        startBlocks(network)
    }

    /// Writes down what this host remembers of a network.
    func save(_ network: NetworkState) {
        write([JournalChange(JournalKey(.network, Array(network.identity.name.utf8)), network.local.journaled)])
    }
}
