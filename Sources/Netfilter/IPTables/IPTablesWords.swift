/// What may be said to iptables in the words of a configuration. `iptables-restore` reads a line for each command, so that a
/// line break in a word would begin another one.
public enum IPTablesWords {
    /// Options that are commands, or say where a packet goes: those are ours to say. The letters of the short ones.
    private static let ownLetters = Set("jgtADCIRLSFZNXPEVhMcnxvw")
    /// The long ones; iptables takes their beginnings, too.
    private static let ownOptions = [
        "--jump", "--goto", "--table", "--append", "--delete", "--delete-chain", "--check", "--insert", "--replace",
        "--list", "--list-rules", "--flush", "--zero", "--new-chain", "--policy", "--rename-chain", "--version",
        "--help", "--modprobe", "--set-counters", "--wait", "--verbose", "--numeric", "--exact", "--line-numbers",
    ]
    /// The targets that every table has, and the kernel's chains.
    private static let taken: Set<String> = [
        "ACCEPT", "DROP", "RETURN", "QUEUE", "INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING",
    ]
    /// The longest name of a chain, in bytes.
    private static let longestChain = 28

    /// Why a text is no name for a chain of the user's; nil when it is one.
    public static func problem(ofChain name: String) -> String? {
        if let problem = problem(ofText: name) { return problem }
        if name.utf8.count > longestChain { return "\"\(name)\" is longer than \(longestChain) bytes" }
        if name.hasPrefix("-") || name.hasPrefix("!") {
            return "\"\(name)\" begins with \"-\" or \"!\", which no chain's name does"
        }
        if let mark = name.first(where: { " ,\"'\\".contains($0) }) {
            return "\"\(name)\" has \"\(mark)\" in it, which no chain's name has"
        }
        if taken.contains(name) || IPTablesNames.shared.contains(name) {
            return "\"\(name)\" is a chain or target of iptables or of this suite; name a chain of your own"
        }
        return nil
    }

    /// Why words are no further condition of a rule; nil when they are. Each text is split as a shell would.
    public static func problem(ofCondition text: String) -> String? {
        if let problem = problem(ofText: text) { return problem }
        for word in IPTablesDump.words(text) where word.hasPrefix("-") {
            let option = word.prefix { $0 != "=" }
            if word.hasPrefix("--") ? ownOptions.contains(where: { $0.hasPrefix(option) }) : isOwn(word.dropFirst()) {
                return
                    "\"\(word)\" is no condition: what is done with a packet, and where, is not for conditions to say"
            }
        }
        return nil
    }

    /// Whether the letters behind a "-" are a command of ours, or may have one behind a letter that takes no value.
    private static func isOwn(_ letters: Substring) -> Bool {
        guard let first = letters.first else { return true }
        return ownLetters.contains(first) || ("f46".contains(first) && letters.count > 1)
    }

    private static func problem(ofText text: String) -> String? {
        let control = text.unicodeScalars.first { $0.value < 0x20 || $0.value == 0x7F }
        guard let control else { return nil }
        let number = String(control.value, radix: 16)
        return "there is a control character (U+\(String(repeating: "0", count: 4 - number.count))\(number)) in it"
    }
}
