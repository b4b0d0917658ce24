import NetworkTypes
import System
import TestSupport
import Testing

@testable import Netfilter

@Suite("Traffic through the packet filter", .enabled(if: FreshNamespace.isPermitted), .serialized)
struct NetfilterTrafficTests {
    private let owner = FilterOwner(network: "net", containerID: "one", interfaceName: "eth0")

    private static func open(_ backend: BackendChoice) throws -> any PacketFilter {
        backend == .iptables ? try IPTables() : try NFTables()
    }

    private static func parse(_ text: String) throws -> IPAddress { try need(IPAddress(text)) }

    @Test(
        "A masqueraded container is answered by who has no route to it", arguments: [BackendChoice.nftables, .iptables])
    func masquerade(_ backend: BackendChoice) throws {
        try inFreshNamespace { _ in
            let lab = try TrafficLab()
            let filter = try Self.open(backend)
            let addresses = [try need(IPPrefix("10.1.0.5/24")), try need(IPPrefix("fd00::5/64"))]
            for (transport, family, client, host) in [
                (TransportProtocol.tcp, AddressFamily.ipv4, "192.0.2.2", "192.0.2.1"),
                (.udp, .ipv6, "2001:db8::2", "2001:db8::1"),
            ] {
                let server = try Listener(transport, family, port: 7000, in: lab.client)
                let target = try Self.parse(client)
                #expect(try server.reach(target, 7000, from: lab.one, expectsNothing: true) == nil)
                try filter.add([.masquerade(Masquerade(addresses: addresses))], for: owner)
                #expect(try server.reach(target, 7000, from: lab.one) == Self.parse(host))
                #expect(try server.reach(target, 7000, from: lab.two, expectsNothing: true) == nil)
                // Its own subnet sees its own address.
                let neighbour = try Listener(transport, family, port: 7001, in: lab.two)
                let (other, own) = family == .ipv4 ? ("10.1.0.6", "10.1.0.5") : ("fd00::6", "fd00::5")
                #expect(try neighbour.reach(Self.parse(other), 7001, from: lab.one) == Self.parse(own))
                try filter.remove(.masquerade, of: owner)
                try Conntrack().remove([ConnectionMatch()])
                #expect(try server.reach(target, 7000, from: lab.one, expectsNothing: true) == nil)
            }
        }
    }

    @Test(
        "A forwarded port leads to the container from outside, the host, localhost, its neighbour and itself",
        arguments: [BackendChoice.nftables, .iptables])
    func portForward(_ backend: BackendChoice) throws {
        try inFreshNamespace { _ in
            let lab = try TrafficLab()
            let filter = try Self.open(backend)
            let addresses = [try need(IPPrefix("10.1.0.5/24")), try need(IPPrefix("fd00::5/64"))]
            let masquerade = FilterRule.masquerade(Masquerade(addresses: addresses))
            for transport in [TransportProtocol.tcp, .udp] {
                let rule = FilterRule.portForward(
                    PortForward([PortMapping(transport, hostPort: 8080, containerPort: 80)], to: addresses))
                try filter.add([masquerade, rule], for: owner)
                let server = try Listener(transport, .ipv4, port: 80, in: lab.one)
                let host = try Self.parse("192.0.2.1"), local = try Self.parse("127.0.0.1")
                let bridge = try Self.parse("10.1.0.1")
                #expect(try server.reach(host, 8080, from: lab.client) == Self.parse("192.0.2.2"))
                #expect(try server.reach(host, 8080) != nil)
                #expect(try server.reach(local, 8080) == bridge)
                #expect(try server.reach(host, 8080, from: lab.two) == bridge)
                #expect(try server.reach(host, 8080, from: lab.one) == bridge)

                let server6 = try Listener(transport, .ipv6, port: 80, in: lab.one)
                let host6 = try Self.parse("2001:db8::1"), bridge6 = try Self.parse("fd00::1")
                #expect(try server6.reach(host6, 8080, from: lab.client) == Self.parse("2001:db8::2"))
                #expect(try server6.reach(host6, 8080) != nil)
                #expect(try server6.reach(host6, 8080, from: lab.two) == bridge6)
                #expect(try server6.reach(host6, 8080, from: lab.one) == bridge6)

                try filter.remove(.portForward, of: owner)
                try Conntrack().remove([ConnectionMatch(transport, originalPort: 8080)])
                #expect(try server.reach(host, 8080, from: lab.client, expectsNothing: true) == nil)
            }
        }
    }

