internal import NetworkTypes
internal import System

/// One address chosen for a range set.
struct Pick {
    let set: Int
    let range: AddressRange
    let address: IPAddress
    /// The owner holds it already.
    let isHeld: Bool

    /// The address as the result shows it.
    var result: Allocation.Address {
        Allocation.Address(
            prefix: IPPrefix(address, length: range.subnet.length) ?? IPPrefix(host: address), gateway: range.gateway)
    }
}

extension HostLocalConfiguration {
    /// The requested address for each range set: at most one for each, the first that lies in it.
    ///
    /// - Throws: ``IPAMError/unsatisfied(_:)`` with what is left over.
    func assignedRequests() throws(IPAMError) -> [IPAddress?] {
        var rest = requestedAddresses
        let assigned = rangeSets.map { set in
            rest.firstIndex(where: set.contains).map { rest.remove(at: $0) }
        }
        if !rest.isEmpty { throw .unsatisfied(rest) }
        return assigned
    }

    /// The name service of `resolvConf`.
    func readDNS() throws(IPAMError) -> Allocation.DNS {
        guard let resolvConf else { return Allocation.DNS() }
        do throws(SystemError) {
            return Allocation.DNS(parsing: String(decoding: try Files.readRegular(resolvConf), as: UTF8.self))
        } catch {
            throw .io(error)
        }
    }

    /// The order a range set's addresses are tried in, exclusions left out.
    func searchOrder(of set: RangeSet, after last: IPAddress?) -> [SearchSpan] {
        set.searchOrder(after: last, excluding: exclusions.map(\.network))
    }

    /// What an owner held in a range set, if it can have that again.
    func returning(_ held: [IPAddress], to set: RangeSet, _ number: Int, _ request: IPAddress?) -> Pick? {
        let own = held.first { address in
            guard request == nil || request == address, let range = set.range(containing: address) else { return false }
            return refusal(of: address, in: range) == nil
        }
        guard let own, let range = set.range(containing: own) else { return nil }
        return Pick(set: number, range: range, address: own, isHeld: true)
    }

    /// Why a requested address of a range cannot be handed out whoever asks; nil when it can.
    func refusal(of address: IPAddress, in range: AddressRange) -> String? {
        if address == range.gateway { return "requested ip \(address) is subnet's gateway" }
        guard let exclusion = exclusions.first(where: { $0.network.contains(address) }) else { return nil }
        return "requested IP address \(address) is excluded" + (exclusion.name.map { " (\($0))" } ?? "")
    }
}

extension Ledger {
    /// What the owner holds: the content its reservations have, and their addresses.
    mutating func reserved(for owner: Owner) throws(IPAMError) -> (record: [UInt8], addresses: [IPAddress]) {
        do throws(SystemError) {
            let addresses = try addresses(owner.record)
            if !addresses.isEmpty { return (owner.record, addresses) }
            return (owner.oldRecord, try self.addresses(owner.oldRecord))
        } catch {
            throw .io(error)
        }
    }

    /// Whether every range set has an address left.
    mutating func checkRoom(_ configuration: HostLocalConfiguration) throws(IPAMError) {
        for (number, set) in configuration.rangeSets.enumerated()
        where try free(in: set, after: files.pointer(number), configuration) == nil {
            throw .notAvailable(reason: "no IP addresses available in range set: \(set)")
        }
    }

    /// Chooses an address for each range set and reserves all of them or none.
    mutating func allocate(
        _ configuration: HostLocalConfiguration, _ requests: [IPAddress?], for owner: Owner, isReturning: Bool
    ) throws(IPAMError) -> [Pick] {
        // A second turn is needed when the index called an address free that is not. After that it has been made anew,
        // and only somebody who writes without the lock could be in the way.
        for _ in 0..<3 {
            let picks = try plan(configuration, requests, owner, isReturning)
            if try commit(picks, owner) {
                if isReturning { try giveBackRest(picks, owner) }
                return picks
            }
            do throws(SystemError) { try rebuild() } catch { throw .io(error) }
        }
        throw .io(SystemError("reserve an address in", files.path, .fileExists))
    }

