import JSON
import System
import TestSupport
import Testing

/// The fake host itself: it must be away from the machine's own namespace and forget everything.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct HarnessTests {
    @Test func staysOutOfTheStartingNamespace() throws {
        let before = try FileStatus(of: "/proc/thread-self/ns/net").inode
        let lab = try Lab()
        let (inside, container) = try (
            lab.inside { try FileStatus(of: "/proc/thread-self/ns/net").inode },
            lab.inside("c0") { try FileStatus(of: "/proc/thread-self/ns/net").inode }
        )
        #expect(Set([before, inside, container]).count == 3)
        #expect(try FileStatus(of: "/proc/thread-self/ns/net").inode == before)
        let spawned = try lab.tool("readlink", "/proc/self/ns/net")
        #expect(spawned == "net:[\(inside)]\n")
        #expect(!Files.exists("/run/netns/c0"), "the lab's mounts leaked")
    }

    @Test func seesEveryKindOfChange() throws {
        let lab = try Lab()
        let start = try lab.world()
        try lab.world().expectEqual(to: start)
        let changes: [(place: String?, tool: String, arguments: String, mark: String)] = [
            (nil, "ip", "link add br9 type bridge", "+ host/link/br9/"),
            (nil, "ip", "link set br9 mtu 1400", "~ host/link/br9/mtu: 1500 -> 1400"),
            (nil, "ip", "address add 10.9.0.1/24 dev br9", "+ host/address/br9/10.9.0.1/24/"),
            (nil, "ip", "link set br9 up", "host/link/br9/flags"),
            (nil, "ip", "link add v9 type veth peer name w9 netns /run/netns/c0", "+ c0/link/w9/"),
            (nil, "ip", "link set v9 master br9", "+ host/link/v9/master: br9"),
            (nil, "bridge", "link set dev v9 hairpin on", "hairpin"),
            (nil, "bridge", "link set dev v9 isolated on", "isolated"),
            ("c0", "ip", "link set w9 up", "~ c0/link/w9/flags"),
            ("c0", "ip", "address add 10.9.0.2/24 dev w9", "+ c0/route4/w9/10.9.0.0/24/"),
            ("c0", "ip", "route add 10.8.0.0/16 via 10.9.0.1", "+ c0/route4/w9/10.8.0.0/16/10.9.0.1/"),
            ("c0", "ip", "neigh add 10.9.0.3 lladdr 02:00:00:00:00:01 dev w9", "+ c0/neighbour/w9/10.9.0.3"),
            (nil, "bridge", "fdb add 02:00:00:00:00:01 dev v9 master static", ""),
            (nil, "nft", "add table inet t", "+ host/nft/"),
            (nil, "iptables", "-t nat -A POSTROUTING -j ACCEPT", "+ host/iptables-save/"),
            (nil, "sysctl", "-w net.ipv4.ip_forward=1", "~ host/sysctl4/ip_forward: 0 -> 1"),
        ]
        var last = start
        for change in changes {
            try lab.tool(change.tool, change.arguments.split(separator: " ").map(String.init), in: change.place)
            let now = try lab.world()
            let differences = now.differences(from: last)
            #expect(
                change.mark.isEmpty || differences.contains { $0.contains(change.mark) },
                "\(change.tool) \(change.arguments): \(differences)")
            last = now
        }
        try lab.write("/var/lib/cni/networks/n/10.9.0.2", "c0\r\neth0")
        #expect(
            try lab.world().differences(from: last) == ["+ file/var/lib/cni/networks/n/10.9.0.2: c0\r\neth0"])
    }

    @Test func endsAPluginThatHangs() throws {
        let outcome = try ChildProcess.run("/bin/sleep", ["60"], environment: Environment(), limit: 100)
        #expect(outcome.timedOut && outcome.status == -9)
        let killed = try ChildProcess.run("/bin/sleep", ["60"], environment: Environment(), killAfter: 1_000_000)
        #expect(!killed.timedOut && killed.status == -9)
        let echo = try ChildProcess.run(
            "/bin/cat", environment: Environment(), input: [UInt8](repeating: 65, count: 300_000))
        #expect(echo.status == 0 && echo.output.count == 300_000)
        let deaf = try ChildProcess.run(
            "/bin/true", environment: Environment(), input: [UInt8](repeating: 65, count: 300_000))
        #expect(deaf.status == 0)
    }
}
