/// What bytes are no D-Bus message, or what cannot be made one.
package struct WireError: Error, Equatable {
    package let reason: String

    init(_ reason: String) {
        self.reason = reason
    }

    static let truncated = WireError("it ends early")
    static let tooDeep = WireError("types are nested too deeply")
}

/// Type signatures: what comes after what in a message.
enum Signature {
    /// The most bytes a signature may have.
    static let longest = 255
    /// How deep types and variants may be nested, together: 32 arrays and 32 structures by the specification.
    static let deepest = 64

    /// Checks that a signature is a row of complete types.
    static func check(_ signature: [UInt8]) throws(WireError) {
        guard signature.count <= longest else { throw WireError("a signature is longer than 255 bytes") }
        var rest = signature[...]
        while !rest.isEmpty { rest = rest.dropFirst(try completeType(rest).count) }
    }

    /// The first complete type of a signature that is not empty: "a{sv}" of "a{sv}u".
    static func completeType(_ signature: ArraySlice<UInt8>) throws(WireError) -> ArraySlice<UInt8> {
        signature.prefix(try length(signature, depth: 0))
    }

    /// Whether the code is that of a type without parts.
    private static func isBasic(_ code: UInt8?) -> Bool {
        code.map { "ybnqiuxtdsogh".utf8.contains($0) } ?? false
    }

    private static func length(_ signature: ArraySlice<UInt8>, depth: Int) throws(WireError) -> Int {
        guard depth < deepest else { throw .tooDeep }
        let rest = signature.dropFirst()
        switch signature.first {
        case UInt8(ascii: "a"):
            guard rest.first == UInt8(ascii: "{") else { return 1 + (try length(rest, depth: depth + 1)) }
            let entry = rest.dropFirst()
            guard isBasic(entry.first) else { throw WireError("a dictionary's key is not of a basic type") }
            let value = try length(entry.dropFirst(), depth: depth + 2)
            guard entry.dropFirst(1 + value).first == UInt8(ascii: "}") else {
                throw WireError("a dictionary's entry has no end")
            }
            return 4 + value
        case UInt8(ascii: "("):
            var members = 0
            while rest.dropFirst(members).first != UInt8(ascii: ")") {
                members += try length(rest.dropFirst(members), depth: depth + 1)
            }
            guard members > 0 else { throw WireError("a structure is empty") }
            return 2 + members
        case UInt8(ascii: "v"):
            return 1
        case let code:
            guard isBasic(code) else { throw WireError("a signature has no such type") }
            return 1
        }
    }

    /// To how many bytes values of a type are aligned.
    static func alignment(_ code: UInt8?) -> Int {
        switch code {
        case UInt8(ascii: "n"), UInt8(ascii: "q"): 2
        case UInt8(ascii: "b"), UInt8(ascii: "i"), UInt8(ascii: "u"), UInt8(ascii: "h"), UInt8(ascii: "s"),
            UInt8(ascii: "o"), UInt8(ascii: "a"):
            4
        case UInt8(ascii: "x"), UInt8(ascii: "t"), UInt8(ascii: "d"), UInt8(ascii: "("), UInt8(ascii: "{"): 8
        default: 1
        }
    }

    /// Checks an object path: "/" or elements of letters, digits and "_", each after a "/".
    static func checkPath(_ path: String) throws(WireError) {
        let bytes = Array(path.utf8)
        let elements = bytes.dropFirst().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let isPath =
            bytes == [UInt8(ascii: "/")]
            || bytes.first == UInt8(ascii: "/") && elements.allSatisfy { !$0.isEmpty && $0.allSatisfy(isNameByte) }
        guard isPath else { throw WireError("\"\(path)\" is no object path") }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
