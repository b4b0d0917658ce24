internal import CJansson

/// Text that is not JSON, or is more than we take.
public struct SyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong, in jansson's words.
    public let reason: String
    /// Line of the error, from 1; 0 when it is not about a place.
    public let line: Int
    /// Column of the error.
    public let column: Int

    /// Describes a fault, at a place if it has one.
    public init(reason: String, line: Int = 0, column: Int = 0) {
        self.reason = reason
        self.line = line
        self.column = column
    }

    /// For example "'}' expected near end of file at line 1 column 8".
    public var description: String { line > 0 ? "\(reason) at line \(line) column \(column)" : reason }
}

extension Value {
    /// The deepest nesting ``init(parsing:)`` takes; real configurations have less than ten levels.
    public static var maximumDepth: Int { 256 }

    /// Parses one JSON text (RFC 8259), nothing but white space after it.
    ///
    /// A key that is repeated, spelt the same, keeps its last value at the place of the last occurrence, so that the
    /// order of members is always the order of the text and ``Object/value(caseInsensitive:)`` picks what Go picks.
    /// Numbers without fraction must fit 64 bits, the others a double; text must be UTF-8.
    /// - Throws: ``SyntaxError`` with the place.
    public init(parsing bytes: [UInt8]) throws(SyntaxError) {
        let tree: Tree
        do {
            tree = try Tree(bytes, flags: JSON_REJECT_DUPLICATES)
        } catch {
            guard case .duplicateKey = error else { throw error.error }
            self = try Self.parseDuplicates(bytes)
            return
        }
        self = try tree.value(suffix: 0)
    }

    /// Parses text in which an object repeats a key.
    ///
    /// jansson would keep the last value at the place of the first occurrence. Each key is made unique by a number at
    /// its end, which is cut off again while the tree is read.
    private static func parseDuplicates(_ bytes: [UInt8]) throws(SyntaxError) -> Value {
        // Once as it is: everything after the repeated key is still unchecked.
        let tree: Tree
        do {
            _ = try Tree(bytes, flags: 0)
            tree = try Tree(numberingKeys(bytes), flags: 0)
        } catch {
            throw error.error
        }
        return try tree.value(suffix: keyNumberWidth)
    }

    private static var keyNumberWidth: Int { 8 }

    /// Valid JSON text with a number of fixed width before the closing quote of each key.
    private static func numberingKeys(_ bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count * 2)
        var number: UInt32 = 0
        var isInString = false
        var isEscaped = false
        for (index, byte) in bytes.enumerated() {
            if isInString, byte == UInt8(ascii: "\""), !isEscaped {
                isInString = false
                // In valid text only a key is followed by a colon.
                let next = bytes[(index + 1)...].first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
                if next == UInt8(ascii: ":") {
                    let digits = String(number, radix: 16)
                    output.append(contentsOf: repeatElement(0x30, count: keyNumberWidth - digits.utf8.count))
                    output.append(contentsOf: digits.utf8)
                    number &+= 1
                }
            } else if isInString {
                isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
            } else if byte == UInt8(ascii: "\"") {
                isInString = true
            }
            output.append(byte)
        }
        return output
    }
}

/// A parsed text in jansson's memory.
@safe
private final class Tree {
    enum Failure: Error {
        case duplicateKey(SyntaxError)
        case syntax(SyntaxError)

        var error: SyntaxError {
            switch self {
            case .duplicateKey(let error), .syntax(let error): error
            }
        }
    }

    private let root: UnsafeMutablePointer<json_t>

    deinit { unsafe json_decref(root) }

    /// Hands jansson's hash a random number, once, which it would else open `/dev/urandom` for.
    private static let isSeeded: Bool = {
        // Swift's hashing has taken a random seed from the kernel already; 0 would mean "find one yourself".
        json_object_seed(Hasher().finalize() | 1)
        return true
    }()

    init(_ bytes: [UInt8], flags: Int32) throws(Failure) {
        _ = Self.isSeeded
        var error = json_error_t()
        let root = unsafe bytes.withUnsafeBytes { raw in
            unsafe json_loadb(
                raw.baseAddress?.assumingMemoryBound(to: CChar.self), raw.count,
                Int(JSON_DECODE_ANY | JSON_ALLOW_NUL | flags), &error)
        }
        if let root = unsafe root {
            unsafe self.root = root
            return
        }
        let text = unsafe withUnsafePointer(to: &error.text) { field in
            unsafe field.withMemoryRebound(to: CChar.self, capacity: Int(JSON_ERROR_TEXT_LENGTH)) {
                unsafe String(cString: $0)
            }
        }
        let place = SyntaxError(reason: text, line: max(0, Int(error.line)), column: max(0, Int(error.column)))
        let isDuplicate = unsafe json_error_code(&error) == json_error_duplicate_key
        throw isDuplicate ? .duplicateKey(place) : .syntax(place)
    }

    /// The whole tree as a value; the last `suffix` bytes of each key are not part of it.
    func value(suffix: Int) throws(SyntaxError) -> Value {
        try unsafe Self.value(root, suffix: suffix, depth: 1)
    }

    private static func value(
        _ node: UnsafeMutablePointer<json_t>, suffix: Int, depth: Int
    ) throws(SyntaxError) -> Value {
        switch unsafe node.pointee.type {
        case JSON_OBJECT: return .object(try unsafe object(node, suffix: suffix, depth: depth))
        case JSON_ARRAY:
            try checkDepth(depth)
            var elements: [Value] = []
            let count = unsafe json_array_size(node)
            elements.reserveCapacity(count)
            for index in 0..<count {
                if let element = unsafe json_array_get(node, index) {
                    elements.append(try unsafe value(element, suffix: suffix, depth: depth + 1))
                }
            }
            return .array(elements)
        case JSON_STRING:
            guard let text = unsafe json_string_value(node) else { return .string("") }
            return unsafe .string(string(text, count: json_string_length(node)))
        case JSON_INTEGER: return unsafe .integer(json_integer_value(node))
        case JSON_REAL: return unsafe .real(json_real_value(node))
        case JSON_TRUE: return .bool(true)
        case JSON_FALSE: return .bool(false)
        default: return .null
        }
    }

    private static func object(
        _ node: UnsafeMutablePointer<json_t>, suffix: Int, depth: Int
    ) throws(SyntaxError) -> Object {
        try checkDepth(depth)
        var members: [Object.Member] = []
        unsafe members.reserveCapacity(json_object_size(node))
        var iterator = unsafe json_object_iter(node)
        while let position = unsafe iterator {
            if let key = unsafe json_object_iter_key(position), let member = unsafe json_object_iter_value(position) {
                let name = unsafe string(key, count: json_object_iter_key_len(position) - suffix)
                members.append(
                    Object.Member(key: name, value: try unsafe value(member, suffix: suffix, depth: depth + 1)))
            }
            unsafe iterator = json_object_iter_next(node, position)
        }
        return suffix == 0 ? Object(distinct: members) : Object(lastOf: members)
    }

    private static func checkDepth(_ depth: Int) throws(SyntaxError) {
        if depth > Value.maximumDepth {
            throw SyntaxError(reason: "nested deeper than \(Value.maximumDepth) levels")
        }
    }

    /// jansson has checked that the bytes are UTF-8.
    private static func string(_ text: UnsafePointer<CChar>, count: Int) -> String {
        unsafe String(decoding: UnsafeRawBufferPointer(start: text, count: max(0, count)), as: UTF8.self)
    }
}
