/// Why bytes of the block ring were refused. A fault is counted and the bytes are dropped.
public enum BlockWireFault: Error, Hashable, Sendable, CaseIterable {
    /// The bytes end before the value does.
    case truncated
    /// A number, a length or a count is over its limit.
    case tooLarge
    /// A field breaks its own rule.
    case badValue
    /// A field that must be there is not.
    case missing
    /// A message of a later version, or of a kind that is not known.
    case unknownKind
    /// The checksum of saved bytes does not match.
    case badChecksum
}
