internal import Cluster
internal import Logging
internal import NIOCore
internal import NIOPosix

/// What this host remembers of address blocks, of networks under the definitions they had, and whether that is all.
extension ClusterNode {
    /// How many former definitions of one network are remembered. One that may be forgotten is treated as lost.
    static let formerDefinitionLimit = 16
    /// The mark that former definitions were forgotten.
    private static let forgottenMark: UInt64 = 0

    /// The network and the digest of the journal's name of blocks under a former definition.
    static func formerBlocks(_ name: [UInt8]) -> (NetworkID, UInt64)? {
        guard name.count == 40, let id = NetworkID(bytes: name.prefix(32)) else { return nil }
        return (id, name[32...].reduce(0) { $0 << 8 | UInt64($1) })
    }

    private static func formerKey(_ id: NetworkID, _ digest: UInt64) -> JournalKey {
        JournalKey(
            .blocks, id.bytes + (0..<8).map { UInt8(truncatingIfNeeded: digest >> UInt64(56 - 8 * $0)) })
    }

    /// What is remembered of a network with subnets of a digest; what belongs to others is put aside.
    func blockMemory(_ network: NetworkState, _ digest: UInt64) -> BlockAllocator.Memory {
        let id = network.id
        var saved = network.blocksBeingWritten ?? savedBlocks[id]
        if let old = saved, let former = BlockAllocator.layoutDigest(ofMemory: old), former != digest {
            putAside(old, id, former)
            savedBlocks[id] = nil
            saved = nil
        }
        if saved == nil { saved = formerBlocks[id]?[digest] }
        if let saved, !journal.mayLackChanges { return .saved(saved) }
        let mayBeForgotten = formerBlocks[id]?[Self.forgottenMark] != nil
        return hasLostMemory || mayBeForgotten ? .lost : .fresh
    }

    private func putAside(_ bytes: [UInt8], _ id: NetworkID, _ digest: UInt64) {
        formerBlocks[id, default: [:]][digest] = bytes
        var changes = [JournalChange(Self.formerKey(id, digest), bytes)]
        if let known = formerBlocks[id], known.count > Self.formerDefinitionLimit,
            let other = known.keys.filter({ $0 != digest && $0 != Self.forgottenMark }).min()
        {
            formerBlocks[id]?[other] = nil
            formerBlocks[id]?[Self.forgottenMark] = [1]
            changes.append(JournalChange(Self.formerKey(id, other), nil))
            changes.append(JournalChange(Self.formerKey(id, Self.forgottenMark), [1]))
        }
        write(changes)
    }

    // MARK: Loss

    /// A host that lost its journal has to ask the others about the networks they know. When all of them were there for a
    /// while, it knows those: a network that comes later is new to it.
    func endLossWhenSettled(wasWhole: Bool = false) {
        guard hasLostMemory else { return }
        _ = schedule(clock() + settings.settling) { node in
            let isWhole = node.isWhole
            guard isWhole, wasWhole else { return node.endLossWhenSettled(wasWhole: isWhole) }
            node.hasLostMemory = false
            node.saveStart()
            node.log.info("all hosts were heard: the loss of the journal is over")
        }
    }

    /// Whether every host that may know something is there. A host that names nobody and knows nobody is alone.
    private var isWhole: Bool {
        let others = peers.values
        guard !others.isEmpty else { return settings.join.isEmpty && settings.joinNames.isEmpty }
        return others.allSatisfy { $0.status != .failed } && others.contains { $0.status == .alive }
    }

    // MARK: Signatures

    /// Whether a block message is the named host's. One of the release before does not sign, and its row does not say that it
    /// does.
    func isGenuine(_ message: [UInt8], from host: HostID, _ network: NetworkState) -> Bool {
        let verdict = BlockSeal.verify(
            message, network: network.id, from: host, to: key.id, by: HostAuthority(key: key))
        switch verdict {
        case .genuine:
            blockSigners.insert(host)
            return true
        case .forged: return false
        case .unsigned:
            guard let row = replica.row(.host, owner: host).flatMap({ HostRow(decoding: $0.record.value) }) else {
                return !blockSigners.contains(host)
            }
            return !row.signsBlocks
        }
    }
}
