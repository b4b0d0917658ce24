/// The key=value pairs of `CNI_ARGS`, checked the way the reference plugins check them.
///
/// Pairs are separated by ";", each has exactly one "=" (so a final ";" is an error), keys are matched in their exact
/// case and a repeated key keeps its last value. A key the plugin does not know is an error unless `IgnoreUnknown` is
/// true, wherever it stands.
public struct CNIArguments: Sendable {
    private var pairs: [(key: String, value: String)] = []
    private let known: [String]

    /// Reads the variable.
    ///
    /// - Parameters:
    ///   - raw: `CNI_ARGS`; empty for none.
    ///   - known: the keys the plugin uses; `IgnoreUnknown` is always known.
    /// - Throws: code 999 in the reference library's words.
    public init(parsing raw: String, known: [String]) throws(CNIError) {
        self.known = known
        if raw.isEmpty { return }
        var ignoresUnknown = false
        var unknown: [String] = []
        for segment in raw.utf8.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false) {
            let pair = String(Substring(segment))
            let parts = segment.split(separator: UInt8(ascii: "="), omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw CNIError(CNIError.Code.internal, "ARGS: invalid pair \(pair.quoted)")
            }
            let (key, value) = (String(Substring(parts[0])), String(Substring(parts[1])))
            if key == "IgnoreUnknown" {
                guard let flag = Self.boolean(value) else {
                    throw Self.error(pair, "boolean unmarshal error: invalid input \(value.lowercased())")
                }
                ignoresUnknown = flag
            } else if known.contains(key) {
                pairs.append((key, value))
            } else {
                unknown.append(pair)
            }
        }
        if !unknown.isEmpty, !ignoresUnknown {
            throw CNIError(CNIError.Code.internal, "ARGS: unknown args \(unknown.quoted)")
        }
    }

    /// The value of a known key; nil when it was not given.
    public subscript(name: String) -> String? {
        pairs.last { $0.key == name }?.value
    }

    /// The error for a value the plugin cannot use (code 999), for example
    /// `ARGS: error parsing value of pair "IP=x": invalid IP address: x`.
    public func invalidValue(of name: String, _ reason: String) -> CNIError {
        Self.error("\(name)=\(self[name] ?? "")", reason)
    }

    private static func error(_ pair: String, _ reason: String) -> CNIError {
        CNIError(CNIError.Code.internal, "ARGS: error parsing value of pair \(pair.quoted): \(reason)")
    }

    private static func boolean(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "1", "true": true
        case "0", "false": false
        default: nil
        }
    }
}
