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
        var output: [UInt8] = []
        output.reserveCapacity(1024)
        write(to: &output, layout, depth: 0)
        return String(decoding: output, as: UTF8.self)
    }

    private func write(to output: inout [UInt8], _ layout: Layout, depth: Int) {
        switch self {
        case .null: output += "null".utf8
        case .bool(let value): output += (value ? "true" : "false").utf8
        case .integer(let value): output += String(value).utf8
        case .real(let value): output += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let value): Self.quote(value, to: &output)
        case .array(let elements):
            output.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                Self.separate(index, &output, layout, depth)
                element.write(to: &output, layout, depth: depth + 1)
            }
            if layout == .indented, !elements.isEmpty { Self.newLine(to: &output, depth) }
            output.append(UInt8(ascii: "]"))
        case .object(let object):
            output.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                Self.separate(index, &output, layout, depth)
                Self.quote(member.key, to: &output)
                output += (layout == .indented ? ": " : ":").utf8
                member.value.write(to: &output, layout, depth: depth + 1)
            }
            if layout == .indented, !object.members.isEmpty { Self.newLine(to: &output, depth) }
            output.append(UInt8(ascii: "}"))
        }
    }

    /// What goes before the element of that number.
    private static func separate(_ index: Int, _ output: inout [UInt8], _ layout: Layout, _ depth: Int) {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        if layout == .indented { newLine(to: &output, depth + 1) }
    }

    private static func newLine(to output: inout [UInt8], _ depth: Int) {
        output.append(UInt8(ascii: "\n"))
        for _ in 0..<4 * depth { output.append(UInt8(ascii: " ")) }
    }

    /// By bytes: what has to be escaped is ASCII, and no byte of a longer UTF-8 sequence is.
    private static func quote(_ text: String, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""): output += "\\\"".utf8
            case UInt8(ascii: "\\"): output += "\\\\".utf8
            case UInt8(ascii: "\n"): output += "\\n".utf8
            case UInt8(ascii: "\r"): output += "\\r".utf8
            case UInt8(ascii: "\t"): output += "\\t".utf8
            case 0..<0x20, 0x7F:
                output += (byte < 0x10 ? "\\u000" : "\\u00").utf8
                output += String(byte, radix: 16).utf8
            default: output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }
}
