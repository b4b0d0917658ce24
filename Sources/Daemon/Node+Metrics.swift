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
        var metrics = MetricsText()
        let members = known
        metrics.family(
            "members", "gauge", "Members by status.",
            [MemberStatus.alive, .leaving, .left, .failed].map { status in
                (MetricsText.label("status", "\(status)"), UInt64(members.count { $0.status == status }))
            })
        metrics.families(
            "gauge",
            [
                ("health_score", "Lifeguard's local health, 0 is well.", UInt64(clamping: instance.healthScore)),
                ("queued_broadcasts", "Broadcasts that wait to be sent.", UInt64(instance.queuedBroadcasts)),
                ("streams", "Gossip streams that are open.", UInt64(streams.count)),
                (
                    "agent_connected", "Whether the serf agent that is the engine answers.",
                    engine.word == .serfAgent && engine.absence(self) == nil ? 1 : 0
                ),
                ("observers", "Clients of the event stream.", UInt64(observerCount)),
                ("uptime_seconds", "Time since the start.", (clock() - started) / 1_000_000_000),
            ])
        metrics.families(
            "counter",
            Counter.allCases.map { counter in
                (
                    "gossip_\(MetricsText.snake("\(counter)"))_total",
                    "How often the gossip engine counted '\(counter)'.", instance.count(of: counter)
                )
            })
        return metrics.text
    }
}
