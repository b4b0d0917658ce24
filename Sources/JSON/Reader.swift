/// A value that is not what a configuration wants at that place.
public struct DecodingError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What kind of fault it is; they carry different CNI codes.
    public enum Kind: Equatable, Sendable {
        /// The wrong JSON type (code 6).
        case type
        /// The right type with a value that makes no sense (code 7).
        case value
        /// A known field this plugin or version does not support (code 2).
        case unsupported
    }

    /// The place, for example "ipam.ranges[0][1].gateway"; empty for the whole document.
    public let path: String
    /// What is wrong and, where it helps, the remedy.
    public let reason: String
    /// The kind of fault.
    public let kind: Kind
    /// Whether `reason` already says it all in words clients match on, so that the path goes elsewhere.
    public let isVerbatim: Bool

    /// Describes a fault at a place.
    public init(path: String, reason: String, kind: Kind = .value, isVerbatim: Bool = false) {
        self.path = path
        self.reason = reason
        self.kind = kind
        self.isVerbatim = isVerbatim
    }

    /// For example "mtu: expected an integer, found a string".
    public var description: String { path.isEmpty || isVerbatim ? reason : "\(path): \(reason)" }
}

/// A cursor into a JSON document that remembers where it is, for messages.
///
/// Keys match in any case and `null` counts as absent, as the reference plugins read their configuration.
public struct Reader: Sendable {
    /// The place in the document, for example "ipam.ranges[0]".
    public let path: String
    /// The value at that place; nil when absent or `null`.
    public let value: Value?

    /// A reader at the root of a document.
    public init(_ value: Value?, path: String = "") {
        self.path = path
        if case .null? = value { self.value = nil } else { self.value = value }
    }

    /// Whether there is a value.
    public var isPresent: Bool { value != nil }

    /// A fault at this place.
    public func error(_ reason: String, kind: DecodingError.Kind = .value, verbatim: Bool = false) -> DecodingError {
        DecodingError(path: path, reason: reason, kind: kind, isVerbatim: verbatim)
    }

    private func mismatch(_ expected: String) -> DecodingError {
        error("expected \(expected), found \(value.map { article($0.typeName) } ?? "nothing")", kind: .type)
    }

    private func article(_ noun: String) -> String {
        noun == "null" ? noun : (noun.first.map("aeiou".contains) == true ? "an " : "a ") + noun
    }

    /// The member `key` of the object here; absent when there is no object.
    ///
    /// - Throws: a type fault when there is something other than an object.
    public func member(_ key: String) throws(DecodingError) -> Reader {
        let place = path.isEmpty ? key : "\(path).\(key)"
        guard let object = try object() else { return Reader(nil, path: place) }
        return Reader(object.value(caseInsensitive: key), path: place)
    }

    /// The object here, nil when absent.
    public func object() throws(DecodingError) -> Object? {
        switch value {
        case nil: return nil
        case .object(let object)?: return object
        default: throw mismatch("an object")
        }
    }

    /// The elements of the array here, each with its own place; empty when absent.
    public func elements() throws(DecodingError) -> [Reader] {
        switch value {
        case nil: return []
        case .array(let elements)?:
            return elements.enumerated().map { Reader($0.element, path: "\(path)[\($0.offset)]") }
        default: throw mismatch("an array")
        }
    }

    /// The string here, nil when absent.
    public func string() throws(DecodingError) -> String? {
        switch value {
        case nil: return nil
        case .string(let text)?: return text
        default: throw mismatch("a string")
        }
    }

    /// The boolean here, nil when absent. A string is refused, as the reference plugins refuse it.
    public func bool() throws(DecodingError) -> Bool? {
        switch value {
        case nil: return nil
        case .bool(let flag)?: return flag
        default: throw mismatch("a boolean")
        }
    }

    /// The integer here, nil when absent.
    public func integer() throws(DecodingError) -> Int64? {
        switch value {
        case nil: return nil
        case .integer(let number)?: return number
        // 1e3 is an integer in JSON's terms only when it has no fraction; Go refuses both spellings.
        case .real?: throw mismatch("an integer")
        default: throw mismatch("an integer")
        }
    }

    /// The integer here within `range`, nil when absent.
    public func integer(in range: ClosedRange<Int64>) throws(DecodingError) -> Int64? {
        guard let number = try integer() else { return nil }
        guard range.contains(number) else {
            throw error("must be between \(range.lowerBound) and \(range.upperBound), not \(number)")
        }
        return number
    }

    /// The strings of the array here; empty when absent.
    public func strings() throws(DecodingError) -> [String] {
        var texts: [String] = []
        for element in try elements() {
            guard let text = try element.string() else { throw element.mismatch("a string") }
            texts.append(text)
        }
        return texts
    }
}
