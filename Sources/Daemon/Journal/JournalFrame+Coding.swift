internal import Crypto

extension JournalFrame {
    /// The frame's bytes.
    var encoded: [UInt8] {
        var payload: [UInt8] = [isSnapshot ? 0 : 1]
        for change in changes {
            payload.append(change.key.kind)
            payload.append(bigEndian: UInt64(change.key.name.count), width: 2)
            payload += change.key.name.prefix(0xFFFF)
            payload.append(bigEndian: change.value.map { UInt64($0.count) } ?? 0xFFFF_FFFF, width: 4)
            payload += change.value ?? []
        }
        var bytes = Self.magic
        bytes.append(bigEndian: UInt64(payload.count), width: 4)
        bytes.append(bigEndian: sequence, width: 8)
        bytes += Self.digest(sequence, payload[...])
        return bytes + payload
    }

    private static func digest(_ sequence: UInt64, _ payload: ArraySlice<UInt8>) -> [UInt8] {
        var hash = SHA256()
        var head: [UInt8] = []
        head.append(bigEndian: sequence, width: 8)
        hash.update(data: head)
        hash.update(data: payload)
        return Array(hash.finalize().prefix(16))
    }

    /// The frame at the head of `bytes` and its length; nil when it is cut off or damaged.
    static func read(_ bytes: ArraySlice<UInt8>) -> (frame: JournalFrame, length: Int)? {
        guard bytes.count >= headLength, bytes.starts(with: magic) else { return nil }
        let length = Int(bytes.bigEndian(at: 4, width: 4))
        guard length <= limit, bytes.count - headLength >= length else { return nil }
        let sequence = bytes.bigEndian(at: 8, width: 8)
        let payload = bytes.dropFirst(headLength).prefix(length)
        guard bytes.dropFirst(16).prefix(16).elementsEqual(digest(sequence, payload)),
            let kind = payload.first, kind <= 1, let changes = changes(payload.dropFirst())
        else { return nil }
        return (JournalFrame(sequence: sequence, isSnapshot: kind == 0, changes: changes), headLength + length)
    }

    private static func changes(_ payload: ArraySlice<UInt8>) -> [JournalChange]? {
        var rest = payload
        var changes: [JournalChange] = []
        while let kind = rest.popFirst() {
            guard let name = take(&rest, width: 2, absent: nil) else { return nil }
            let value = take(&rest, width: 4, absent: 0xFFFF_FFFF)
            guard let value else { return nil }
            changes.append(JournalChange(JournalKey(kind: kind, name: name.bytes ?? []), value.bytes))
        }
        return changes
    }

    private static func take(
        _ rest: inout ArraySlice<UInt8>, width: Int, absent: UInt64?
    ) -> (bytes: [UInt8]?, Void)? {
        guard rest.count >= width else { return nil }
        let count = rest.bigEndian(at: 0, width: width)
        rest = rest.dropFirst(width)
        if count == absent { return (nil, ()) }
        guard UInt64(rest.count) >= count else { return nil }
        defer { rest = rest.dropFirst(Int(count)) }
        return (Array(rest.prefix(Int(count))), ())
    }
}

extension [UInt8] {
    /// Appends the low `width` bytes of a number, the highest first.
    mutating func append(bigEndian number: UInt64, width: Int) {
        for place in stride(from: (width - 1) * 8, through: 0, by: -8) {
            append(UInt8(truncatingIfNeeded: number >> UInt64(place)))
        }
    }
}

extension ArraySlice<UInt8> {
    /// The number in `width` bytes at an offset from the slice's start; the slice has them.
    func bigEndian(at offset: Int, width: Int) -> UInt64 {
        dropFirst(offset).prefix(width).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
