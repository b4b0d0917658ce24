/// The key=value pairs of `CNI_ARGS`.
///
/// Pairs are separated by ";", an empty one is passed over, and the first "=" of a pair ends its key. Keys are matched in
/// their exact case and a repeated key keeps its last value. What the plugin does not know, a pair or a bare word, is an
/// error unless `IgnoreUnknown` is true, wherever it stands.
public struct CNIArguments: Sendable {
    private var pairs: [(key: String, value: String)] = []

    /// Reads the variable.
    ///
    /// - Parameters:
    ///   - raw: `CNI_ARGS`; empty for none.
    ///   - known: the keys the plugin uses; `IgnoreUnknown` is always known.
    /// - Throws: code 4; the message has the reference library's words.
    public init(parsing raw: String, known: [String]) throws(CNIError) {
        if raw.isEmpty { return }
        var ignoresUnknown = false
        var unknown: [String] = []
        var malformed: String?
        for segment in raw.utf8.split(separator: UInt8(ascii: ";")) {
            let pair = String(Substring(segment))
            let key: String
            let value: String?
            // By bytes: as a Character, "=" and a combining mark after it would be one and no separator.
            if let equals = segment.firstIndex(of: UInt8(ascii: "=")) {
                key = String(Substring(segment[..<equals]))
                value = String(Substring(segment[segment.index(after: equals)...]))
            } else {
                (key, value) = (pair, nil)
            }
            if key == "IgnoreUnknown" {
                guard let value, let flag = Self.boolean(value) else {
                    throw Self.unreadable(pair, value ?? "")
                }
                ignoresUnknown = flag
            } else if known.contains(key) {
                guard let value else { throw Self.malformed(pair) }
                pairs.append((key, value))
            } else if value == nil || key.isEmpty {
                malformed = malformed ?? pair
            } else {
                unknown.append(pair)
            }
        }
        if ignoresUnknown { return }
        if let malformed { throw Self.malformed(malformed) }
        if !unknown.isEmpty {
            throw CNIError(
                CNIError.Code.invalidEnvironment, "CNI_ARGS: unknown args \(unknown.quoted)",
                details: "known are \(known.joined(separator: ", ")); IgnoreUnknown=1 passes over all others")
        }
    }

    /// The value of a known key; nil when it was not given.
    public subscript(name: String) -> String? {
        pairs.last { $0.key == name }?.value
    }

    private static func malformed(_ pair: String) -> CNIError {
        CNIError(
            CNIError.Code.invalidEnvironment, "CNI_ARGS: invalid pair \(pair.quoted)",
            details: "write KEY=VALUE, pairs separated by \";\"")
    }

    private static func unreadable(_ pair: String, _ value: String) -> CNIError {
        CNIError(
            CNIError.Code.invalidEnvironment,
            "CNI_ARGS: error parsing value of pair \(pair.quoted): boolean unmarshal error: invalid input "
                + value.lowercased(), details: "write IgnoreUnknown=1 or IgnoreUnknown=0")
    }

    /// The spellings of Go's `strconv.ParseBool`, in any case.
    private static func boolean(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "1", "t", "true": true
        case "0", "f", "false": false
        default: nil
        }
    }
}
