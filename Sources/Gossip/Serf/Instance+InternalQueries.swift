import NetworkTypes

extension Instance {
    private static let installKey = "_serf_install-key"
    private static let useKey = "_serf_use-key"
    private static let removeKey = "_serf_remove-key"
    private static let listKeys = "_serf_list-keys"
    private static let ping = "_serf_ping"
    private static let conflict = "_serf_conflict"

    /// Asks every node, ourselves too, to change or list its keys.
    mutating func ask(_ operation: KeyOperation, token: UInt64) {
        let name: String
        let key: [UInt8]
        switch operation {
        case .install(let new): (name, key) = (Self.installKey, new)
        case .use(let known): (name, key) = (Self.useKey, known)
        case .remove(let known): (name, key) = (Self.removeKey, known)
        case .list: (name, key) = (Self.listKeys, [])
        }
        if operation != .list, !KeyRing.isValid(key) {
            return notice(.refused("a key must have 16, 24 or 32 bytes"))
        }
        ask(
            QueryRequest(token: token, name: name, payload: KeyRequest(key: key).encode()), isKeyOperation: true)
    }

    mutating func answerInternal(_ query: QueryMessage, _ id: QueryID) {
        switch query.name {
        case Self.installKey, Self.useKey, Self.removeKey:
            respond(to: id, payload: changeKeys(query).encode())
        case Self.listKeys:
            respond(to: id, payload: keyList(id).encode())
        case Self.conflict:
            answerConflict(query, id)
        default:
            // A ping is answered by its ack alone; what we do not know is not answered.
            break
        }
    }

    private mutating func changeKeys(_ query: QueryMessage) -> KeyResponse {
        guard var keyRing = envelope.keyRing else {
            return KeyResponse(succeeded: false, message: "encryption is not enabled")
        }
        var reader = MessagePackReader(query.payload ?? [])
        guard let request = try? KeyRequest(from: &reader) else {
            return KeyResponse(succeeded: false, message: "the request cannot be read")
        }
        do throws(KeyRing.Fault) {
            switch query.name {
            case Self.installKey: try keyRing.install(request.key)
            case Self.useKey: try keyRing.use(request.key)
            default: try keyRing.remove(request.key)
            }
        } catch {
            let message =
                switch error {
                case .badLength: "a key must have 16, 24 or 32 bytes"
                case .unknownKey: "the key is not in the key ring"
                case .isPrimary: "the primary key cannot be removed"
                case .full: "the key ring is full"
                }
            return KeyResponse(succeeded: false, message: message)
        }
        if keyRing != envelope.keyRing {
            envelope.keyRing = keyRing
            directives.append(.keyRingChanged(keyRing))
        }
        return KeyResponse(succeeded: true)
    }

    /// Our keys, as many as fit into a response.
    private func keyList(_ id: QueryID) -> KeyResponse {
        guard let keyRing = envelope.keyRing else {
            return KeyResponse(succeeded: false, message: "encryption is not enabled")
        }
        let keys = keyRing.keys.map(Base64.encode)
        var response = KeyResponse(succeeded: true, keys: keys, primary: Base64.encode(keyRing.primary))
        while response.keys.count > 1, response.encode().count + 64 + name.utf8.count > settings.queryResponseLimit {
            response.keys.removeLast()
            response.message = "truncated: \(response.keys.count) of \(keys.count) keys shown"
        }
        return response
    }

    /// Says whom we know by a name that two nodes claim. About ourselves we say nothing.
    private mutating func answerConflict(_ query: QueryMessage, _ id: QueryID) {
        let node = String(decoding: query.payload ?? [], as: UTF8.self)
        guard node != name, let record = table[node], record.isListed else { return }
        var writer = MessagePackWriter(reserving: 256)
        writer.byte(SerfType.conflictResponse.rawValue)
        writer.map(11)
        writer.string("Addr")
        writer.data(record.endpoint.address.bytes)
        writer.string("DelegateCur")
        writer.unsigned(UInt64(record.versions.delegateCurrent))
        writer.string("DelegateMax")
        writer.unsigned(UInt64(record.versions.delegateMax))
        writer.string("DelegateMin")
        writer.unsigned(UInt64(record.versions.delegateMin))
        writer.string("Name")
        writer.string(record.name)
        writer.string("Port")
        writer.unsigned(UInt64(record.endpoint.port))
        writer.string("ProtocolCur")
        writer.unsigned(UInt64(record.versions.protocolCurrent))
        writer.string("ProtocolMax")
        writer.unsigned(UInt64(record.versions.protocolMax))
        writer.string("ProtocolMin")
        writer.unsigned(UInt64(record.versions.protocolMin))
        writer.string("Status")
        let status: UInt64 =
            switch record.status {
            case .alive: 1
            case .leaving: 2
            case .left: 3
            case .failed: 4
            }
        writer.unsigned(status)
        writer.string("Tags")
        let tags = Tags.decode(record.meta).sorted { $0.key < $1.key }
        writer.map(tags.count)
        for (tag, value) in tags {
            writer.string(tag)
            writer.string(value)
        }
        respond(to: id, payload: writer.bytes)
    }
}
