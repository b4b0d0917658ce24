/// An argument or result of a method: the types the suite needs of those D-Bus has.
public indirect enum BusValue: Equatable, Sendable {
    /// `b`
    case boolean(Bool)
    /// `u`
    case uint32(UInt32)
    /// `s`; must not hold a NUL.
    case string(String)
    /// `o`, for example "/org/freedesktop/DBus".
    case objectPath(String)
    /// `g`, for example "a(yv)".
    case signature(String)
    /// `as`
    case strings([String])
    /// `v`: a value that says what type it is.
    case variant(BusValue)

    /// The value's type in a signature.
    public var typeCode: String {
        switch self {
        case .boolean: "b"
        case .uint32: "u"
        case .string: "s"
        case .objectPath: "o"
        case .signature: "g"
        case .strings: "as"
        case .variant: "v"
        }
    }

    /// The truth value, nil when it is none.
    public var boolean: Bool? { if case .boolean(let value) = self { value } else { nil } }

    /// The text of a string, an object path or a signature, nil when it is none.
    public var text: String? {
        switch self {
        case .string(let text), .objectPath(let text), .signature(let text): text
        default: nil
        }
    }
}
