internal import StateMachine

extension Record {
    private static let tombstoneFlag: UInt8 = 1
    private static let networkFlag: UInt8 = 2

    /// What the owner signs: a domain of its own, the owner, and all parts.
    var signedBytes: [UInt8] {
        var writer = ByteWriter(capacity: 128 + storage.value.count)
        writer.raw("swiftlet record 1\0".utf8)
        writer.host(owner)
        writeParts(to: &writer)
        return writer.bytes
    }

    /// How many bytes `write` takes.
    var wireSize: Int {
        let parts = 1 + 1 + (network == .none ? 0 : 32) + 1 + key.key.count + 16
        return parts + (isTombstone ? 4 : 2 + value.count) + 1 + signature.count
    }

    /// Kind, flags, network, key, version and value.
    private func writeParts(to writer: inout ByteWriter) {
        let hasNetwork = network != .none
        writer.byte(kind.rawValue)
        writer.byte((isTombstone ? Self.tombstoneFlag : 0) | (hasNetwork ? Self.networkFlag : 0))
        if hasNetwork { writer.network(network) }
        writer.counted(key.key)
        writer.version(version)
        guard !isTombstone else { return }
        writer.short(value.count)
        writer.raw(value)
    }

    /// As it stands among its owner's records; `life` is what is left of a tombstone's, seconds.
    func write(to writer: inout ByteWriter, life: UInt32) {
        writeParts(to: &writer)
        writer.counted(signature)
        if isTombstone { writer.word(life) }
    }

    /// Reads what `write` wrote.
    static func read(
        from reader: inout ByteReader, owner: HostID
    ) throws(TableFault) -> (record: Record, life: UInt32) {
        let kind = RecordKind(rawValue: try reader.byte())
        let flags = try reader.byte()
        guard flags & ~(tombstoneFlag | networkFlag) == 0 else { throw .value }
        let isTombstone = flags & tombstoneFlag != 0
        let network = flags & networkFlag == 0 ? NetworkID.none : try reader.network()
        // One form for each record: the signature is over the form.
        guard flags & networkFlag == 0 || network != .none else { throw .value }
        let key = RecordKey(kind: kind, network: network, key: try reader.array(Int(try reader.byte())))
        let version = try reader.version()
        guard version.counter > 0 else { throw .value }
        var value: [UInt8] = []
        if !isTombstone {
            let length = try reader.short()
            guard length <= valueLimit else { throw .tooLarge }
            value = try reader.array(length)
        }
        let signature = try reader.array(Int(try reader.byte()))
        let record = Record(
            key: key, owner: owner, version: version, isTombstone: isTombstone, value: value, signature: signature)
        return (record, isTombstone ? try reader.word() : 0)
    }

    /// The record alone, as a journal keeps it: owner and all parts.
    public var encoded: [UInt8] {
        var writer = ByteWriter(capacity: 16 + wireSize)
        writer.host(owner)
        write(to: &writer, life: 0)
        return writer.bytes
    }

    /// Reads what `encoded` wrote; the signature is not checked. Nil when it is damaged.
    public init?(decoding bytes: some Sequence<UInt8>) {
        var reader = ByteReader(Array(bytes))
        do throws(TableFault) {
            let owner = try reader.host()
            let record = try Self.read(from: &reader, owner: owner).record
            guard reader.remaining == 0 else { return nil }
            self = record
        } catch {
            return nil
        }
    }
}
