import JSON
import System
import TestSupport
import Testing

/// A plugin that is stopped (SIGSTOP) in the middle of an ADD, and so holds its network's lock.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct StoppedPluginTests {
    @Test("an ADD that a daemon before the last start prepared keeps its addresses from being lent")
    func outlivesTheDaemon() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        let address = try one.connect("first")
        try one.disconnect("first")
        _ = try one.connect("stays")
        // What the allocator hands out next is the address after the last one, so the one before is for who asks.
        let stopped = try StoppedAdd(one, "slow", ip: address)
        one.stop("KILL")
        try one.startDaemon()
        try hosts.eventually("the hosts know each other again") {
            try two.get("/v1/tables")["hosts"]?.elements.first { $0["name"]?.string == "h1" }?["status"] == "live"
        }
        // Refused for the one reason or the other, until the hosts' allocators know each other again and the lock decides.
        var early = try two.add("early", ip: address)
        try hosts.eventually("who holds the lock is named") {
            if try one.get("/v1/networks/demonet")["LockHolder"]?.string == "\(stopped.pid) (overlay-vxlan)" {
                return true
            }
            early = try two.add("early", ip: address)
            return early.succeeded
        }
        #expect(early.code == 11, "\(early)")
        let ended = try stopped.end()
        #expect(ended.succeeded, "\(ended.answer)")
        let late = try two.add("late", ip: address)
        #expect(!late.succeeded && late.words.contains("in use"), "\(late)")
        try one.disconnect("slow")
        try hosts.eventually("it is free then") { try two.add("last", ip: address).succeeded }
    }

    @Test("an ADD whose address was lent after the daemon forgot of it is refused")
    func tellsTooLate() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        let address = try one.connect("first")
        try one.disconnect("first")
        _ = try one.connect("stays")
        let prepared = try one.request(
            "POST", "/v1/overlay/prepare",
            [
                "network": "demonet", "containerID": "slow", "ifname": "eth0",
                "definition": ["subnet": "192.168.0.0/24"],
            ])
        #expect(prepared.status == 200, "\(prepared)")
        one.stop("KILL")
        try one.startDaemon()
        // Nothing tells of the ADD: it had not come as far as the lock.
        try hosts.eventually("the address is lent") { try two.add("borrower", ip: address).succeeded }
        func told(_ more: [(String, Value)]) throws -> (status: Int, document: Value) {
            var body: Value = [
                "network": "demonet", "containerID": "slow", "ifname": "eth0", "addresses": [.string("\(address)/24")],
                "mac": "02:00:00:00:00:09", "link": "none",
            ]
            for (key, value) in more { body[key] = value }
            return try one.request("POST", "/v1/overlay/endpoints", body)
        }
        let refused = try told([("blocks", true)])
        #expect(refused.status == 409 && refused.document["code"]?.integer == 11, "\(refused)")
        #expect(try one.endpoints()["\(address)/24"] == "h2 live")
        // What another host's container has is refused whoever chose it; else an address of another delegate is none of
        // the blocks' business.
        #expect(try told([]).status == 409)
        #expect(try told([("addresses", ["192.168.0.250/24"])]).status == 200)
    }

    @Test("a lock that is held stops its own network and no other")
    func othersGoOn() throws {
        let hosts = try Hosts(1)
        let host = hosts[0]
        let other = OverlayHost.network("other", [("subnet", "10.20.0.0/24")])
        _ = try host.connect("stays")
        let stopped = try StoppedAdd(host, "slow", ip: nil)
        _ = try host.overlay("ip", "link", "set", "br0", "mtu", "1300")
        try hosts.eventually("the daemon would mend it") {
            try host.metric("swiftletd_network_lock_wait_seconds{network=\"demonet\"}") >= 1
        }
        for number in 0..<3 { _ = try host.connect("c\(number)", ip: nil, other) }
        for number in 0..<3 { try host.disconnect("c\(number)", other) }
        #expect(try host.lab.list("/run/swiftlet/netns").filter { $0.hasPrefix("1-") }.count == 1)
        let log = try host.lab.read(host.log)
        #expect(log.contains("holder=\(stopped.pid) (overlay-vxlan)"), "\(log)")
        #expect(try host.get("/v1/networks/demonet")["Fault"]?.string?.contains("overlay-vxlan") == true)
        let ended = try stopped.end()
        #expect(ended.succeeded, "\(ended.answer)")
        try hosts.eventually("it is mended") {
            try host.overlay("ip", "link", "show", "br0").contains("mtu 1450")
                && host.get("/v1/networks/demonet")["Fault"] == nil
        }
        #expect(try host.metric("swiftletd_network_lock_wait_seconds{network=\"demonet\"}") == 0)
        #expect(try host.lab.read(host.log).contains("the network's lock is free again"))
    }
}

/// An ADD whose plugin is stopped before its delegate has reserved an address.
private final class StoppedAdd {
    let pid: Int32
    private let host: OverlayHost

    /// Begins, and returns when the plugin is stopped.
    init(_ host: OverlayHost, _ container: String, ip: String?) throws {
        self.host = host
        try host.lab.addContainer(container)
        var config = OverlayHost.network()
        if let ip { config["runtimeConfig"] = ["ips": .array([.string(ip)])] }
        try host.lab.script("rm -rf /run/slow; mkdir /run/slow")
        try host.lab.write("/run/slow/config", config.text())
        try host.lab.write(
            "/run/slow/host-local",
            """
            #!/bin/sh
            if [ "$CNI_COMMAND" = ADD ]; then
                kill -STOP $PPID
                echo $PPID >/run/slow/pid.new
                mv /run/slow/pid.new /run/slow/pid
                while [ ! -e /run/slow/go ]; do sleep 0.02; done
            fi
            exec '\(Plugins.directory)/host-local'
            """, mode: 0o755)
        let variables =
            "CNI_COMMAND=ADD CNI_CONTAINERID=\(container) CNI_NETNS=\(host.lab.netns(container)) CNI_IFNAME=eth0"
            + " CNI_PATH=/run/slow"
        try host.lab.script(
            """
            (env \(variables) '\(Plugins.directory)/overlay-vxlan' </run/slow/config >/run/slow/answer 2>&1 && status=0 || status=$?
                echo $status >/run/slow/status) >/dev/null 2>&1 </dev/null &
            """)
        let deadline = Deadline(milliseconds: 20_000)
        while (try? host.lab.read("/run/slow/pid")) == nil {
            guard deadline.remainingMilliseconds > 0 else {
                throw LabError("not stopped: \((try? host.lab.read("/run/slow/answer")) ?? "")")
            }
            pause(milliseconds: 20)
        }
        let text = try host.lab.read("/run/slow/pid").filter(\.isNumber)
        guard let pid = Int32(text) else { throw LabError("no process id: \(text)") }
        self.pid = pid
    }

    deinit { if (try? host.lab.read("/run/slow/status")) == nil { _ = try? host.lab.script("kill -KILL \(pid)") } }

    /// Lets it go on, and waits for its end.
    func end() throws -> (succeeded: Bool, answer: String) {
        try host.lab.script("touch /run/slow/go; kill -CONT \(pid)")
        let deadline = Deadline(milliseconds: 20_000)
        while (try? host.lab.read("/run/slow/status")) == nil {
            guard deadline.remainingMilliseconds > 0 else {
                throw LabError("the plugin does not end")
            }
            pause(milliseconds: 20)
        }
        return (try host.lab.read("/run/slow/status") == "0\n", try host.lab.read("/run/slow/answer"))
    }
}
