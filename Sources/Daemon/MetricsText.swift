/// Metrics in Prometheus' text format, version 0.0.4, each name behind `swiftletd_`.
struct MetricsText {
    private(set) var text = ""

    /// A metric with its values; labels come from ``label(_:_:)`` or are empty.
    mutating func family(_ name: String, _ type: String, _ help: String, _ values: [(labels: String, value: UInt64)]) {
        text += "# HELP swiftletd_\(name) \(help)\n# TYPE swiftletd_\(name) \(type)\n"
        for value in values { text += "swiftletd_\(name)\(value.labels) \(value.value)\n" }
    }

    /// Metrics with one value each.
    mutating func families(_ type: String, _ list: [(name: String, help: String, value: UInt64)]) {
        for one in list { family(one.name, type, one.help, [("", one.value)]) }
    }

    /// The label of a value.
    static func label(_ name: String, _ value: String) -> String { "{\(name)=\"\(value)\"}" }

    /// `likeThis` as `like_this`.
    static func snake(_ name: String) -> String {
        name.reduce(into: "") { text, character in
            if character.isUppercase { text += "_" }
            text += character.lowercased()
        }
    }
}
