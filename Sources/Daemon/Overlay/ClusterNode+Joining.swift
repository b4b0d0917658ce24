internal import Cluster
internal import Gossip
internal import JSON
internal import Logging
internal import NIOCore
internal import NetworkTypes
internal import Overlay

/// A network made ready for an ADD.
extension ClusterNode {
    private static let tryAgain = 11
    private static let badConfiguration = 7

    /// `POST /v1/overlay/prepare`
    func prepare(_ request: Reader) async throws -> Value {
        let (identity, id) = try networkIdentity(request)
        let definition = try NetworkDefinition(try request.member("definition"), identity: identity)
        let containerID = try request.member("containerID").string() ?? ""
        let interface = try request.member("ifname").string() ?? ""
        let ips = try request.member("ips").elements().map { element in
            guard let text = try element.string(), let address = IPAddress(text) ?? IPPrefix(text)?.address else {
                throw element.error("expected an address")
            }
            return address
        }
        try agree(definition.row, identity, id)
        let network = try adopt(definition, identity, id)
        let endpoint = identity.endpointIdentifier(containerID: containerID, interfaceName: interface)
        counts.additions += 1
        network.preparing[endpoint] = NetworkState.Preparation(
            deadline: clock() + settings.preparationLimit, addresses: ips)
        do {
            try await join(network)
            var ranges: [[AddressSpan]]?
            if try request.member("blocks").bool() ?? true {
                ranges = try await addresses(network, ips, except: endpoint)
            }
            return answer(network, ranges)
        } catch {
            ended(endpoint, network)
            // One address may have been lent before another was refused.
            if !network.unusedLoans().isEmpty { fillUsage(network) }
            if !network.hasContainers { await leave(network) }
            throw error
        }
    }

    func networkIdentity(_ request: Reader) throws -> (NetworkIdentity, NetworkID) {
        guard let name = try request.member("network").string(), !name.isEmpty, name.utf8.count <= 255,
            !name.contains("/")
        else { throw ControlFault(400, "network: expected a name", code: Self.badConfiguration) }
        let identity = NetworkIdentity(network: name, cluster: settings.cluster)
        guard let id = NetworkID(identity.identifier) else {
            throw ControlFault(500, "no network id", code: 999)
        }
        return (identity, id)
    }

    /// Refuses a definition that differs from another host's, and a VNI that another network has.
    func agree(_ row: NetworkRow, _ identity: NetworkIdentity, _ id: NetworkID) throws {
        for other in replica.rows(.network) where other.record.owner != key.id {
            guard let theirs = NetworkRow(decoding: other.record.value) else { continue }
            let host = hostName(other.record.owner)
            if other.record.network == id {
                guard theirs.digest != row.digest else { continue }
                throw ControlFault(
                    409, difference(identity.name, (other.record.owner, theirs), (key.id, row)),
                    remedy: "make the definitions equal on all hosts", code: Self.badConfiguration)
            }
            if theirs.vni == row.vni, theirs.port == row.port {
                let name = String(decoding: other.record.key.key, as: UTF8.self)
                throw ControlFault(
                    409, "networks '\(identity.name)' and '\(name)' (of \(host)) have the VNI \(row.vni)",
                    remedy: "give one of them another VNI with the key \"vni\" on all hosts",
                    code: Self.badConfiguration)
            }
        }
        for network in networks.values where network.id != id && (network.isOn || network.local.isAnnounced) {
            guard network.local.row.vni == row.vni, network.local.row.port == row.port else { continue }
            throw ControlFault(
                409, "networks '\(identity.name)' and '\(network.identity.name)' have the VNI \(row.vni)",
                remedy: "give one of them another VNI with the key \"vni\" on all hosts", code: Self.badConfiguration)
        }
    }

