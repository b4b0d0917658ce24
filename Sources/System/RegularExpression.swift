internal import CLinux

/// A POSIX extended regular expression (regex(7)), matched by the C library.
///
/// Swift's own expressions would bring their engine into every executable, and a plugin's start would pay for it.
@safe
public final class RegularExpression {
    /// Why a text is no expression.
    public struct SyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
        /// The C library's words, "Unmatched [, [^, [:, [., or [=".
        public let description: String
    }

    private let compiled: UnsafeMutableRawPointer

    /// Compiles an expression. Equivalent: `regcomp(3)` with `REG_EXTENDED`.
    public init(_ pattern: String) throws(SyntaxError) {
        // The C library would stop reading at a NUL, and match more than was meant.
        if pattern.utf8.contains(0) { throw SyntaxError(description: "contains a NUL") }
        var reason = [CChar](repeating: 0, count: 256)
        guard let compiled = unsafe swiftlet_regex_compile(pattern, &reason, reason.count) else {
            let text = reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            throw SyntaxError(description: String(decoding: text, as: UTF8.self))
        }
        unsafe self.compiled = compiled
    }

    deinit { unsafe swiftlet_regex_free(compiled) }

    /// Whether the expression matches anywhere in `text`; never in a text with a NUL. Equivalent: `regexec(3)`.
    public func matches(_ text: String) -> Bool {
        if text.utf8.contains(0) { return false }
        return unsafe swiftlet_regex_matches(compiled, text) != 0
    }
}
