internal import Cluster
internal import Gossip
internal import JSON
internal import NetworkTypes
internal import Overlay

/// What the control API shows of the tables.
extension ClusterNode {
    /// A network as the announcements have it.
    struct Definition {
        let name: String
        let id: NetworkID
        let row: NetworkRow
        var owners: [HostID]
        /// How two hosts' definitions differ, both named; nil when all announce the same.
        var difference: String?
        /// Whether hosts announce different definitions.
        var isMixed: Bool { difference != nil }
    }

    /// All networks that anybody announces, by name.
    var definitions: [Definition] {
        var found: [NetworkID: Definition] = [:]
        for held in replica.rows(.network) {
            let record = held.record
            guard let row = NetworkRow(decoding: record.value),
                let name = String(validating: record.key.key, as: UTF8.self)
            else { continue }
            if var known = found[record.network] {
                known.owners.append(record.owner)
                if known.difference == nil, known.row.digest != row.digest, let first = known.owners.first {
                    known.difference = difference(name, (first, known.row), (record.owner, row))
                }
                found[record.network] = known
            } else {
                found[record.network] = Definition(
                    name: name, id: record.network, row: row, owners: [record.owner])
            }
        }
        return found.values.sorted { $0.name < $1.name }
    }

    private func status(of host: HostID) -> String {
        if host == key.id { return "live" }
        switch peers[host]?.status {
        case .alive: return "live"
        case .failed: return "failed"
        case .left: return "left"
        default: return "unknown"
        }
    }

    // MARK: Networks

    /// A network with the fields that `docker network inspect` shows, and what is ours.
    func document(_ definition: Definition, isBrief: Bool) -> Value {
        let row = definition.row
        let network = networks[definition.id]
        var object = Object([
            ("Name", .string(definition.name)), ("Id", .string("\(definition.id)")), ("Scope", "global"),
            ("Driver", "overlay"), ("EnableIPv6", .bool(row.subnets.contains { $0.prefix.family == .ipv6 })),
            ("IPAM", ["Driver": "host-local", "Config": .array(row.subnets.map { pool($0, row.excluded) })]),
            ("Internal", .bool(row.isInternal)), ("VNI", .integer(Int64(row.vni))), ("Port", .integer(Int64(row.port))),
        ])
        var mtu = row.mtu
        if let network, let underlay = network.underlay { mtu = self.mtu(network, underlay) }
        object["MTU"] = .integer(Int64(mtu))
        object["Peers"] = .array(members(definition.id))
        object["Announced"] = .array(definition.owners.map { .string(hostName($0)) })
        if let difference = definition.difference {
            object["Mixed"] = true
            object["Difference"] = .string(difference)
        }
        if isBrief { return .object(object) }
        object["Containers"] = .object(Object(containers(definition.id)))
        object["Options"] = row.givenOptions
        object["Labels"] = .object(Object())
        object["Definition"] = row.definition
        if let network {
            object["Namespace"] = .string(network.isOn ? network.identity.namespacePath : "")
            if !network.lockHolder.isEmpty { object["LockHolder"] = .string(network.lockHolder) }
            var warnings = contests(network)
            if !network.oversizedText.isEmpty { warnings.append("\(network.oversizedText); \(Self.sizeRemedy)") }
            if !warnings.isEmpty { object["Warnings"] = .array(warnings.map { .string($0) }) }
            if let fault = network.fault { object["Fault"] = .string(fault) }
            if !network.unknownPorts.isEmpty {
                object["UnknownLinks"] = .array(network.unknownPorts.map { .string($0) })
            }
        }
        object["Blocks"] = .array(blocks(definition.id))
        return .object(object)
    }

    private func pool(_ subnet: NetworkRow.Subnet, _ excluded: [IPAddress]) -> Value {
        var pool = Object([("Subnet", .string("\(subnet.prefix)"))])
        if let gateway = subnet.gateway { pool["Gateway"] = .string("\(gateway)") }
        if let range = subnet.rangePrefix { pool["IPRange"] = .string("\(range)") }
        let auxiliary = excluded.filter { subnet.prefix.contains($0) }
        if !auxiliary.isEmpty {
            pool["AuxiliaryAddresses"] = .object(
                Object(auxiliary.enumerated().map { ("excluded\($0.offset)", .string("\($0.element)")) }))
        }
        return .object(pool)
    }

    private func members(_ id: NetworkID) -> [Value] {
        replica.rows(.member, network: id).compactMap { held in
            guard let row = MemberRow(decoding: held.record.value) else { return nil }
            let owner = held.record.owner
            return [
                "Name": .string(hostName(owner)), "ID": .string("\(owner)"), "VTEP": .string("\(row.vtep)"),
                "MTU": .integer(Int64(row.mtu)), "Status": .string(held.isSuspended ? "suspended" : status(of: owner)),
            ]
        }
    }

