import JSON
import System
import TestSupport
import Testing

/// What a gateway bridge shares with the host's other users: its pool of addresses, and the host's ports.
@Suite(
    .enabled(if: Namespaces.areAvailable, "root and unshare(2) are needed"),
    .enabled(if: !Plugins.areReference, "the reference has no such plugin"))
struct GwbridgePortTests {
    static let rounds = Plugins.wantsLongRuns ? 40 : 6

    @Test("The first containers, all at once, share one pool")
    func firstAtOnce() throws {
        let lab = try Lab(containers: 8)
        let names = lab.containers
        for round in 0..<Self.rounds {
            let answers = try inParallel(names.count) { try lab.add(GwbridgeTests.alone(), names[$0]) }
            for answer in answers { answer.orFail("round \(round)") }
            let addresses = answers.compactMap { $0.document?.addresses.first }
            #expect(Set(addresses).count == names.count && addresses.allSatisfy { $0.hasPrefix("172.18.0.") })
            for (name, answer) in zip(names, answers) {
                try lab.delete(GwbridgeTests.alone(), name, previous: answer.document).expectSilence()
            }
            try lab.tool("ip", "link", "delete", "swiftlet-gw")
        }
    }

    @Test("The first containers of several gateway bridges, all at once, get a pool for each bridge")
    func severalBridgesAtOnce() throws {
        let lab = try Lab(containers: 6)
        let names = lab.containers
        let chains = (0..<6).map { GwbridgeTests.alone([("bridge", .string("gw\($0)"))], name: "net\($0)") }
        for round in 0..<Self.rounds {
            let answers = try inParallel(names.count) { try lab.add(chains[$0], names[$0]) }
            let pools = answers.compactMap { $0.orFail("round \(round)").gateways.first }
            #expect(Set(pools).count == names.count, "round \(round): \(pools)")
            for (index, answer) in answers.enumerated() {
                try lab.delete(chains[index], names[index], previous: answer.document).expectSilence()
                try lab.tool("ip", "link", "delete", "gw\(index)")
            }
        }
    }

    @Test("A port that a process of the host listens on is refused, and nothing is left", arguments: Transport.allCases)
    func takenPort(_ transport: Transport) throws {
        let lab = try Lab()
        let kind = transport == .tcp ? "SOCK_STREAM" : "SOCK_DGRAM"
        let started = try lab.script(
            """
            exec 3>&1 >/dev/null 2>&1
            /usr/bin/python3 -c 'import socket, time
            kept = socket.socket(socket.AF_INET, socket.\(kind))
            kept.bind(("0.0.0.0", 8080))
            \(transport == .tcp ? "kept.listen()" : "")
            open("/run/listening", "w").close()
            time.sleep(300)' 3>&- </dev/null &
            tries=0
            until [ -e /run/listening ] || [ $tries -gt 500 ]; do sleep 0.02; tries=$((tries + 1)); done
            echo $! >&3
            """)
        let process = try #require(Int(started.filter(\.isNumber)))
        defer { _ = try? lab.script("kill \(process)") }
        let chain = GwbridgeTests.alone(ports: [FilterInputs.port(8080, 80, "\(transport)")])
        let before = try lab.warmedUp(GwbridgeTests.alone())
        try lab.add(chain, "c0").expectRefusal(
            code: 103, containing: "hostPort 8080/\(transport) is in use by python3 (pid \(process))")
        try lab.expectReturn(to: before)
    }

    @Test("A client's datagrams go the new way at once, after ADD and after DEL", arguments: GwbridgeTests.backends)
    func datagrams(_ backend: String) throws {
        let lab = try Lab(containers: 2)
        try lab.addOutside()
        let chain = GwbridgeTests.alone(
            [("ipMasqBackend", .string(backend))], ports: [FilterInputs.port(5353, 80, "udp")])
        _ = try lab.warmedUp(chain.with(ports: nil))
        let servers = (try lab.serve("c0"), try lab.serve("c1"))
        // The client keeps its port, as a resolver does: the kernel knows the flow by it.
        func ask(_ timeout: Int = 10_000) throws -> String? {
            try lab.ask(.udp, "192.0.2.1", 5353, from: "outside", source: 7777, timeout: timeout)
        }
        // Before the port is published the flow ends at the host.
        #expect(try ask(300) == nil)
        let first = try lab.add(chain, "c0").orFail()
        #expect(try ask()?.hasPrefix("c0 ") == true)
        try lab.delete(chain, "c0", previous: first).expectSilence()
        let second = try lab.add(chain, "c1").orFail()
        #expect(try ask()?.hasPrefix("c1 ") == true)
        try lab.delete(chain, "c1", previous: second).expectSilence()
        #expect(try ask(300) == nil)
        withExtendedLifetime(servers) {}
    }
}
