/// What `iptables-restore --noflush` is to do, table by table: the lines between `*nat` and `COMMIT`.
public struct IPTablesScript: Equatable, Sendable {
    private var lines: [String: [String]] = [:]
    private var declared: Set<String> = []

    /// A script that does nothing.
    public init() {}

    /// Whether there is nothing to do.
    public var isEmpty: Bool { lines.isEmpty }

    /// The first line that would be several, or something else, to who reads it; nil when all are what they should be.
    ///
    /// Names come from configurations and results. What is known of them is checked there; this is the last look.
    var unfitLine: String? {
        lines.values.lazy.joined().first { line in line.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F }
        }
    }

    /// The text for `iptables-restore`.
    public var text: String {
        ["filter", "nat"].filter { lines[$0] != nil }.map { table in
            "*\(table)\n" + (lines[table] ?? []).map { $0 + "\n" }.joined() + "COMMIT\n"
        }.joined()
    }

    /// Makes a chain, or empties the one that is there.
    mutating func declare(_ table: String, _ chain: String) {
        guard declared.insert("\(table) \(chain)").inserted else { return }
        lines[table, default: []].append(":\(chain) - [0:0]")
    }

    /// Makes a chain; the whole table's change is refused when somebody else was faster. To empty a chain that others
    /// have just begun to use would lose their rules.
    mutating func create(_ table: String, _ chain: String) {
        guard declared.insert("\(table) \(chain)").inserted else { return }
        lines[table, default: []].append("-N \(chain)")
    }

    /// Whether the script makes the chain.
    func declares(_ table: String, _ chain: String) -> Bool { declared.contains("\(table) \(chain)") }

    mutating func append(_ table: String, _ chain: String, _ rule: IPTablesRule) {
        lines[table, default: []].append("-A \(chain) \(rule.text)")
    }

    mutating func prepend(_ table: String, _ chain: String, _ rule: IPTablesRule) {
        lines[table, default: []].append("-I \(chain) 1 \(rule.text)")
    }

    mutating func delete(_ table: String, _ chain: String, _ rule: IPTablesRule) {
        lines[table, default: []].append("-D \(chain) \(rule.text)")
    }

    mutating func remove(_ table: String, _ chain: String) {
        lines[table, default: []] += ["-F \(chain)", "-X \(chain)"]
    }
}
