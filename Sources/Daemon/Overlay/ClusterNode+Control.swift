internal import Cluster
internal import Gossip
internal import JSON
internal import NIOCore
internal import NetworkTypes
internal import Overlay

/// The control API of the overlay.
extension ClusterNode {
    /// The paths that are answered here.
    static func serves(_ path: String) -> Bool {
        ["/v1/overlay", "/v1/networks", "/v1/endpoints", "/v1/blocks", "/v1/tables"].contains { prefix in
            path == prefix || path.hasPrefix(prefix + "/")
        }
    }

    /// Answers a request; `later` is called once, on any thread.
    nonisolated func take(_ request: ControlRequest, later: @escaping @Sendable (ControlResponse) -> Void) {
        Task { later(await self.answer(request)) }
    }

    private func answer(_ request: ControlRequest) async -> ControlResponse {
        do {
            return ControlResponse(try await route(request))
        } catch let fault as ControlFault {
            return ControlResponse(fault)
        } catch let error as DecodingError {
            return ControlResponse(ControlFault(400, "\(error)", remedy: "correct the network's definition", code: 7))
        } catch {
            return ControlResponse(ControlFault(500, "\(error)", remedy: "see the daemon's log", code: 999))
        }
    }

    private func route(_ request: ControlRequest) async throws -> Value {
        switch (request.method, request.path) {
        case ("POST", "/v1/overlay/prepare"): return try await prepare(try request.document())
        case ("POST", "/v1/overlay/endpoints"): return try await publish(try request.document())
        case ("DELETE", "/v1/overlay/endpoints"): return try await unpublish(try request.document())
        case ("POST", "/v1/overlay/check"): return try await differences(try request.document())
        case ("POST", "/v1/overlay/status"): return try status(try request.document())
        case ("GET", "/v1/networks"):
            return ["networks": .array(definitions.map { document($0, isBrief: true) })]
        case ("POST", "/v1/networks"): return try await announce(try request.document())
        case ("GET", "/v1/endpoints"): return endpointDocument(request.parameters["network"])
        case ("GET", "/v1/blocks"): return try blockDocument(request.parameters["network"])
        case ("POST", "/v1/blocks/drain"): return try drain(try request.document())
        case ("POST", "/v1/blocks/takeover"): return try await takeOver(try request.document())
        case ("GET", "/v1/tables"): return tableDocument
        default: break
        }
        let prefix = "/v1/networks/"
        if request.path.hasPrefix(prefix) {
            let name = String(request.path.dropFirst(prefix.utf8.count))
            switch request.method {
            case "GET":
                guard let definition = definitions.first(where: { $0.name == name || $0.id.description == name }) else {
                    throw ControlFault(404, "no network '\(name)'", remedy: "GET /v1/networks lists them", code: 7)
                }
                return document(definition, isBrief: false)
            case "DELETE": return try await withdrawNetwork(name)
            default: break
            }
        }
        throw ControlFault(404, "no \(request.method) \(request.path)", code: 999)
    }

    // MARK: Networks

    /// `POST /v1/networks`: announces a definition and keeps it announced.
    private func announce(_ request: Reader) async throws -> Value {
        let name = try request.member("name").string() ?? request.member("network").string()
        guard let name, !name.isEmpty else { throw ControlFault(400, "name: which network?", code: 7) }
        let (identity, id) = try networkIdentity(Reader(["network": .string(name)]))
        let body = try request.member("definition")
        let definition = try NetworkDefinition(body.value == nil ? request : body, identity: identity)
        try agree(definition.row, identity, id)
        let network = try adopt(definition, identity, id)
        network.local.isAnnounced = true
        network.local.isKept = true
        // The list is this host's own by now.
        network.local.adopted = nil
        save(network)
        try Self.check(await change([.put(network.definitionKey, value: network.local.announcement)]))
        return document(
            Definition(name: name, id: id, row: network.local.row, owners: [key.id]), isBrief: false)
    }

    /// `DELETE /v1/networks/NAME`: withdraws this host's announcement.
    private func withdrawNetwork(_ name: String) async throws -> Value {
        guard let network = network(named: name), network.local.isAnnounced else {
            throw ControlFault(404, "network '\(name)' is not announced by this host", code: 7)
        }
        guard network.endpoints.isEmpty else {
            throw ControlFault(
                409, "network '\(name)' has \(network.endpoints.count) endpoints on this host",
                remedy: "remove its containers first", code: 7)
        }
        network.local.isAnnounced = false
        network.local.isKept = false
        save(network)
        try Self.check(await change([.remove(network.definitionKey)]))
        await leave(network)
        return .object(Object())
    }

    // MARK: Blocks

    private func drain(_ request: Reader) throws -> Value {
        let isDraining = try request.member("drain").bool() ?? true
        let name = try request.member("network").string()
        let chosen = networks.values.filter { name == nil || $0.identity.name == name }
        if let name, chosen.isEmpty { throw ControlFault(404, "no network '\(name)'", code: 7) }
        for network in chosen { give(.command(.drain(isDraining)), to: network) }
        return ["draining": .bool(isDraining), "networks": .array(chosen.map { .string($0.identity.name) })]
    }
}

extension ControlResponse {
    /// A refusal with the remedy and the CNI error code.
    init(_ fault: ControlFault) {
        self.init(
            status: fault.status,
            ["error": .string(fault.error), "remedy": .string(fault.remedy), "code": .integer(Int64(fault.code))])
    }
}
