internal import Cluster
internal import Gossip
internal import JSON
internal import Logging
internal import NIOCore
internal import NetworkTypes
internal import Overlay

/// An endpoint told of, an endpoint taken back.
extension ClusterNode {
    /// `POST /v1/overlay/endpoints`
    func publish(_ request: Reader) async throws -> Value {
        let (identity, id) = try networkIdentity(request)
        guard let network = networks[id], network.isOn else {
            throw ControlFault(
                409, "network '\(identity.name)' was not prepared on this host", remedy: "ask for it first", code: 11)
        }
        let addresses = try request.member("addresses").elements().map { element in
            guard let text = try element.string(), let prefix = IPPrefix(text) else {
                throw element.error("expected an address with its prefix length")
            }
            return prefix
        }
        guard !addresses.isEmpty else {
            throw ControlFault(400, "addresses: none given", remedy: "give at least one", code: 7)
        }
        guard let mac = try request.member("mac").string().flatMap({ MACAddress($0) }) else {
            throw ControlFault(
                400, "mac: expected a MAC address", remedy: "write it as 02:42:c0:a8:00:02", code: 7)
        }
        let local = LocalEndpoint(
            identity: identity, containerID: try request.member("containerID").string() ?? "",
            interface: try request.member("ifname").string() ?? "", link: try request.member("link").string(),
            addresses: addresses.map(\.address))
        let row = EndpointRow(
            addresses: addresses, mac: mac, containerID: local.containerID, interface: local.interface,
            names: try request.member("names").strings(), aliases: try request.member("aliases").strings())
        try Self.check(row)
        if try request.member("blocks").bool() ?? false,
            let lost = local.addresses.first(where: { !isOurs($0, local.id, network) })
        {
            let owner = network.allocator?.owner(of: lost).flatMap { $0 == key.id ? nil : hostName($0) }
            let what = owner.map { "went to \($0)" } ?? "is not this host's to hand out any more"
            throw ControlFault(
                409, "\(lost) \(what): the ADD took too long, or outlived a swiftletd", remedy: "try again", code: 11)
        }
        for address in local.addresses { try refuseHeldElsewhere(address, for: local.id, network, status: 409) }
        let outcome = await put(local, row, network)
        ended(local.id, network)
        fillUsageSoon(network)
        guard case .settled(let acknowledged, let peers) = outcome else {
            try Self.check(outcome)
            return .null
        }
        if acknowledged < peers {
            counts.additionsUnheard += 1
            log.info(
                "not all members have it yet",
                metadata: ["endpoint": "\(local.id)", "acknowledged": "\(acknowledged)", "peers": "\(peers)"])
        }
        return [
            "endpointID": .string(local.id), "acknowledged": .integer(Int64(acknowledged)),
            "peers": .integer(Int64(peers)),
        ]
    }

