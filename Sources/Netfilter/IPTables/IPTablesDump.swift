/// A rule of iptables as its words, without the leading `-A CHAIN`.
public struct IPTablesRule: Hashable, Sendable {
    /// The words.
    public let words: [String]

    /// Joins words.
    public init(_ words: [String]) { self.words = words }

    /// The word behind an option.
    func value(_ options: String...) -> String? {
        guard let index = words.firstIndex(where: { options.contains($0) }), index + 1 < words.count else { return nil }
        return words[index + 1]
    }

    /// Where it jumps to.
    var target: String? { value("-j", "-g") }
    /// Its comment.
    var comment: String? { value("--comment") }

    /// The words as `iptables-restore` reads them.
    public var text: String { words.map(Self.quoted).joined(separator: " ") }

    private static func quoted(_ word: String) -> String {
        guard word.isEmpty || word.contains(where: { " \"'\\\t".contains($0) }) else { return word }
        return "\"" + word.map { "\"\\".contains($0) ? "\\\($0)" : String($0) }.joined() + "\""
    }
}

/// What `iptables-save` wrote: the rules by table and chain.
public struct IPTablesDump: Equatable, Sendable {
    /// A chain.
    struct Chain: Equatable, Sendable {
        var policy: String
        var rules: [IPTablesRule] = []
    }

    private(set) var tables: [String: [String: Chain]] = [:]

    /// An empty dump: no chains but the built-in ones.
    public init() {}

    /// Reads the output of `iptables-save`; lines that make no sense are passed over.
    public init(_ text: String) {
        var table = ""
        for line in text.split(separator: "\n") {
            switch line.first {
            case "*":
                table = String(line.dropFirst())
                tables[table, default: [:]] = [:]
            case ":":
                let words = line.dropFirst().split(separator: " ")
                guard words.count >= 2 else { continue }
                tables[table, default: [:]][String(words[0])] = Chain(policy: String(words[1]))
            case "-":
                let words = Self.words(line)
                guard words.count > 2, words[0] == "-A" else { continue }
                let rule = IPTablesRule(Array(words[2...]))
                tables[table, default: [:]][words[1], default: Chain(policy: "-")].rules.append(rule)
            default: continue
            }
        }
    }

    /// The rules of a chain; none when it is not there.
    func rules(_ table: String, _ chain: String) -> [IPTablesRule] { tables[table]?[chain]?.rules ?? [] }

    /// Whether a chain is there.
    func has(_ table: String, _ chain: String) -> Bool { tables[table]?[chain] != nil }

    /// The names of a table's chains, sorted.
    func chains(_ table: String) -> [String] { (tables[table] ?? [:]).keys.sorted() }

    /// A built-in chain's policy.
    func policy(_ table: String, _ chain: String) -> String? { tables[table]?[chain]?.policy }

    /// Splits a line at spaces; double quotes hold words together and a backslash keeps what follows.
    static func words(_ line: some StringProtocol) -> [String] {
        var words: [String] = []
        var word = ""
        var isOpen = false, isQuoted = false, isEscaped = false
        for character in line {
            if isEscaped {
                word.append(character)
                isEscaped = false
            } else if character == "\\", isQuoted {
                isEscaped = true
            } else if character == "\"" {
                isQuoted.toggle()
                isOpen = true
            } else if character == " ", !isQuoted {
                if isOpen { words.append(word) }
                word = ""
                isOpen = false
            } else {
                word.append(character)
                isOpen = true
            }
        }
        if isOpen { words.append(word) }
        return words
    }
}