    /// The network's state under a definition that the other hosts agree to.
    func adopt(
        _ definition: NetworkDefinition, _ identity: NetworkIdentity, _ id: NetworkID
    ) throws -> NetworkState {
        guard let network = networks[id] else {
            let network = NetworkState(identity, id, LocalNetwork(definition))
            networks[id] = network
            save(network)
            startBlocks(network)
            return network
        }
        var local = LocalNetwork(definition)
        local.isAnnounced = network.local.isAnnounced
        local.isKept = network.local.isKept
        local.adopted = network.local.adopted
        guard local != network.local else { return network }
        let isOther = local.row.digest != network.local.row.digest
        if isOther, !network.endpoints.isEmpty || network.local.isKept {
            throw ControlFault(
                409,
                "network '\(identity.name)' is defined differently on \(settings.name) already: "
                    + "\(network.local.row.difference(from: local.row))",
                remedy: network.local.isKept && network.endpoints.isEmpty
                    ? "remove it first (DELETE /v1/networks/\(identity.name))"
                    : "remove its containers on this host first", code: Self.badConfiguration)
        }
        network.local = local
        network.underlay = nil
        if isOther {
            redefined(network)
        } else {
            save(network)
            if network.allocator == nil { startBlocks(network) }
        }
        return network
    }

    /// Puts this host on a network: the others know, and the kernel has all of it.
    private func join(_ network: NetworkState) async throws {
        let identity = network.identity
        if network.underlay == nil {
            do {
                try await findUnderlay(network)
            } catch {
                throw ControlFault(
                    500, "\(error)", remedy: "set \"interface\" or \"vtep\" in the network", code: Self.badConfiguration
                )
            }
        }
        guard let underlay = network.underlay else { return }
        let isThere =
            network.isOn && network.fault == nil && network.lastReconciled > 0
            ? (try? await value(of: kernel.run(on: loop) { try $0.isThere(identity) })) ?? false : false
        try await announce(network, underlay)
        guard !isThere else { return }
        let asked = clock()
        let wasOff = !network.isOn
        if !network.isOn {
            network.isOn = true
            readBook(network)
        }
        guard let plan = plan(network) else { return }
        do {
            _ = try await locking(network) { try $0.apply(plan) }
        } catch let error as OverlayError {
            network.fault = "\(error)"
            throw ControlFault(
                500, "\(error)",
                remedy: !error.remedy.isEmpty
                    ? error.remedy
                    : network.lockHolder.isEmpty ? "see the daemon's log" : "look at process \(network.lockHolder)",
                code: error.isPassing ? Self.tryAgain : error.code)
        }
        network.fault = nil
        network.lastReconciled = clock()
        network.applied = (plan.segment.mtu, plan.isComplete)
        if wasOff { try await hearMembers(network, since: asked) }
        reconcileSoon(network)
    }

    /// Waits until the other members have told of their endpoints, as far as can be seen: nothing more comes for a moment.
    /// The network's first container here would else speak to addresses that are not known yet.
    private func hearMembers(_ network: NetworkState, since asked: UInt64) async throws {
        network.lastChange = max(network.lastChange, asked)
        while book.members(of: network.id).contains(where: { !$0.isSuspended }) {
            let now = clock()
            guard now - network.lastChange < Self.quietTime, now - asked < Self.hearingLimit else { break }
            try await value(of: loop.scheduleTask(in: .milliseconds(3)) {}.futureResult)
        }
        // What came is on its way to the kernel; behind it, this is.
        try await value(of: loop.scheduleTask(in: .zero) {}.futureResult)
        try await value(of: kernel.run(on: loop) { _ in })
    }

    private static let quietTime: UInt64 = 15_000_000
    private static let hearingLimit: UInt64 = 300_000_000

    /// Tells the others that this host is on the network, unless they know.
    func announce(_ network: NetworkState, _ underlay: Underlay) async throws {
        let member = MemberRow(
            vtep: underlay.address, mtu: Self.carried(by: underlay), port: network.local.row.port
        ).encoded
        var changes: [RecordChange] = []
        if replica.row(network.definitionKey, owner: key.id)?.record.value != network.local.announcement {
            changes.append(.put(network.definitionKey, value: network.local.announcement))
        }
        let memberKey = RecordKey.member(of: network.id)
        if replica.row(memberKey, owner: key.id)?.record.value != member {
            changes.append(.put(memberKey, value: member))
        }
        if !network.local.isAnnounced {
            network.local.isAnnounced = true
            save(network)
        }
        guard !changes.isEmpty else { return }
        try Self.check(await change(changes))
    }

