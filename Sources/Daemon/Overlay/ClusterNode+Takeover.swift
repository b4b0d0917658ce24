internal import Cluster
internal import Gossip
internal import JSON
internal import NIOCore
internal import Overlay

/// Blocks of hosts that do not come back.
extension ClusterNode {
    /// `POST /v1/blocks/takeover`: `host` or `hosts` by name or id, `network` (default: all), `gone` when the operator vouches
    /// that they never come back as they were.
    func takeOver(_ request: Reader) async throws -> Value {
        var names = try request.member("hosts").strings()
        if let host = try request.member("host").string() { names.append(host) }
        guard !names.isEmpty else {
            throw ControlFault(
                400, "host: whose blocks?", remedy: "GET /v1/blocks lists the owners", code: Self.badRequest)
        }
        let isGone = try request.member("gone").bool() ?? false
        let hosts = Set(try names.flatMap(identities)).sorted()
        let name = try request.member("network").string()
        let chosen = networks.values.filter { name == nil || $0.identity.name == name }.map(\.id)
        guard !chosen.isEmpty else {
            throw ControlFault(
                404, name.map { "no network '\($0)'" } ?? "there is no network", remedy: "GET /v1/networks lists them",
                code: Self.badRequest)
        }
        // One host that does not answer must not hold up every network in turn.
        let outcomes = await withTaskGroup(of: (NetworkID, BlockOutcome).self) { group in
            for id in chosen { group.addTask { (id, await self.takeOver(id, hosts, isGone: isGone)) } }
            var outcomes: [NetworkID: BlockOutcome] = [:]
            for await (id, outcome) in group { outcomes[id] = outcome }
            return outcomes
        }
        return try report(outcomes, isOnlyOne: name != nil)
    }

    private static let badRequest = 7
    private static let tryAgain = 11

    private func takeOver(_ id: NetworkID, _ hosts: [HostID], isGone: Bool) async -> BlockOutcome {
        guard let network = networks[id] else { return .late }
        // A network that does not know one of them owes it nothing.
        let known = Set(network.allocator?.hosts.map(\.host) ?? []).union([key.id])
        let subjects = hosts.filter { known.contains($0) }
        guard !subjects.isEmpty else { return .refused(.unknownHost(hosts.first ?? key.id)) }
        return await ask(network, within: Self.takeoverLimit) {
            .takeover(subjects, isGone: isGone, token: $0)
        }
    }

    /// How long a takeover may last; the allocator ends it before.
    private static let takeoverLimit: UInt64 = 12_000_000_000

    /// What became of it, by network: an answer when nothing is left to do, else what helps.
    private func report(_ outcomes: [NetworkID: BlockOutcome], isOnlyOne: Bool) throws -> Value {
        var told: [(String, Value)] = []
        var failures: [(network: String, error: String, remedy: String)] = []
        var status = 409
        for (id, outcome) in outcomes {
            let name = networks[id]?.identity.name ?? "\(id)"
            switch outcome {
            case .granted: told.append((name, "taken over"))
            case .refused(.unknownHost) where !isOnlyOne: told.append((name, "nothing there"))
            case .refused(.undecided) where !isOnlyOne: told.append((name, "not shared out yet"))
            case .late: failures.append((name, "no answer", "try again"))
            case .unavailable(let reason):
                status = 507
                failures.append((name, reason, "make room on the disk"))
            case .refused(let refusal):
                let words = refusal.words(hostName)
                failures.append((name, words.error, words.remedy))
            }
        }
        failures.sort { $0.network < $1.network }
        guard let first = failures.first else {
            return ["networks": .object(Object(told.sorted { $0.0 < $1.0 }))]
        }
        let remedies = Set(failures.map(\.remedy))
        throw ControlFault(
            status, failures.map { "\($0.network): \($0.error)" }.joined(separator: "; "),
            remedy: remedies.count == 1
                ? first.remedy : failures.map { "\($0.network): \($0.remedy)" }.joined(separator: "; "),
            code: status == 507 ? 5 : Self.tryAgain)
    }

    /// The hosts that somebody means by a name or an id. A host that was made anew has its name from the one before, which is
    /// meant then: the new one lives.
    private func identities(_ name: String) throws -> [HostID] {
        let known = knownHosts
        if let id = HostID(name), known.contains(id) { return [id] }
        let named = known.filter { hostName($0) == name }.sorted()
        guard !named.isEmpty else {
            throw ControlFault(
                404, "no host '\(name)' is known", remedy: "swiftlet blocks ls shows the owners; name it by its id",
                code: Self.badRequest)
        }
        let absent = named.filter { $0 != key.id && peers[$0]?.status != .alive }
        return absent.isEmpty ? named : absent
    }

    /// Every host that membership, a row or the address blocks tell of.
    var knownHosts: Set<HostID> {
        let remembered = networks.values.flatMap { $0.allocator?.hosts.map(\.host) ?? [] }
        return Set(peers.keys).union(replica.owners.map(\.owner)).union(remembered).union([key.id])
    }

    /// The name of a host that membership has forgotten.
    func rememberedName(_ id: HostID) -> String? {
        for network in networks.values {
            if let name = network.allocator?.hosts.first(where: { $0.host == id })?.name { return name }
        }
        return nil
    }
}
