/// Which packets a table sees (`NFPROTO_*`).
public enum TableFamily: UInt8, Hashable, Sendable, CaseIterable {
    /// IPv4 and IPv6.
    case inet = 1
    /// IPv4.
    case ip = 2
    /// Frames that a bridge forwards.
    case bridge = 7
    /// IPv6.
    case ip6 = 10

    /// The name `nft` gives it.
    public var name: String { "\(self)" }
}

/// A table: what `nft list table` shows.
public struct Table: Equatable, Sendable {
    /// A table's name within the namespace.
    public struct Identifier: Hashable, Sendable, CustomStringConvertible {
        /// The family.
        public let family: TableFamily
        /// The name.
        public let name: String

        /// Names a table.
        public init(_ family: TableFamily, _ name: String) {
            self.family = family
            self.name = name
        }

        /// For example "inet swiftlet".
        public var description: String { "\(family.name) \(name)" }
    }

    /// Family and name.
    public var identifier: Identifier
    /// A text for the reader, at most 127 bytes.
    public var comment: String?
    /// Sets and maps.
    public var sets: [ElementSet]
    /// Chains with their rules.
    public var chains: [Chain]

    /// Describes a table.
    public init(_ identifier: Identifier, comment: String? = nil, sets: [ElementSet] = [], chains: [Chain] = []) {
        self.identifier = identifier
        self.comment = comment
        self.sets = sets
        self.chains = chains
    }
}

/// Where and when a base chain is called.
public struct BaseHook: Hashable, Sendable {
    /// What the chain may do.
    public enum Kind: String, Sendable {
        /// Accept and drop.
        case filter
        /// Translate addresses; sees the first packet of each connection.
        case nat
        /// Route again after a change.
        case route
    }

    /// The place in the packet's way.
    public enum Hook: UInt32, Sendable {
        /// Before the routing decision (`NF_INET_PRE_ROUTING`).
        case prerouting = 0
        /// To a local process.
        case input = 1
        /// From an interface to another.
        case forward = 2
        /// From a local process.
        case output = 3
        /// After the routing decision.
        case postrouting = 4
    }

    /// What happens to a packet at the chain's end.
    public enum Policy: UInt32, Sendable {
        /// It is let go.
        case drop = 0
        /// It goes on.
        case accept = 1
    }

    /// The type.
    public let kind: Kind
    /// The hook.
    public let hook: Hook
    /// Lower is earlier; -100 is `dstnat`, 0 `filter`, 100 `srcnat` outside the bridge family.
    public let priority: Int32
    /// The policy.
    public let policy: Policy

    /// Describes a hook.
    public init(_ kind: Kind, _ hook: Hook, priority: Int32, policy: Policy = .accept) {
        self.kind = kind
        self.hook = hook
        self.priority = priority
        self.policy = policy
    }
}

/// A chain of rules: a base chain with a hook, or one that others jump to.
public struct Chain: Equatable, Sendable {
    /// The name within the table.
    public let name: String
    /// Nil for a chain that others jump to.
    public let hook: BaseHook?
    /// A text for the reader, at most 127 bytes.
    public let comment: String?
    /// The rules in order.
    public var rules: [Rule]

    /// Describes a chain.
    public init(_ name: String, hook: BaseHook? = nil, comment: String? = nil, rules: [Rule] = []) {
        self.name = name
        self.hook = hook
        self.comment = comment
        self.rules = rules
    }
}

/// One rule: statements that are carried out in order until one does not match.
public struct Rule: Hashable, Sendable {
    /// The statements.
    public let statements: [Statement]
    /// A text for the reader, at most 127 bytes; an owner's tag.
    public let comment: String?

    /// Describes a rule.
    public init(_ statements: Statement..., comment: String? = nil) {
        self.init(statements, comment: comment)
    }

    /// Describes a rule.
    public init(_ statements: [Statement], comment: String? = nil) {
        self.statements = statements
        self.comment = comment
    }
}

/// A set, or a map when it has a ``value`` type.
public struct ElementSet: Equatable, Sendable {
    /// How a set may be filled and looked up (`NFT_SET_*`).
    public struct Flags: OptionSet, Hashable, Sendable {
        /// The bits.
        public let rawValue: UInt32

        /// Makes flags of bits.
        public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// The elements never change once the set is in use (`NFT_SET_CONSTANT`).
        public static let constant = Flags(rawValue: 0x2)
        /// The elements are ranges (`NFT_SET_INTERVAL`).
        public static let interval = Flags(rawValue: 0x4)
    }

    /// What a map's values are.
    public enum ValueType: Hashable, Sendable {
        /// Verdicts.
        case verdict
        /// Data, joined by `.` when several.
        case data([DataType])
    }

    /// The name within the table.
    public let name: String
    /// The key's types, joined by `.` when several.
    public let key: [DataType]
    /// The value's type of a map; nil for a set.
    public let value: ValueType?
    /// Flags.
    public let flags: Flags
    /// The elements, in no particular order.
    public var elements: [Element]

    /// Describes a set.
    public init(
        _ name: String, key: [DataType], value: ValueType? = nil, flags: Flags = [], elements: [Element] = []
    ) {
        self.name = name
        self.key = key
        self.value = value
        self.flags = flags
        self.elements = elements
    }
}

/// An element of a set or map.
public struct Element: Hashable, Sendable {
    /// What a map's element leads to.
    public enum Value: Hashable, Sendable {
        /// A verdict.
        case verdict(Verdict)
        /// Data, joined by `.` when several.
        case data([Datum])
    }

    /// The key's parts.
    public let key: [Datum]
    /// The last key of a range, included; nil for one key.
    public let keyEnd: [Datum]?
    /// The value in a map.
    public let value: Value?
    /// A text, at most 127 bytes; an owner's tag.
    public let comment: String?

    /// Describes an element.
    public init(_ key: [Datum], through keyEnd: [Datum]? = nil, value: Value? = nil, comment: String? = nil) {
        self.key = key
        self.keyEnd = keyEnd
        self.value = value
        self.comment = comment
    }
}
