/// Why bytes from the network were refused. A fault is counted and the bytes are dropped; it never ends a loop.
public enum WireFault: Error, Hashable, Sendable, CaseIterable {
    /// The bytes end before the message does.
    case truncated
    /// A msgpack value has another type than its field.
    case wrongType
    /// A number does not fit its field, or a field breaks its own rule.
    case badValue
    /// A length or a count is over the limit.
    case tooLarge
    /// Messages or values are nested too deeply.
    case tooDeep
    /// The message type is not known, or not allowed where it stands.
    case unknownType
    /// The CRC-32 does not match.
    case badChecksum
    /// The compressed bytes are not LZW, or name another algorithm.
    case badCompression
    /// No key opens the envelope.
    case undecryptable
    /// The bytes are in clear but the cluster is encrypted.
    case notEncrypted
    /// The label is missing, or is another cluster's.
    case wrongLabel
    /// Text is not UTF-8, or a node name is empty, too long or holds control characters.
    case badText
}
