import JSON
import System
import TestSupport
import Testing

/// `swiftlet cni`: the runtime's side of CNI.
@Suite(.enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"))
struct RuntimeCommandTests {
    private let places = ["--conf-dir", "/run/net.d", "--plugin-dir", Plugins.directory]
    private let spies = ["--conf-dir", "/run/net.d", "--plugin-dir", "/run/spies"]

    private func cni(
        _ lab: Lab, _ arguments: String..., at places: [String], environment: [(String, String)] = []
    ) throws -> ChildOutcome {
        try lab.swiftlet(["cni"] + arguments + places, environment: environment)
    }

    /// bridge with masquerade, portmap, firewall.
    private static let demo: Value = [
        "cniVersion": "1.1.0", "name": "demo",
        "plugins": [
            [
                "type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": true,
                "capabilities": ["ips": true, "mac": true],
                "ipam": ["type": "host-local", "ranges": [[["subnet": "10.1.2.0/24"]]]],
            ],
            ["type": "portmap", "capabilities": ["portMappings": true]], ["type": "firewall"],
        ],
    ]

    private static func spiesNetwork(_ version: String = "1.0.0") -> Value {
        [
            "cniVersion": .string(version), "name": "watched",
            "plugins": [
                ["type": "one", "capabilities": ["ips": true, "aliases": true, "absent": false]],
                ["type": "two", "capabilities": ["portMappings": true], "own": "key"],
            ],
        ]
    }

    private func spyLab(_ version: String = "1.0.0") throws -> Lab {
        let lab = try Lab()
        try lab.writeNetwork("50-watched.conflist", Self.spiesNetwork(version))
        for name in ["one", "two"] { try lab.writeSpy(name) }
        return lab
    }

    @Test("add, check and del with real plugins; the cache is libcni's and the world is as before")
    func wholeLife() throws {
        let lab = try Lab()
        try lab.writeNetwork("10-demo.conflist", Self.demo)
        // Bridge and the network's chains stay after the first container, as they should.
        #expect(try cni(lab, "add", "demo", "c0", "--publish", "8080:80", at: places).status == 0)
        #expect(try cni(lab, "del", "demo", "c0", at: places).status == 0)
        let before = try lab.steadyWorld()
        let added = try cni(
            lab, "add", "demo", "c0", "--ip", "10.1.2.77", "--publish", "8080:80", "--publish", "127.0.0.1:53:53/udp",
            at: places)
        #expect(added.status == 0, "\(added.errorText)")
        let result = try Value(parsing: added.output)
        #expect(result.addresses == ["10.1.2.77/24"])
        #expect(try lab.addresses("eth0", in: "c0").contains("10.1.2.77/24"))

        let id = "cnitool-\(try lab.tool("sh", "-c", "printf /run/netns/c0 | sha512sum | cut -c1-20").prefix(20))"
        let file = "/var/lib/cni/results/demo-\(id)-eth0"
        let cached = try Value(parsing: Array(lab.read(file).utf8))
        #expect(cached["kind"]?.string == "cniCacheV1")
        #expect(cached["containerId"]?.string == id)
        #expect(cached["ifName"]?.string == "eth0" && cached["networkName"]?.string == "demo")
        #expect(cached["netns"]?.string == "/run/netns/c0")
        #expect(cached["result"]?.canonical == result.canonical)
        #expect(cached["capabilityArgs"]?["ips"] == ["10.1.2.77"])
        #expect(cached["capabilityArgs"]?["portMappings"]?[1]?["hostIP"]?.string == "127.0.0.1")
        let configuration = try lab.tool("sh", "-c", "jq -r .config \(file) | base64 -d")
        #expect(try Value(parsing: Array(configuration.utf8)) == Self.demo)
        #expect(try lab.tool("stat", "-c", "%a", file) == "600\n")

        #expect(try cni(lab, "check", "demo", "c0", at: places).status == 0)
        try lab.tool("ip", "address", "flush", "dev", "eth0", in: "c0")
        let broken = try cni(lab, "check", "demo", "c0", "--json", at: places)
        #expect(broken.status == 1)
        #expect(try Value(parsing: broken.output)["code"]?.integer != nil)
        #expect(broken.errorText.contains("bridge") && broken.errorText.contains("demo"))

        #expect(try cni(lab, "del", "demo", "c0", at: places).status == 0)
        #expect(try cni(lab, "del", "demo", "c0", at: places).status == 0)
        try lab.expectReturn(to: before)
    }

    @Test("a failed ADD is undone")
    func rollback() throws {
        let lab = try Lab()
        var list = Self.demo
        list["plugins"] = .array((list["plugins"]?.elements ?? []) + [["type": "nowhere"]])
        try lab.writeNetwork("10-demo.conflist", Self.demo)
        #expect(try cni(lab, "add", "demo", "c0", "--publish", "8080:80", at: places).status == 0)
        #expect(try cni(lab, "del", "demo", "c0", at: places).status == 0)
        let before = try lab.steadyWorld()
        try lab.writeNetwork("10-demo.conflist", list)
        let failed = try cni(lab, "add", "demo", "c0", "--publish", "8080:80", at: places)
        #expect(failed.status == 1)
        #expect(failed.errorText.contains("plugin nowhere of network demo, ADD: failed to find plugin"))
        #expect(failed.output.isEmpty)
        try lab.expectReturn(to: before)
        #expect(try lab.reservations("demo") == [:])
    }

    @Test("del needs neither the file nor the namespace: the cache remembers")
    func deleteFromCache() throws {
        let lab = try spyLab()
        #expect(try cni(lab, "add", "watched", "c0", "--ip", "192.0.2.1", "--args", "A=1;B=2", at: spies).status == 0)
        _ = try lab.spied()
        try lab.tool("rm", "/run/net.d/50-watched.conflist")
        let id = "cnitool-\(try lab.tool("sh", "-c", "printf /run/netns/c0 | sha512sum | cut -c1-20").prefix(20))"
        #expect(try cni(lab, "del", "watched", "--container-id", id, at: spies).status == 0)
        let calls = try lab.spied()
        #expect(calls.map { $0["plugin"]?.string } == ["two", "one"])
        #expect(calls.allSatisfy { $0["command"]?.string == "DEL" && $0["netns"]?.string == "/run/netns/c0" })
        #expect(calls.allSatisfy { $0["args"]?.string == "A=1;B=2" })
        #expect(calls.allSatisfy { $0["input"]?["prevResult"]?["interfaces"]?[0]?["name"]?.string == "two" })
        #expect(calls[1]["input"]?["runtimeConfig"] == ["ips": ["192.0.2.1"]])
        #expect(calls[0]["input"]?["own"]?.string == "key" && calls[0]["input"]?["runtimeConfig"] == nil)
        #expect(try lab.list("/var/lib/cni/results") == [])
    }

    @Test("order, prevResult, capabilities and arguments as libcni gives them")
    func order() throws {
        let lab = try spyLab()
        #expect(
            try cni(
                lab, "add", "watched", "/run/netns/c0", "--ifname", "net7", "--container-id", "box", "--mac",
                "02:00:00:00:00:01", "--alias", "db", "--alias", "sql", "--name", "web", "--publish", "[::1]:80:8080",
                "--capability", "{\"absent\": 1, \"unknown\": 2}", at: spies, environment: [("CNI_ARGS", "X=y")]
            ).status == 0)
        let calls = try lab.spied()
        #expect(calls.map { $0["plugin"]?.string } == ["one", "two"])
        let (first, second) = (calls[0], calls[1])
        #expect(first["id"]?.string == "box" && first["ifname"]?.string == "net7")
        #expect(first["args"]?.string == "IgnoreUnknown=1;X=y;MAC=02:00:00:00:00:01;K8S_POD_NAME=web")
        #expect(first["input"]?["name"]?.string == "watched" && first["input"]?["cniVersion"]?.string == "1.0.0")
        #expect(first["input"]?["prevResult"] == nil)
        #expect(first["input"]?["runtimeConfig"] == ["aliases": ["db", "sql"]])
        #expect(second["input"]?["prevResult"]?["interfaces"]?[0]?["name"]?.string == "one")
        #expect(
            second["input"]?["runtimeConfig"]?["portMappings"]?[0] == [
                "hostPort": 80, "containerPort": 8080, "protocol": "tcp", "hostIP": "::1",
            ])
        #expect(try lab.list("/var/lib/cni/results") == ["watched-box-net7"])
    }

    @Test("del goes on after a failure and keeps the attachment; check stops at the first")
    func failures() throws {
        let lab = try spyLab()
        #expect(try cni(lab, "add", "watched", "c0", at: spies).status == 0)
        try lab.writeSpy("two", failing: "DEL", "CHECK")
        try lab.writeSpy("one", failing: "CHECK")
        _ = try lab.spied()
        let check = try cni(lab, "check", "watched", "c0", at: spies)
        #expect(check.status == 1 && check.errorText.contains("one refuses (code 99)"))
        #expect(try lab.spied().map { $0["plugin"]?.string } == ["one"])
        let failed = try cni(lab, "del", "watched", "c0", at: spies)
        #expect(failed.status == 1 && failed.errorText.contains("two refuses (code 99)"))
        #expect(try lab.spied().map { $0["plugin"]?.string } == ["two", "one"])
        #expect(try lab.list("/var/lib/cni/results").count == 1)
    }

    @Test("gc deletes what has lost its namespace and tells the plugins what is left")
    func garbage() throws {
        let lab = try spyLab("1.1.0")
        try lab.addContainer("c1")
        for name in ["c0", "c1"] {
            #expect(try cni(lab, "add", "watched", name, "--container-id", name, at: spies).status == 0)
        }
        try lab.removeContainer("c1")
        _ = try lab.spied()
        let collected = try cni(lab, "gc", "watched", at: spies)
        #expect(collected.status == 0 && collected.text == "released c1 eth0\n")
        let calls = try lab.spied()
        #expect(calls.map { $0["command"]?.string } == ["DEL", "DEL", "GC", "GC"])
        #expect(calls[0]["id"]?.string == "c1" && calls[2]["id"]?.string == "")
        let left: Value = [["containerID": "c0", "ifname": "eth0"]]
        #expect(calls[2]["input"]?["cni.dev/valid-attachments"] == left)
        #expect(calls[3]["input"]?["cni.dev/attachments"] == left)
        #expect(try lab.list("/var/lib/cni/results") == ["watched-c0-eth0"])
    }

    @Test("gc with real plugins: the address of a vanished container is free again")
    func garbageOfRealPlugins() throws {
        let lab = try Lab()
        try lab.writeNetwork("10-demo.conflist", Self.demo)
        #expect(try cni(lab, "add", "demo", "c0", at: places).status == 0)
        let before = try lab.reservations("demo")
        try lab.addContainer("c1")
        #expect(try cni(lab, "add", "demo", "c1", at: places).status == 0)
        try lab.removeContainer("c1")
        #expect(try cni(lab, "gc", "demo", at: places).status == 0)
        #expect(try lab.reservations("demo") == before)
        #expect(try cni(lab, "check", "demo", "c0", at: places).status == 0)
    }

    @Test("status asks every plugin")
    func status() throws {
        let lab = try spyLab("1.1.0")
        let ready = try cni(lab, "status", "watched", at: spies)
        #expect(ready.status == 0 && ready.text == "PLUGIN  STATUS\none     ready\ntwo     ready\n")
        try lab.writeSpy("one", failing: "STATUS")
        let refused = try cni(lab, "status", "watched", "--json", at: spies)
        #expect(refused.status == 1)
        let document = try Value(parsing: refused.output)
        #expect(document[0]?["error"]?["code"]?.integer == 99 && document[1]?["error"] == .null)
        #expect(try lab.spied().map { $0["command"]?.string } == Array(repeating: "STATUS", count: 4))
    }

    @Test("what cannot be done is said: no network, no namespace, no plugin that takes it, no JSON")
    func refusals() throws {
        let lab = try spyLab()
        try lab.write("/run/net.d/10-torn.conflist", "{\"name\": ")
        for (arguments, words) in [
            (["add", "nowhere", "c0"], "no network \"nowhere\" in /run/net.d; /run/net.d/10-torn.conflist"),
            (["add", "watched", "c7"], "no network namespace at /run/netns/c7"),
            (["add", "/run/net.d/10-torn.conflist", "c0"], "code 6"),
        ] {
            let outcome = try lab.swiftlet(["cni"] + arguments + spies)
            #expect(outcome.status == 1 && outcome.errorText.contains(words), "\(outcome.errorText)")
        }
        for arguments in [["--capability", "[]"], ["--args", "novalue"], ["--publish", "80"]] {
            #expect(try lab.swiftlet(["cni", "add", "watched", "c0"] + arguments + spies).status == 64)
        }
        #expect(try lab.spied() == [])
        try lab.writeNetwork("60-plain.conf", ["cniVersion": "0.3.1", "name": "plain", "type": "one"])
        let unable = try cni(lab, "add", "plain", "c0", "--publish", "80:80", at: spies)
        #expect(unable.status == 1 && unable.errorText.contains("no plugin of network plain takes it"))
        // A single plugin is a list of one.
        #expect(try cni(lab, "add", "plain", "c0", "--ip", "192.0.2.9/24", at: spies).status == 0)
        #expect(try lab.spied().first?["args"]?.string == "IgnoreUnknown=1;IP=192.0.2.9")
        let check = try cni(lab, "check", "plain", "c0", at: spies)
        #expect(check.status == 1 && check.errorText.contains("does not support the CHECK command (code 1)"))
    }

    @Test("what libcni remembered is understood, in both its forms")
    func foreignCache() throws {
        let lab = try spyLab()
        let result = "{\"cniVersion\":\"0.4.0\",\"interfaces\":[{\"name\":\"veth1\"}],\"dns\":{}}"
        let list = Self.spiesNetwork().text()
        let encoded = try lab.tool("sh", "-c", "printf %s '\(list)' | base64 -w 0")
        let current = """
            {"kind":"cniCacheV1","containerId":"a","config":"\(encoded)","ifName":"eth0","networkName":"watched",\
            "netns":"/run/netns/c0","cniArgs":[["K8S_POD_NAME","web"]],"result":\(result)}
            """
        try lab.write("/var/lib/cni/results/watched-a-eth0", current)
        try lab.write("/var/lib/cni/results/watched-b-eth0", result)
        for id in ["a", "b"] {
            #expect(try cni(lab, "del", "watched", "c0", "--container-id", id, at: spies).status == 0)
            let calls = try lab.spied()
            // Converted to the list's version.
            #expect(calls[0]["input"]?["prevResult"]?["cniVersion"]?.string == "1.0.0")
            #expect(calls[0]["input"]?["prevResult"]?["interfaces"]?[0]?["name"]?.string == "veth1")
            #expect(calls[0]["args"]?.string == (id == "a" ? "K8S_POD_NAME=web" : ""))
        }
        #expect(try lab.list("/var/lib/cni/results") == [])
    }
}
