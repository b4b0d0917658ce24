extension ClusterGraph {
    /// The graph as a picture: networks as lines on top, hosts as boxes below with their containers inside, each hanging
    /// on its networks; the underlay that carries it all at the bottom.
    public var svg: String {
        var picture = SVGPicture()
        let left = 24
        var x = left
        var columns: [(host: Host, x: Int, width: Int, containers: [[Endpoint]])] = []
        for host in hosts {
            let containers = containers(on: host)
            let width = max(Self.headWidth, containers.count * (Self.boxWidth + Self.gap) + Self.gap)
            columns.append((host, x, width, containers))
            x += width + 2 * Self.gap
        }
        let right = max(x - 2 * Self.gap, left + 320)
        let top = 64 + networks.count * Self.busHeight
        let rows = hosts.map { containers(on: $0).map(Self.lines(of:)).max() ?? 0 }.max() ?? 0
        let boxHeight = 28 + rows * 15
        let hostHeight = Self.headHeight + (rows == 0 ? 12 : boxHeight + 2 * Self.gap)

        picture.text(left, 30, "Swiftlet cluster", size: 17, weight: "bold")
        for (index, network) in networks.enumerated() {
            let y = Self.busY(index)
            let colour = colour(of: network.name)
            picture.line(left, y, right, y, colour, width: 4)
            picture.text(
                left, y - 8, network.caption.isEmpty ? network.name : "\(network.name)  \(network.caption)",
                fill: colour)
        }
        for column in columns {
            draw(column.host, column.x, top, column.width, hostHeight, &picture)
            for (index, container) in column.containers.enumerated() {
                let boxX = column.x + Self.gap + index * (Self.boxWidth + Self.gap)
                draw(container, boxX, top + Self.headHeight + Self.gap, boxHeight, &picture)
            }
        }
        let underlay = top + hostHeight + 34
        picture.line(left, underlay, right, underlay, "#888888", width: 2)
        picture.text(left, underlay + 18, "underlay", fill: "#666666")
        for column in columns {
            let middle = column.x + column.width / 2
            let style = column.host.status == "alive" ? "" : "4 4"
            picture.line(middle, top + hostHeight, middle, underlay, "#888888", width: 2, dashes: style)
        }
        return picture.document(width: right + left, height: underlay + 36)
    }

    private static let boxWidth = 150
    private static let gap = 14
    private static let headWidth = 190
    private static let headHeight = 44
    private static let busHeight = 40

    private static func busY(_ index: Int) -> Int { 74 + index * busHeight }

    private static func lines(of container: [Endpoint]) -> Int {
        container.reduce(0) { $0 + max(1, $1.addresses.count) }
    }

    private func draw(_ host: Host, _ x: Int, _ y: Int, _ width: Int, _ height: Int, _ picture: inout SVGPicture) {
        let isAlive = host.status == "alive"
        picture.box(
            x, y, width, height, stroke: isAlive ? "#333333" : "#b00020", fill: isAlive ? "#f7f7f7" : "#fdf0f0",
            dashes: isAlive ? "" : "6 4")
        picture.text(x + 12, y + 20, host.name, size: 14, weight: "bold")
        let words = [host.address, isAlive ? "" : host.status].filter { !$0.isEmpty }.joined(separator: "  ")
        picture.text(x + 12, y + 36, words, size: 11, fill: isAlive ? "#555555" : "#b00020")
    }

    private func draw(_ container: [Endpoint], _ x: Int, _ y: Int, _ height: Int, _ picture: inout SVGPicture) {
        let isSuspended = container.allSatisfy(\.isSuspended)
        for (index, endpoint) in container.enumerated() {
            let bus = Self.busY(networks.firstIndex { $0.name == endpoint.network } ?? 0)
            let at = x + Self.boxWidth * (index + 1) / (container.count + 1)
            let colour = colour(of: endpoint.network)
            picture.line(at, bus, at, y, colour, width: 2, dashes: endpoint.isSuspended ? "3 4" : "")
            picture.dot(at, bus, colour)
        }
        picture.box(x, y, Self.boxWidth, height, stroke: "#777777", fill: "#ffffff", dashes: isSuspended ? "3 4" : "")
        picture.text(x + 8, y + 18, Self.shortened(container[0].name, 20), size: 12, weight: "bold")
        var line = y + 34
        for endpoint in container {
            for address in endpoint.addresses.isEmpty ? ["-"] : endpoint.addresses {
                picture.text(
                    x + 8, line, Self.shortened(address, 24), size: 11, fill: colour(of: endpoint.network))
                line += 15
            }
        }
    }

    private static func shortened(_ text: String, _ limit: Int) -> String {
        text.count > limit ? text.prefix(limit - 1) + "…" : text
    }
}

/// Shapes on a white sheet, in whole pixels.
struct SVGPicture {
    private var shapes: [String] = []

    mutating func line(
        _ x1: Int, _ y1: Int, _ x2: Int, _ y2: Int, _ colour: String, width: Int, dashes: String = ""
    ) {
        shapes.append(
            "<line x1=\"\(x1)\" y1=\"\(y1)\" x2=\"\(x2)\" y2=\"\(y2)\" stroke=\"\(colour)\" stroke-width=\"\(width)\""
                + Self.dashed(dashes) + "/>")
    }

    mutating func box(
        _ x: Int, _ y: Int, _ width: Int, _ height: Int, stroke: String, fill: String, dashes: String = ""
    ) {
        shapes.append(
            "<rect x=\"\(x)\" y=\"\(y)\" width=\"\(width)\" height=\"\(height)\" rx=\"6\" fill=\"\(fill)\""
                + " stroke=\"\(stroke)\"" + Self.dashed(dashes) + "/>")
    }

    mutating func dot(_ x: Int, _ y: Int, _ colour: String) {
        shapes.append("<circle cx=\"\(x)\" cy=\"\(y)\" r=\"5\" fill=\"\(colour)\"/>")
    }

    mutating func text(
        _ x: Int, _ y: Int, _ text: String, size: Int = 12, weight: String = "normal", fill: String = "#222222"
    ) {
        shapes.append(
            "<text x=\"\(x)\" y=\"\(y)\" font-size=\"\(size)\" font-weight=\"\(weight)\" fill=\"\(fill)\">"
                + Self.escaped(text) + "</text>")
    }

    func document(width: Int, height: Int) -> String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" \
        viewBox="0 0 \(width) \(height)" font-family="sans-serif">
        <rect width="100%" height="100%" fill="#ffffff"/>
        \(shapes.joined(separator: "\n"))
        </svg>

        """
    }

    private static func dashed(_ dashes: String) -> String {
        dashes.isEmpty ? "" : " stroke-dasharray=\"\(dashes)\""
    }

    private static func escaped(_ text: String) -> String {
        text.map { character in
            switch character {
            case "&": "&amp;"
            case "<": "&lt;"
            case ">": "&gt;"
            default: String(character)
            }
        }.joined()
    }
}
