/// Tags as node metadata: a magic byte and a msgpack map of strings.
enum Tags {
    static let magic: UInt8 = 0xFF
    /// The most bytes of metadata a node may announce.
    static let limit = 512

    /// The metadata of `tags`, in the order of their names.
    static func encode(_ tags: [String: String]) -> [UInt8] {
        var writer = MessagePackWriter(reserving: 64)
        writer.byte(magic)
        writer.map(tags.count)
        for (name, value) in tags.sorted(by: { $0.key < $1.key }) {
            writer.string(name)
            writer.string(value)
        }
        return writer.bytes
    }

    /// The tags of `meta`. Without the magic byte all of it is the tag `role`, as before tags existed; what cannot be
    /// read is no tags at all.
    static func decode(_ meta: [UInt8]) -> [String: String] {
        guard meta.first == magic else { return ["role": String(decoding: meta, as: UTF8.self)] }
        var reader = MessagePackReader(meta, 1..<meta.count)
        var tags: [String: String] = [:]
        do throws(WireFault) {
            for _ in 0..<(try reader.mapCount()) {
                let name = try reader.string()
                tags[name] = try reader.string()
            }
        } catch {
            return [:]
        }
        return tags
    }
}
