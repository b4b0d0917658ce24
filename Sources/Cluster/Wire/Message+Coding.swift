extension Message {
    private static let ackFlag: UInt8 = 1

    /// A body with these messages.
    static func body(_ messages: [Message]) -> [UInt8] {
        var writer = ByteWriter(capacity: 256)
        writer.byte(Replica.protocolByte)
        for message in messages { writer.message(message.type, message.content) }
        return writer.bytes
    }

    private var type: MessageType {
        switch self {
        case .rows: .rows
        case .ack: .ack
        case .summary: .summary
        case .offer: .offer
        case .owners: .owners
        case .versions: .versions
        case .census: .census
        case .want: .want
        case .done: .done
        case .refused: .refused
        }
    }

    private var content: ByteWriter {
        var writer = ByteWriter(capacity: 256)
        switch self {
        case .rows(let wantsAck, let groups):
            writer.byte(wantsAck ? Self.ackFlag : 0)
            writer.short(groups.count)
            for group in groups { group.write(to: &writer) }
        case .ack(let rows), .refused(let rows): writer.versions(rows)
        case .summary(let wantsAck, let summary):
            writer.byte(wantsAck ? Self.ackFlag : 0)
            writer.counted(summary.publicKey)
            summary.writeParts(to: &writer)
            writer.counted(summary.signature)
        case .offer(let scopes): writer.scopes(scopes)
        case .owners(let list): list.write(to: &writer)
        case .versions(let id, let lists):
            writer.long(id)
            writer.short(lists.count)
            for list in lists {
                writer.range(list.range)
                writer.versions(list.rows)
            }
        case .census(let census):
            writer.counted(census.publicKey)
            census.writeParts(to: &writer)
            writer.counted(census.signature)
        case .want(let wants):
            writer.short(wants.count)
            for want in wants {
                writer.range(want.range)
                writer.short(want.hashes.count)
                for hash in want.hashes { writer.long(hash) }
            }
        case .done(let id): writer.long(id)
        }
        return writer
    }

    /// Reads a body. `host` says whose a public key is.
    static func read(
        _ body: [UInt8], host: ([UInt8]) -> HostID
    ) throws(TableFault) -> [Message] {
        var reader = ByteReader(body)
        guard try reader.byte() == Replica.protocolByte else { throw .version }
        var messages: [Message] = []
        while reader.remaining > 0 {
            let type = MessageType(rawValue: try reader.byte())
            let length = try reader.word()
            guard length <= UInt32(body.count) else { throw .length }
            var content = try reader.part(Int(length))
            guard let type else { continue }
            // What a later version adds at the end of a message is passed over.
            messages.append(try read(type, from: &content, host: host))
        }
        return messages
    }

    private static func read(
        _ type: MessageType, from reader: inout ByteReader, host: ([UInt8]) -> HostID
    ) throws(TableFault) -> Message {
        switch type {
        case .rows: return try readRows(from: &reader, host: host)
        case .ack: return .ack(try reader.versions())
        case .summary:
            let wantsAck = try reader.byte() & ackFlag != 0
            let publicKey = try reader.array(Int(try reader.byte()))
            let asOf = try reader.version()
            let scopes = try reader.scopes()
            let signature = try reader.array(Int(try reader.byte()))
            let summary = Summary(publicKey: publicKey, asOf: asOf, scopes: scopes, signature: signature)
            return .summary(wantsAck: wantsAck, summary)
        case .offer: return .offer(try reader.scopes())
        case .owners: return .owners(try Owners(from: &reader))
        case .versions:
            let id = try reader.long()
            var lists: [VersionList] = []
            for _ in 0..<(try reader.count(of: VersionList.size)) {
                let range = try reader.range()
                lists.append(VersionList(range: range, rows: try reader.versions()))
            }
            return .versions(id: id, lists)
        case .census:
            let publicKey = try reader.array(Int(try reader.byte()))
            let range = try reader.range()
            let asOf = try reader.version()
            let rows = try reader.versions()
            let signature = try reader.array(Int(try reader.byte()))
            return .census(
                Census(publicKey: publicKey, range: range, asOf: asOf, rows: rows, signature: signature))
        case .want:
            var wants: [Want] = []
            for _ in 0..<(try reader.count(of: Want.size)) {
                let range = try reader.range()
                var hashes: [UInt64] = []
                for _ in 0..<(try reader.count(of: 8)) { hashes.append(try reader.long()) }
                wants.append(Want(range: range, hashes: hashes))
            }
            return .want(wants)
        case .done: return .done(id: try reader.long())
        case .refused: return .refused(try reader.versions())
        }
    }

    private static func readRows(
        from reader: inout ByteReader, host: ([UInt8]) -> HostID
    ) throws(TableFault) -> Message {
        let wantsAck = try reader.byte() & ackFlag != 0
        var groups: [Rows] = []
        for _ in 0..<(try reader.count(of: 3)) {
            let publicKey = try reader.array(Int(try reader.byte()))
            let owner = host(publicKey)
            var items: [Rows.Item] = []
            for _ in 0..<(try reader.count(of: 20)) {
                let (record, life) = try Record.read(from: &reader, owner: owner)
                items.append(Rows.Item(record: record, life: life))
            }
            groups.append(Rows(publicKey: publicKey, items: items))
        }
        return .rows(wantsAck: wantsAck, groups)
    }
}

extension Message.Rows {
    func write(to writer: inout ByteWriter) {
        writer.counted(publicKey)
        writer.short(items.count)
        for item in items { item.record.write(to: &writer, life: item.life) }
    }
}

extension Message.Owners {
    func write(to writer: inout ByteWriter) {
        writer.network(scope)
        writer.host(first)
        writer.host(last)
        writer.short(owners.count)
        for entry in owners {
            writer.host(entry.owner)
            writer.long(entry.digest)
            writer.word(entry.count)
        }
    }

    init(from reader: inout ByteReader) throws(TableFault) {
        scope = try reader.network()
        first = try reader.host()
        last = try reader.host()
        owners = []
        for _ in 0..<(try reader.count(of: Message.OwnerDigest.size)) {
            let owner = try reader.host()
            let digest = try reader.long()
            owners.append(Message.OwnerDigest(owner: owner, digest: digest, count: try reader.word()))
        }
    }
}

extension ByteReader {
    mutating func scopes() throws(TableFault) -> [ScopeDigest] {
        var scopes: [ScopeDigest] = []
        for _ in 0..<(try count(of: ScopeDigest.size)) {
            let scope = try network()
            let digest = try long()
            scopes.append(ScopeDigest(scope: scope, digest: digest, count: try word()))
        }
        return scopes
    }

    mutating func versions() throws(TableFault) -> [RowVersion] {
        var rows: [RowVersion] = []
        for _ in 0..<(try count(of: RowVersion.size)) {
            let hash = try long()
            let version = try version()
            rows.append(RowVersion(hash: hash, version: version, tag: try word()))
        }
        return rows
    }

    mutating func range() throws(TableFault) -> BucketRange {
        let owner = try host()
        let scope = try network()
        let low = try long()
        return BucketRange(owner: owner, scope: scope, low: low, high: try long())
    }
}
