/// Why a body from another host was refused. A fault is counted and the body is dropped.
public enum TableFault: Error, Hashable, Sendable, CaseIterable {
    /// The bytes end before the message does, or go on after it.
    case length
    /// It is of a version that is not spoken here.
    case version
    /// A number, a key or a text breaks the rule of its field.
    case value
    /// A length or a count is over its limit.
    case tooLarge
}
