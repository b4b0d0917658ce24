internal import Attachment
internal import CNI
internal import DBus
internal import Netfilter
internal import NetworkTypes
internal import PluginKit
internal import System

/// The container's addresses in firewalld's zones.
struct ZoneSources {
    /// What is known of firewalld.
    enum Answer {
        /// It does not run, or is not to be asked.
        case absent
        /// It runs.
        case running(any FirewallZones)
        /// There is a bus that refuses us or does not answer, so that nobody knows.
        case silent
    }

    let system: any HostSystem
    let directory: String?

    /// Asks for firewalld, for a limited time.
    ///
    /// - Throws: where the configuration wants firewalld and nothing else.
    func find(_ backend: FirewallConfiguration.Backend) throws -> Answer {
        switch backend {
        case .iptables, .nftables: return .absent
        case .automatic:
            do {
                return try system.firewalld().map { .running($0) } ?? .absent
            } catch is BusError {
                return .silent
            }
        case .firewalld:
            guard let running = try system.firewalld() else {
                throw CNIError(
                    CNIError.Code.packetFilter, "backend \"firewalld\": firewalld does not run on this host",
                    details: "start it, or leave the key \"backend\" empty")
            }
            return .running(running)
        }
    }

    /// Makes addresses sources of a zone. An address that a container before left in another zone leaves it.
    func enter(
        _ sources: [IPPrefix], _ firewalld: any FirewallZones, zone: String, _ owner: FilterOwner,
        _ transaction: inout Transaction
    ) throws {
        let marks = try ZoneMarks(in: directory)
        for source in sources {
            if let old = marks.mark(of: source.address), old.zone != zone {
                let failure = Self.failure(of: old, firewalld)
                // Somebody else may have given it another zone since: then the next call says so.
                if let failure, !failure.isFirewalldsAnswer { throw failure }
            }
            try marks.write(.init(address: source.address, zone: zone, tag: owner.tag))
            if try firewalld.addSource(source, zone: zone) {
                transaction.push("the firewalld source \(source)") {
                    _ = try firewalld.removeSource(source, zone: zone)
                    try marks.remove(source.address)
                }
            }
        }
    }

    /// Takes an owner's addresses out of their zones; those that firewalld could not be told of stay marked for GC.
    ///
    /// - Parameter unmarked: addresses that may have been entered without a mark, with their zone.
    func leave(_ owner: FilterOwner, unmarked: [IPPrefix]?, zone: String, errors: inout ErrorCollector) {
        guard let marks = errors.attempt({ try ZoneMarks(in: directory) }) else { return }
        var leaving: [ZoneMarks.Mark]
        if let unmarked {
            leaving = unmarked.compactMap { source in
                let mark = marks.mark(of: source.address)
                guard let mark else { return .init(address: source.address, zone: zone, tag: owner.tag) }
                // The address has a new owner by now.
                return mark.tag == owner.tag ? mark : nil
            }
        } else {
            leaving = marks.all().filter { $0.tag == owner.tag }
        }
        remove(leaving, marks, errors: &errors)
    }

    /// Takes out what a network's missing owners left.
    func collect(network: String, keeping owners: [FilterOwner], errors: inout ErrorCollector) {
        guard let marks = errors.attempt({ try ZoneMarks(in: directory) }) else { return }
        let prefix = FilterOwner.networkTag(network) + "-"
        let valid = Set(owners.map(\.tag))
        remove(
            marks.all().filter { $0.tag.hasPrefix(prefix) && !valid.contains($0.tag) }, marks, errors: &errors)
    }

    private func remove(_ leaving: [ZoneMarks.Mark], _ marks: ZoneMarks, errors: inout ErrorCollector) {
        if leaving.isEmpty { return }
        let firewalld: (any FirewallZones)?
        // A bus that cannot be asked keeps nothing from being removed: the marks stay, and GC asks again.
        do { firewalld = try system.firewalld() } catch { return }
        for mark in leaving {
            // Where firewalld does not run any more, its zones are gone, too.
            let failure = firewalld.flatMap { Self.failure(of: mark, $0) }
            if let failure, !failure.isFirewalldsAnswer, !failure.isUnowned { return }
            errors.attempt {
                try marks.remove(mark.address)
                if let failure, failure.isFirewalldsAnswer { throw failure }
            }
        }
    }

    private static func failure(of mark: ZoneMarks.Mark, _ firewalld: any FirewallZones) -> BusError? {
        do {
            _ = try firewalld.removeSource(mark.source, zone: mark.zone)
            return nil
        } catch {
            return error
        }
    }
}
