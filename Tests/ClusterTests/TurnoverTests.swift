import JSON
import System
import TestSupport
import Testing

/// Containers that come and go all day: the tables do not fill with what is gone.
@Suite(
    .serialized, .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: Files.exists("/usr/bin/python3")))
struct TurnoverTests {
    /// Endpoints told of and taken back over one connection after the other; prints what was not answered with 200.
    private static let script = """
        import http.client, json, socket, sys
        class Connection(http.client.HTTPConnection):
            def connect(self):
                self.sock = socket.socket(socket.AF_UNIX)
                self.sock.connect("/run/swiftlet/swiftletd.sock")
        def ask(method, body):
            connection = Connection("localhost", timeout=20)
            connection.request(method, "/v1/overlay/endpoints", json.dumps(body))
            answer = connection.getresponse()
            text = answer.read().decode()
            connection.close()
            if answer.status != 200:
                sys.exit(f"{method} {body['containerID']}: {answer.status} {text}")
        for number in range(int(sys.argv[1])):
            one = {"network": "demonet", "containerID": f"{sys.argv[2]}{number}", "ifname": "eth0"}
            ask("POST", {**one, "addresses": ["192.168.0.200/24"], "mac": "02:42:c0:a8:00:c8"})
            ask("DELETE", one)
        print("done")
        """

    @Test func tombstonesTakeNoRoom() throws {
        let count = Environment.current()["SWIFTLET_LONG"] == "1" ? 16_500 : 1_300
        let hosts = try Hosts(2)
        let (one, two) = (hosts[0], hosts[1])
        _ = try one.connect("stays")
        _ = try two.connect("stays")
        try one.lab.write("/run/turnover.py", Self.script)
        #expect(try one.lab.tool("python3", "/run/turnover.py", "\(count)", "a") == "done\n")
        func tombstones(_ host: OverlayHost) throws -> Int {
            let held = try host.get("/v1/tables")["hosts"]?.elements.first { $0["name"]?.string == "h1" }
            return Int(held?["tombstones"]?.integer ?? -1)
        }
        #expect(try (1...1024).contains(tombstones(one)))
        try hosts.eventually("the other is bounded, too") { try (1...(1024 + 4096)).contains(tombstones(two)) }
        one.stop("KILL")
        try one.startDaemon()
        #expect(try (1...1024 + 256).contains(tombstones(one)), "nor after a restart")
        #expect(try one.lab.tool("python3", "/run/turnover.py", "10", "b") == "done\n")
        let address = try one.connect("last")
        try hosts.eventually("it is known") { try two.endpoints()["\(address)/24"] == "h1 live" }
    }
}