    @Test("A port of one host address leads in by that address only, whoever has the port of the others")
    func hostAddress() throws {
        try inFreshNamespace { _ in
            let lab = try TrafficLab()
            let filter = try NFTables()
            let host = try Self.parse("192.0.2.1"), bridge = try Self.parse("10.1.0.1")
            let one = try need(IPPrefix("10.1.0.5/24")), two = try need(IPPrefix("10.1.0.6/24"))
            let certain = PortMapping(.tcp, hostAddress: host, hostPort: 8080, containerPort: 80)
            try filter.add([.portForward(PortForward([certain], to: [one]))], for: owner)
            let first = try Listener(.tcp, .ipv4, port: 80, in: lab.one)
            #expect(try first.reach(host, 8080, from: lab.client) != nil)
            #expect(try first.reach(bridge, 8080, expectsNothing: true) == nil)
            let other = FilterOwner(network: "net", containerID: "two", interfaceName: "eth0")
            let any = PortMapping(.tcp, hostPort: 8080, containerPort: 80)
            try filter.add([.portForward(PortForward([any], to: [two]))], for: other)
            let second = try Listener(.tcp, .ipv4, port: 80, in: lab.two)
            #expect(try first.reach(host, 8080, from: lab.client) != nil)
            #expect(try second.reach(bridge, 8080) != nil)
        }
    }

    @Test("Conditions are asked of a connection, masqAll hides every client")
    func conditionsAndAll() throws {
        try inFreshNamespace { _ in
            let lab = try TrafficLab()
            let filter = try NFTables()
            let host = try Self.parse("192.0.2.1")
            let address = try need(IPPrefix("10.1.0.5/24"))
            let mapping = PortMapping(.tcp, hostPort: 8080, containerPort: 80)
            let server = try Listener(.tcp, .ipv4, port: 80, in: lab.one)
            for (words, isLetIn) in [("ip saddr 192.0.2.2", true), ("ip saddr != 192.0.2.0/24", false)] {
                let rule = PortForward([mapping], to: [address], sourceRewrite: .all, conditions4: [words])
                try filter.add([.portForward(rule)], for: owner)
                let seen = try server.reach(host, 8080, from: lab.client, expectsNothing: !isLetIn)
                #expect(seen == (isLetIn ? try Self.parse("10.1.0.1") : nil))
                try filter.remove(.portForward, of: owner)
            }
        }
    }

    @Test("What listens on the host's loopback is out of a container's reach")
    func loopbackGuard() throws {
        try inFreshNamespace { host in
            let lab = try TrafficLab()
            let server = try Listener(.tcp, .ipv4, port: 9000, in: host)
            let target = try Self.parse("127.0.0.9")
            try lab.one.run {
                try Sysctl.write("net/ipv4/conf/all/route_localnet", "1")
                try command("ip addr del 127.0.0.1/8 dev lo")
                try command("ip route add 127.0.0.9/32 via 10.1.0.1 src 10.1.0.5")
            }
            #expect(try server.reach(target, 9000, from: lab.one) != nil)
            let address = try need(IPPrefix("10.1.0.5/24"))
            try NFTables().add([.masquerade(Masquerade(addresses: [address]))], for: owner)
            #expect(try server.reach(target, 9000, from: lab.one, expectsNothing: true) == nil)
            #expect(try server.reach(target, 9000) != nil)
        }
    }

