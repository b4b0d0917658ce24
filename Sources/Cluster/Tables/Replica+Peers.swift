internal import StateMachine

extension Replica {
    /// What membership says about a host.
    mutating func note(_ host: HostID, _ status: PeerStatus) {
        guard host != self.host else { return }
        let before = peers[host]?.status
        if status == .forgotten {
            if before == .alive { stop(host, suspends: true) }
            peers[host] = nil
            if departed[host] == nil { farewells.remove(host) }
            return
        }
        if peers[host] == nil { peers[host] = newPeer() }
        peers[host]?.status = status
        switch status {
        case .alive where before != .alive: appear(host)
        case .failed where before != .failed: stop(host, suspends: true)
        case .left where before != .left:
            let isBelieved = believesLeaving(of: host)
            stop(host, suspends: !isBelieved)
            if isBelieved, departed[host] == nil { depart(host) }
        default: break
        }
    }

    func newPeer() -> Peer { Peer(status: nil, budget: Budget(burst: settings.workBurst, now: now)) }

    private mutating func appear(_ host: HostID) {
        alive.insert(host, at: alive.firstIndex { $0 > host } ?? alive.count)
        departed[host] = nil
        farewells.remove(host)
        suspend(host, false)
        sendSummary(to: host)
        if appeared.isEmpty { setTimer(.appearances, in: .milliseconds(50) + random.part(of: .milliseconds(100))) }
        appeared.append(host)
    }

    private mutating func stop(_ host: HostID, suspends: Bool) {
        alive.removeAll { $0 == host }
        appeared.removeAll { $0 == host }
        peers[host]?.summary = nil
        peers[host]?.session = nil
        stopDelivering(to: host)
        if suspends { suspend(host, true) }
    }

    /// Marks the rows of a host, and says so for each.
    private mutating func suspend(_ host: HostID, _ isSuspended: Bool) {
        guard let era = table.suspend(host, isSuspended) else { return }
        if isSuspended { setTimer(.grace(host, number: era), in: settings.grace) }
        let event: RowChange.Event = isSuspended ? .suspended : .restored
        for bucket in table.owners[host]?.buckets ?? [] {
            for slot in bucket.slots where slot.isLive {
                directives.append(.changed(RowChange(event, Row(record: slot.record, isSuspended: isSuspended))))
            }
        }
    }

    mutating func graceEnds(_ owner: HostID, _ era: UInt64) {
        guard let held = table.owners[owner], held.era == era, held.isSuspended else { return }
        depart(owner)
    }

    /// The rows of a host go, and do not come back from others.
    mutating func depart(_ owner: HostID) {
        let isSuspended = table.owners[owner]?.isSuspended ?? false
        if departed[owner] == nil, departed.count < settings.owners {
            setTimer(.departed(owner), in: settings.departedLifetime)
        }
        if departed[owner] != nil || departed.count < settings.owners {
            departed[owner] = table.owners[owner]?.highest.incarnation ?? departed[owner] ?? .max
        }
        for slot in table.dropOwner(owner) where slot.isLive {
            forget(slot.record, isSuspended: isSuspended)
        }
    }

    mutating func forgetDeparted(_ owner: HostID) {
        guard departed[owner] != nil, peers[owner]?.status == .left else {
            departed[owner] = nil
            farewells.remove(owner)
            return
        }
        setTimer(.departed(owner), in: settings.departedLifetime)
    }

    /// A live row of another host is not held any more.
    mutating func forget(_ record: Record, isSuspended: Bool) {
        if record.kind == .member { removeMember(record.owner, of: record.network) }
        directives.append(.changed(RowChange(.gone, Row(record: record, isSuspended: isSuspended))))
    }

    mutating func addMember(_ host: HostID, of network: NetworkID) {
        let list = members[network] ?? []
        let place = list.firstIndex { $0 >= host } ?? list.count
        guard place == list.count || list[place] != host else { return }
        members[network, default: []].insert(host, at: place)
    }

    mutating func removeMember(_ host: HostID, of network: NetworkID) {
        members[network]?.removeAll { $0 == host }
        if members[network]?.isEmpty == true { members[network] = nil }
    }
}
