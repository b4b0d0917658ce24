internal import CNI
internal import System

/// The administrator's list of the kernel parameters that configurations may set: one POSIX extended regular expression
/// (regex(7)) a line, empty lines passed over.
struct AllowList {
    private let lines: [(text: String, expression: RegularExpression)]

    /// Compiles a list.
    ///
    /// - Parameters:
    ///   - path: where it is from, for messages.
    ///   - isAnchored: whether a line must match a whole key; else it may match anywhere inside one.
    /// - Throws: code 7, naming the line that is no expression, or not the one its author means.
    init(_ text: String, path: String, isAnchored: Bool) throws(CNIError) {
        var lines: [(String, RegularExpression)] = []
        for (index, bytes) in text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            let line = String(decoding: bytes.last == 0x0D ? bytes.dropLast() : bytes, as: UTF8.self)
            if line.isEmpty { continue }
            func refusal(_ reason: String) -> CNIError {
                CNIError(CNIError.Code.invalidConfiguration, "\(path) line \(index + 1): \"\(line)\": \(reason)")
            }
            if let reason = Self.misunderstanding(line) { throw refusal(reason) }
            do {
                // By itself first: "a)(b" would be an expression only with our parentheses around it.
                let expression = try RegularExpression(line)
                lines.append((line, isAnchored ? try RegularExpression("^(\(line))$") : expression))
            } catch {
                throw refusal("\(error)")
            }
        }
        self.lines = lines
    }

    /// Reads the list of a file; nil when there is none, which allows everything.
    ///
    /// - Throws: code 7 as above; code 5 when it cannot be read: a list nobody can see allows nothing.
    static func read(_ path: String, isAnchored: Bool) throws(CNIError) -> AllowList? {
        let text: String
        do {
            text = try Files.text(path)
        } catch {
            if error.errno == .noSuchFileOrDirectory || error.errno == .notDirectory { return nil }
            throw CNIError(CNIError.Code.inputOutput, "the list of allowed sysctls is not readable: \(error)")
        }
        return try AllowList(text, path: path, isAnchored: isAnchored)
    }

    /// Fails unless every key, as spelt in the configuration, matches a line.
    func check(_ settings: [TuningConfiguration.Setting]) throws(CNIError) {
        for setting in settings where !lines.contains(where: { $0.expression.matches(setting.key.text) }) {
            let allowed = lines.map(\.text).joined(separator: " ")
            throw CNIError(
                CNIError.Code.invalidConfiguration,
                "Sysctl \(setting.key.text) is not allowed. Only the following sysctls are allowed: [\(allowed)]")
        }
    }

    /// What the reference plugin's expressions (RE2) know and ours do not, or understand in another way; nil when there is
    /// nothing of the kind. An allow-list must not be read otherwise than it was written.
    private static func misunderstanding(_ line: String) -> String? {
        let bytes = Array(line.utf8)
        var index = 0
        var isInList = false
        while index < bytes.count {
            let (byte, next) = (bytes[index], index + 1 < bytes.count ? bytes[index + 1] : 0)
            if isInList {
                if byte == UInt8(ascii: "\\") { return "a backslash means nothing between brackets; leave it out" }
                isInList = byte != UInt8(ascii: "]")
            } else if byte == UInt8(ascii: "\\") {
                let character = Character(Unicode.Scalar(next))
                if character.isLetter && !"wWsSbB".contains(character) || character.isNumber {
                    return "\\\(character) is not known; for a digit write [0-9]"
                }
                index += 1
            } else if byte == UInt8(ascii: "("), next == UInt8(ascii: "?") {
                return "\"(?\" is not known; write a plain group"
            } else if byte == UInt8(ascii: "[") {
                isInList = true
                // A bracket right at the beginning is one of the list, not its end.
                if next == UInt8(ascii: "^") { index += 1 }
                if index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "]") { index += 1 }
            }
            index += 1
        }
        return nil
    }
}
