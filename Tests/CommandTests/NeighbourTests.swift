import JSON
import TestSupport
import Testing

/// An address that goes to a container with another MAC: whoever knew it by the old one reaches the new container at once.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference's announcement comes before the port forwards"))
struct NeighbourTests {
    /// Who asks: a container on the same bridge, and the host.
    private static func expectReached(_ lab: Lab, _ addresses: [String], from places: [String?], _ what: String) throws
    {
        for place in places {
            for address in addresses {
                #expect(lab.pings(address, from: place, seconds: 1), "\(what): \(address) from \(place ?? "the host")")
                // Half a minute is the least that it is believed without being asked for again.
                let link = place == nil ? "br0" : "eth0"
                let entry = try lab.query("ip", ["-j", "neighbour", "show", address], in: place)[0]
                try lab.tool(
                    "ip", "neighbour", "replace", address, "lladdr", entry?["lladdr"]?.string ?? "none", "dev",
                    entry?["dev"]?.string ?? link, "nud", "reachable", in: place)
            }
        }
    }

    /// The MACs asked for, one container after the other; nil for none.
    static let sequence: [String?] = [nil, "02:00:00:00:00:0a", "02:00:00:00:00:0b", nil, "02:00:00:00:00:0c"]

    @Test("On a bridge", arguments: [["10.1.2.0/24"], ["2001:db8::/64"], ["10.1.2.0/24", "2001:db8::/64"]])
    func bridge(_ subnets: [String]) throws {
        let lab = try Lab(containers: 2)
        let config = Inputs.bridge("1.0.0", subnets)
        let addresses = ["10.1.2.77", "2001:db8::77"].filter { address in
            subnets.contains { $0.contains(".") == address.contains(".") }
        }
        let ips = Value.array(addresses.map { .string($0) })
        try lab.add(config, containerID: "c1")
        for (number, mac) in Self.sequence.enumerated() {
            var runtime = Object([("ips", ips)])
            if let mac { runtime["mac"] = .string(mac) }
            let (added, result) = try lab.add(config.with(("runtimeConfig", .object(runtime))))
            #expect(mac == nil || result.interfaceMAC(2) == mac)
            try Self.expectReached(lab, addresses, from: ["c1", nil], "container \(number)")
            try lab.run("bridge", "CHECK", added).expectSilence()
            try lab.delete(added)
        }
    }

    @Test("The container before was another suite's")
    func foreign() throws {
        let lab = try Lab(containers: 2)
        let config = Inputs.bridge("1.0.0").with(("runtimeConfig", ["ips": ["10.1.2.77"]]))
        try lab.add(Inputs.bridge("1.0.0"), containerID: "c1")
        let (added, _) = try lab.add(config)
        // A MAC by chance is what the reference gives; the result says it.
        try lab.tool("ip", "link", "set", "eth0", "address", "0a:11:22:33:44:55", in: "c0")
        try Self.expectReached(lab, ["10.1.2.77"], from: ["c1", nil], "the first")
        var previous = added["prevResult"] ?? nil
        previous["interfaces"] = .array(
            (previous["interfaces"]?.elements ?? []).map { entry in
                entry["name"]?.string == "eth0" ? entry.with(("mac", "0a:11:22:33:44:55")) : entry
            })
        try lab.delete(added.with(("prevResult", previous)))
        try lab.add(config)
        try Self.expectReached(lab, ["10.1.2.77"], from: ["c1", nil], "the second")
    }

    @Test("On an overlay without a daemon, also from another host")
    func overlay() throws {
        let underlay = try Underlay(hosts: 2, containers: 2)
        let (one, two) = (underlay.hosts[0], underlay.hosts[1])
        let chain = OverlayInputs.daemonless(underlay, [("subnets", ["192.168.0.0/24", "fd00:2::/64"])])
        try one.add(chain, "c1").orFail()
        try two.add(chain, "c1").orFail()
        let addresses = ["192.168.0.77", "fd00:2::77"]
        for (number, mac) in Self.sequence.enumerated() {
            var own = chain
            own.runtimeConfig = ["ips": .array(addresses.map { .string($0) })]
            if let mac { own.runtimeConfig?["mac"] = .string(mac) }
            let result = try one.add(own, "c0").orFail()
            try Self.expectReached(one, addresses, from: ["c1"], "container \(number)")
            try Self.expectReached(two, addresses, from: ["c1"], "container \(number)")
            try one.delete(own, "c0", previous: result).expectSilence()
        }
    }
}
