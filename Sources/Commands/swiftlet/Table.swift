import System

/// Columns of text, as wide as their widest cell.
struct Table {
    private var rows: [[String]]

    init(_ headings: String...) { rows = [headings] }

    /// Adds a row; what could not be shown in a cell is escaped.
    mutating func add(_ cells: String...) { rows.append(cells.map { ShownText.line($0) }) }

    /// The lines; without rows only the headings.
    var text: String {
        let columns = rows[0].count
        let widths = (0..<columns).map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, cell) in row.enumerated() {
                line += cell
                if column + 1 < columns {
                    line += String(repeating: " ", count: widths[column] - cell.count + 2)
                }
            }
            return line
        }.joined(separator: "\n")
    }
}
