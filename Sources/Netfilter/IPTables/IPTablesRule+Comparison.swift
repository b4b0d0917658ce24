internal import NetworkTypes

extension IPTablesRule {
    /// What the rule says, whatever the order and the spelling its words are saved in: each option with its values, and "!"
    /// in front of those that are denied.
    var meaning: Set<[String]> {
        var meaning: Set<[String]> = []
        var rest = words[...]
        var isDenied = false
        while let word = rest.popFirst() {
            if word == "!" {
                isDenied = true
                continue
            }
            var values: [String] = []
            if word == "--comment" {
                // A comment may begin as an option does.
                if let text = rest.popFirst() { values = [text] }
            } else {
                while let next = rest.first, next != "!", !next.hasPrefix("-") { values.append(rest.removeFirst()) }
            }
            defer { isDenied = false }
            guard let option = Self.option(word, &values) else { continue }
            meaning.insert((isDenied ? ["!"] : []) + [option] + values)
        }
        return meaning
    }

    /// What the rule says but for its comment.
    var deed: Set<[String]> { meaning.filter { $0.first != "--comment" } }

    /// Whether the rule says the same.
    func means(_ other: IPTablesRule) -> Bool { self == other || meaning == other.meaning }

    /// An option's usual spelling and that of its values; nil when it says nothing.
    private static func option(_ word: String, _ values: inout [String]) -> String? {
        switch word {
        // The modules follow from the options.
        case "-m", "--match": return nil
        case "-s", "--source", "-d", "--destination":
            guard let first = values.first else { return word }
            if let prefix = IPPrefix(first) ?? IPAddress(first).map({ IPPrefix(host: $0) }) {
                // The whole of a family is not saved.
                if prefix.length == 0 { return nil }
                values = ["\(prefix.network)"]
            }
            return ["-s", "--source"].contains(word) ? "-s" : "-d"
        case "--destination-ports", "--destination-port", "--dport": return "--dports"
        case "--protocol": return "-p"
        case "--jump": return "-j"
        case "--ctstate":
            values = values.map { $0.split(separator: ",").sorted().joined(separator: ",") }
            return word
        default: return word
        }
    }
}
