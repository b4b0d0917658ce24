internal import Cluster
internal import Gossip
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import NetworkTypes

/// Who votes on the first split of a network's blocks: the hosts that `join` names. A name that is not found yet stands for a
/// host all the same: without it, two hosts that name each other and are cut off would both decide alone.
extension ClusterNode {
    private static let firstPause: UInt64 = 1_000_000_000
    private static let longestPause: UInt64 = 30_000_000_000

    /// The voters besides this host, by their gossip addresses, or by their names while those are not known.
    var voters: [String] {
        let own = "\(settings.advertised)"
        let found = settings.joinNames.flatMap { name in
            foundNames[name].map { $0.map(\.description) } ?? [name.description]
        }
        return Set(settings.join.map(\.description) + found).filter { $0 != own }.sorted()
    }

    /// Looks the names up until all are found.
    func findVoters() {
        let missing = settings.joinNames.filter { foundNames[$0] == nil }
        guard !missing.isEmpty, !isClosed else { return }
        let advertised = settings.advertised.address
        NIOThreadPool.singleton.runIfActive(eventLoop: loop) {
            var found: [PeerName: [Endpoint]] = [:]
            for name in missing {
                guard let endpoints = try? name.resolve() else { continue }
                found[name] = Self.voters(among: endpoints, advertised)
            }
            return found
        }.whenSuccess { found in
            self.assumeIsolated { $0.noteVoters(found, of: missing) }
        }
    }

    /// Of what a name stands for, the addresses that another host can have as its own: one family, as ours; and no loopback,
    /// which is this host's name for itself, unless all of them are there.
    static func voters(among endpoints: [Endpoint], _ advertised: IPAddress) -> [Endpoint] {
        let others = endpoints.filter { !$0.address.isLoopback || advertised.isLoopback }
        let same = others.filter { $0.address.family == advertised.family }
        return same.isEmpty ? others : same
    }

    private func noteVoters(_ found: [PeerName: [Endpoint]], of wanted: [PeerName]) {
        foundNames.merge(found) { $1 }
        if !found.isEmpty {
            for network in networks.values where network.allocator?.isDecided == false {
                give(.command(.voters(voters)), to: network)
            }
        }
        guard found.count < wanted.count else { return }
        let pause = min(Self.firstPause << UInt64(min(lookups, 10)), Self.longestPause)
        if lookups == 0 {
            let names = wanted.filter { found[$0] == nil }.map(\.description).joined(separator: ", ")
            log.warning(
                "names in \"join\" are not found yet; networks that are new wait for them",
                metadata: ["names": "\(names)"])
        }
        lookups += 1
        _ = schedule(clock() + pause) { $0.findVoters() }
    }
}
