/// A network interface's name, checked as the kernel and the CNI specification want it: 1 to 15 bytes, not "." or "..",
/// no "/", ":" or white space.
public struct InterfaceName: Hashable, Sendable, CustomStringConvertible {
    /// Why a text is no interface name.
    public enum Violation: Error, Equatable, Sendable, CustomStringConvertible {
        /// No characters at all.
        case empty
        /// More than 15 bytes.
        case tooLong
        /// "." or "..".
        case dots
        /// "/", ":" or white space.
        case characters

        /// The reference library's wording.
        public var description: String {
            switch self {
            case .empty: "interface name is empty"
            case .tooLong: "interface name is too long"
            case .dots: "interface name is . or .."
            case .characters: "interface name contains / or : or whitespace characters"
            }
        }
    }

    /// The longest name in bytes (`IFNAMSIZ` less the final NUL).
    public static let maximumLength = 15

    /// The name.
    public let description: String

    /// Checks a name.
    public init(_ text: String) throws(Violation) {
        if text.isEmpty { throw .empty }
        if text.utf8.count > Self.maximumLength { throw .tooLong }
        if text == "." || text == ".." { throw .dots }
        // Scalars, not Characters: a combining mark must not hide the character before it.
        if text.unicodeScalars.contains(where: { "/:\0".unicodeScalars.contains($0) || $0.properties.isWhitespace }) {
            throw .characters
        }
        description = text
    }
}
