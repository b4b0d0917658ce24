import NetworkTypes

@testable import Cluster

extension Simulator {
    /// An owner made a record.
    func observeIssue(_ record: Record, _ number: Int) {
        guard record.owner == hosts[number].id else {
            breaches.append("host \(number) changed a row of another")
            return
        }
        guard checks else { return }
        issued[Seen(owner: record.owner, key: record.key), default: []].append(record)
    }

    /// Checks what a host says happened to a row.
    func observe(_ change: RowChange, _ number: Int) {
        let (host, record) = (hosts[number], change.row.record)
        if change.event == .appeared || change.event == .updated { reached(record) }
        guard checks else { return }
        let seen = Seen(owner: record.owner, key: record.key)
        func breach(_ text: String) {
            breaches.append(
                "host \(number), \(record.kind) of \(index[record.owner] ?? -1), \(record.version): \(text)")
        }
        if record.isTombstone { breach("a tombstone was shown") }
        if record.owner != host.id, issued[seen]?.contains(record) != true { breach("its owner never made it") }
        let before = host.seen[seen]
        switch change.event {
        case .appeared, .updated:
            if let before, before.isRemoved ? record.version <= before.version : record.version < before.version {
                breach("came after \(before.version)\(before.isRemoved ? ", which was removed" : "")")
            }
            if (change.event == .updated) != (change.previous != nil) { breach("previous row") }
            host.seen[seen] = (record.version, false)
        case .suspended, .restored: if before == nil || before?.isRemoved == true { breach("not held") }
        case .gone:
            let other = index[record.owner] ?? number
            let isOnNetwork = host.replica?.holds(record.key.scope) ?? false
            if other != number, host.view[other] != .alive || !isOnNetwork {
                // Not its owner's will.
                host.seen[seen] = nil
            } else {
                host.seen[seen] = (record.version, true)
            }
        }
        if change.row.isSuspended != (record.owner != host.id && host.view[index[record.owner] ?? 0] != .alive) {
            // While the peer's event is handled the view is already the new one; what was held of one that left has the
            // old mark.
            if change.event != .gone { breach("suspended: \(change.row.isSuspended)") }
        }
    }

    /// One more host has a watched change.
    private func reached(_ record: Record) {
        let key = Watched(owner: record.owner, version: record.version)
        guard var watch = watched[key] else { return }
        watch.missing -= 1
        watched[key] = watch.missing > 0 ? watch : nil
        if watch.missing == 0 { latencies.append(now - watch.since) }
    }

    /// After a quiet time every running host has exactly what the running owners have.
    func checkConverged() {
        let running = hosts.filter { $0.isRunning && !$0.hasLeft }
        for host in running {
            let own = host.replica?.ownRecords.filter { !$0.isTombstone } ?? []
            let values = Dictionary(own.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
            if values != host.model { breaches.append("host \(host.number): own rows are not what it was told") }
        }
        for host in running {
            guard let replica = host.replica else { continue }
            var expected: [Seen: Record] = [:]
            for owner in running {
                for record in owner.replica?.ownRecords ?? [] where !record.isTombstone {
                    guard owner.number == host.number || replica.holds(record.key.scope) else { continue }
                    expected[Seen(owner: owner.id, key: record.key)] = record
                }
            }
            var held: [Seen: Record] = [:]
            for kind in 1...6 {
                for row in replica.rows(RecordKind(rawValue: UInt8(kind))) {
                    held[Seen(owner: row.record.owner, key: row.record.key)] = row.record
                    if row.isSuspended { breaches.append("host \(host.number): a row is still suspended") }
                }
            }
            for (seen, record) in expected where held[seen] != record {
                let what = held[seen].map { "has \($0.version)" } ?? "lacks it"
                breaches.append(
                    "host \(host.number) \(what): \(record.kind) \(record.version) of \(index[record.owner] ?? -1)")
            }
            for (seen, record) in held where expected[seen] == nil {
                breaches.append(
                    "host \(host.number) still has \(record.kind) \(record.version) of \(index[seen.owner] ?? -1)")
            }
        }
    }
}
