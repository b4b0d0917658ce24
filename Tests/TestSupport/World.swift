internal import JSON
internal import System

/// What a host and its containers look like: a flat list of named facts that can be compared.
///
/// Names are paths such as "host/link/br0/mtu" or "c0/address/eth0/10.1.2.3/24/scope". Indices, counters, timers, and what
/// the kernel derives by itself and in its own time (link-local addresses, learned entries, the local routing table,
/// operational states) are left out.
public struct World: Equatable, Sendable {
    /// The facts by name.
    public var facts: [String: String]

    /// A world with these facts.
    public init(_ facts: [String: String] = [:]) { self.facts = facts }

    /// What is here and not in `other`, what is there and not here, and what differs; empty when both are equal.
    public func differences(from other: World) -> [String] {
        Set(facts.keys).union(other.facts.keys).sorted().compactMap { name in
            switch (other.facts[name], facts[name]) {
            case (let before?, let after?): before == after ? nil : "~ \(name): \(before) -> \(after)"
            case (nil, let after?): "+ \(name): \(after)"
            case (let before?, nil): "- \(name): \(before)"
            case (nil, nil): nil
            }
        }
    }

    /// The world without the facts `isLeftOut` says.
    public func without(_ isLeftOut: (String) -> Bool) -> World {
        World(facts.filter { !isLeftOut($0.key) })
    }

    /// The world without facts whose name starts with one of `prefixes`.
    public func without(prefixes: String...) -> World {
        without { name in prefixes.contains { name.hasPrefix($0) } }
    }

    /// The names of the links in `place`.
    public func links(in place: String = "host") -> [String] {
        Set(
            facts.keys.filter { $0.hasPrefix("\(place)/link/") }.compactMap {
                $0.split(separator: "/").dropFirst(2).first.map(String.init)
            }
        ).sorted()
    }

    /// The world without state files that are no reservations: locks, pointers, indices.
    public func withoutBookkeeping() -> World { without(World.isBookkeeping) }

    mutating func note(_ place: String, _ value: Value, leaveOut: Set<String> = []) {
        switch value {
        case .object(let object):
            for member in object.members where !leaveOut.contains(member.key) {
                note("\(place)/\(member.key)", member.value, leaveOut: leaveOut)
            }
        case .array(let elements):
            // Lists of words such as flags are sets as far as we care.
            facts[place] = elements.map { $0.string ?? $0.text() }.sorted().joined(separator: " ")
        default: facts[place] = value.string ?? value.text()
        }
    }
}

extension Lab {
    /// The state of the host, of every container that still has a namespace, and of the state files.
    public func world() throws -> World {
        var world = World()
        try observe(nil, into: &world)
        for container in try list("/run/netns") { try observe(container, into: &world) }
        let files = try inside {
            (FileTree.files(below: "/var/lib/cni") + FileTree.files(below: "/run"))
                // host-local's index can be made anew from the reservations and is not compared.
                .filter { !$0.hasPrefix("/run/netns/") && !$0.contains("/.swiftlet/") }
                .map { ($0, (try? Files.read($0)).map { String(decoding: $0, as: UTF8.self) } ?? "unreadable") }
        }
        for (path, contents) in files { world.facts["file\(path)"] = contents }
        return world
    }

    /// ``world()`` without what an ADD may leave on purpose: bridges and their gateway addresses, forwarding, and the
    /// bookkeeping files of host-local that name no attachment.
    public func attachmentsOnly(bridges: [String]) throws -> World {
        let shared = bridges.flatMap { bridge in
            ["link", "address", "route4", "route6", "fdb", "bridgelink", "vlan", "sysctl4", "sysctl6"].map {
                "host/\($0)/\(bridge)/"
            }
        }
        return try world().without { name in
            shared.contains { name.hasPrefix($0) } || World.isBookkeeping(name)
                || name == "host/sysctl4/ip_forward" || name.hasSuffix("/forwarding")
        }
    }

    /// The addresses reserved by host-local for `network`, with the files' contents.
    public func reservations(_ network: String, dataDir: String = "/var/lib/cni/networks") throws -> [String: String] {
        let directory = "\(dataDir)/\(network)"
        return try inside {
            var found: [String: String] = [:]
            guard Files.exists(directory) else { return found }
            for name in try Files.list(directory) where World.isAddress(name) {
                found[name] = try Files.text("\(directory)/\(name)")
            }
            return found
        }
    }