    private mutating func plan(
        _ configuration: HostLocalConfiguration, _ requests: [IPAddress?], _ owner: Owner, _ isReturning: Bool
    ) throws(IPAMError) -> [Pick] {
        var picks: [Pick] = []
        let held: [IPAddress], old: [IPAddress]
        do throws(SystemError) {
            held = try addresses(owner.record)
            old = try addresses(owner.oldRecord)
        } catch {
            throw .io(error)
        }
        let reuses = configuration.duplicatePolicy == .reuse
        for (number, (set, request)) in zip(configuration.rangeSets, requests).enumerated() {
            // What an attachment held that returns is its own; the old format does not say which of several it was.
            let duplicates = (isReturning ? old : held + old).filter(set.contains)
            if isReturning, let pick = configuration.returning(held, to: set, number, request) {
                picks.append(pick)
                continue
            }
            // Without reuse an explicit request is not compared with what the owner holds, as in the reference plugin.
            if let duplicate = duplicates.first, reuses || request == nil {
                guard reuses, duplicates.count == 1, old.isEmpty, request == nil || request == duplicate,
                    let range = set.range(containing: duplicate)
                else { throw .duplicate(set: number, address: duplicate, containerID: owner.containerID) }
                picks.append(Pick(set: number, range: range, address: duplicate, isHeld: true))
            } else if let request, let range = set.range(containing: request) {
                if let reason = configuration.refusal(of: request, in: range) {
                    throw .unavailable(set: number, address: request, reason: reason)
                }
                guard try !taken(request) else {
                    throw .unavailable(
                        set: number, address: request,
                        reason: "requested IP address \(request) is not available in range set \(set)")
                }
                picks.append(Pick(set: number, range: range, address: request, isHeld: false))
            } else {
                guard let (range, address) = try free(in: set, after: files.pointer(number), configuration) else {
                    throw .exhausted(set: number, ranges: set)
                }
                picks.append(Pick(set: number, range: range, address: address, isHeld: false))
            }
        }
        // An owner of addresses these range sets do not know would keep them unseen.
        if reuses, !isReturning, let stray = held.first(where: { address in !picks.contains { $0.address == address } })
        {
            throw .duplicate(set: 0, address: stray, containerID: owner.containerID)
        }
        return picks
    }

    private mutating func free(
        in set: RangeSet, after last: IPAddress?, _ configuration: HostLocalConfiguration
    ) throws(IPAMError) -> (AddressRange, IPAddress)? {
        do throws(SystemError) {
            for span in configuration.searchOrder(of: set, after: last) {
                if let address = try firstFree(set.family, span.numbers) { return (span.range, address) }
            }
            return nil
        } catch {
            throw .io(error)
        }
    }

    private mutating func taken(_ address: IPAddress) throws(IPAMError) -> Bool {
        do throws(SystemError) { return try isTaken(address) } catch { throw .io(error) }
    }

    /// Reserves what is not held yet; false, and nothing reserved, when an address turned out to be taken.
    private mutating func commit(_ picks: [Pick], _ owner: Owner) throws(IPAMError) -> Bool {
        var made: [IPAddress] = []
        do throws(SystemError) {
            for pick in picks where !pick.isHeld {
                guard try reserve(pick.address, set: pick.set, owner.record) else {
                    takeBack(made, owner)
                    return false
                }
                made.append(pick.address)
            }
            return true
        } catch {
            takeBack(made, owner)
            throw .io(error)
        }
    }

    /// What an owner that returned held before, and did not get again.
    private mutating func giveBackRest(_ picks: [Pick], _ owner: Owner) throws(IPAMError) {
        do throws(SystemError) {
            for address in try addresses(owner.record) where !picks.contains(where: { $0.address == address }) {
                try release(address, owner.record)
            }
        } catch {
            throw .io(error)
        }
    }

    private mutating func takeBack(_ addresses: [IPAddress], _ owner: Owner) {
        // Only what this call made: the owner may have held others before.
        for address in addresses.reversed() { try? release(address, owner.record) }
    }
}
