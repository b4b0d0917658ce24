extension String {
    /// The text in double quotes with everything unprintable escaped, as the reference library quotes in messages
    /// (Go's `%q`).
    var quoted: String {
        var output = "\""
        for scalar in unicodeScalars {
            switch scalar {
            case "\"": output += "\\\""
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\r": output += "\\r"
            case "\t": output += "\\t"
            case "\u{7}": output += "\\a"
            case "\u{8}": output += "\\b"
            case "\u{B}": output += "\\v"
            case "\u{C}": output += "\\f"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F: output += "\\x" + Self.hex(scalar.value, 2)
            case _ where scalar.isASCII || scalar.isPrintable: output.unicodeScalars.append(scalar)
            case _ where scalar.value <= 0xFFFF: output += "\\u" + Self.hex(scalar.value, 4)
            default: output += "\\U" + Self.hex(scalar.value, 8)
            }
        }
        return output + "\""
    }

    private static func hex(_ number: UInt32, _ width: Int) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: Swift.max(0, width - digits.utf8.count)) + digits
    }
}

extension Unicode.Scalar {
    fileprivate var isPrintable: Bool {
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            false
        default: true
        }
    }
}

extension [String] {
    /// The texts quoted, between brackets, separated by spaces.
    var quoted: String { "[" + map(\.quoted).joined(separator: " ") + "]" }
}