    private func containers(_ id: NetworkID) -> [(String, Value)] {
        var shown: Set<String> = []
        return replica.rows(.endpoint, network: id).compactMap { held in
            guard let row = EndpointRow(decoding: held.record.value) else { return nil }
            // A container may be on the network twice, and two hosts may have containers of one name.
            let isFirst = shown.insert(row.containerID).inserted
            func address(_ family: AddressFamily) -> Value {
                .string(row.addresses.first { $0.family == family }.map { "\($0)" } ?? "")
            }
            // Every host's own endpoint has the same id.
            let isHost = row.containerID == HostAccess.containerID
            return (
                isHost
                    ? "\(row.containerID)-\(held.record.owner)"
                    : isFirst ? row.containerID : "ep-\(Self.hexadecimal(held.record.key.key))",
                [
                    "Name": .string(row.names.first ?? row.containerID),
                    "EndpointID": .string(Self.hexadecimal(held.record.key.key)), "MacAddress": .string("\(row.mac)"),
                    "IPv4Address": address(.ipv4), "IPv6Address": address(.ipv6),
                    "Host": .string(hostName(held.record.owner)),
                    "Status": .string(held.isSuspended ? "suspended" : "live"),
                ]
            )
        }
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    // MARK: Endpoints

    /// `GET /v1/endpoints`
    func endpointDocument(_ name: String?) -> Value {
        var endpoints: [Value] = []
        for definition in definitions where name == nil || definition.name == name {
            for held in replica.rows(.endpoint, network: definition.id) {
                guard let row = EndpointRow(decoding: held.record.value) else { continue }
                let winners = row.addresses.map { book.winner(of: $0.address, on: definition.id)?.host }
                endpoints.append([
                    "network": .string(definition.name), "endpointID": .string(Self.hexadecimal(held.record.key.key)),
                    "containerID": .string(row.containerID), "ifname": .string(row.interface),
                    "addresses": .array(row.addresses.map { .string("\($0)") }), "mac": .string("\(row.mac)"),
                    "names": .array(row.names.map { .string($0) }), "aliases": .array(row.aliases.map { .string($0) }),
                    "host": .string(hostName(held.record.owner)), "hostID": .string("\(held.record.owner)"),
                    "status": .string(held.isSuspended ? "suspended" : "live"),
                    // Another endpoint has one of the addresses, and is the one that is reached.
                    "shadowed": .bool(winners.contains { $0 != held.record.owner }),
                ])
            }
        }
        return ["endpoints": .array(endpoints)]
    }

    // MARK: Blocks

    /// `GET /v1/blocks`
    func blockDocument(_ name: String?) throws -> Value {
        let chosen = networks.values.filter { name == nil || $0.identity.name == name }
        if let name, chosen.isEmpty { throw ControlFault(404, "no network '\(name)'", code: 7) }
        let documents: [Value] = chosen.sorted { $0.identity.name < $1.identity.name }.map { network in
            let allocator = network.allocator
            return [
                "network": .string(network.identity.name), "decided": .bool(allocator?.isDecided ?? false),
                "universe": allocator?.universe.map { .string(String($0, radix: 16)) } ?? .null,
                "draining": .bool(allocator?.isDraining ?? false),
                "ranges": .array(
                    (allocator?.ranges ?? []).flatMap { $0.spans.map { .string("\($0)") } }),
                "borrowed": .array((allocator?.borrowed ?? []).map { .string("\($0)") }),
                "blocks": .array(blocks(network.id)),
            ]
        }
        return ["networks": .array(documents)]
    }

    private func blocks(_ id: NetworkID) -> [Value] {
        (networks[id]?.allocator?.rows ?? []).map { row in
            var object = Object([("block", .string("\(row.block)")), ("range", .string("\(row.span)"))])
            if let entry = row.entry {
                object["owner"] = .string(hostName(entry.owner.host))
                object["ownerID"] = .string("\(entry.owner.host)")
                object["ownerStatus"] = .string(status(of: entry.owner.host))
                object["state"] = .string("\(entry.state)")
                object["epoch"] = .integer(Int64(entry.epoch))
                object["version"] = .integer(Int64(clamping: entry.version))
            }
            if let used = row.used { object["used"] = .integer(Int64(used)) }
            if !row.lent.isEmpty {
                object["lent"] = .object(
                    Object(row.lent.sorted { $0.key < $1.key }.map { ("\($0.key)", .string(hostName($0.value))) }))
            }
            if row.isDisputed { object["disputed"] = true }
            return .object(object)
        }
    }

    // MARK: Tables

    /// `GET /v1/tables`
    var tableDocument: Value {
        let kinds: [RecordKind] = [.host, .network, .member, .endpoint, .block, .loan]
        var scopes: [Value] = [["network": "", "digest": .string(String(replica.digest(of: .none), radix: 16))]]
        for network in networks.values.sorted(by: { $0.identity.name < $1.identity.name }) {
            scopes.append([
                "network": .string(network.identity.name),
                "digest": .string(String(replica.digest(of: network.id), radix: 16)),
                "blocks": .string(String(network.allocator?.digest ?? 0, radix: 16)),
                "programmed": .integer(Int64(network.wanted.count)), "joined": .bool(network.isOn),
            ])
        }
        return [
            "hostID": .string("\(key.id)"), "incarnation": .integer(Int64(clamping: replica.version.incarnation)),
            "version": .string("\(replica.version)"), "encrypted": .bool(transport?.codec.isSealed ?? false),
            "rows": .object(Object(kinds.map { ("\($0)", .integer(Int64(replica.rows($0).count))) })),
            "scopes": .array(scopes),
            "hosts": .array(
                replica.owners.map { owner in
                    [
                        "name": .string(hostName(owner.owner)), "id": .string("\(owner.owner)"),
                        "status": .string(status(of: owner.owner)), "rows": .integer(Int64(owner.rows)),
                        "tombstones": .integer(Int64(owner.tombstones)), "version": .string("\(owner.version)"),
                        "digest": .string(String(owner.digest, radix: 16)),
                    ]
                }),
        ]
    }
}
