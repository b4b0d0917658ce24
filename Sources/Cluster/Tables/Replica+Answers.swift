extension Replica {
    /// Rows found for a host, of several owners.
    private struct Findings {
        var groups: [(publicKey: [UInt8], slots: [Slot])] = []
        var rows = 0

        mutating func add(_ slots: [Slot], _ publicKey: [UInt8]) {
            guard !slots.isEmpty else { return }
            rows += slots.count
            groups.append((publicKey, slots))
        }
    }

    /// The most rows sent for one message, whatever it asks for.
    private var answerLimit: Int { 4 * settings.rowsPerStep }

    /// A host says what it has of some buckets: it gets what is newer here, and is asked for what is newer there.
    mutating func answer(_ lists: [Message.VersionList], id: UInt64, to source: HostID, overStream: Bool) {
        var findings = Findings()
        var tail: [Message] = []
        var wants: [Message.Want] = []
        for list in lists {
            let owner = list.range.owner
            guard owner == host || holds(list.range.scope), findings.rows < answerLimit else { continue }
            var theirs: [UInt64: RowVersion] = [:]
            for row in list.rows where list.range.contains(row.hash) { theirs[row.hash] = row }
            var newer: [Slot] = []
            for slot in table.slots(in: list.range) {
                guard let row = theirs.removeValue(forKey: slot.hash) else {
                    if !slot.isSilent { newer.append(slot) }
                    continue
                }
                if row.version > slot.record.version {
                    theirs[slot.hash] = row
                } else if row.version < slot.record.version || row.tag != slot.record.tag && owner == source {
                    // A tombstone helps even late; a row that was removed does not.
                    if slot.isLive || slot.record.isTombstone { newer.append(slot) }
                } else if row.tag != slot.record.tag, owner == host {
                    defend([RowVersion(slot)])
                }
            }
            findings.add(newer, table.owners[owner]?.publicKey ?? [])
            let missing = theirs.filter { isWanted($0.key, $0.value.version, list.range) }.keys.sorted()
            if !missing.isEmpty { wants.append(Message.Want(range: list.range, hashes: missing)) }
            // What is not wanted back from us does not exist any more, and only we can say so.
            if owner == host, missing.count < theirs.count { tail.append(.census(census(of: list.range))) }
        }
        if !wants.isEmpty { tail.append(.want(wants)) }
        tail.append(.done(id: id))
        reply(findings, tail, to: source, overStream: overStream)
    }

    private func isWanted(_ hash: UInt64, _ version: Version, _ range: BucketRange) -> Bool {
        if range.owner == host {
            return version > (table[host, range.scope, hash]?.record.version ?? self.version)
        }
        if let limit = departed[range.owner], version.incarnation <= limit { return false }
        return table[range.owner, range.scope, hash] != nil || version > table.floor(range.owner, range.scope)
    }

    private func census(of range: BucketRange) -> Message.Census {
        let rows = table.slots(in: range).map { RowVersion($0) }
        var census = Message.Census(publicKey: publicKey, range: range, asOf: version, rows: rows, signature: [])
        census.signature = authority.sign(census.signedBytes)
        return census
    }

    /// An owner says which rows it has: others of that age are gone.
    mutating func receive(_ census: Message.Census, from source: HostID, overStream: Bool) {
        let (range, owner) = (census.range, census.range.owner)
        guard owner != host, holds(range.scope), work(1, for: source) else { return }
        guard authority.hostID(of: census.publicKey) == owner,
            authority.verify(census.signedBytes, signature: census.signature, publicKey: census.publicKey)
        else {
            count(.forged)
            notice(.forged(owner: owner, from: source))
            return
        }
        prune(range, keeping: Set(census.rows.map(\.hash)), asOf: census.asOf, buries: true)
        let missing = census.rows.filter { row in
            guard range.contains(row.hash), let held = table[owner, range.scope, row.hash]?.record else {
                return range.contains(row.hash)
            }
            return row.version > held.version || row.version == held.version && row.tag != held.tag
        }
        if !missing.isEmpty {
            let want = Message.Want(range: range, hashes: missing.map(\.hash))
            reply(Findings(), [.want([want])], to: source, overStream: overStream)
        }
    }

    /// A host asks for rows.
    mutating func answer(_ wants: [Message.Want], to source: HostID, overStream: Bool) {
        var findings = Findings()
        for want in wants {
            let owner = want.range.owner
            guard owner == host || holds(want.range.scope) else { continue }
            let hashes = want.hashes.prefix(max(0, answerLimit - findings.rows))
            let slots = hashes.compactMap { table[owner, want.range.scope, $0] }
                .filter { $0.isLive || $0.record.isTombstone }
            findings.add(slots, table.owners[owner]?.publicKey ?? [])
        }
        reply(findings, [], to: source, overStream: overStream)
    }

    /// Sends rows and what follows them: a little in datagrams when it was asked for in one, else over a stream.
    private mutating func reply(_ findings: Findings, _ tail: [Message], to source: HostID, overStream: Bool) {
        guard work(findings.rows, for: source) else { return }
        let size = findings.groups.reduce(0) { $0 + $1.slots.reduce(0) { $0 + $1.record.wireSize } }
        let isSmall = !overStream && size <= 4 * settings.datagramLimit
        let limit = isSmall ? settings.datagramLimit : settings.chunkLimit
        var bodies = pack(findings.groups, wantsAck: false, limit: limit).map { Message.body([$0]) }
        if !tail.isEmpty {
            let last = Message.body(tail)
            if let body = bodies.last, body.count + last.count - 1 <= limit {
                bodies[bodies.count - 1] = body + last.dropFirst()
            } else {
                bodies.append(last)
            }
        }
        for body in bodies { send(body, to: source, reliably: !isSmall) }
    }
}
