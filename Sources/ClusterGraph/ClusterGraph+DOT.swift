extension ClusterGraph {
    /// The graph in Graphviz's language: `swiftlet graph | dot -Tsvg`.
    public var dot: String {
        var lines = [
            "graph cluster {", "    graph [rankdir=TB, fontname=\"sans-serif\"];",
            "    node [fontname=\"sans-serif\", fontsize=11]; edge [fontname=\"sans-serif\", fontsize=9];",
        ]
        for network in networks {
            let label = Self.quoted(network.caption.isEmpty ? network.name : "\(network.name)\\n\(network.caption)")
            lines.append(
                "    \(Self.id("net", network.name)) [shape=ellipse, color=\"\(colour(of: network.name))\", label=\(label)];"
            )
        }
        for host in hosts {
            lines.append("    subgraph \(Self.id("cluster_", host.name)) {")
            lines.append("        label=\(Self.quoted("\(host.name)\\n\(host.address) \(host.status)"));")
            if host.status != "alive" { lines.append("        style=dashed; color=\"#b00020\";") }
            let containers = containers(on: host)
            if containers.isEmpty { lines.append("        \(Self.id("host", host.name)) [style=invis, label=\"\"];") }
            for container in containers {
                let style = container.allSatisfy(\.isSuspended) ? "dashed" : "solid"
                lines.append(
                    "        \(Self.id("box", host.name, container[0].container)) [shape=box, style=\(style), label=\(Self.quoted(container[0].name))];"
                )
            }
            lines.append("    }")
        }
        for endpoint in endpoints {
            let ends = "\(Self.id("net", endpoint.network)) -- \(Self.id("box", endpoint.host, endpoint.container))"
            let label = Self.quoted(endpoint.addresses.joined(separator: "\\n"))
            lines.append("    \(ends) [color=\"\(colour(of: endpoint.network))\", label=\(label)];")
        }
        return (lines + ["}", ""]).joined(separator: "\n")
    }

    private static func id(_ parts: String...) -> String { quoted(parts.joined(separator: "/")) }

    /// In double quotes; the two characters `\n` stay what they are to Graphviz, a line's end.
    private static func quoted(_ text: String) -> String {
        "\"" + text.map { $0 == "\"" ? "\\\"" : $0.isNewline ? " " : String($0) }.joined() + "\""
    }
}
