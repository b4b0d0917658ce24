/// A regular expression of a query's tag filter, matched anywhere in the text in time linear in both, whatever a remote
/// node sends. Understood: literals, `.`, `[…]`, `\d \w \s` and their opposites, `( )`, `|`, `* + ?`, `^`, `$`.
struct TagExpression: Sendable {
    private enum Part: Sendable {
        case any
        case byte(UInt8)
        case set([Bool])
        case start
        case end
        case match
        case jump(Int)
        case split(Int, Int)
    }

    private static let lengthLimit = 256

    private var program: [Part] = []

    /// Compiles an expression; nil when it has another form.
    init?(_ text: String) {
        guard text.utf8.count <= Self.lengthLimit else { return nil }
        var source = Array(text.utf8)[...]
        guard let body = Self.alternatives(&source, depth: 0), source.isEmpty else { return nil }
        program = body + [.match]
    }

    /// Whether some part of the text matches.
    func matches(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        var current: [Int] = []
        var marks = [Int](repeating: -1, count: program.count)
        for position in 0...bytes.count {
            var next: [Int] = []
            // The expression may begin at every position.
            add(0, to: &current, &marks, position, bytes.count)
            for counter in current {
                let byte = position < bytes.count ? bytes[position] : nil
                let passes =
                    switch program[counter] {
                    case .match: true
                    case .any: byte != nil && byte != 0x0A
                    case .byte(let wanted): byte == wanted
                    case .set(let set): byte.map { set[Int($0)] } ?? false
                    default: false
                    }
                guard passes else { continue }
                if case .match = program[counter] { return true }
                next.append(counter + 1)
            }
            current = []
            for counter in next { add(counter, to: &current, &marks, position + 1, bytes.count) }
        }
        return false
    }

    /// Follows what takes no byte. `marks` holds the position at which a part was added last.
    private func add(_ counter: Int, to list: inout [Int], _ marks: inout [Int], _ position: Int, _ count: Int) {
        var stack = [counter]
        while let counter = stack.popLast() {
            guard marks[counter] != position else { continue }
            marks[counter] = position
            switch program[counter] {
            case .jump(let offset): stack.append(counter + offset)
            case .split(let first, let second): stack += [counter + second, counter + first]
            case .start: if position == 0 { stack.append(counter + 1) }
            case .end: if position == count { stack.append(counter + 1) }
            default: list.append(counter)
            }
        }
    }

    // MARK: Parsing

    private static func alternatives(_ source: inout ArraySlice<UInt8>, depth: Int) -> [Part]? {
        guard depth < 16, var left = sequence(&source, depth: depth) else { return nil }
        while source.first == UInt8(ascii: "|") {
            source.removeFirst()
            guard let right = sequence(&source, depth: depth) else { return nil }
            left = [.split(1, left.count + 2)] + left + [.jump(right.count + 1)] + right
        }
        return left
    }

    private static func sequence(_ source: inout ArraySlice<UInt8>, depth: Int) -> [Part]? {
        var parts: [Part] = []
        while let byte = source.first, byte != UInt8(ascii: "|"), byte != UInt8(ascii: ")") {
            guard var atom = atom(&source, depth: depth) else { return nil }
            switch source.first {
            case UInt8(ascii: "*"): atom = [.split(1, atom.count + 2)] + atom + [.jump(-atom.count - 1)]
            case UInt8(ascii: "+"): atom += [.split(-atom.count, 1)]
            case UInt8(ascii: "?"): atom = [.split(1, atom.count + 1)] + atom
            default:
                parts += atom
                continue
            }
            source.removeFirst()
            parts += atom
        }
        return parts
    }

    private static func atom(_ source: inout ArraySlice<UInt8>, depth: Int) -> [Part]? {
        guard let byte = source.popFirst() else { return nil }
        switch byte {
        case UInt8(ascii: "("):
            if source.starts(with: "?:".utf8) { source = source.dropFirst(2) }
            guard let body = alternatives(&source, depth: depth + 1), source.popFirst() == UInt8(ascii: ")") else {
                return nil
            }
            return body
        case UInt8(ascii: "["): return set(&source)
        case UInt8(ascii: "."): return [.any]
        case UInt8(ascii: "^"): return [.start]
        case UInt8(ascii: "$"): return [.end]
        case UInt8(ascii: "\\"):
            guard let escaped = source.popFirst() else { return nil }
            if let members = escapedSet(escaped) { return [.set(members)] }
            return isAlphanumeric(escaped) ? nil : [.byte(escaped)]
        case UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "?"), UInt8(ascii: "{"), UInt8(ascii: ")"):
            return nil
        default: return [.byte(byte)]
        }
    }

    private static func set(_ source: inout ArraySlice<UInt8>) -> [Part]? {
        var members = [Bool](repeating: false, count: 256)
        let isNegated = source.first == UInt8(ascii: "^")
        if isNegated { source.removeFirst() }
        var isFirst = true
        while let byte = source.popFirst() {
            if byte == UInt8(ascii: "]"), !isFirst { return [.set(isNegated ? members.map(!) : members)] }
            isFirst = false
            var low = byte
            if byte == UInt8(ascii: "\\") {
                guard let escaped = source.popFirst() else { return nil }
                if let more = escapedSet(escaped) {
                    for index in members.indices where more[index] { members[index] = true }
                    continue
                }
                if isAlphanumeric(escaped) { return nil }
                low = escaped
            }
            var high = low
            if source.first == UInt8(ascii: "-"), source.dropFirst().first != UInt8(ascii: "]") {
                source.removeFirst()
                guard let end = source.popFirst(), end >= low, end != UInt8(ascii: "\\") else { return nil }
                high = end
            }
            for index in Int(low)...Int(high) { members[index] = true }
        }
        return nil
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }

    private static func escapedSet(_ byte: UInt8) -> [Bool]? {
        let members: [Bool]
        switch byte | 0x20 {
        case UInt8(ascii: "d"): members = (0..<256).map { (0x30...0x39).contains($0) }
        case UInt8(ascii: "w"): members = (0..<256).map { $0 == 0x5F || isAlphanumeric(UInt8($0)) }
        case UInt8(ascii: "s"): members = (0..<256).map { [0x09, 0x0A, 0x0C, 0x0D, 0x20].contains($0) }
        default: return nil
        }
        return byte & 0x20 == 0 ? members.map(!) : members
    }
}
