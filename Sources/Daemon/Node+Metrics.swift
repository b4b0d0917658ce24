internal import Gossip
internal import JSON

extension Node {
    /// The counters in Prometheus' text format, version 0.0.4: the gossip's and the overlay's.
    func collectMetrics(_ later: @escaping Answer) {
        let (own, cluster) = (metrics, cluster)
        Task { later(ControlResponse(text: own + (await cluster.metrics()), type: Self.metricsType)) }
    }

    private static let metricsType = "text/plain; version=0.0.4; charset=utf-8"

    private var metrics: String {
        var text = ""
        func family(_ name: String, _ type: String, _ help: String) {
            text += "# HELP swiftletd_\(name) \(help)\n# TYPE swiftletd_\(name) \(type)\n"
        }
        family("members", "gauge", "Members by status.")
        let members = instance.members
        for status in [MemberStatus.alive, .leaving, .left, .failed] {
            text += "swiftletd_members{status=\"\(status)\"} \(members.count { $0.status == status })\n"
        }
        let gauges: [(String, String, Int)] = [
            ("health_score", "Lifeguard's local health, 0 is well.", instance.healthScore),
            ("queued_broadcasts", "Broadcasts that wait to be sent.", instance.queuedBroadcasts),
            ("streams", "Gossip streams that are open.", streams.count),
            ("observers", "Clients of the event stream.", observerCount),
            ("uptime_seconds", "Time since the start.", Int((clock() - started) / 1_000_000_000)),
        ]
        for (name, help, value) in gauges {
            family(name, "gauge", help)
            text += "swiftletd_\(name) \(value)\n"
        }
        for counter in Counter.allCases {
            let name = "gossip_\(Self.snake("\(counter)"))_total"
            family(name, "counter", "How often the gossip engine counted '\(counter)'.")
            text += "swiftletd_\(name) \(instance.count(of: counter))\n"
        }
        return text
    }

    static func snake(_ name: String) -> String {
        name.reduce(into: "") { text, character in
            if character.isUppercase { text += "_" }
            text += character.lowercased()
        }
    }
}
