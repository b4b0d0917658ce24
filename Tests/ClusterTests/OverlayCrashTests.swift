import JSON
import System
import TestSupport
import Testing

/// The plugin killed at any instant, with daemons on both hosts: what it began is finished by DEL or GC, on all hosts.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct OverlayCrashTests {
    static let rounds = Plugins.wantsLongRuns ? 300 : 16

    @Test func killedPluginsLeaveNothing() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        // It sees what the other host's daemon tells; and the address that h1 hands out is always the same one, so that a
        // reservation that is left would be seen.
        let watcher = try two.connect("watcher")
        let network = OverlayHost.network()
        let address = "192.168.0.20"
        var random = SeededGenerator(for: "ClusterTests.OverlayCrashTests")
        var longest: [String: UInt64] = [:]
        for _ in 0..<2 {
            let added = try one.add("c", ip: address)
            #expect(added.succeeded, "\(added)")
            let removed = try one.remove("c")
            longest["ADD"] = max(longest["ADD"] ?? 0, added.outcome.duration)
            longest["DEL"] = max(longest["DEL"] ?? 0, removed.outcome.duration)
        }
        var killed = 0
        for round in 0..<Self.rounds {
            let command = round % 4 == 3 ? "DEL" : "ADD"
            let what = "seed \(random.seed), round \(round), \(command)"
            if command == "DEL" { _ = try one.connect("c", ip: address) }
            var config = network
            config["runtimeConfig"] = ["ips": [.string(address)]]
            var call = PluginCall(
                "overlay-vxlan", command, containerID: "c", netns: one.lab.netns("c"), input: config.text())
            call.killAfter = UInt64.random(in: 0...(longest[command] ?? 0), using: &random)
            if try one.lab.run(call).outcome.status == -9 { killed += 1 }
            switch round % 3 {
            case 0: #expect(try one.remove("c").succeeded, "\(what)")
            case 1:
                var garbage = network
                garbage["cni.dev/valid-attachments"] = []
                garbage["cniVersion"] = "1.1.0"
                let answer = try one.lab.run("overlay-vxlan", "GC", garbage)
                #expect(answer.succeeded, "\(what): \(answer)")
            default:
                // The container is gone when the runtime cleans up.
                try one.lab.removeContainer("c")
                try one.lab.addContainer("c")
                #expect(try one.remove("c").succeeded, "\(what)")
            }
            let wanted: (Set<String>, Set<String>) = (["\(watcher)/24 h2 live"], [])
            var seen = wanted
            do {
                try hosts.eventually("\(what): nothing is left", milliseconds: 20_000) {
                    seen.0 = Set(try [one, two].flatMap { try $0.endpoints().map { "\($0) \($1)" } })
                    seen.1 = Set(try one.leftovers() + two.entries().keys)
                    return seen == wanted
                }
            } catch {
                throw LabError("\(seen) \(error)")
            }
            let reserved = try one.lab.list("/var/lib/cni/networks/demonet").filter { $0.hasPrefix("192") }
            #expect(reserved == [], "\(what)")
            #expect(try !one.lab.tool("ip", "-o", "link", in: "c").contains("eth0"), "\(what)")
        }
        print("OverlayCrashTests: \(killed) of \(Self.rounds) runs were killed")
        #expect(killed > 0)
        // And it works as before.
        _ = try one.connect("c", ip: address)
        #expect(two.lab.pings(address, from: "watcher"))
    }
}
