/// Who holds an address: one attachment of one network.
public struct Owner: Hashable, Sendable {
    /// The container's id without surrounding white space, as it is stored.
    public let containerID: String
    /// The interface's name inside the container.
    public let interfaceName: String

    /// Names an attachment; white space around the id is dropped.
    public init(containerID: String, interfaceName: String) {
        self.containerID = String(decoding: trimmed(Array(containerID.utf8)), as: UTF8.self)
        self.interfaceName = interfaceName
    }

    /// What a reservation file of this owner contains.
    var record: [UInt8] { Array("\(containerID)\r\n\(interfaceName)".utf8) }

    /// The owner a reservation file names; one of the old format has no interface.
    init(record: [UInt8]) {
        let lines = String(decoding: record, as: UTF8.self).split(separator: "\r\n", maxSplits: 1)
        self.init(
            containerID: lines.first.map(String.init) ?? "", interfaceName: lines.count > 1 ? String(lines[1]) : "")
    }

    /// What it contained before interfaces were recorded; still honoured.
    var oldRecord: [UInt8] { Array(containerID.utf8) }
}

/// Bytes without the ASCII white space and NULs around them; a file torn by a power cut may end in NULs.
func trimmed(_ bytes: [UInt8]) -> [UInt8] {
    func isBlank(_ byte: UInt8) -> Bool { byte == 0 || byte == 0x20 || (0x09...0x0D).contains(byte) }
    guard let first = bytes.firstIndex(where: { !isBlank($0) }), let last = bytes.lastIndex(where: { !isBlank($0) })
    else { return [] }
    return Array(bytes[first...last])
}
