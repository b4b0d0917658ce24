import JSON
import System
import TestSupport
import Testing

/// One network over several hosts, with the daemon's and the plugins' executables.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct OverlayTests {
    @Test func oneSubnetSpansTheHosts() throws {
        let hosts = try Hosts()
        let addresses = try hosts.hosts.map { try $0.connect("c\($0.index)") }
        #expect(Set(addresses).count == 3)
        for host in hosts.hosts {
            for other in hosts.hosts where other !== host {
                #expect(host.lab.pings(addresses[other.index], from: "c\(host.index)"), "\(host.name) \(other.name)")
            }
            // The whole MTU of 1 450 arrives, and not a byte more leaves.
            let next = addresses[(host.index + 1) % 3]
            #expect(host.lab.pings(next, from: "c\(host.index)", bytes: 1422, isWhole: true))
            #expect(!host.lab.pings(next, from: "c\(host.index)", bytes: 1423, isWhole: true, seconds: 1))
        }

        // A fixed address: of the own block, or lent by another host.
        #expect(try hosts[0].connect("fixed", ip: "192.168.0.100") == "192.168.0.100")
        let link = try hosts[0].lab.tool("ip", "-o", "link", "show", "eth0", in: "fixed")
        #expect(link.contains("02:42:c0:a8:00:64") && link.contains("mtu 1450"))
        #expect(try hosts[2].connect("lent", ip: "192.168.0.99") == "192.168.0.99")
        #expect(hosts[1].lab.pings("192.168.0.100", from: "c1"))
        #expect(hosts[1].lab.pings("192.168.0.99", from: "c1"))
        let taken = try hosts[1].add("taken", ip: "192.168.0.100")
        #expect(!taken.succeeded && taken.message.contains("192.168.0.100"), "\(taken)")
        #expect(try hosts[1].entries()["192.168.0.100"] == "02:42:c0:a8:00:64 192.0.2.1")

        // Every host shows the same network.
        for host in hosts.hosts {
            let network = try host.get("/v1/networks/demonet")
            #expect(network["Id"]?.string == "fa17f1198b0b2ded82b1f827e03d15004caa7d77e3d54a9c9c3f1f5b62ca1791")
            #expect(network["Scope"]?.string == "global", "as Docker says with a key-value store")
            #expect(network["Driver"]?.string == "overlay" && network["MTU"]?.integer == 1450)
            #expect(network["Containers"]?.members.count == 5)
            #expect(network["Containers"]?["fixed"]?["IPv4Address"]?.string == "192.168.0.100/24")
            #expect(network["Containers"]?["fixed"]?["Host"]?.string == "h1")
            #expect(network["Peers"]?.elements.count == 3)
            #expect(network["IPAM"]?["Config"]?[0]?["Gateway"]?.string == "192.168.0.1")
        }
        let digests = try hosts.hosts.map { try $0.get("/v1/tables")["scopes"]?.elements.last?["digest"]?.string }
        #expect(Set(digests).count == 1)
        #expect(try hosts[0].metric("swiftletd_network_entries{network=\"demonet\"}") == 3)

        // What goes is gone everywhere, and the last one takes the network with it.
        try hosts[0].disconnect("fixed")
        try hosts.eventually("the entries are gone") {
            try hosts[1].entries()["192.168.0.100"] == nil && hosts[2].entries()["192.168.0.100"] == nil
        }
        try hosts[2].disconnect("lent")
        for host in hosts.hosts { try host.disconnect("c\(host.index)") }
        for host in hosts.hosts {
            #expect(try host.leftovers() == [], "\(host.name)")
            #expect(try host.lab.list("/var/lib/cni/networks/demonet").filter { $0.hasPrefix("192") } == [])
        }
        // A lent address comes back to its owner.
        #expect(try hosts[0].connect("again", ip: "192.168.0.99") == "192.168.0.99")
        try hosts[0].disconnect("again")
    }

    @Test func trafficOutlivesTheDaemons() throws {
        let hosts = try Hosts()
        let addresses = try hosts.hosts.map { try $0.connect("c\($0.index)") }
        let short = try hosts[1].connect("short")
        let runs = [
            try hosts[0].ping(addresses[1], from: "c0", seconds: 12),
            try hosts[1].ping(addresses[2], from: "c1", seconds: 12),
        ]
        // Killed, while a container of its goes and one of another host does.
        hosts[1].stop("KILL")
        try hosts[1].lab.removeContainer("short")
        let late = try hosts[2].connect("late")
        try hosts[1].startDaemon()
        try hosts.eventually("the vanished container is withdrawn") { try hosts[0].endpoints()["\(short)/24"] == nil }
        try hosts.eventually("what came meanwhile is programmed") { try hosts[1].entries()[late] != nil }
        #expect(hosts[1].lab.pings(late, from: "c1"))
        // Stopped as for an upgrade: its containers stay known.
        hosts[1].stop("TERM")
        try hosts.eventually("it is missed") { try hosts[0].endpoints()["\(addresses[1])/24"] == "h2 suspended" }
        #expect(try hosts[0].entries()[addresses[1]] != nil)
        try hosts[1].startDaemon()
        try hosts.eventually("it is back") { try hosts[0].endpoints()["\(addresses[1])/24"] == "h2 live" }
        for run in runs {
            let (sent, lost) = try run.outcome()
            #expect(sent > 100 && lost == 0)
        }
        // With no daemon at all, a container goes; what is left is finished at the next start.
        hosts[2].stop("KILL")
        try hosts[2].disconnect("late")
        try hosts[2].startDaemon()
        try hosts.eventually("it is finished") { try hosts[0].endpoints()["\(late)/24"] == nil }
    }

    @Test func partitionsHeal() throws {
        let hosts = try Hosts()
        let addresses = try hosts.hosts.map { try $0.connect("c\($0.index)") }
        try hosts.wire(2, isUp: false)
        try hosts.eventually("the host is missed") {
            try hosts[0].endpoints()["\(addresses[2])/24"] == "h3 suspended"
                && hosts[2].endpoints()["\(addresses[0])/24"] == "h1 suspended"
        }
        // Missed is not gone: it stays programmed, and both sides go on.
        #expect(try hosts[0].entries()[addresses[2]] != nil)
        let (one, three) = (try hosts[0].connect("one"), try hosts[2].connect("three"))
        #expect(one != three)
        #expect(hosts[1].lab.pings(one, from: "c1"))
        #expect(hosts[2].lab.pings(three, from: "c2"))
        try hosts.wire(2, isUp: true)
        try hosts.eventually("all is whole") {
            try hosts[1].entries()[three] != nil && hosts[2].entries()[one] != nil
                && hosts[0].endpoints()["\(addresses[2])/24"] == "h3 live"
        }
        #expect(hosts[2].lab.pings(one, from: "three"))
        #expect(hosts[1].lab.pings(three, from: "c1"))
    }

    @Test func addressesMove() throws {
        let hosts = try Hosts()
        _ = try hosts[1].connect("watcher")
        let address = "192.168.0.77"
        #expect(try hosts[0].connect("mover", ip: address) == address)
        #expect(hosts[1].lab.pings(address, from: "watcher"))
        let run = try hosts[1].ping(address, from: "watcher", seconds: 3)
        try hosts[0].disconnect("mover")
        #expect(try hosts[2].connect("mover", ip: address) == address)
        #expect(hosts[1].lab.pings(address, from: "watcher"))
        #expect(try hosts[1].entries()[address] == "02:42:c0:a8:00:4d 192.0.2.3")
        let (sent, lost) = try run.outcome()
        print("OverlayTests: a container that moved was not heard for about \(lost * 20) ms")
        #expect(lost < sent)
    }

    @Test("An address used again elsewhere has another MAC for those, too, who have spoken to the old one")
    func addressesAreUsedAgain() throws {
        let hosts = try Hosts()
        let network = OverlayHost.network(
            "demonet", [("subnets", ["192.168.0.0/24", "fd00:2::/64"]), ("subnet", .null)])
        let again = ["192.168.0.77", "fd00:2::77"]
        // One beside the old one, one beside the new one, one elsewhere.
        for host in hosts.hosts { _ = try host.addresses("watcher", ips: [], network) }
        for (index, mac) in ["02:99:00:00:00:01", "02:99:00:00:00:02", "02:42:c0:a8:00:4d"].enumerated() {
            let host = hosts[index % 2]
            var config = network
            config["runtimeConfig"] = ["mac": .string(mac)]
            // What the other host borrowed is given back when its DEL has been answered: code 11 until then.
            try hosts.eventually("\(host.name) has the addresses again") {
                try host.add("again", ips: again, config).succeeded
            }
            for watcher in hosts.hosts {
                for address in again {
                    // Less than the fifteen seconds for which an address is at least taken for resolved.
                    #expect(watcher.lab.pings(address, from: "watcher"), "\(watcher.name) \(address) \(mac)")
                }
            }
            #expect(try hosts[2].entries()[again[1]] == "\(mac) \(host.address)")
            try host.disconnect("again", network)
        }
        #expect(try !hosts[2].overlay("bridge", "fdb", "show").contains("02:99"))
    }
}