    private func observe(_ container: String?, into world: inout World) throws {
        let place = container ?? "host"
        let volatile: Set<String> = [
            "ifindex", "link_index", "link_netnsid", "operstate", "stats", "stats64", "txqlen", "group",
            "hello_timer", "tcn_timer", "topology_change_timer", "gc_timer", "bridge_id", "root_id", "addr_info",
            "valid_life_time", "preferred_life_time", "num_tx_queues", "num_rx_queues", "tso_max_size",
            "tso_max_segs", "gro_max_size", "gso_max_size", "gso_max_segs", "gro_ipv4_max_size", "gso_ipv4_max_size",
            "message_age_timer", "forward_delay_timer", "hold_timer", "topology_change", "topology_change_ack",
            "topology_change_detected", "state", "link", "id", "designated_port", "designated_bridge",
            "designated_root", "no", "port_id", "root_port", "root_path_cost", "parentbus", "parentdev",
        ]
        for link in try query("ip", ["-j", "-d", "addr", "show"], in: container).elements {
            guard let name = link["ifname"]?.string else { continue }
            var facts = link
            facts["flags"] = .array((link["flags"]?.elements ?? []).filter { World.isSteady($0.string ?? "") })
            facts["peer"] = link["link"]
            // The kernel's own choice, and another one before the link was up for the first time.
            if ["noop", "noqueue"].contains(link["qdisc"]?.string) { facts["qdisc"] = nil }
            // Ends of a veth in another namespace have only an index to name their peer.
            facts["vethpeer"] = link["link_index"] != nil ? "yes" : nil
            world.note("\(place)/link/\(name)", facts, leaveOut: volatile)
            for address in link["addr_info"]?.elements ?? [] where !World.isDerived(address) {
                let text = "\(address["local"]?.string ?? "?")/\(address["prefixlen"]?.integer ?? -1)"
                world.note(
                    "\(place)/address/\(name)/\(text)", address,
                    leaveOut: ["valid_life_time", "preferred_life_time", "tentative", "local", "prefixlen"])
            }
        }
        try observeRoutes(container, place, into: &world)
        for entry in try query("bridge", ["-j", "-d", "link"], in: container).elements {
            world.note(
                "\(place)/bridgelink/\(entry["ifname"]?.string ?? "?")", entry, leaveOut: volatile.union(["flags"]))
        }
        for entry in try query("bridge", ["-j", "fdb"], in: container).elements {
            guard let mac = entry["mac"]?.string, entry["state"]?.string == "permanent" else { continue }
            if mac.hasPrefix("33:33:") || mac.hasPrefix("01:00:5e") { continue }
            world.note("\(place)/fdb/\(entry["ifname"]?.string ?? "?")/\(mac)/\(entry["vlan"]?.integer ?? 0)", entry)
        }
        for entry in try query("bridge", ["-j", "vlan"], in: container).elements {
            for (index, vlan) in (entry["vlans"]?.elements ?? []).enumerated() {
                world.note("\(place)/vlan/\(entry["ifname"]?.string ?? "?")/\(index)", vlan)
            }
        }
        for (name, value) in try packetFilter(container) { world.facts["\(place)/\(name)"] = value }
        for (name, value) in try inside(container, { World.sysctls() }) { world.facts["\(place)/\(name)"] = value }
    }

    private func observeRoutes(_ container: String?, _ place: String, into world: inout World) throws {
        for family in ["4", "6"] {
            for route in try query("ip", ["-j", "-\(family)", "route", "show", "table", "all"], in: container).elements
            {
                let destination = route["dst"]?.string ?? "?"
                if route["table"]?.string == "local" { continue }
                if destination.hasPrefix("fe80:") || destination.hasPrefix("ff00:") || destination == "multicast" {
                    continue
                }
                let key = [
                    route["dev"]?.string ?? "none", destination, route["gateway"]?.string ?? "onlink",
                    route["table"]?.string ?? "main", String(route["metric"]?.integer ?? 0),
                ]
                // Some routes have nothing beyond what names them.
                world.facts["\(place)/route\(family)/\(key.joined(separator: "/"))"] = "present"
                world.note(
                    "\(place)/route\(family)/\(key.joined(separator: "/"))", route,
                    leaveOut: ["flags", "pref", "dev", "dst", "gateway", "metric", "table"])
            }
            let neighbours = ["-j", "-\(family)", "neigh", "show", "nud", "permanent"]
            for entry in try query("ip", neighbours, in: container).elements {
                world.note("\(place)/neighbour/\(entry["dev"]?.string ?? "?")/\(entry["dst"]?.string ?? "?")", entry)
            }
        }
    }
}

extension World {
    /// Flags that an administrator sets, as opposed to those the carrier brings and takes.
    static func isSteady(_ flag: String) -> Bool {
        !["LOWER_UP", "NO-CARRIER", "M-DOWN"].contains(flag)
    }

    /// Whether the kernel made the address by itself.
    static func isDerived(_ address: Value) -> Bool {
        address["family"]?.string == "inet6" && address["scope"]?.string == "link"
    }

    /// Whether a state file's name is an address, that is, whether it is a reservation.
    public static func isAddress(_ name: String) -> Bool {
        !name.isEmpty && !name.hasPrefix(".") && name.contains { $0 == "." || $0 == ":" }
            && name.allSatisfy { $0.isHexDigit || $0 == "." || $0 == ":" }
    }

    /// Whether a fact is a state file that is not a reservation.
    static func isBookkeeping(_ name: String) -> Bool {
        guard name.hasPrefix("file/"), let last = name.split(separator: "/").last else { return false }
        return !isAddress(String(last))
    }

    /// The kernel parameters plugins may set, in the calling thread's network namespace.
    static func sysctls() -> [(String, String)] {
        var found: [(String, String)] = []
        func note(_ name: String, _ key: String) {
            if let value = try? Sysctl.read(key) { found.append((name, value)) }
        }
        note("sysctl4/ip_forward", "net/ipv4/ip_forward")
        let perLink = [
            ("4", ["arp_notify", "proxy_arp", "route_localnet", "rp_filter", "accept_local", "arp_ignore"]),
            (
                "6",
                [
                    "accept_ra", "accept_dad", "enhanced_dad", "disable_ipv6", "forwarding", "keep_addr_on_down",
                    "proxy_ndp", "autoconf", "dad_transmits", "ndisc_notify",
                ]
            ),
        ]
        for (family, names) in perLink {
            for link in (try? Files.list("/proc/sys/net/ipv\(family)/conf")) ?? [] {
                for name in names { note("sysctl\(family)/\(link)/\(name)", "net/ipv\(family)/conf/\(link)/\(name)") }
            }
        }
        return found
    }
}
