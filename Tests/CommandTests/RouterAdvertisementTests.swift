import JSON
import System
import TestSupport
import Testing

/// A host whose way out is what a router advertises keeps it when containers make it a router itself.
@Suite(
    .enabled(if: Namespaces.areAvailable && Files.exists("/usr/bin/python3"), "root, unshare(2), python3 are needed"),
    .enabled(if: !Plugins.areReference, "the reference loses the route"))
struct RouterAdvertisementTests {
    /// Sends one router advertisement from "outside" to the host's up0, and waits for the default route.
    private func advertise(_ lab: Lab) throws -> Bool {
        let program = """
            import socket
            index = socket.if_nametoindex("out0")
            link = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            link.sendto(bytes([134, 0, 0, 0, 64, 0, 7, 8]) + bytes(8), ("ff02::1", 0, 0, index))
            """
        return try lab.eventually {
            try lab.tool("python3", "-c", program, in: "outside")
            return try defaultRoute(lab)
        }
    }

    private func defaultRoute(_ lab: Lab) throws -> Bool {
        try lab.tool("ip", "-6", "route", "show", "default", "dev", "up0").contains("proto ra")
    }

    private func value(_ lab: Lab, _ key: String) throws -> String {
        String(try lab.tool("cat", "/proc/sys/net/ipv6/conf/\(key)").prefix { $0 != "\n" })
    }

    @Test("The route learned from advertisements stays", arguments: ["bridge", "gwbridge-nat"])
    func keeps(_ plugin: String) throws {
        let lab = try Lab()
        try lab.addOutside()
        try lab.script("ip -6 address flush dev up0; sysctl -qw net.ipv6.conf.all.forwarding=0")
        try lab.script("ip link set up0 down; sysctl -qw net.ipv6.conf.up0.accept_ra=1; ip link set up0 up")
        #expect(try advertise(lab))
        let config: Value =
            plugin == "bridge"
            ? FilterInputs.masquerading()
            : ["cniVersion": "1.0.0", "name": "net", "type": "gwbridge-nat"]
        try lab.add(config, plugin: plugin)
        guard plugin == "bridge" else {
            // Its network is IPv4's alone, so nothing is forwarded by IPv6 that was not.
            #expect(try value(lab, "all/forwarding") == "0")
            #expect(try defaultRoute(lab))
            return
        }
        #expect(try value(lab, "all/forwarding") == "1")
        #expect(try value(lab, "up0/accept_ra") == "2")
        #expect(try defaultRoute(lab))
        // Also the next advertisement is heard.
        try lab.script("ip -6 route del default dev up0")
        #expect(try advertise(lab))
        // Who is in a container is no router of the host's.
        for name in ["br0"] + (try lab.script("ls /sys/class/net").split(separator: "\n").map(String.init))
        where name == "br0" || name.hasPrefix("veth") {
            #expect(try value(lab, "\(name)/accept_ra") != "2", "\(name)")
        }
    }
}
