/// How a host takes its leave.
///
/// Membership's word that a host left is signed by nobody, and would let whoever holds the gossip key remove the rows of a
/// host that lives. So the host itself says it in the tables: by the tombstone of its own record, which all hosts know how to
/// pass on. Without that its rows are suspended, and go with the grace.
extension Replica {
    /// Signs that this host leaves, whether others know of it or not.
    mutating func sayFarewell(_ token: UInt64?) {
        guard version.counter < .max, version.incarnation < .max else {
            if let token { directives.append(.refused(token: token, .exhausted)) }
            return
        }
        let hash = RecordKey.host.hash64
        if table[host, .none, hash]?.record.isTombstone != true { commit(.host, value: nil, hash: hash) }
        deliver([(hash, .none)], token: token)
    }

    /// Whether a host that is not alive has taken its leave, as far as that is to be believed.
    public func hasLeft(_ host: HostID) -> Bool { peers[host]?.status != .alive && farewells.contains(host) }

    /// Whether a change of this host's row under a key has not reached all live hosts yet.
    public func isUnderWay(_ key: RecordKey) -> Bool { deliveries[key.hash64] != nil }

    /// Whether membership's word that a host left is to be believed.
    mutating func believesLeaving(of host: HostID) -> Bool {
        if farewells.contains(host) { return true }
        // Who says nothing of itself here has nothing to lose; a host of the release before this one does not sign.
        guard table.owners[host] != nil else { return true }
        guard let row = row(.host, owner: host).flatMap({ HostRow(decoding: $0.record.value) }), !row.signsFarewell
        else {
            return false
        }
        farewells.insert(host)
        return true
    }

    /// A host's own record came in, or its end.
    mutating func heardOfHost(_ record: Record, publicKey: [UInt8], slot: Slot) {
        let owner = record.owner
        guard record.isTombstone else {
            // It is back.
            departed[owner] = nil
            farewells.remove(owner)
            return
        }
        depart(owner)
        if farewells.count < settings.owners { farewells.insert(owner) }
        // The farewell itself is kept for those that have not heard it.
        let isSuspended = peers[owner]?.status != .alive
        table.add(owner, publicKey: publicKey, isSuspended: isSuspended)
        if isSuspended { setTimer(.grace(owner, number: 0), in: settings.grace) }
        table.set(slot, owner: owner, scope: .none)
        table.note(record.version, of: owner)
        directives.append(.departed(owner))
    }
}
