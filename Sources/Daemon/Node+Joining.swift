internal import Gossip
internal import JSON
internal import Logging
internal import NIOCore
internal import NIOPosix

/// Nodes to join that are given by host names.
extension Node {
    private static let firstPause: Int64 = 1000
    private static let longestPause: Int64 = 30_000

    /// Whether no other member is known to live.
    var isAlone: Bool { !known.contains { $0.name != name && $0.status == .alive } }

    /// Joins whom the configuration names.
    func begin(_ configuration: Configuration) {
        self.configuration = configuration
        warn()
        engine.begin(self)
    }

    /// Looks the names up while we are alone, with growing pauses; later only whether we are alone again.
    func followNames() {
        guard !configuration.joinNames.isEmpty, !isLookingUp, !isLeaving else { return }
        isLookingUp = true
        guard isAlone else {
            lookups = 0
            return followNames(in: Self.longestPause)
        }
        let names = configuration.joinNames
        lookUp(names) { found in
            self.assumeIsolated { node in
                for (name, fault) in found.faults {
                    node.log.warning("a node to join is not found", metadata: ["name": "\(name)", "why": "\(fault)"])
                }
                if !found.endpoints.isEmpty, node.isAlone { node.give(.command(.join(found.endpoints))) }
                let longest = min(Self.firstPause << Int64(min(node.lookups, 10)), Self.longestPause)
                node.lookups += 1
                node.followNames(in: longest / 2 + Int64.random(in: 0...longest / 2))
            }
        }
    }

    private func followNames(in milliseconds: Int64) {
        loop.scheduleTask(in: .milliseconds(milliseconds)) {
            self.assumeIsolated { node in
                node.isLookingUp = false
                node.followNames()
            }
        }
    }

    struct Found: Sendable {
        var endpoints: [Endpoint] = []
        var faults: [(PeerName, String)] = []
    }

    /// Asks the resolver on another thread: it may take long, and we have probes to answer.
    func lookUp(_ names: [PeerName], done: @escaping @Sendable (Found) -> Void) {
        NIOThreadPool.singleton.runIfActive(eventLoop: loop) {
            var found = Found()
            for name in names {
                do {
                    for endpoint in try name.resolve() where !found.endpoints.contains(endpoint) {
                        found.endpoints.append(endpoint)
                    }
                } catch {
                    found.faults.append((name, "\(error)"))
                }
            }
            return found
        }.whenSuccess(done)
    }

    /// `POST /v1/join`
    func join(_ request: ControlRequest, _ later: @escaping Answer) throws -> ControlReply {
        var asked = Configuration()
        for text in try request.document().member("peers").strings() where !asked.addPeer(text) {
            throw Refusal(reason: "peers: '\(text)' is not an address or a host name")
        }
        let endpoints = asked.join
        guard !asked.joinNames.isEmpty else {
            guard !endpoints.isEmpty else { throw Refusal(reason: "peers: none given") }
            return outcome(of: .join(endpoints))
        }
        lookUp(asked.joinNames) { found in
            self.assumeIsolated { node in
                if let (name, fault) = found.faults.first {
                    return later(.refusal(409, "peers: '\(name)' is not found: \(fault)"))
                }
                let reason = node.order(.join(endpoints + found.endpoints))
                later(reason.map { .refusal(409, $0) } ?? ControlResponse(.object(Object())))
            }
        }
        return .later
    }
}
