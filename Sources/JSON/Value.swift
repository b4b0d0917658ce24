/// A JSON value (RFC 8259). Objects keep the order of their members.
public enum Value: Equatable, Sendable {
    /// `null`
    case null
    /// `true` or `false`
    case bool(Bool)
    /// A number without fraction or exponent that fits 64 bits.
    case integer(Int64)
    /// Any other number.
    case real(Double)
    /// A string.
    case string(String)
    /// An array.
    case array([Value])
    /// An object.
    case object(Object)

    /// What the value is called in messages: "string", "object", …
    public var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "boolean"
        case .integer, .real: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}

extension Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A number.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// A boolean.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// An array.
    public init(arrayLiteral elements: Value...) { self = .array(elements) }
    /// An object, members in the order written.
    public init(dictionaryLiteral elements: (String, Value)...) { self = .object(Object(elements)) }
    /// `null`.
    public init(nilLiteral: ()) { self = .null }
}

/// A JSON object: members in order, each key once.
public struct Object: Equatable, Sendable {
    /// One key with its value.
    public struct Member: Equatable, Sendable {
        /// The key, as spelt.
        public let key: String
        /// The value.
        public var value: Value
    }

    /// The members in order.
    public private(set) var members: [Member]
    /// The keys, spelt the same, that the parsed text had more than once in this object; for the few places where the
    /// last one must not silently win. Objects that differ in nothing else are equal.
    public private(set) var repeatedKeys: [String] = []

    /// An object of pairs; a repeated key replaces the earlier value.
    public init(_ pairs: [(String, Value)] = []) {
        members = []
        members.reserveCapacity(pairs.count)
        for (key, value) in pairs { self[key] = value }
    }

    /// An object of members that are known to be distinct.
    init(distinct members: [Member]) {
        self.members = members
    }

    /// An object in which, of members with the same key, only the last one stays, at its own place.
    init(lastOf repeated: [Member]) {
        var seen: Set<[UInt8]> = []
        var kept: [Member] = []
        for member in repeated.reversed() {
            if seen.insert(Array(member.key.utf8)).inserted {
                kept.append(member)
            } else if !repeatedKeys.contains(where: { Self.isSame($0, member.key) }) {
                repeatedKeys.append(member.key)
            }
        }
        members = kept.reversed()
    }

    /// Whether both have the same members in the same order.
    public static func == (left: Self, right: Self) -> Bool { left.members == right.members }

    /// The value of exactly this key; setting nil removes the member, setting a new key appends it.
    public subscript(key: String) -> Value? {
        get { members.first { Self.isSame($0.key, key) }?.value }
        set {
            let index = members.firstIndex { Self.isSame($0.key, key) }
            switch (index, newValue) {
            case (let index?, let value?): members[index].value = value
            case (let index?, nil): members.remove(at: index)
            case (nil, let value?): members.append(Member(key: key, value: value))
            case (nil, nil): break
            }
        }
    }

    /// The value of a key in any mix of ASCII cases, as every Go plugin reads its configuration; of several members
    /// whose keys differ only in case, the last one counts.
    public func value(caseInsensitive key: String) -> Value? {
        members.last { Self.isSameIgnoringCase($0.key, key) }?.value
    }

    /// Byte for byte: Swift's `==` would also accept another normal form of the same text.
    private static func isSame(_ left: String, _ right: String) -> Bool {
        left.utf8.count == right.utf8.count && left.utf8.elementsEqual(right.utf8)
    }

    private static func isSameIgnoringCase(_ left: String, _ right: String) -> Bool {
        left.utf8.count == right.utf8.count
            && left.utf8.elementsEqual(right.utf8) { lowercase($0) == lowercase($1) }
    }

    private static func lowercase(_ byte: UInt8) -> UInt8 {
        (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
    }
}
