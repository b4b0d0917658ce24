import JSON
import TestSupport
import Testing

/// Ports of the host lead to containers, proved by who answers there and whom it sees.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference's back ends are compared in FilterParityTests"))
struct PortmapTests {
    static let backends = FilterInputs.backends

    /// A host with an uplink and two containers, and servers on port 80 of everybody.
    struct Town {
        let lab: Lab
        let servers: [Responder]

        init(containers: Int = 2) throws {
            lab = try Lab(containers: containers)
            try lab.addOutside()
            servers = try lab.containers.map { [lab] in try lab.serve($0) }
        }

        /// Asks for a port of the host.
        func ask(
            _ port: UInt16, _ transport: Transport = .tcp, from place: String? = "outside",
            at address: String = "192.0.2.1", expectsNothing: Bool = false
        ) throws -> String? {
            try lab.ask(transport, address, port, from: place, timeout: expectsNothing ? 250 : 10_000)
        }
    }

    @Test(
        "TCP and UDP from everywhere, both families, with bridge-nf-call-iptables 0 and 1", arguments: backends + [""],
        [false, true])
    func reach(_ backend: String, _ filtersBridged: Bool) throws {
        let town = try Town()
        let lab = town.lab
        try lab.filterBridged(filtersBridged)
        let chain = FilterInputs.ports(
            backend, [FilterInputs.port(8080), FilterInputs.port(8080, 80, "udp"), FilterInputs.port(9000)])
        let sibling = PluginChain("net", [FilterInputs.masquerading(backend)])
        let before = try lab.warmedUp(chain)
        let result = try lab.add(chain, "c0").orFail()
        let other = try lab.add(sibling, "c1").orFail()
        let own = String((result.addresses.first ?? "").prefix { $0 != "/" })
        let others = String((other.addresses.first ?? "").prefix { $0 != "/" })
        for transport in Transport.allCases {
            #expect(try town.ask(8080, transport) == "c0 192.0.2.2")
            #expect(try town.ask(8080, transport, at: "2001:db8:ffff::1") == "c0 2001:db8:ffff::2")
            #expect(try town.ask(8080, transport, from: nil) == "c0 192.0.2.1")
            #expect(try town.ask(8080, transport, from: nil, at: "127.0.0.1") == "c0 10.1.2.1")
            #expect(try town.ask(8080, transport, from: nil, at: "10.1.2.1") == "c0 10.1.2.1")
            #expect(try town.ask(8080, transport, from: nil, at: "2001:db8:ffff::1") == "c0 2001:db8:ffff::1")
            for place in ["c0", "c1"] {
                #expect(try town.ask(8080, transport, from: place) == "c0 10.1.2.1", "\(place)")
                #expect(try town.ask(8080, transport, from: place, at: "10.1.2.1") == "c0 10.1.2.1", "\(place)")
                #expect(
                    try town.ask(8080, transport, from: place, at: "2001:db8:ffff::1") == "c0 2001:db8::1", "\(place)")
            }
            #expect(try lab.ask(transport, own, from: "c1") == "c0 \(others)")
            #expect(try lab.ask(transport, own, from: "outside") == "c0 192.0.2.2")
        }
        #expect(try town.ask(9000) == "c0 192.0.2.2")
        #expect(try town.ask(80, expectsNothing: true) == nil)
        try lab.check(chain, "c0", result).expectSilence()
        try lab.delete(chain, "c0", previous: result).expectSilence()
        try lab.delete(chain, "c0", previous: result).expectSilence()
        #expect(try town.ask(8080, expectsNothing: true) == nil)
        try lab.delete(sibling, "c1", previous: other).expectSilence()
        try lab.expectReturn(to: before)
    }

    @Test("An address of the host", arguments: backends)
    func hostAddress(_ backend: String) throws {
        let town = try Town()
        try town.lab.tool("ip", "address", "add", "192.0.2.9/24", "dev", "up0")
        let mappings: [Value] = [
            FilterInputs.port(8081, hostIP: "192.0.2.1"), FilterInputs.port(8082, hostIP: "127.0.0.1"),
            FilterInputs.port(8083, hostIP: "2001:db8:ffff::1"), FilterInputs.port(8084, hostIP: "0.0.0.0"),
            FilterInputs.port(8085, hostIP: "::"),
        ]
        let chain = FilterInputs.ports(backend, mappings)
        let before = try town.lab.warmedUp(chain)
        let result = try town.lab.add(chain, "c0").orFail()
        // Another container may have the same port of another address.
        let second = FilterInputs.ports(backend, [FilterInputs.port(8081, hostIP: "192.0.2.9")])
        let others = try town.lab.add(second, "c1").orFail()
        #expect(try town.ask(8081) == "c0 192.0.2.2")
        #expect(try town.ask(8081, at: "192.0.2.9") == "c1 192.0.2.2")
        #expect(try town.ask(8081, from: nil, at: "127.0.0.1", expectsNothing: true) == nil)
        #expect(try town.ask(8082, from: nil, at: "127.0.0.1") == "c0 10.1.2.1")
        #expect(try town.ask(8082, expectsNothing: true) == nil)
        #expect(try town.ask(8083, at: "2001:db8:ffff::1") == "c0 2001:db8:ffff::2")
        #expect(try town.ask(8083, expectsNothing: true) == nil)
        #expect(try town.ask(8084, at: "192.0.2.9") == "c0 192.0.2.2")
        #expect(try town.ask(8084, at: "2001:db8:ffff::1", expectsNothing: true) == nil)
        #expect(try town.ask(8085, at: "2001:db8:ffff::1") == "c0 2001:db8:ffff::2")
        #expect(try town.ask(8085, expectsNothing: true) == nil)
        try town.lab.check(chain, "c0", result).expectSilence()
        try town.lab.delete(second, "c1", previous: others).expectSilence()
        try town.lab.delete(chain, "c0", previous: result).expectSilence()
        try town.lab.expectReturn(to: before)
    }

    @Test("snat and masqAll", arguments: backends)
    func sourceRewrite(_ backend: String) throws {
        let town = try Town()
        // Else the bridge itself would translate the answers of siblings back.
        try town.lab.filterBridged(false)
        var chain = FilterInputs.ports(backend, [FilterInputs.port(8080)], more: [("snat", false)])
        let plain = PluginChain("net", [FilterInputs.masquerading(backend)])
        try town.lab.add(plain, "c1").orFail()
        var result = try town.lab.add(chain, "c0").orFail()
        #expect(try town.ask(8080) == "c0 192.0.2.2")
        #expect(try town.ask(8080, from: "c1", expectsNothing: true) == nil)
        #expect(try town.ask(8080, from: nil, at: "127.0.0.1", expectsNothing: true) == nil)
        try town.lab.check(chain, "c0", result).expectSilence()
        try town.lab.delete(chain, "c0", previous: result).expectSilence()

        chain = FilterInputs.ports(backend, [FilterInputs.port(8080)], more: [("masqAll", true)])
        result = try town.lab.add(chain, "c0").orFail()
        #expect(try town.ask(8080) == "c0 10.1.2.1")
        #expect(try town.ask(8080, at: "2001:db8:ffff::1") == "c0 2001:db8::1")
        #expect(try town.ask(8080, from: "c1") == "c0 10.1.2.1")
        try town.lab.check(chain, "c0", result).expectSilence()
        try town.lab.delete(chain, "c0", previous: result).expectSilence()
    }

    @Test("Conditions belong to one attachment", arguments: backends)
    func conditions(_ backend: String) throws {
        let town = try Town()
        let lab = town.lab
        try lab.script(
            """
            ip address add 192.0.2.3/24 dev out0
            ip address add 2001:db8:ffff::3/64 dev out0 nodad
            """, in: "outside")
        func chain(_ port: Int64, _ client: String) -> PluginChain {
            // The client's last digit in the other family.
            let client6 = "2001:db8:ffff::\(client.suffix(1))"
            let isIPTables = backend == "iptables"
            return FilterInputs.ports(
                backend, [FilterInputs.port(port)],
                more: [
                    ("conditionsV4", isIPTables ? ["-s", .string(client)] : ["ip", "saddr", .string(client)]),
                    ("conditionsV6", isIPTables ? ["-s", .string(client6)] : ["ip6", "saddr", .string(client6)]),
                ])
        }
        let before = try lab.warmedUp(chain(8080, "192.0.2.2"))
        let first = try lab.add(chain(8080, "192.0.2.2"), "c0").orFail()
        let second = try lab.add(chain(8090, "192.0.2.3"), "c1").orFail()
        func ask(_ port: UInt16, as client: String, expectsNothing: Bool = false) throws -> String? {
            let host = client.contains(":") ? "2001:db8:ffff::1" : "192.0.2.1"
            return try lab.ask(
                .tcp, host, port, from: "outside", sourceAddress: client, timeout: expectsNothing ? 250 : 10_000)
        }
        #expect(try ask(8080, as: "192.0.2.2") == "c0 192.0.2.2")
        #expect(try ask(8080, as: "192.0.2.3", expectsNothing: true) == nil)
        #expect(try ask(8090, as: "192.0.2.3") == "c1 192.0.2.3")
        #expect(try ask(8090, as: "192.0.2.2", expectsNothing: true) == nil)
        #expect(try ask(8080, as: "2001:db8:ffff::2") == "c0 2001:db8:ffff::2")
        #expect(try ask(8080, as: "2001:db8:ffff::3", expectsNothing: true) == nil)
        #expect(try ask(8090, as: "2001:db8:ffff::3") == "c1 2001:db8:ffff::3")
        try lab.check(chain(8080, "192.0.2.2"), "c0", first).expectSilence()
        try lab.delete(chain(8080, "192.0.2.2"), "c0", previous: first).expectSilence()
        #expect(try ask(8090, as: "192.0.2.3") == "c1 192.0.2.3")
        try lab.delete(chain(8090, "192.0.2.3"), "c1", previous: second).expectSilence()
        try lab.expectReturn(to: before)
    }

    @Test("The mark's bit, and a chain of somebody else's that sets it")
    func marks() throws {
        let town = try Town(containers: 1)
        let lab = town.lab
        try lab.script(
            "iptables -t nat -N OTHERS-MARK; iptables -t nat -A OTHERS-MARK -j MARK --set-xmark 0x2000/0x2000")
        let outer = FilterInputs.ports(
            "iptables", [FilterInputs.port(8080)], subnets: ["10.1.2.0/24"],
            more: [("externalSetMarkChain", "OTHERS-MARK")])
        let added = try lab.add(outer, "c0").orFail()
        #expect(try town.ask(8080, from: "c0") == "c0 10.1.2.1")
        #expect(try !lab.tool("iptables-save").contains("CNI-HOSTPORT-SETMARK"))
        try lab.check(outer, "c0", added).expectSilence()
        try lab.delete(outer, "c0", previous: added).expectSilence()
        #expect(try lab.tool("iptables-save").contains("-A OTHERS-MARK"))
        try lab.script("iptables -t nat -F; iptables -t nat -X")

        let bit = FilterInputs.ports(
            "iptables", [FilterInputs.port(8080)], subnets: ["10.1.2.0/24"], more: [("markMasqBit", 5)])
        try lab.add(bit, "c0").orFail()
        #expect(try town.ask(8080, from: "c0") == "c0 10.1.2.1")
        #expect(
            try lab.tool("iptables-save").contains(
                "-A CNI-HOSTPORT-SETMARK -m comment --comment \"CNI portfwd masquerade mark\" -j MARK --set-xmark 0x20/0x20"
            ))
    }

    @Test("A port of another container is refused, and the holder is named", arguments: backends)
    func conflict(_ backend: String) throws {
        let town = try Town()
        let lab = town.lab
        let chain = FilterInputs.ports(backend, [FilterInputs.port(8080), FilterInputs.port(8080, 80, "udp")])
        let result = try lab.add(chain, "c0").orFail()
        let bridge = try lab.add(PluginChain("net", [chain.plugins[0]]), "c1").orFail()
        let before = try lab.world()
        let refused = try lab.run(
            "portmap", "ADD", containerID: "c1", netns: "/run/netns/c1", chain.input(1, previous: bridge))
        refused.expectRefusal(containing: "8080")
        #expect(refused.words.contains("c0"), "\(refused)")
        try lab.world().withoutBookkeeping().expectEqual(to: before.withoutBookkeeping())
        #expect(try town.ask(8080) == "c0 192.0.2.2")
        // Its DEL, which every runtime sends after a failure, takes nothing from the holder.
        try lab.delete(chain, "c1", previous: bridge).expectSilence()
        #expect(try town.ask(8080) == "c0 192.0.2.2")
        try lab.check(chain, "c0", result).expectSilence()
        // Repeating one's own ADD is no conflict.
        try lab.run("portmap", "ADD", chain.input(1, previous: result)).orFail()
        #expect(try town.ask(8080) == "c0 192.0.2.2")
    }

    @Test("A client that keeps its source port reaches the next server", arguments: backends, [4, 6])
    func connectionTracking(_ backend: String, _ family: Int) throws {
        let town = try Town()
        let lab = town.lab
        let chain = FilterInputs.ports(backend, [FilterInputs.port(5353, 80, "udp")])
        let (address, client) = Self.ends(family)
        func ask() throws -> String? { try lab.ask(.udp, address, 5353, from: "outside", source: 40000) }
        var host: Responder? = try lab.serve(nil, port: 5353)
        #expect(try ask() == "host \(client)")
        // The flow goes on as long as it is remembered, whoever listens.
        withExtendedLifetime(host) { host = nil }
        let result = try lab.add(chain, "c0").orFail()
        #expect(try ask() == "c0 \(client)", "ADD does not flush")
        try lab.delete(chain, "c0", previous: result).expectSilence()
        let again = try lab.serve(nil, port: 5353)
        #expect(try ask() == "host \(client)", "DEL does not flush")
        withExtendedLifetime(again) {}
    }

    /// The host's and the outside's address of a family.
    private static func ends(_ family: Int) -> (host: String, client: String) {
        family == 4 ? ("192.0.2.1", "192.0.2.2") : ("2001:db8:ffff::1", "2001:db8:ffff::2")
    }

    @Test("A client that keeps its source port reaches the next container", arguments: backends, [4, 6])
    func nextContainer(_ backend: String, _ family: Int) throws {
        let town = try Town()
        let lab = town.lab
        let chain = FilterInputs.ports(backend, [FilterInputs.port(5353, 80, "udp")])
        let (address, client) = Self.ends(family)
        func ask() throws -> String? { try lab.ask(.udp, address, 5353, from: "outside", source: 40000) }
        var result = try lab.add(chain, "c0").orFail()
        #expect(try ask() == "c0 \(client)")
        try lab.delete(chain, "c0", previous: result).expectSilence()
        result = try lab.add(chain, "c1").orFail()
        #expect(try ask() == "c1 \(client)")
        // A runtime that does not remember: no runtimeConfig, no prevResult.
        var forgetful = chain
        forgetful.runtimeConfig = nil
        try lab.delete(forgetful, "c1").expectSilence()
        try lab.add(chain, "c0").orFail()
        #expect(try ask() == "c0 \(client)")
    }

    @Test("DEL finds the mappings whatever it is told", arguments: backends)
    func removal(_ backend: String) throws {
        let lab = try Lab()
        let chain = FilterInputs.ports(
            backend, [FilterInputs.port(8080), FilterInputs.port(8081, hostIP: "127.0.0.1")])
        let before = try lab.warmedUp(chain)
        var forgetful = chain
        forgetful.runtimeConfig = nil
        var reworded = chain
        reworded.plugins[1]["backend"] = .string(backend == "iptables" ? "nftables" : "iptables")
        var invalid = chain
        invalid.plugins[1]["snat"] = "perhaps"
        invalid.plugins[1]["markMasqBit"] = 99
        for (what, chain, delete) in [
            ("no prevResult", chain, false), ("no runtimeConfig", forgetful, true), ("neither", forgetful, false),
            ("another back end", reworded, true), ("invalid", invalid, true),
        ] {
            for netns in ["/run/netns/c0", "", "/run/netns/gone"] {
                let result = try lab.add(
                    FilterInputs.ports(
                        backend, [FilterInputs.port(8080), FilterInputs.port(8081, hostIP: "127.0.0.1")]), "c0"
                ).orFail(what)
                try lab.delete(chain, "c0", netns: netns, previous: delete ? result : nil).expectSilence(what)
                try lab.expectReturn(to: before, "\(backend): \(what), netns \"\(netns)\"")
            }
        }
    }

    @Test("Several networks of one container keep their ports apart", arguments: backends)
    func severalNetworks(_ backend: String) throws {
        let town = try Town(containers: 1)
        let lab = town.lab
        func chain(_ name: String, _ bridge: String, _ subnet: String, _ port: Int64) -> PluginChain {
            var chain = FilterInputs.ports(
                backend, [FilterInputs.port(port)], name: name, subnets: [subnet], bridge: bridge)
            if name == "b" {
                chain.plugins[0]["isDefaultGateway"] = false
                chain.plugins[0]["isGateway"] = true
            }
            return chain
        }
        let (a, b) = (chain("a", "br0", "10.1.2.0/24", 8080), chain("b", "br1", "10.1.3.0/24", 8090))
        // A third interface, on the first network again.
        var again = chain("a", "br0", "10.1.2.0/24", 8091)
        again.plugins[0]["isDefaultGateway"] = false
        let first = try lab.add(a, "c0", "eth0").orFail()
        let second = try lab.add(b, "c0", "eth1").orFail()
        // From 127.0.0.1, because the container's answers to others all take its default route.
        func ask(_ port: UInt16, expectsNothing: Bool = false) throws -> String? {
            // Any of a container's interfaces answers for all of its addresses.
            try lab.tool("ip", "neigh", "flush", "all")
            return try town.ask(port, from: nil, at: "127.0.0.1", expectsNothing: expectsNothing)
        }
        #expect(try ask(8080) == "c0 10.1.2.1")
        #expect(try ask(8090) == "c0 10.1.3.1")
        try lab.delete(b, "c0", "eth1", previous: second).expectSilence()
        #expect(try ask(8080) == "c0 10.1.2.1")
        #expect(try ask(8090, expectsNothing: true) == nil)
        try lab.check(a, "c0", first).expectSilence()
        if backend == "iptables" {
            // The reference's chain names have no room for it (docs/packet-filter.md, Limits): it is said.
            try lab.add(again, "c0", "eth2").expectRefusal(code: 2, containing: "another interface of the container")
            return
        }
        let third = try lab.add(again, "c0", "eth2").orFail("a second attachment to the network")
        #expect(try ask(8080) == "c0 10.1.2.1", "eth0's ports went when eth2's came")
        #expect(try ask(8091) == "c0 10.1.2.1")
        try lab.delete(again, "c0", "eth2", previous: third).expectSilence()
        #expect(try ask(8080) == "c0 10.1.2.1", "eth0's ports went with eth2's")
        #expect(try ask(8091, expectsNothing: true) == nil)
        try lab.check(a, "c0", first).expectSilence()
    }

    @Test("The same ports on every network of a container, as podman asks", arguments: backends)
    func samePorts(_ backend: String) throws {
        let town = try Town(containers: 1)
        let lab = town.lab
        let mappings = [FilterInputs.port(8080), FilterInputs.port(8080, 80, "udp")]
        let a = FilterInputs.ports(backend, mappings, name: "a", subnets: ["10.1.2.0/24"])
        var b = FilterInputs.ports(
            backend, mappings, name: "b", subnets: ["10.1.3.0/24"], bridge: "br1")
        b.plugins[0]["isDefaultGateway"] = false
        b.plugins[0]["isGateway"] = true
        _ = try lab.warmedUp(a)
        let before = try lab.warmedUp(b)
        func ask(_ transport: Transport = .tcp, expectsNothing: Bool = false) throws -> String? {
            try town.ask(8080, transport, expectsNothing: expectsNothing)
        }
        // The client keeps its port, so that its datagrams would go on by the old way if the kernel remembered it.
        func askAgain() throws -> String? { try lab.ask(.udp, "192.0.2.1", 8080, from: "outside", source: 40000) }
        for firstGoes in [false, true] {
            let first = try lab.add(a, "c0", "eth0").orFail()
            let second = try lab.add(b, "c0", "eth1").orFail("the second network")
            #expect(try ask() == "c0 192.0.2.2")
            #expect(try askAgain() == "c0 192.0.2.2")
            try lab.check(a, "c0", first, "eth0").expectSilence()
            try lab.check(b, "c0", second, "eth1").expectSilence()
            if firstGoes {
                try lab.delete(a, "c0", "eth0", previous: first).expectSilence()
                // The default route went with the network; podman sets the other network's.
                try lab.script("ip route add default via 10.1.3.1", in: "c0")
                #expect(try ask() == "c0 192.0.2.2", "the second network did not take over")
                #expect(try askAgain() == "c0 192.0.2.2", "the second network did not take over")
                #expect(try town.ask(8080, from: "c0") == "c0 10.1.3.1", "no hairpin")
                try lab.check(b, "c0", second, "eth1").expectSilence()
                // Back again: now it is this one that waits.
                try lab.script("ip route del default", in: "c0")
                let again = try lab.add(a, "c0", "eth0").orFail("connected again")
                #expect(try town.ask(8080, from: nil, at: "127.0.0.1") == "c0 10.1.3.1")
                try lab.delete(a, "c0", "eth0", previous: again).expectSilence()
                try lab.delete(b, "c0", "eth1", previous: second).expectSilence()
            } else {
                try lab.delete(b, "c0", "eth1", previous: second).expectSilence()
                #expect(try ask() == "c0 192.0.2.2", "after the second network went")
                try lab.delete(a, "c0", "eth0", previous: first).expectSilence()
            }
            #expect(try ask(expectsNothing: true) == nil)
            try lab.expectReturn(to: before, "\(backend), first network first: \(firstGoes)")
        }
    }
}