    @Test("A port sends from its own MAC address only")
    func antiSpoof() throws {
        try inFreshNamespace { _ in
            let lab = try TrafficLab()
            let filter = try NFTables()
            let text = try lab.one.run { try Files.text("/proc/thread-self/net/arp") }
            #expect(text.contains("IP address"))
            let shown = try lab.one.run { try command("ip -o link show dev eth0") }
            let words = shown.split(separator: " ").map(String.init)
            let mac = try need(words.firstIndex(of: "link/ether").flatMap { MACAddress(words[$0 + 1]) })
            try filter.add([.antiSpoof(AntiSpoof(link: "vone", mac: mac))], for: owner)
            let server = try Listener(.udp, .ipv4, port: 80, in: lab.two)
            let target = try Self.parse("10.1.0.6")
            #expect(try server.reach(target, 80, from: lab.one) != nil)
            try lab.one.run {
                try command("ip link set eth0 address 02:00:00:00:00:99")
                try command("ip neigh flush all")
            }
            _ = try lab.two.run { try command("ip neigh flush all") }
            #expect(try server.reach(target, 80, from: lab.one, expectsNothing: true) == nil)
            try filter.remove(.antiSpoof, of: owner)
            #expect(try server.reach(target, 80, from: lab.one) != nil)
        }
    }

    @Test(
        "Networks behind bridges with a policy do not reach each other", arguments: [BackendChoice.nftables, .iptables])
    func isolation(_ backend: BackendChoice) throws {
        try inFreshNamespace { _ in
            let lab = try TrafficLab()
            let filter = try Self.open(backend)
            // A second bridge with the container two behind it.
            for line in [
                "ip link add br1 type bridge", "ip link set br1 up", "ip addr add 10.2.0.1/24 dev br1",
                "ip link set vtwo master br1",
            ] { try command(line) }
            try lab.two.run {
                try command("ip addr flush dev eth0")
                try command("ip addr add 10.2.0.6/24 dev eth0")
                try command("ip route replace default via 10.2.0.1")
            }
            let server = try Listener(.tcp, .ipv4, port: 80, in: lab.two)
            let target = try Self.parse("10.2.0.6")
            #expect(try server.reach(target, 80, from: lab.one) != nil)
            let other = FilterOwner(network: "net2", containerID: "two", interfaceName: "eth0")
            let first = Firewall(addresses: [try Self.parse("10.1.0.5")], ingress: .sameBridge, bridge: "br0")
            let second = Firewall(addresses: [target], ingress: .sameBridge, bridge: "br1")
            try filter.add([.firewall(first)], for: owner)
            #expect(try server.reach(target, 80, from: lab.one) != nil)
            try filter.add([.firewall(second)], for: other)
            #expect(try server.reach(target, 80, from: lab.one, expectsNothing: true) == nil)
            #expect(try server.reach(target, 80) != nil)
        }
    }

    @Test("Conntrack entries go by port and by address")
    func conntrack() throws {
        try inFreshNamespace { _ in
            let lab = try TrafficLab()
            let filter = try NFTables()
            let conntrack = try Conntrack()
            let address = try need(IPPrefix("10.1.0.5/24")), host = try Self.parse("192.0.2.1")
            let mapping = PortMapping(.udp, hostPort: 8080, containerPort: 80)
            try filter.add([.portForward(PortForward([mapping], to: [address]))], for: owner)
            let server = try Listener(.udp, .ipv4, port: 80, in: lab.one)
            let byPort = ConnectionMatch(.udp, originalPort: 8080)
            let byAddress = ConnectionMatch(replySource: address.address)
            #expect(try server.reach(host, 8080, from: lab.client) != nil)
            #expect(try conntrack.count(byPort) == 1)
            #expect(try conntrack.count(byAddress) == 1)
            #expect(try conntrack.remove([ConnectionMatch(.tcp, originalPort: 8080)]) == 0)
            #expect(try conntrack.remove([byPort]) == 1)
            #expect(try conntrack.count(byPort) == 0)
            #expect(try server.reach(host, 8080, from: lab.client) != nil)
            #expect(try conntrack.remove([byAddress]) == 1)
            #expect(try conntrack.remove([byAddress, byPort]) == 0)
        }
    }
}