    /// Refuses what the others could not read: they would have no row at all.
    private static func check(_ row: EndpointRow) throws {
        let lists = [
            ("addresses", row.addresses.count), ("names", row.names.count), ("aliases", row.aliases.count),
        ]
        for (key, count) in lists where count > EndpointRow.listLimit {
            throw ControlFault(
                400, "\(key): \(count) of them, more than \(EndpointRow.listLimit)", remedy: "give fewer", code: 7)
        }
        let texts =
            [("containerID", row.containerID), ("ifname", row.interface)] + row.names.map { ("names", $0) }
            + row.aliases.map { ("aliases", $0) }
        for (key, text) in texts
        where text.utf8.count > 255 || text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) {
            throw ControlFault(
                400, "\(key): '\(text.prefix(32))' is longer than 255 bytes, or has control characters",
                remedy: "use a shorter, plain text", code: 7)
        }
        guard row.mac.isUnicast else {
            throw ControlFault(
                400, "mac: \(row.mac) is not the address of one interface", remedy: "clear its lowest bit", code: 7)
        }
    }

    /// Makes an endpoint of this host known: to the journal, to the others.
    func put(_ local: LocalEndpoint, _ row: EndpointRow, _ network: NetworkState) async -> ChangeOutcome {
        let key = Self.endpointKey(local, network)
        var row = row
        // The same ADD again keeps its claim: nobody else's is lower for it.
        let old = replica.row(key, owner: self.key.id).flatMap { EndpointRow(decoding: $0.record.value) }
        let isSame = old?.addresses == row.addresses
        row.claim = isSame ? old?.claim ?? 1 : book.nextClaim(for: local.addresses, on: network.id)
        network.endpoints[local.id] = local
        write([JournalChange(JournalKey(.endpoint, Array(local.id.utf8)), local.journaled)])
        let outcome = await change([.put(key, value: row.encoded)])
        if case .settled = outcome {
            let macs = Dictionary(local.addresses.map { ($0, row.mac) }) { first, _ in first }
            _ = kernel.run(on: loop) { [identity = network.identity] in
                $0.tell(identity, macs, except: local.link)
            }
            return outcome
        }
        // Nobody is told of an endpoint that a restart would forget.
        network.endpoints[local.id] = nil
        write([JournalChange(JournalKey(.endpoint, Array(local.id.utf8)), nil)])
        give(.change(.remove(key), token: nil))
        return outcome
    }

    /// The MACs of this host's endpoints by address.
    func ownMACs(_ network: NetworkState) -> [IPAddress: MACAddress] {
        var macs: [IPAddress: MACAddress] = [:]
        for local in network.endpoints.values {
            let held = replica.row(Self.endpointKey(local, network), owner: key.id)
            guard let row = held.flatMap({ EndpointRow(decoding: $0.record.value) }) else { continue }
            for address in local.addresses { macs[address] = row.mac }
        }
        return macs
    }

    private static func endpointKey(_ endpoint: LocalEndpoint, _ network: NetworkState) -> RecordKey {
        RecordKey(kind: .endpoint, network: network.id, key: endpoint.keyBytes)
    }

    /// `DELETE /v1/overlay/endpoints`
    func unpublish(_ request: Reader) async throws -> Value {
        let (identity, id) = try networkIdentity(request)
        func endpoint(_ attachment: Reader) throws -> String {
            identity.endpointIdentifier(
                containerID: try attachment.member("containerID").string() ?? "",
                interfaceName: try attachment.member("ifname").string() ?? "")
        }
        let keep = try request.member("keep")
        let kept = try keep.isPresent ? Set(keep.elements().map(endpoint)) : nil
        let named = try endpoint(request)
        guard let network = networks[id] else { return .object(Object()) }
        var going: Set<String> = [named]
        if let kept {
            // Also what a killed ADD has prepared. The host's own endpoint goes with the last container.
            going = Set(network.endpoints.keys).union(network.preparing.keys).subtracting(kept)
            going.remove(network.hostEndpoint)
        }
        counts.removals += UInt64(going.count)
        for endpoint in going { ended(endpoint, network) }
        let known = going.compactMap { network.endpoints[$0] }
        if !known.isEmpty {
            let outcome = await withdraw(known, network)
            // What the journal does not take is gone all the same, and after a restart its link will not be there.
            if case .refused = outcome { try Self.check(outcome) }
        }
        // Its address may be reserved although nobody was told of it.
        usageMoves(network)
        if !network.hasContainers { await leave(network) }
        return .object(Object())
    }

    /// Takes endpoints of this host back.
    func withdraw(_ endpoints: [LocalEndpoint], _ network: NetworkState) async -> ChangeOutcome {
        var entries: [JournalChange] = []
        for endpoint in endpoints {
            network.endpoints[endpoint.id] = nil
            entries.append(JournalChange(JournalKey(.endpoint, Array(endpoint.id.utf8)), nil))
        }
        write(entries)
        let outcome = await change(endpoints.map { .remove(Self.endpointKey($0, network)) })
        let borrowed = Set(network.allocator?.borrowed ?? [])
        let inUse = Set(network.endpoints.values.flatMap(\.addresses))
        for address in Set(endpoints.flatMap(\.addresses)) where borrowed.contains(address) && !inUse.contains(address)
        {
            give(.command(.returnLoan(address)), to: network)
        }
        usageMoves(network)
        return outcome
    }

    /// `POST /v1/overlay/status`: the reason an ADD could not be served, if there is one.
    func status(_ request: Reader) throws -> Value {
        let (identity, id) = try networkIdentity(request)
        let definition = try NetworkDefinition(try request.member("definition"), identity: identity)
        try agree(definition.row, identity, id)
        if let network = networks[id] {
            if let fault = network.fault { throw ControlFault(503, fault, code: 11) }
            if network.allocator?.isDraining == true {
                throw ControlFault(503, "this host is being drained", code: 11)
            }
        }
        return .object(Object())
    }
}

extension ClusterNode {
    /// `POST /v1/overlay/check`: in what the kernel differs from what is known, and whether the container is known.
    func differences(_ request: Reader) async throws -> Value {
        let (identity, id) = try networkIdentity(request)
        var differences: [String] = []
        // Before the kernel was looked at for the first time after a start, nobody can tell; CHECK must not cry wolf.
        guard let network = networks[id], network.isOn, let applied = network.applied else {
            throw ControlFault(404, "network '\(identity.name)' is not known to be on this host", code: 11)
        }
        let containerID = try request.member("containerID").string() ?? ""
        let endpoint = identity.endpointIdentifier(
            containerID: containerID, interfaceName: try request.member("ifname").string() ?? "")
        if network.endpoints[endpoint] == nil, clock() - started > settings.settling {
            differences.append("swiftletd does not know container '\(containerID)' on network '\(identity.name)'")
        }
        // What changed up to now goes to the kernel first, what changes from now on comes after the look.
        _ = flush()
        guard var plan = plan(network) else { return ["differences": []] }
        plan.segment.mtu = applied.mtu
        plan.isComplete = plan.isComplete && applied.isComplete
        let wanted = plan
        differences += try await value(of: kernel.run(on: loop) { try $0.differences(wanted) })
        return ["differences": .array(differences.map { .string($0) })]
    }
}

extension LocalEndpoint {
    /// The key of the endpoint's record: its id's 32 bytes.
    var keyBytes: [UInt8] {
        let digits = id.compactMap { $0.hexDigitValue.map { UInt8($0) } }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}
