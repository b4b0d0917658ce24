/// Text made fit to be shown to people: what other hosts say, names and tags among it, may hold escape sequences that move the
/// cursor, change what stands on the screen or begin a line of a log that nobody wrote.
public enum ShownText {
    /// Text within a line: control and format characters, line breaks among them, are written as `\u{…}`.
    public static func line(_ text: String) -> String { escaped(text, keepingLines: false) { "\\u{\($0)}" } }

    /// Text of several lines, whose line feeds and tabs stay.
    public static func lines(_ text: String) -> String { escaped(text, keepingLines: true) { "\\u{\($0)}" } }

    /// A JSON document, where such characters stand in strings only: it stays the same document.
    public static func document(_ text: String) -> String {
        escaped(text, keepingLines: true) { digits in
            // What is beyond 16 bits takes two escapes, a surrogate pair.
            guard digits.count > 4, let value = UInt32(digits, radix: 16) else {
                return "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
            }
            let rest = value - 0x10000
            return "\\u" + String(0xD800 + rest >> 10, radix: 16) + "\\u" + String(0xDC00 + rest & 0x3FF, radix: 16)
        }
    }

    private static func escaped(_ text: String, keepingLines: Bool, _ escape: (String) -> String) -> String {
        guard text.unicodeScalars.contains(where: { !isShown($0, keepingLines) }) else { return text }
        var shown = ""
        for scalar in text.unicodeScalars {
            if isShown(scalar, keepingLines) {
                shown.unicodeScalars.append(scalar)
            } else {
                shown += escape(String(scalar.value, radix: 16))
            }
        }
        return shown
    }

    private static func isShown(_ scalar: Unicode.Scalar, _ keepingLines: Bool) -> Bool {
        if scalar.isASCII {
            if keepingLines, scalar == "\n" || scalar == "\t" { return true }
            return scalar.value >= 0x20 && scalar.value != 0x7F
        }
        switch scalar.properties.generalCategory {
        // Among the format characters are those that turn the direction of a line around.
        case .control, .format, .lineSeparator, .paragraphSeparator: return false
        default: return true
        }
    }
}
