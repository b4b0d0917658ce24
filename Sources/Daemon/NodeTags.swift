internal import Cluster
internal import Gossip
internal import JSON
internal import Logging
internal import NIOCore

/// The tags this node announces: those of its configuration, what the control API changed of them, and our own on top.
struct NodeTags: Equatable, Sendable {
    /// Tags that no configuration can set: the protocol's version, the host's id and its cluster port.
    let own: [String: String]
    /// Those of the configuration.
    var configured: [String: String]
    /// Those set through the control API; nil for a tag that was deleted.
    private(set) var changed: [String: String?] = [:]

    init(host: HostID, clusterPort: UInt16, configured: [String: String], journaled: [UInt8]?) {
        own = ["sw": ClusterProtocol.own.description, "id": "\(host)", "cp": "\(clusterPort)"]
        self.configured = configured
        guard let journaled, let value = try? Value(parsing: journaled),
            case .object(let object)? = Reader(value).value
        else { return }
        // No tag has an empty name: what is under it is the document's version, which the first release did not write.
        guard DocumentVersion.isKnown(Reader(value), key: "") else { return }
        for member in object.members where !member.key.isEmpty {
            if case .string(let text) = member.value {
                changed[member.key] = .some(text)
            } else {
                changed[member.key] = .some(nil)
            }
        }
    }

    /// All of them.
    var announced: [String: String] {
        var tags = configured
        for (name, value) in changed { tags[name] = value }
        return tags.merging(own) { _, own in own }
    }

    /// Takes in a change of the control API.
    mutating func change(set: [String: String], delete: [String]) {
        for name in delete { changed[name] = configured[name] == nil ? .none : .some(nil) }
        for (name, value) in set { changed[name] = .some(value) }
    }

    /// The journal's entry: a JSON object, null for a deleted tag; under an empty name the document's version.
    var journaled: [UInt8] {
        let members = changed.sorted { $0.key < $1.key }.map { ($0.key, $0.value.map { Value.string($0) } ?? .null) }
        return Array(Value.object(Object([("", .integer(DocumentVersion.current))] + members)).text().utf8)
    }
}

extension Node {
    /// Announces tags, and keeps what the control API changed.
    ///
    /// - Returns: the engine's reason when it refuses; nothing is changed then.
    func announce(_ wanted: NodeTags) -> String? {
        if let reason = engine.announce(wanted.announced, self) { return reason }
        if wanted.changed != tags.changed {
            journal.commit([JournalChange(JournalKey(.tags), wanted.journaled)], on: loop).whenFailure { error in
                self.assumeIsolated { $0.log.error("tags not saved: \(error)") }
            }
        }
        tags = wanted
        return nil
    }

    /// Tells the overlay's side of a member that is a host of ours, by its tags.
    func tellCluster(_ change: MemberChange, _ member: Member) {
        let peer = ClusterNode.Peer(member, change)
        let (name, cluster) = (member.name, cluster)
        guard name != self.name else { return }
        warnOfProtocol(member)
        cluster.loop.execute { cluster.assumeIsolated { $0.member(name, peer) } }
    }
}

extension Node {
    /// Says once, each time it changes, that a member is a daemon we cannot speak with.
    private func warnOfProtocol(_ member: Member) {
        let foreign = member.tags["sw"].flatMap { ClusterProtocol.own.isSpoken(by: $0) ? nil : $0 }
        guard let foreign, member.status == .alive else {
            foreignProtocols[member.name] = nil
            return
        }
        guard foreignProtocols[member.name] != foreign, foreignProtocols.count < 1024 else { return }
        foreignProtocols[member.name] = foreign
        let (name, own) = (member.name, ClusterProtocol.own)
        log.error(
            "a host speaks another version of the cluster's protocol: nothing is exchanged with it",
            metadata: [
                "member": "\(name)", "its": "\(foreign.prefix(16))", "ours": "\(own)",
                "remedy": "upgrade one release at a time: docs/operations.md",
            ])
    }
}

extension ClusterNode.Peer {
    /// The host a member's tags tell of; nil for members without them, such as serf agents.
    init?(_ member: Member, _ change: MemberChange) {
        guard let version = member.tags["sw"], ClusterProtocol.own.isSpoken(by: version),
            let id = member.tags["id"].flatMap({ HostID($0) }),
            let port = member.tags["cp"].flatMap({ UInt16($0) }), port > 0
        else { return nil }
        let status: PeerStatus =
            switch member.status {
            case .alive, .leaving: .alive
            case .left: .left
            case .failed: .failed
            }
        self.init(
            id: id, name: member.name, endpoint: Endpoint(address: member.endpoint.address, port: port),
            status: change == .reaped ? .forgotten : status)
    }
}
