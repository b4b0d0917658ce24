import GossipFixtures
import JSON
import NetworkTypes
import System
import TestSupport
import Testing

@testable import Gossip

/// What the tables know of other hosts counts at an ADD, and only the host itself ends its rows.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct ClaimTests {
    /// Tells of an endpoint as a plugin does whose addresses come from somewhere else.
    private func publish(
        _ host: OverlayHost, _ container: String, _ address: String, link: String? = nil
    ) throws -> (status: Int, document: Value) {
        var body: Value = [
            "network": "demonet", "containerID": .string(container), "ifname": "eth0",
            "addresses": [.string("\(address)/24")], "mac": "02:42:c0:a8:00:fe",
        ]
        if let link { body["link"] = .string(link) }
        return try host.request("POST", "/v1/overlay/endpoints", body)
    }

    private func next(_ address: String, by step: UInt32 = 1) throws -> String {
        guard case .v4(let number)? = IPAddress(address) else { throw LabError("\(address) is no address") }
        return "\(IPv4Address(rawValue: number.rawValue + step))"
    }

    @Test func whatALiveHostClaimsIsNotTaken() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        let first = try one.connect("first")
        _ = try two.connect("first")
        let claimed = try next(first)
        #expect(try publish(two, "byhand", claimed).status == 200)
        try hosts.eventually("it is known") { try one.endpoints()["\(claimed)/24"] == "h2 live" }

        let second = try one.connect("second")
        #expect(second != claimed)
        let wished = try one.add("third", ip: claimed)
        #expect(wished.code == 11 && wished.message.contains("in use by container byhand on h2"), "\(wished)")
        let (status, answer) = try publish(one, "fourth", claimed)
        #expect(status == 409 && answer["error"]?.string?.contains("byhand on h2") == true, "\(answer)")
        #expect(answer["remedy"]?.string?.isEmpty == false)
        #expect(try two.endpoints()["\(claimed)/24"] == "h2 live")

        // What its host gave up, or a host that does not answer has, is to be had.
        #expect(
            try two.request(
                "DELETE", "/v1/overlay/endpoints", ["network": "demonet", "containerID": "byhand", "ifname": "eth0"]
            ).status == 200)
        try hosts.eventually("it is free") { try one.endpoints()["\(claimed)/24"] == nil }
        #expect(try one.connect("third", ip: claimed) == claimed)
    }

    @Test func whatWasClaimedTwiceIsSaid() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        let first = try one.connect("first")
        _ = try two.connect("first")
        let contested = try next(first, by: 2)
        try hosts.wire(1, isUp: false)
        try hosts.eventually("they do not see each other") {
            try one.endpoints().values.contains("h2 suspended") && two.endpoints().values.contains("h1 suspended")
        }
        // An endpoint whose link is not there is taken back soon.
        _ = try two.overlay("ip", "link", "add", "byhand0", "type", "veth", "peer", "name", "byhand1")
        _ = try two.overlay("ip", "link", "set", "byhand0", "master", "br0", "up")
        #expect(try publish(two, "byhand", contested, link: "byhand0").status == 200)
        #expect(try one.connect("wished", ip: contested) == contested)
        try hosts.wire(1, isUp: true)
        for (host, text) in [
            (one, "by container wished here and by container byhand on h2"),
            (two, "by container byhand here and by container wished on h1"),
        ] {
            try hosts.eventually("\(host.name) says so") {
                try host.get("/v1/networks/demonet")["Warnings"]?[0]?.string?.contains(text) == true
            }
        }
    }

    /// Packets that anybody with access to the gossip can make, and a host that lives.
    @Test func aForgedLeaveTakesNothing() throws {
        let hosts = try Hosts(3)
        let (one, two) = (hosts[0], hosts[1])
        for host in hosts.hosts { _ = try host.connect("c") }
        try hosts.eventually("all is known") { try one.entries().count == 2 }
        let before = try one.entries()
        let attacker = try Attacker(in: hosts[2].lab, at: "192.0.2.3")
        for incarnation in UInt32(1)...30 {
            for target in [one.address, hosts[2].address] {
                try attacker.send(
                    Accusation(node: "h2", incarnation: incarnation, from: "h2").encode(as: .dead), to: target)
            }
            #expect(try one.entries() == before, "after incarnation \(incarnation)")
            let known = try one.endpoints().values.filter { $0.hasPrefix("h2 ") }
            #expect(known.count == 1, "after incarnation \(incarnation)")
        }
        #expect(try one.lab.read(one.log).contains("member left"), "the forgery works on the membership")
        try hosts.eventually("it is alive again") {
            try one.endpoints().values.contains("h2 live") && hosts[2].endpoints().values.contains("h2 live")
        }
        _ = two
    }

    @Test func whoLeavesIsForgottenAtOnce() throws {
        let hosts = try Hosts(3)
        for host in hosts.hosts { _ = try host.connect("c") }
        let three = hosts[2]
        try hosts.eventually("all is known") { try hosts[0].entries().count == 2 }
        _ = try three.request("POST", "/v1/leave")
        for host in hosts.hosts.dropLast() {
            try hosts.eventually("\(host.name) has let it go", milliseconds: 3_000) {
                try host.entries().count == 1 && !host.endpoints().values.contains { $0.hasPrefix("h3 ") }
            }
            #expect(try host.lab.read(host.log).contains("a host took its leave"), "\(host.name)")
        }
        three.stop("KILL")
        try three.startDaemon()
        for host in hosts.hosts.dropLast() {
            try hosts.eventually("\(host.name) knows it again") { try host.endpoints().values.contains("h3 live") }
        }
    }
}
