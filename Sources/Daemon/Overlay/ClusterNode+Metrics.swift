internal import Cluster
internal import Gossip
internal import NIOCore
internal import Overlay

extension ClusterNode {
    /// How many endpoints this host has.
    var endpointCount: Int { networks.values.reduce(0) { $0 + $1.endpoints.count } }

    /// The overlay's counters in Prometheus' text format.
    func metrics() async -> String {
        var metrics = MetricsText()
        let kinds: [RecordKind] = [.host, .network, .member, .endpoint]
        metrics.family(
            "table_rows", "gauge", "Rows of the tables by kind.",
            kinds.map { (MetricsText.label("kind", "\($0)"), UInt64(replica.rows($0).count)) })
        metrics.families(
            "counter",
            ReplicaCounter.allCases.map { counter in
                (
                    "tables_\(MetricsText.snake("\(counter)"))_total", "How often the tables counted '\(counter)'.",
                    replica.count(of: counter)
                )
            })
        let ordered = networks.values.sorted { $0.identity.name < $1.identity.name }
        metrics.family(
            "network_endpoints", "gauge", "Endpoints of this host by network.",
            ordered.map { (MetricsText.label("network", $0.identity.name), UInt64($0.endpoints.count)) })
        metrics.family(
            "network_entries", "gauge", "Endpoints of other hosts in the kernel by network.",
            ordered.map { (MetricsText.label("network", $0.identity.name), UInt64($0.wanted.count)) })
        metrics.family(
            "network_blocks", "gauge", "Address blocks of this host by network.",
            ordered.map { network in
                let own = network.allocator?.rows.count { $0.entry?.owner.host == key.id } ?? 0
                return (MetricsText.label("network", network.identity.name), UInt64(own))
            })
        metrics.family(
            "network_oversized_containers", "gauge", "Containers here whose MTU is larger than their network's.",
            ordered.map { (MetricsText.label("network", $0.identity.name), UInt64($0.oversized.count)) })
        let now = clock()
        metrics.family(
            "network_lock_wait_seconds", "gauge",
            "For how long a plugin that holds the network's lock has kept the daemon from changing it.",
            ordered.map { network in
                let since = network.lockWanted ?? now
                return (MetricsText.label("network", network.identity.name), (now - min(since, now)) / 1_000_000_000)
            })
        let identities = ordered.filter(\.isOn).map(\.identity)
        let dropped = (try? await value(of: kernel.run(on: loop) { try $0.dropped(identities) })) ?? [:]
        metrics.family(
            "vxlan_dropped_total", "counter", "VXLAN packets of hosts that are no members.",
            dropped.sorted { $0.key < $1.key }.map { (MetricsText.label("network", $0.key), $0.value) })
        let counters: [(name: String, help: String, value: UInt64)] = [
            (
                "block_messages_forged_total", "Block messages without the signature of the host they name.",
                counts.forgedBlockMessages
            ),
            ("reconciliations_total", "Times a network's kernel state was held to the tables.", counts.reconciliations),
            ("reconciliations_failed_total", "Times that failed.", counts.reconciliationsFailed),
            ("reconciler_corrections_total", "Entries that were found wrong.", counts.corrections),
            ("reconciler_batches_total", "Batches of entries that changed with the tables.", counts.batches),
            ("reconciler_entries_total", "Entries in those batches.", counts.entriesChanged),
            ("endpoints_withdrawn_total", "Endpoints whose containers were gone.", counts.endpointsWithdrawn),
            ("overlay_additions_total", "Requests to prepare a network.", counts.additions),
            (
                "overlay_additions_unheard_total", "Endpoints that not all live members acknowledged in time.",
                counts.additionsUnheard
            ),
            ("overlay_removals_total", "Endpoints taken back.", counts.removals),
            ("frames_stray_total", "Frames with something that is not understood.", counts.strayMessages),
            ("journal_writes_total", "Writes of the journal.", journal.counts.written),
            ("journal_failures_total", "Writes of the journal that failed.", journal.counts.failed),
        ]
        metrics.families("counter", counters)
        guard let transport else { return metrics.text }
        let frames = transport.counts
        let traffic: [(name: String, help: String, value: UInt64)] = [
            ("frame_datagrams_in_total", "Frames received as datagrams.", frames.datagramsIn),
            ("frame_datagrams_out_total", "Frames sent as datagrams.", frames.datagramsOut),
            ("frame_streams_in_total", "Frames received on streams.", frames.streamFramesIn),
            ("frame_streams_out_total", "Frames sent on streams.", frames.streamFramesOut),
            ("frame_bytes_in_total", "Bytes of frames received.", frames.bytesIn),
            ("frame_bytes_out_total", "Bytes of frames sent.", frames.bytesOut),
            ("frames_dropped_total", "Frames that were not sent because too much waited.", frames.dropped),
            ("stream_connects_total", "Streams opened.", frames.connects),
            ("stream_connects_failed_total", "Streams that could not be opened.", frames.connectsFailed),
            ("streams_refused_total", "Streams of others that were refused.", frames.streamsRefused),
        ]
        metrics.families("counter", traffic)
        metrics.family(
            "frames_refused_total", "counter", "Frames refused by reason.",
            FrameFault.allCases.map { (MetricsText.label("reason", "\($0)"), transport.codec.faults[$0] ?? 0) })
        return metrics.text
    }
}
