import ClusterGraph
import Testing

struct DrawingTests {
    private let graph = ClusterGraph(
        hosts: [
            .init(name: "h2", address: "192.0.2.12", status: "failed"),
            .init(name: "h1", address: "192.0.2.11", status: "alive"),
        ],
        networks: [.init(name: "demonet", caption: "192.168.0.0/24 · VNI 5000"), .init(name: "back", caption: "")],
        endpoints: [
            .init(host: "h1", network: "demonet", container: "a", name: "C0 <&>", addresses: ["192.168.0.100/24"]),
            .init(
                host: "h1", network: "back", container: "a", name: "C0 <&>", addresses: ["10.1.0.2/24", "fd00::2/64"]),
            .init(
                host: "h2", network: "demonet", container: "b", name: "say \"hi\"", addresses: [], isSuspended: true),
            .init(host: "h9", network: "late", container: "c", name: "c", addresses: ["10.9.0.2/24"]),
        ])

    @Test("hosts and networks only an endpoint speaks of are there, and all is in order")
    func completed() {
        #expect(graph.hosts.map(\.name) == ["h1", "h2", "h9"])
        #expect(graph.networks.map(\.name) == ["back", "demonet", "late"])
        #expect(graph.hosts[2].status == "unknown")
    }

    /// Tags opened and closed in order, attributes quoted, no bare ampersand: enough of XML to notice a slip.
    private func isWellFormed(_ text: String) -> Bool {
        var open: [Substring] = []
        for piece in text.split(separator: "<", omittingEmptySubsequences: true).dropFirst(text.hasPrefix("<") ? 0 : 1)
        {
            guard let end = piece.firstIndex(of: ">") else { return false }
            let tag = piece[..<end]
            guard tag.filter({ $0 == "\"" }).count.isMultiple(of: 2) else { return false }
            let name = tag.prefix { !$0.isWhitespace && $0 != "/" }
            if tag.hasPrefix("/") {
                guard open.popLast() == tag.dropFirst() else { return false }
            } else if !tag.hasSuffix("/") {
                open.append(name)
            }
            let rest = piece[piece.index(after: end)...]
            if rest.contains("&"), !rest.contains("&amp;"), !rest.contains("&lt;"), !rest.contains("&gt;") {
                return false
            }
        }
        return open.isEmpty
    }

    @Test("the picture is well formed, has everything once, and nothing outside the sheet")
    func svg() throws {
        let svg = graph.svg
        #expect(isWellFormed(svg))
        #expect(svg.contains("C0 &lt;&amp;&gt;") && svg.contains("192.168.0.100/24") && svg.contains("fd00::2/64"))
        #expect(svg.contains("demonet  192.168.0.0/24 · VNI 5000"))
        // One dot for each endpoint.
        #expect(svg.split(separator: "<circle").count - 1 == 4)
        let width = try #require(number(after: "width=\"", in: Substring(svg)))
        for piece in svg.split(separator: "x=\"").dropFirst() {
            let x = try #require(Int(piece.prefix { $0.isNumber }))
            #expect(x <= width)
        }
        #expect(isWellFormed(ClusterGraph(hosts: [], networks: [], endpoints: []).svg))
    }

    private func number(after mark: String, in text: Substring) -> Int? {
        text.split(separator: mark, maxSplits: 1).last.flatMap { Int($0.prefix { $0.isNumber }) }
    }

    @Test("Graphviz's text has every name quoted and every endpoint as an edge")
    func dot() {
        let lines = graph.dot.split(separator: "\n").map { $0.drop { $0 == " " } }
        #expect(lines.first == "graph cluster {" && lines.last == "}")
        #expect(lines.filter { $0.contains(" -- ") }.count == 4)
        #expect(lines.contains { $0.contains("label=\"say \\\"hi\\\"\"") && $0.contains("style=dashed") })
        #expect(lines.filter { $0.hasPrefix("subgraph") }.count == 3)
    }
}
