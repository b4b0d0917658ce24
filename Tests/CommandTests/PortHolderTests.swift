import JSON
import TestSupport
import Testing

/// A host port that a process of the host listens on is refused with the process's name; what does not get in the way is
/// none of portmap's business.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference takes the clients away without a word"))
struct PortHolderTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let listens: String
        let transport: String
        let hostIP: String?
        let isRefused: Bool
        var testDescription: String {
            "\(listens) \(transport), hostIP \(hostIP ?? "none"): \(isRefused ? "refused" : "no matter")"
        }
    }

    static let rows = ["tcp", "udp"].flatMap { transport in
        [
            ("0.0.0.0", nil, true), ("::", nil, true), ("127.0.0.1", nil, true), ("192.0.2.1", nil, true),
            ("2001:db8:ffff::1", nil, true), ("0.0.0.0", "192.0.2.1", true), ("192.0.2.1", "192.0.2.1", true),
            ("::", "192.0.2.1", true), ("127.0.0.1", "192.0.2.1", false), ("2001:db8:ffff::1", "192.0.2.1", false),
            ("2001:db8:ffff::1", "2001:db8:ffff::1", true), ("0.0.0.0", "2001:db8:ffff::1", false),
        ].map { Row(listens: $0.0, transport: transport, hostIP: $0.1, isRefused: $0.2) }
    }

    @Test("Sockets of the host")
    func sockets() throws {
        let lab = try Lab()
        try lab.addOutside()
        let bridge = try lab.add(PluginChain("net", [FilterInputs.masquerading()]), "c0").orFail()
        // A process of the host's own: who called the plugin, as the test has, may hold a port for the container.
        let rows = Array(Self.rows.enumerated()).map { (port: 8000 + $0, row: $1) }
        let lines = rows.map { "\($0.port) \($0.row.listens) \($0.row.transport)" }.joined(separator: "\n")
        let started = try lab.script(
            """
            cat >/run/listen.py <<'END'
            import socket, time
            kept = []
            for line in open("/run/listen").read().splitlines():
                port, address, transport = line.split()
                kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
                kept.append(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind))
                kept[-1].bind((address, int(port)))
                if transport == "tcp": kept[-1].listen()
            open("/run/listening", "w").close()
            time.sleep(300)
            END
            cat >/run/listen <<'END'
            \(lines)
            END
            exec 3>&1 >/dev/null 2>/run/listen.log
            /usr/bin/python3 /run/listen.py 3>&- </dev/null &
            tries=0
            until [ -e /run/listening ] || [ $tries -gt 500 ]; do sleep 0.02; tries=$((tries + 1)); done
            echo $! >&3
            """)
        let process = try #require(Int(started.filter(\.isNumber)))
        defer { _ = try? lab.script("kill \(process)") }
        let before = try lab.world().withoutBookkeeping()
        for (port, row) in rows {
            func input(_ transport: String) -> Value {
                let mappings = [FilterInputs.port(Int64(port), 80, transport, hostIP: row.hostIP)]
                return FilterInputs.ports("", mappings).input(1, previous: bridge)
            }
            let answer = try lab.run("portmap", "ADD", input(row.transport))
            if row.isRefused {
                let holder = "hostPort \(port)/\(row.transport) is in use by python3 (pid \(process))"
                #expect(answer.message == holder, "\(row.testDescription): \(answer)")
            } else {
                answer.orFail(row.testDescription)
                try lab.run("portmap", "DEL", input(row.transport)).expectSilence(row.testDescription)
            }
        }
        // The same number of the other protocol is another port.
        let other = FilterInputs.ports("", [FilterInputs.port(8000, 80, "udp")]).input(1, previous: bridge)
        try lab.run("portmap", "ADD", other).orFail("the other protocol")
        try lab.run("portmap", "DEL", other).expectSilence()
        let after = try lab.world().withoutBookkeeping().without {
            $0.contains("route_localnet") || $0.contains("/nft/")
        }
        after.expectEqual(to: before.without { $0.contains("route_localnet") || $0.contains("/nft/") })
    }
}
