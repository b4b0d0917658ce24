import JSON
import TestSupport
import Testing

/// `adopt: true`, and `swiftlet network adopt`: a network created on one host can be run on the others.
@Suite(.serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct AdoptionTests {
    private static let file = "/run/net.d/60-demonet.conflist"

    @Test("what one host creates, the others write, and their containers join it")
    func adopted() throws {
        let hosts = try Hosts(2, configuration: ["adopt": true, "confDir": "/run/net.d"])
        let (one, two) = (hosts[0], hosts[1])
        let created = try one.lab.swiftlet(
            "network", "create", "-d", "overlay", "--subnet", "192.168.0.0/24", "--ip-range", "192.168.0.64/26",
            "--aux-address", "router=192.168.0.70", "-o", "mtu=1400", "--internal", "--conf-dir", "/run/net.d",
            "demonet")
        #expect(created.status == 0, "\(created.errorText)")
        try hosts.eventually("h2 has written the list") { try two.lab.list("/run/net.d") == ["60-demonet.conflist"] }
        let list = try Value(parsing: Array(two.lab.read(Self.file).utf8))
        #expect(list["plugins"]?[0]?["mtu"] == 1400 && list["plugins"]?[0]?["internal"] == true)
        for (host, name) in [(one, "a"), (two, "b")] {
            try host.lab.addContainer(name)
            // Refused if the two lists did not mean the same network.
            let added = try host.lab.swiftlet(
                "cni", "add", "demonet", name, "--conf-dir", "/run/net.d", "--plugin-dir", Plugins.directory)
            #expect(added.status == 0, "\(host.name): \(added.errorText)")
        }
        let listed = try one.lab.swiftlet("network", "ls", "--json", "--conf-dir", "/run/net.d")
        #expect(try Value(parsing: listed.output).elements.count == 1)
        // Its own file is not written again, nor one that is there.
        #expect(try one.lab.list("/run/net.d") == ["60-demonet.conflist"])
        let again = try two.lab.swiftlet("network", "adopt", "--conf-dir", "/run/net.d")
        #expect(again.status == 0 && again.output.isEmpty, "\(again.errorText)")
    }

    @Test("a list that was adopted goes with its network, when the last container has gone, unless somebody changed it")
    func withdrawn() throws {
        let hosts = try Hosts(2, configuration: ["adopt": true, "confDir": "/run/net.d"])
        let (one, two) = (hosts[0], hosts[1])
        func swiftlet(_ host: OverlayHost, _ words: String...) throws {
            let done = try host.lab.swiftlet(words + ["--conf-dir", "/run/net.d"])
            #expect(done.status == 0, "\(host.name): \(words) \(done.errorText)")
        }
        func create(_ name: String, _ subnet: String) throws {
            try swiftlet(one, "network", "create", "-d", "overlay", "--subnet", subnet, "--internal", name)
            try hosts.eventually("h2 has written \(name)") {
                try two.lab.list("/run/net.d").contains("60-\(name).conflist")
            }
        }
        try create("demonet", "192.168.0.0/24")
        try create("mine", "192.168.1.0/24")
        try create("unused", "192.168.2.0/24")
        try two.lab.addContainer("b")
        try swiftlet(two, "cni", "add", "demonet", "b", "--plugin-dir", Plugins.directory)
        try two.lab.script("echo >> /run/net.d/60-mine.conflist")
        for name in ["demonet", "mine", "unused"] { try swiftlet(one, "network", "rm", name) }
        try hosts.eventually("the unused one's list is gone") {
            try two.lab.list("/run/net.d") == ["60-demonet.conflist", "60-mine.conflist"]
        }
        try hosts.eventually("the log says why the others are there") {
            let log = try two.lab.read(two.log)
            return log.contains("its list was changed, and stays")
                && log.contains("stays until the last container here is gone")
        }
        // The journal knows of it.
        two.stop("KILL")
        try two.startDaemon()
        try hosts.eventually("they know each other again") {
            try hosts.hosts.allSatisfy { host in
                let known = try host.get("/v1/tables")["hosts"]?.elements ?? []
                return known.count == 2 && known.allSatisfy { $0["status"] == "live" }
            }
        }
        #expect(try two.lab.list("/run/net.d").count == 2)
        try create("again", "192.168.3.0/24")
        try swiftlet(one, "network", "rm", "again")
        try hosts.eventually("it goes as before") { try two.lab.list("/run/net.d").count == 2 }
        try swiftlet(two, "cni", "del", "demonet", "b", "--plugin-dir", Plugins.directory)
        try hosts.eventually("the list goes with the last container") {
            try two.lab.list("/run/net.d") == ["60-mine.conflist"]
        }
    }

    @Test("without adopt nothing is written, until somebody asks for it")
    func asked() throws {
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        // Announced in other words than a list of ours would have.
        let announced = try one.request(
            "POST", "/v1/networks",
            [
                "network": "demonet",
                "definition": [
                    "subnet": "192.168.0.0/24", "mtu": 1300, "vni": 4711, "port": 4790, "multicast": true,
                    "seeds": ["h1", "h2"],
                ],
            ])
        #expect(announced.status == 200, "\(announced)")
        try hosts.eventually("h2 knows of it") { try two.request("GET", "/v1/networks/demonet").status == 200 }
        #expect(try two.lab.list("/run/net.d") == [])
        let adopted = try two.lab.swiftlet("network", "adopt", "demonet", "--conf-dir", "/run/net.d")
        #expect(adopted.status == 0 && adopted.text == "demonet\n", "\(adopted.errorText)")
        let list = try Value(parsing: Array(two.lab.read(Self.file).utf8))
        var plugin = try #require(list["plugins"]?[0])
        plugin["name"] = "demonet"
        plugin["cniVersion"] = "1.0.0"
        // The daemon compares this with what h1 has announced.
        let added = try two.add("b", plugin)
        #expect(added.succeeded, "\(added)")
    }
}
