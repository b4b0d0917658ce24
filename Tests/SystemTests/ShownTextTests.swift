import JSON
import System
import Testing

struct ShownTextTests {
    @Test func whatMovesTheCursorIsEscaped() {
        #expect(ShownText.line("web-1 äöü 網路 😀 \\ \"") == "web-1 äöü 網路 😀 \\ \"")
        #expect(ShownText.line("\u{1B}[2J\r\nroot# ") == "\\u{1b}[2J\\u{d}\\u{a}root# ")
        // CSI as one character, DEL, a line separator, and what turns the direction around.
        #expect(
            ShownText.line("a\u{9B}31m\u{7F}\u{2028}\u{202E}\u{0}") == "a\\u{9b}31m\\u{7f}\\u{2028}\\u{202e}\\u{0}")
        #expect(ShownText.lines("one\n\ttwo\u{1B}") == "one\n\ttwo\\u{1b}")
        #expect(ShownText.lines("one\r\ntwo") == "one\\u{d}\ntwo")
    }

    @Test func documentsStayTheSame() throws {
        let value: Value = ["a\u{9B}": "\u{7F}\u{1B}[0m\u{202E}x\u{E0041}", "b": ["plain", 7]]
        for text in [value.text(), value.text(.indented)] {
            let shown = ShownText.document(text)
            #expect(shown.unicodeScalars.allSatisfy { $0.isASCII })
            #expect(try Value(parsing: Array(shown.utf8)) == value)
        }
    }
}