    static func check(_ outcome: ChangeOutcome) throws {
        switch outcome {
        case .settled: return
        case .refused(let refusal): throw refusal.fault
        case .notSaved(let reason):
            throw ControlFault(
                507, "the journal cannot be written: \(reason)", remedy: "make room on the disk", code: 5)
        }
    }

    /// Sees to it that this host has an address for each subnet, or the ones that are asked for.
    private func addresses(
        _ network: NetworkState, _ ips: [IPAddress], except endpoint: String
    ) async throws -> [[AddressSpan]] {
        var sets: [[AddressSpan]] = []
        for (index, subnet) in network.local.row.subnets.enumerated() {
            let wanted = ips.filter { subnet.prefix.contains($0) }
            if wanted.isEmpty {
                await fillUsageIfShort(network, subnet: index)
                let beside = others(network, except: endpoint, subnet)
                var outcome = await ask(network) { .need(subnet: index, token: $0, beside: beside) }
                if case .late = outcome, let allocator = network.allocator {
                    outcome = .refused(allocator.obstacle(subnet: index))
                }
                try check(outcome, "no address of \(subnet.prefix) for this host")
                if case .granted(let lent?) = outcome {
                    network.preparing[endpoint]?.addresses.append(lent)
                    sets.append([AddressSpan(lent)])
                    continue
                }
            }
            if !Set(wanted).isDisjoint(with: network.unusedLoans(except: endpoint)) {
                // What an ADD before left is asked for anew: its owner may know better by now.
                await returnUnusedLoans(network, except: endpoint)
            }
            for address in wanted {
                try refuseHeldElsewhere(address, for: endpoint, network)
                let outcome = await ask(network) { .borrow(address, token: $0) }
                try check(outcome, "\(address) cannot be used on this host")
            }
            guard let allocator = network.allocator, allocator.ranges.indices.contains(index) else {
                throw ControlFault(500, "network '\(network.identity.name)' has no address blocks", code: Self.tryAgain)
            }
            var spans = withoutHeldElsewhere(allocator.ranges[index].spans, network)
            guard !spans.isEmpty || !wanted.isEmpty else {
                throw ControlFault(
                    503,
                    "no address of \(subnet.prefix) for this host: containers of other hosts have all of its blocks",
                    remedy: "look at the warnings of swiftlet network inspect \(network.identity.name)",
                    code: Self.tryAgain)
            }
            for address in wanted where !spans.contains(where: { $0.contains(address) }) {
                spans.append(AddressSpan(address))
            }
            sets.append(spans)
        }
        return sets
    }

    /// How many other ADDs under way may take one of this host's free addresses of a subnet.
    private func others(_ network: NetworkState, except endpoint: String, _ subnet: NetworkRow.Subnet) -> Int {
        network.preparing.count { id, preparation in
            id != endpoint && network.endpoints[id] == nil
                && !preparation.addresses.contains { subnet.prefix.contains($0) }
        }
    }

    private func check(_ outcome: BlockOutcome, _ what: String) throws {
        switch outcome {
        case .granted: return
        case .late:
            throw ControlFault(
                503, "\(what): no answer in \(settings.blockPatience / 1_000_000) ms", remedy: "try again",
                code: Self.tryAgain)
        case .unavailable(let reason): throw ControlFault(507, "\(what): \(reason)", code: 5)
        case .refused(let refusal):
            let words = refusal.words(hostName)
            let isFinal =
                switch refusal {
                case .unknownSubnet, .notUsable: true
                default: false
                }
            throw ControlFault(
                isFinal ? 409 : 503, "\(what): \(words.error)", remedy: words.remedy,
                code: isFinal ? Self.badConfiguration : Self.tryAgain)
        }
    }

