/// How JSON text is laid out.
public enum Layout: Sendable {
    /// One line, no spaces: `{"a":1}`.
    case compact
    /// Four spaces a level and `"key": value`, as the reference library prints results and errors.
    case indented
}

extension Value {
    /// The value as JSON text in UTF-8, no newline at the end. Object members keep their order.
    public func text(_ layout: Layout = .compact) -> String {
        var output = ""
        write(to: &output, layout, depth: 0)
        return output
    }

    private func write(to output: inout String, _ layout: Layout, depth: Int) {
        switch self {
        case .null: output += "null"
        case .bool(let value): output += value ? "true" : "false"
        case .integer(let value): output += String(value)
        case .real(let value): output += value.isFinite ? "\(value)" : "null"
        case .string(let value): Self.quote(value, to: &output)
        case .array(let elements):
            Self.list(elements, "[", "]", to: &output, layout, depth) { element, output in
                element.write(to: &output, layout, depth: depth + 1)
            }
        case .object(let object):
            Self.list(object.members, "{", "}", to: &output, layout, depth) { member, output in
                Self.quote(member.key, to: &output)
                output += layout == .indented ? ": " : ":"
                member.value.write(to: &output, layout, depth: depth + 1)
            }
        }
    }

    private static func list<Element>(
        _ elements: [Element], _ open: String, _ close: String, to output: inout String, _ layout: Layout, _ depth: Int,
        _ write: (Element, inout String) -> Void
    ) {
        output += open
        for (index, element) in elements.enumerated() {
            if index > 0 { output += "," }
            if layout == .indented { newLine(to: &output, depth + 1) }
            write(element, &output)
        }
        if layout == .indented, !elements.isEmpty { newLine(to: &output, depth) }
        output += close
    }

    private static func newLine(to output: inout String, _ depth: Int) {
        output += "\n" + String(repeating: "    ", count: depth)
    }

    private static func quote(_ text: String, to output: inout String) {
        output += "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\""
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\r": output += "\\r"
            case "\t": output += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                output += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: output.unicodeScalars.append(scalar)
            }
        }
        output += "\""
    }
}