    private func answer(_ network: NetworkState, _ ranges: [[AddressSpan]]?) -> Value {
        let row = network.local.row
        let underlay = network.underlay
        var object = Object([
            ("networkID", .string(network.identity.identifier)), ("vni", .integer(Int64(row.vni))),
            ("port", .integer(Int64(row.port))),
            ("mtu", .integer(Int64(underlay.map { mtu(network, $0) } ?? 0))),
            ("namespace", .string(network.identity.namespacePath)),
            ("vtep", .string(underlay.map { "\($0.address)" } ?? "")), ("hostID", .string("\(key.id)")),
            ("internal", .bool(row.isInternal)),
            (
                "subnets",
                .array(
                    row.subnets.map { subnet in
                        var object = Object([("subnet", .string("\(subnet.prefix)"))])
                        if let gateway = subnet.gateway { object["gateway"] = .string("\(gateway)") }
                        return .object(object)
                    })
            ),
        ])
        if let ranges {
            object["ranges"] = .array(
                zip(row.subnets, ranges).map { subnet, spans in
                    .array(
                        spans.map { span in
                            var range = Object([
                                ("subnet", .string("\(subnet.prefix)")), ("rangeStart", .string("\(span.first)")),
                                ("rangeEnd", .string("\(span.last)")),
                            ])
                            if let gateway = subnet.gateway { range["gateway"] = .string("\(gateway)") }
                            return .object(range)
                        })
                })
            // Lent and reserved addresses are cut out of the ranges already.
            object["exclude"] = .array([])
        }
        return .object(object)
    }
}

extension Cluster.Refusal {
    /// What an operator is told, and what helps.
    var fault: ControlFault {
        switch self {
        case .tooManyRows(let limit):
            ControlFault(
                507, "this host has \(limit) rows in the cluster's tables, as many as one host may have",
                remedy: "remove containers of overlay networks on this host, or start them on another one", code: 11)
        case .keyTooLong(let length):
            ControlFault(
                400, "the key of a row has \(length) bytes, more than \(RecordKey.limit)",
                remedy: "use a shorter name", code: 7)
        case .valueTooLong(let length):
            ControlFault(
                400, "what is to be told of the container takes \(length) bytes, more than \(Record.valueLimit)",
                remedy: "use fewer or shorter names and aliases", code: 7)
        case .collision:
            ControlFault(
                409, "another row of this host has the same short name", remedy: "use another container ID or name",
                code: 11)
        case .exhausted:
            ControlFault(
                500, "this host has used all its versions",
                remedy: "give it a new identity: stop swiftletd, move its state directory away, start it", code: 5)
        }
    }
}

extension OverlayError {
    /// The CNI error code: as the plugins map their own errors.
    var code: Int {
        switch self {
        case .netlink, .busyVNI, .busyPort: 100
        case .noVXLAN: 2
        case .netfilter: 101
        case .system: 5
        case .namespace: 8
        case .foreign: 103
        case .locked: 11
        }
    }
}

extension NetworkRow {
    /// The first thing in which two definitions differ.
    func difference(from other: NetworkRow) -> String {
        func list(_ row: NetworkRow) -> String { row.subnets.map { "\($0.prefix)" }.joined(separator: ", ") }
        func gateways(_ row: NetworkRow) -> String {
            row.subnets.map { $0.gateway.map { "\($0)" } ?? "none" }.joined(separator: ", ")
        }
        if list(self) != list(other) { return "subnets \(list(self)) and \(list(other))" }
        if gateways(self) != gateways(other) { return "gateways \(gateways(self)) and \(gateways(other))" }
        if subnets != other.subnets { return "other address ranges" }
        if vni != other.vni { return "VNI \(vni) and \(other.vni)" }
        if port != other.port { return "UDP port \(port) and \(other.port)" }
        if mtu != other.mtu { return "MTU \(mtu) and \(other.mtu)" }
        if isInternal != other.isInternal { return "internal here and not there" }
        return "other options"
    }
}
